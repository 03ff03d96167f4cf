"""The smoke test that runs inside the guest: the unit loads, and a whole lab allows and denies as its policies say.

Real controller, agent, programs and proxy; two pods on one node, each verdict over IPv4 and IPv6. Prints one line per
check and goes on after a failure, so that one run shows everything that a kernel breaks.
"""

from __future__ import annotations

import json
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from agent.datapath.programs import pin_folder
from lab.names import LabNames

LAB = "smoke"
INSTANCE = LabNames(LAB).instance("one")
"""Of the lab's only node."""
MANIFEST = Path(__file__).with_name("smoke.yaml")
LOGS = Path("/run/weft")
BPFFS = Path("/sys/fs/bpf")
LOG_LINES = 25
MOST_ROUTED = 3
RESET = {"ConnectionRefusedError", "ConnectionResetError"}
"""The answer to a SYN, or to data where the denial came later."""

PROBE = """
import http.client, sys, time
address, port, path = sys.argv[1], int(sys.argv[2]), sys.argv[3]
began = time.monotonic()
try:
    connection = http.client.HTTPConnection(address, port, timeout=20)
    connection.request("GET", path)
    said = str(connection.getresponse().status)
except OSError as error:
    said = type(error).__name__
print(said, round(time.monotonic() - began, 2))
"""


class Failed(Exception):
    """A check did not hold; the text says what was seen."""


def main() -> int:
    first = [("the unit compiles and every program loads", load_unit), ("a lab of one node comes up", lab_up)]
    checks: list[tuple[str, Callable[[], str]]] = []
    for family in (4, 6):
        checks += [
            (f"IPv{family}: allowed at L4", probe(family, 8080, "/", {"200"})),
            (f"IPv{family}: denied at L4 with a reset", probe(family, 9090, "/", RESET)),
            (f"IPv{family}: allowed at L7", probe(family, 8081, "/ok", {"200"})),
            (f"IPv{family}: denied at L7", probe(family, 8081, "/secret", {"403"})),
            (f"IPv{family}: a known flow takes the fast path", fast_path(family)),
        ]
    print(f"kernel {platform.release()}, Python {platform.python_version()}", flush=True)
    passed = 0
    if all(holds(name, check) for name, check in first):
        passed = len(first) + sum(holds(name, check) for name, check in checks)
    else:
        print("without these the rest cannot be tried and counts as failed", flush=True)
    failed = len(first) + len(checks) - passed
    if failed:
        show_logs()
    down = holds("the lab goes down and leaves no pin", lab_down)
    passed, failed = passed + down, failed + (not down)
    print(f"smoke: {passed} passed, {failed} failed", flush=True)
    return 1 if failed else 0


def holds(name: str, check: Callable[[], str]) -> bool:
    """Run one check and print its line."""
    began = time.monotonic()
    try:
        said = check()
    except (Failed, OSError, subprocess.SubprocessError, KeyError, ValueError) as error:
        print(f"FAILED  {name} ({time.monotonic() - began:.1f} s): {error}", flush=True)
        return False
    print(f"ok      {name} ({time.monotonic() - began:.1f} s) {said}".rstrip(), flush=True)
    return True


def load_unit() -> str:
    """The loader alone, so that a refusal shows the verifier's words. The lab's agent finds the pins and starts warm:
    under emulation the compiler takes half a minute, which is more than the lab gives an agent."""
    run([sys.executable, "-m", "agent.datapath.load", "--instance", INSTANCE, "--bpffs", str(BPFFS)], 300)
    programs = sorted(path.name for path in (pin_folder(str(BPFFS), INSTANCE) / "progs").iterdir())
    if not programs:
        raise Failed("the loader pinned no program")
    return f"{len(programs)} programs"


def lab_up() -> str:
    run([sys.executable, "-m", "lab", "up", "--name", LAB, str(MANIFEST)], 400)
    return ""


def lab_down() -> str:
    run([sys.executable, "-m", "lab", "down", "--name", LAB], 120)
    left = [str(path) for path in (BPFFS / "weft").glob("*")] if (BPFFS / "weft").exists() else []
    if left:
        raise Failed(f"pins left: {', '.join(left)}")
    return ""


def probe(family: int, port: int, path: str, wanted: set[str]) -> Callable[[], str]:
    """From the client to the server's address of that family."""

    def check() -> str:
        address = server_address(family)
        words = ["lab", "exec", "--name", LAB, "default/client", "--", sys.executable, "-c", PROBE]
        said, took = run([sys.executable, "-m", *words, address, str(port), path], 120).split()
        if said not in wanted:
            raise Failed(f"{address} port {port} {path}: {said}, wanted {' or '.join(sorted(wanted))}")
        return f"{said} in {took} s"

    return check


def fast_path(family: int) -> Callable[[], str]:
    """Of one request, the first packet alone is routed; without the fast path about ten are."""

    def check() -> str:
        before = routed()
        probe(family, 8080, "/", {"200"})()
        grown = routed() - before
        if grown > MOST_ROUTED:
            raise Failed(f"{grown} packets of one request were routed")
        return f"{grown} routed"

    return check


def routed() -> int:
    """Packets that the node's IP stack has forwarded, both families."""
    inside = ["nsenter", f"--net={LabNames.netns_path(LabNames(LAB).node('one'))}"]
    lines = run([*inside, "cat", "/proc/thread-self/net/snmp", "/proc/thread-self/net/snmp6"], 60).splitlines()
    names, values = (line.split() for line in lines if line.startswith("Ip:"))
    six = [line.split()[1] for line in lines if line.startswith("Ip6OutForwDatagrams")]
    return int(values[names.index("ForwDatagrams")]) + sum(map(int, six))


def server_address(family: int) -> str:
    answer = subprocess.run(
        [sys.executable, "-m", "lab", "call", "--name", LAB],
        input=json.dumps({"call": "status"}) + "\n", capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    document = json.loads(answer.stdout)
    pods = document.get("result", document)["pods"]
    ips = [ip for pod in pods if (pod["namespace"], pod["name"]) == ("default", "server") for ip in pod["ips"]]
    found = [ip for ip in ips if (":" in ip) == (family == 6)]
    if not found:
        raise Failed(f"the lab runs no server with an IPv{family} address: {ips or 'no such pod'}")
    return str(found[0])


def run(words: list[str], seconds: float) -> str:
    done = subprocess.run(words, capture_output=True, text=True, timeout=seconds, check=False)
    if done.returncode != 0:
        raise Failed(f"exit {done.returncode}: {(done.stdout + done.stderr).strip()[-3000:]}")
    return done.stdout


def show_logs() -> None:
    for log in sorted(LOGS.rglob("*.log")):
        print(f"-- {log}")
        for line in log.read_text(errors="replace").splitlines()[-LOG_LINES:]:
            print(f"   {line}")


if __name__ == "__main__":
    sys.exit(main())
