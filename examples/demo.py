"""The tour that `make demo` gives: the shop comes up in the lab, pods call each other, and the flow records say why.

Everything goes through the `weft` command, as a person would. Which calls are made and what should come of them stands
in the manifests (annotation demo.weft.dev/calls); what is shown as having decided is read from flow records alone. A
call without a record, or one that came out otherwise than its manifest says, makes the exit status 1.
KEEP=1 leaves the lab up. Run from the top of a checkout: python examples/demo.py [--name LAB].
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import textwrap
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cli.verdicts import NO_POLICY

ROOT = Path(__file__).resolve().parent.parent
SHOP = ROOT / "examples" / "shop"
CALLS = "demo.weft.dev/calls"
LOAD = "demo.weft.dev/load"
LOAD_S = 5
PATIENCE_S = "30"
"""A call may take so long on a busy machine, and its record twice that to come."""
RECORDS_WITHIN_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One line of the annotation: a pod calls, and something is expected."""

    pod: str
    """NS/NAME."""
    ips: tuple[str, ...]
    """The pod's addresses: a node that is not the caller's may know it by these alone."""
    expect: str
    """allow, deny-L4 or deny-L7."""
    method: str
    """Of HTTP, or TCP."""
    target: str
    header: str = ""

    @property
    def host(self) -> str:
        return self.target.partition(":")[0] if self.method == "TCP" else urlsplit(self.target).hostname or ""

    @property
    def port(self) -> int:
        return int(self.target.rpartition(":")[2]) if self.method == "TCP" else urlsplit(self.target).port or 80

    @property
    def service(self) -> str:
        """NS/NAME of the Service that the host names."""
        name, _, rest = self.host.partition(".")
        return f"{rest.partition('.')[0] or self.pod.partition('/')[0]}/{name}"

    @property
    def path(self) -> str:
        return "" if self.method == "TCP" else urlsplit(self.target).path

    @property
    def words(self) -> str:
        where = f"{self.service.partition('/')[2]}:{self.port}"
        return " ".join(part for part in (self.method, where + self.path, self.header) if part)


def parse_calls(pod: str, ips: tuple[str, ...], text: str) -> list[Call]:
    """The lines of one annotation. ValueError names a line that is not one."""
    calls = []
    for line in text.splitlines():
        words = line.split(maxsplit=3)
        if not words:
            continue
        if len(words) < 3 or words[0] not in ("allow", "deny-L4", "deny-L7"):
            raise ValueError(f"pod {pod}: annotation {CALLS}: {line!r} is not EXPECT METHOD TARGET [HEADER]")
        header = words[3] if len(words) > 3 else ""
        calls.append(Call(pod=pod, ips=ips, expect=words[0], method=words[1], target=words[2], header=header))
    return calls


def outcome(record: dict[str, Any]) -> str:
    """A flow record in the words of the annotation."""
    if record.get("verdict") == "allow":
        return "allow"
    return "deny-L7" if record.get("layer") == "L7" else "deny-L4"


def belongs(record: dict[str, Any], call: Call, pods_behind: dict[str, set[str]]) -> bool:
    """Whether a record is of this call: same caller, same target, and for HTTP the same request where it names one."""
    source, target = record.get("from", {}), record.get("to", {})
    caller = f"{source.get('namespace')}/{source.get('pod')}" if source.get("pod") else ""
    if caller != call.pod and (caller or source.get("ip") not in call.ips):
        return False
    if (record.get("protocol"), target.get("port")) != ("TCP", call.port):
        return False
    behind = f"{target.get('namespace')}/{target.get('pod')}"
    if record.get("service") != call.service and behind not in pods_behind.get(call.service, set()):
        return False
    http = record.get("http")
    if http is None:
        return call.method == "TCP" or outcome(record) == "deny-L4"
    return bool((http.get("method"), http.get("path")) == (call.method, call.path))


def decided_by(record: dict[str, Any]) -> str:
    """Policy and rule, as the record has them."""
    refs = record.get("decidedBy") or ()
    rules = [
        f"{ref.get('kind')} {ref.get('policy')}: {ref.get('name') or ref['rule']}" for ref in refs if ref.get("rule")
    ]
    defaults = [f"{ref.get('kind')} {ref.get('policy')}" for ref in refs if not ref.get("rule")]
    if defaults:
        rules.append(f"no rule allows it: default deny of {', '.join(defaults)}")
    return ", ".join(rules) or NO_POLICY


class Demo:
    """One run against one lab."""

    def __init__(self, lab: str) -> None:
        self._lab = lab
        self._started = time.monotonic()

    def say(self, text: str) -> None:
        print(f"[{time.monotonic() - self._started:5.1f} s] {text}", flush=True)

    def weft(self, *words: str, check: bool = True, quiet: bool = True) -> subprocess.CompletedProcess[str]:
        """Run the weft command on this lab."""
        line = [sys.executable, "-m", "cli", "--lab", self._lab, *words]
        done = subprocess.run(line, cwd=ROOT, text=True, stdout=subprocess.PIPE if quiet else None,
                              stderr=subprocess.PIPE if quiet else None, check=False)  # fmt: skip
        if check and done.returncode:
            raise DemoFailed(f"weft {' '.join(words)} ended with {done.returncode}", done.stderr or "")
        return done

    def objects(self, kind: str) -> list[dict[str, Any]]:
        answer = json.loads(self.weft("get", kind, "-A", "-o", "json").stdout)
        found = answer["items"] if isinstance(answer, dict) and "items" in answer else answer
        return list(found)

    def call(self, call: Call) -> None:
        """Make it from inside of the caller's pod. What comes back is not looked at: the records are."""
        if call.method == "TCP":
            talk = f"exec 3<>/dev/tcp/{call.host}/{call.port} && echo hello >&3 && head -n 1 <&3"
            self.weft("lab", "exec", call.pod, "--", "timeout", PATIENCE_S, "bash", "-c", talk, check=False)
            return
        header = ["-H", call.header] if call.header else []
        self.weft("lab", "exec", call.pod, "--", "curl", "-s", "-m", PATIENCE_S, "-o", os.devnull, "-X", call.method,
                  *header, call.target, check=False)  # fmt: skip

    def load(self, pod: str, url: str) -> str:
        done = self.weft("lab", "exec", pod, "--", sys.executable, str(ROOT / "examples" / "load.py"), url,
                         "--seconds", str(LOAD_S), "--connections", "8")  # fmt: skip
        return done.stdout.strip()

    def records(self, calls: Sequence[Call], behind: dict[str, set[str]]) -> dict[Call, list[dict[str, Any]]]:
        """The records of each call. They come within seconds; it waits no longer than it says."""
        deadline = time.monotonic() + RECORDS_WITHIN_S
        while True:
            lines = self.weft("observe", "--since", "5m", "-o", "jsonl").stdout.splitlines()
            flows = [json.loads(line) for line in lines if line.strip()]
            found: dict[Call, list[dict[str, Any]]] = {}
            for call in calls:
                own = [flow for flow in flows if belongs(flow, call, behind)]
                # two calls can differ in nothing but a header, which no record holds: take the one that fits
                fitting = [flow for flow in own if outcome(flow) == call.expect]
                if own:
                    found[call] = fitting or own[-1:]
            if len(found) == len(calls) or time.monotonic() > deadline:
                return found
            time.sleep(0.5)

    def run(self) -> int:
        self.say("bringing up examples/shop: two nodes, each with agent and proxy")
        self.weft("lab", "up", str(SHOP), quiet=False)
        pods = self.objects("pods")
        behind = self._backends()
        calls, loads = _annotated(pods)
        self.say(f"{len(calls)} calls, from the annotations of the manifests")
        for call in calls:
            self.call(call)
        self.say("reading the flow records")
        found = self.records(calls, behind)
        for pod, url in loads:
            self.say(f"load: {pod} -> {url}")
            print(f"           {self.load(pod, url)}", flush=True)
        return self._show(calls, found)

    def _backends(self) -> dict[str, set[str]]:
        behind: dict[str, set[str]] = {}
        for item in self.objects("endpointslices"):
            metadata = item["metadata"]
            service = f"{metadata['namespace']}/{metadata['labels']['kubernetes.io/service-name']}"
            for endpoint in item.get("endpoints") or ():
                ref = endpoint.get("targetRef") or {}
                behind.setdefault(service, set()).add(f"{ref.get('namespace')}/{ref.get('name')}")
        return behind

    def _show(self, calls: Sequence[Call], found: dict[Call, list[dict[str, Any]]]) -> int:
        titles = {"allow": "ALLOWED", "deny-L4": "DENIED AT L4", "deny-L7": "DENIED AT L7"}
        wrong = []
        for kind, title in titles.items():
            print(f"\n{painted(title, kind)}")
            for call in calls:
                records = found.get(call, [])
                if records and outcome(records[0]) == kind:
                    # two nodes: each enforces its own side and says so itself
                    by_node = {record.get("node", ""): decided_by(record) for record in records}
                    print(described(call, by_node))
                    if kind != call.expect:
                        wrong.append(f"{call.pod}: {call.words}: expected {call.expect}, the record says {kind}")
        wrong += [f"{call.pod}: {call.words}: no flow record" for call in calls if call not in found]
        print()
        for line in wrong:
            print(f"NOT AS EXPECTED  {line}")
        if not wrong:
            self.say(f"all {len(calls)} calls came out as their manifests say")
        return 1 if wrong else 0

    def next_steps(self, *, kept: bool) -> None:
        lab = "" if self._lab == "default" else f" --lab {self._lab}"
        print("\nWhere to look next" + ("" if kept else " (make demo KEEP=1 leaves the lab up)"))
        if "VIRTUAL_ENV" not in os.environ:
            print("  # first, to have weft on the PATH\n  . .venv/bin/activate")
        for words, why in (
            ("observe -f", "flows as they happen, with the rule that decided"),
            ("policy check --from shop/client --to shop/payments --port 8080", "what would happen, and why"),
            ("policy show shop/client", "everything that holds for one pod"),
            ("lab exec shop/client -- curl -s http://checkout:8080/cart", "be the client yourself"),
            ("lab restart proxy", "replace the L7 proxy; no request fails"),
            ("status", "nodes, and what they enforce"),
        ):
            print(f"  # {why}\n  weft{lab} {words}")


class DemoFailed(RuntimeError):
    """A command that had to work did not."""

    def __init__(self, message: str, output: str) -> None:
        super().__init__(message)
        self.output = output


def _annotated(pods: Sequence[dict[str, Any]]) -> tuple[list[Call], list[tuple[str, str]]]:
    calls: list[Call] = []
    loads = []
    for pod in pods:
        metadata = pod["metadata"]
        name = f"{metadata['namespace']}/{metadata['name']}"
        annotations = metadata.get("annotations") or {}
        ips = tuple(entry["ip"] for entry in (pod.get("status") or {}).get("podIPs") or ())
        calls += parse_calls(name, ips, annotations.get(CALLS, ""))
        if LOAD in annotations:
            loads.append((name, annotations[LOAD]))
    return calls, loads


def described(call: Call, by_node: dict[str, str], width: int | None = None) -> str:
    """Who called what, and below it what each node decided by, no line longer than the terminal."""
    width = width or min(100, shutil.get_terminal_size().columns)
    lines = textwrap.wrap(
        f"{call.pod} -> {call.words}", width, initial_indent="  ", subsequent_indent="      ", break_on_hyphens=False
    )
    for node, reason in by_node.items():
        said = f"{node}: {reason}"
        lines += textwrap.wrap(
            said, width, initial_indent="      ", subsequent_indent="        ", break_on_hyphens=False
        )
    return "\n".join(lines)


def painted(title: str, kind: str) -> str:
    """In colour on a terminal."""
    if not sys.stdout.isatty() or "NO_COLOR" in os.environ:
        return title
    return f"\033[{'32' if kind == 'allow' else '31'};1m{title}\033[0m"


def main() -> int:
    parser = argparse.ArgumentParser(description="bring up the shop, send traffic, show who decided")
    parser.add_argument("--name", default="demo", help="the lab's name (default: demo)")
    parser.add_argument("--keep", action="store_true", help="leave the lab up, to look around in it")
    given = parser.parse_args()
    demo = Demo(given.name)
    status = 1
    try:
        status = demo.run()
        demo.next_steps(kept=given.keep)
    except DemoFailed as error:
        print(f"{error}\n{error.output}", file=sys.stderr)
    finally:
        if not given.keep:
            demo.weft("lab", "down", check=False, quiet=False)
    return status


if __name__ == "__main__":
    sys.exit(main())
