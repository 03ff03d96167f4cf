from __future__ import annotations

import json
from pathlib import Path

import pytest

from l7proxy.net.access_log import AccessLog
from tests.support.playbook import Play, get, response
from tests.support.proxy import ingress, prefix, rule, statuses, view


def logged(play: Play, path: Path) -> AccessLog:
    log = AccessLog(str(path), lambda: "n1", lambda: 1234.5, play.site.clock)
    play.site.record = log.record
    return log


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_line_for_each_request_names_everything_the_caller_is_not_told(tmp_path: Path) -> None:
    play = Play(view(ingress(rule(http=(prefix("/api"),)))))
    log = logged(play, tmp_path / "log")
    play.ask(get("/api/1?token=secret", host="shop:80"))
    play.site.now += 0.25
    play.respond(response())
    play.ask(get("/admin"))
    play.ask(b"junk\r\n\r\n")
    log.flush()
    allowed, denied, refused = lines(tmp_path / "log")
    assert "secret" not in (tmp_path / "log").read_text()
    assert not (tmp_path / "log").stat().st_mode & 0o007, "not everybody's to read"
    assert {key: allowed[key] for key in ("node", "method", "path", "host", "status", "decision", "durationMs")} == {
        "node": "n1",
        "method": "GET",
        "path": "/api/1",
        "host": "shop",
        "status": 200,
        "decision": "allow",
        "durationMs": 250.0,
    }
    assert allowed["source"] == {
        "ip": "10.1.0.1",
        "port": 40001,
        "identity": 301,
        "namespace": "t",
        "pod": "client",
        "serviceAccount": "default",
    }
    assert allowed["time"] == "1970-01-01T00:20:34.500000+00:00"
    assert allowed["bytesOut"] == len(response())
    assert (denied["decision"], denied["policies"], denied["reason"]) == ("deny", ["t/http"], "policy-default")
    assert allowed["rules"] == ["MeshPolicy t/http ingress[0]"]
    assert (refused["decision"], refused["status"], refused["reason"]) == ("refused", 400, "request-line")
    assert statuses(play.sent) == [200, 403, 400]


@pytest.mark.parametrize("second", [b"junk\n", b"GET /\rx", b"GET /" + b"a" * (65 << 10), b"GET / HT"])
def test_refusal_without_a_head_does_not_tell_of_the_request_before(second: bytes, tmp_path: Path) -> None:
    play = Play()
    log = logged(play, tmp_path / "log")
    play.ask(get("/before"))
    play.respond(response())
    play.ask(second)
    play.client.check(play.site.now + 11)
    log.flush()
    first, refused = lines(tmp_path / "log")
    assert first["path"] == "/before"
    assert (refused["decision"], refused["method"], refused["path"], refused["host"]) == ("refused", "", "", "")
    assert (refused["bytesIn"], refused["durationMs"]) == (len(second), 0.0)


def test_rotated_file_is_opened_anew(tmp_path: Path) -> None:
    play = Play()
    path = tmp_path / "log"
    log = logged(play, path)
    play.ask(b"junk\r\n\r\n")
    path.rename(tmp_path / "log.1")
    log.reopen()
    other = Play()
    other.site.record = log.record
    other.ask(b"junk\r\n\r\n")
    log.close()
    assert len(lines(tmp_path / "log.1")) == 1
    assert len(lines(path)) == 1


def test_lines_that_cannot_be_written_are_counted_and_harm_nothing() -> None:
    play = Play()
    log = logged(play, Path("/dev/full"))
    play.ask(b"junk\r\n\r\n")
    log.flush()
    assert log.lost == 1
    assert statuses(play.sent) == [400]


def test_where_there_can_be_no_new_file_the_old_one_is_kept(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    play = Play()
    folder = tmp_path / "logs"
    folder.mkdir()
    log = logged(play, folder / "log")
    moved = folder.rename(tmp_path / "moved")
    log.reopen()
    log.reopen()
    play.ask(b"junk\r\n\r\n")
    log.close()
    assert (len(lines(moved / "log")), log.lost) == (1, 0)
    (told,) = [record.message for record in caplog.records]
    assert "No such file or directory; requests go on" in told


def test_a_log_that_cannot_be_opened_is_tried_again(tmp_path: Path) -> None:
    play = Play()
    folder = tmp_path / "later"
    log = logged(play, folder / "log")
    play.ask(b"junk\r\n\r\n")
    log.flush()
    assert log.lost == 1
    folder.mkdir()
    other = Play()
    other.site.record = log.record
    other.ask(b"junk\r\n\r\n")
    log.close()
    assert (len(lines(folder / "log")), log.lost) == (1, 1)


def test_names_of_input_cannot_break_a_line(tmp_path: Path) -> None:
    play = Play()
    log = logged(play, tmp_path / "log")
    play.ask(get('/"quotes"'))
    play.respond(response())
    log.close()
    assert lines(tmp_path / "log")[0]["path"] == '/"quotes"'
