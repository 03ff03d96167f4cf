-- wrk: every request has a number of its own, at the end of its path and in a header, as requests of real clients do.
-- Numbers go on from one run to the next, so that nothing remembers them.
local number = os.time() * 1000000
local behind_line

function init()
   behind_line = wrk.format():match("HTTP/1.1(\r\n.*)")
end

function request()
   number = number + 1
   return string.format("GET %s/%d HTTP/1.1\r\nx-request-id: %x%s", wrk.path, number, number, behind_line)
end
