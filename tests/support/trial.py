"""Random policies in a lab, held against the oracle: one `Trial` is a cluster, its stations and what went wrong.

A round changes something while connections are open, looks what became of them, then tries every pair of pods on
every port, both families, TCP, UDP and HTTP, directly and through Services. What does not come out as the oracle
says is kept in `problems`, with the seed and round that bring it back.

Long because a round is one story: what changes, what is tried and what is expected belong together.
"""

from __future__ import annotations

import dataclasses
import json
import random
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tests.support import chance
from tests.support.cluster import Cluster, WeftFailed
from tests.support.oracle import MESH, Answer, Document, Flow, Oracle, key_of

WORLD = ("192.0.2.2", "2001:db8::2")
ENDS_WITHIN_S = 2.0
GONE = Answer("gone")
REFUSED = {"EPERM", "ECONNREFUSED", "ECONNRESET", "EHOSTUNREACH", "EACCES", "ENETUNREACH", "closed"}
MOST_POLICIES = 7
FlowKey = tuple[str, str, str, int]
"""Addresses, protocol and port, as flow records have them."""


class Station:
    """The process in a pod, or beside the pods, that probes."""

    def __init__(self, cluster: Cluster, place: str) -> None:
        self.place = place
        self.process = cluster.start(place, sys.executable, "-m", "tests.support.station")

    def ask(self, command: dict[str, Any]) -> Any:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(command) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            _, errors = self.process.communicate(timeout=5)
            raise AssertionError(f"the station in {self.place} died: {errors}")
        return json.loads(line)

    def close(self) -> None:
        self.process.kill()
        self.process.communicate(timeout=5)  # closes its pipes


@dataclass(frozen=True, slots=True)
class Probe:
    """One try, and the flow that it is to the oracle (after Service translation)."""

    how: str
    address: str
    port: int
    flow: Flow
    through_service: bool = False

    @property
    def target(self) -> list[Any]:
        request = self.flow.request
        return [self.how, self.address, self.port, *([dataclasses.asdict(request)] if request is not None else [])]

    def __str__(self) -> str:
        flow = self.flow
        what = f" {flow.request}" if flow.request is not None else ""
        way = f" through {self.address}:{self.port}" if self.through_service else ""
        return f"{self.how} {flow.source} ({flow.source_ip}) -> {flow.target} ({flow.target_ip}):{flow.port}{way}{what}"


@dataclass(slots=True)
class Connection:
    """One that stays open over changes. `answers` are the oracle's, one for each state that was gone through."""

    probe: Probe
    plain: Flow
    answers: list[Answer] = field(default_factory=list)
    verdicts: list[Answer] = field(default_factory=list)
    legs: list[tuple[str, ...]] = field(default_factory=list)
    """What each node that it crosses says of it, for each state."""
    local: int = 0
    may_break: bool = False
    """The proxy that carries it was killed or replaced, or an end left the mesh."""
    enrolled: list[bool] = field(default_factory=list)


@dataclass(slots=True)
class Trial:
    cluster: Cluster
    seed: int
    faults: bool = False
    """Programs are killed and restarted between and during changes."""
    leaving: bool = False
    """Pods and namespaces leave the mesh and come back."""
    random: random.Random = field(init=False)
    oracle: Oracle = field(default_factory=Oracle)
    stations: dict[str, Station] = field(default_factory=dict)
    services: dict[str, list[str]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    forbidden: set[tuple[FlowKey, frozenset[str]]] = field(default_factory=set)
    """Requests of this round that a rule refused, and the policies behind that."""
    round: int = 0
    made: int = 0
    history: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)

    # -- the cluster --------------------------------------------------------------------------------------------

    def manifest(self) -> list[Document]:
        documents = chance.cluster(self.random)
        documents += [chance.policy(self.random, f"first{number}") for number in range(self.random.randint(2, 5))]
        self.oracle.apply(documents)
        return documents

    def start(self) -> None:
        outside = ("world", "node:node-1", "node:node-2")
        for place in outside:
            ports = [f"tcp:{number}" for number in chance.TCP] + [f"udp:{number}" for number in chance.UDP]
            echo = self.cluster.start(place, sys.executable, "-m", "lab.echo", *ports)
            assert echo.stdout is not None
            assert "answers on" in echo.stdout.readline()
            self.stations[f"{place} echo"] = Station.__new__(Station)
            self.stations[f"{place} echo"].process = echo
        for place in (*outside, *self.pods):
            self.stations[place] = Station(self.cluster, place)
        for document in self.cluster.json("get", "service", "-A")["items"]:
            self.services[key_of(document)] = document["spec"]["clusterIPs"]

    def close(self) -> None:
        for station in self.stations.values():
            station.close()

    @property
    def pods(self) -> dict[str, Document]:
        return {key_of(document): document for document in self.oracle.of("Pod")}

    def addresses(self, place: str) -> tuple[str, str]:
        if place == "world":
            return WORLD
        if place.startswith("node:"):
            number = 9 + int(place[-1])
            return f"172.30.0.{number}", f"fd00:30::{number:x}"
        v4, v6 = (row["ip"] for row in self.pods[place]["status"]["podIPs"])
        return v4, v6

    def wrong(self, text: str) -> None:
        self.problems.append(f"seed {self.seed} round {self.round}: {text}")

    def count(self, what: str, by: int = 1) -> None:
        self.counts[what] = self.counts.get(what, 0) + by

    # -- changes ------------------------------------------------------------------------------------------------

    def change(self, held: Iterable[Connection]) -> float:
        """One to three changes, each enforced before the next; the oracle's states are noted on what is held."""
        for _ in range(self.random.randint(1, 3)):
            if self.faults and self.random.random() < 0.6:
                self._disturb(held)
            self._change_once()
            self._note(held)
        return time.time()

    def _disturb(self, held: Iterable[Connection]) -> None:
        """Not waited for: the change comes while the program is away."""
        component = self.random.choice(("agent", "agent", "proxy", "controller"))
        word = self.random.choice(("kill", "restart"))
        node = () if component == "controller" else ("--node", self.random.choice(("node-1", "node-2")))
        self.history.append(f"{word} {component} {' '.join(node)}")
        self.count(f"{word} {component}")
        self.cluster.weft("lab", word, component, *node)
        for one in held:
            one.may_break |= component == "proxy" and any(answer.verdict == "requests" for answer in one.answers)
        deadline = time.monotonic() + 10
        while component == "controller" and self.cluster.weft("status", expect=None).status:
            assert time.monotonic() < deadline, "the controller does not come back"
            time.sleep(0.1)

    def _note(self, held: Iterable[Connection]) -> None:
        there = {*self.pods, "world"}
        for one in held:
            stays = one.plain.source in there and one.plain.target in there
            enrolled = [stays and self.oracle.is_left_alone(end) for end in (one.plain.source, one.plain.target)]
            # who leaves the mesh or comes back leaves what the proxy carried behind
            one.may_break |= enrolled != one.enrolled and bool(one.answers)
            one.enrolled = enrolled
            one.answers.append(self.oracle.answer(one.plain) if stays else GONE)
            one.verdicts.append(self.oracle.answer(one.probe.flow) if stays else GONE)
            one.legs.append(self.oracle.legs(one.plain) if stays else ())

    def _change_once(self) -> None:
        policies = self.oracle.of("NetworkPolicy", "MeshPolicy")
        ways = ["policy"] * 4 + ["replace", "replace", "pod labels", "namespace labels", "guest"]
        way = self.random.choice(ways + ["delete"] * len(policies))
        if len(policies) >= MOST_POLICIES and way == "policy":
            way = "delete"
        if not policies and way in ("replace", "delete"):
            way = "policy"
        if way == "policy":
            self.made += 1
            self._apply(chance.policy(self.random, f"p{self.made}"))
        elif way == "replace":
            old = self.random.choice(policies)
            fresh = chance.policy(self.random, old["metadata"]["name"])
            fresh["metadata"]["namespace"] = old["metadata"]["namespace"]
            if fresh["kind"] != old["kind"]:
                self._delete(old)
            self._apply(fresh)
        elif way == "delete":
            self._delete(self.random.choice(policies))
        elif way == "guest":
            self._guest()
        else:
            kind = "Pod" if way == "pod labels" else "Namespace"
            labels = chance.some_labels if kind == "Pod" else chance.namespace_labels
            old = self.random.choice(self.oracle.of(kind))
            fresh = labels(self.random)
            twins = [self.pods[key]["metadata"]["labels"] for key in chance.TWINS]
            if kind == "Pod" and old["metadata"]["labels"] in twins and self.random.random() < 0.6:
                fresh = self.random.choice(twins)
            elif self.leaving and self.random.random() < 0.15:
                fresh[MESH] = self.random.choice(("disabled", "disabled", "enabled"))
            self._apply(chance.relabelled(old, fresh))

    def _guest(self) -> None:
        guests = [key for key in self.pods if "guest" in key]
        if guests:
            (key,) = guests
            self.stations.pop(key).close()
            self._delete(self.pods[key])
            return
        self.made += 1
        document = chance.guest(self.random, self.made)
        self._apply(document)
        key = key_of(document)
        deadline = time.monotonic() + 10
        while self.cluster.weft("lab", "exec", key, "--", "true", expect=None).status:
            assert time.monotonic() < deadline, f"{key} never came up"
            time.sleep(0.1)
        self._wait_for_echo(document)
        self.stations[key] = Station(self.cluster, key)

    def _wait_for_echo(self, document: Document) -> None:
        """Its own ports listen. A pod may always talk to itself."""
        key = key_of(document)
        ip = document["status"]["podIP"]
        command = f"import socket; [socket.create_connection(({ip!r}, port), 2) for port in {chance.TCP!r}]"
        deadline = time.monotonic() + 10
        while self.cluster.exec(key, sys.executable, "-c", command, expect=None).status:
            assert time.monotonic() < deadline, f"{key} does not listen"
            time.sleep(0.1)

    def _apply(self, document: Document) -> None:
        self.history.append("apply " + json.dumps(document))
        self.cluster.apply(json.dumps(document))
        self.oracle.apply([document])

    def _delete(self, document: Document) -> None:
        self.history.append(f"delete {document['kind']} {key_of(document)}")
        self.cluster.delete(document["kind"].lower(), key_of(document))
        self.oracle.delete(document["kind"], key_of(document))

    # -- probes -------------------------------------------------------------------------------------------------

    def run(self, rounds: int) -> None:
        for _ in range(rounds):
            self.round += 1
            self.history.append(f"# round {self.round}")
            held = self.open()
            try:
                at = self.change(held)
            except WeftFailed as error:
                self.wrong(f"a change was not taken: {error}; {self.history[-1]}")
                return
            begin = time.time()
            self.probe_everything()
            self.look(held, at)
            self.compare_flows(begin)
            self.check_some()

    def probe_everything(self) -> None:
        everything: dict[str, list[Probe]] = {}
        for probe in self.probes():
            everything.setdefault(probe.flow.source, []).append(probe)
        again: list[tuple[Probe, Answer, str]] = []
        before = {place: self._counters(place) for place in self.places}
        with ThreadPoolExecutor(len(everything)) as pool:
            answers = pool.map(
                lambda item: self.stations[item[0]].ask({"reach": [probe.target for probe in item[1]]}),
                everything.items(),
            )
            for probes, results in zip(everything.values(), answers, strict=True):
                for probe, result in zip(probes, results, strict=True):
                    expected = self.oracle.answer(probe.flow)
                    self.count(f"{probe.how} {expected.verdict}")
                    if result == "403" and expected.l7:
                        self.forbidden.add((probe_key(probe), expected.policies))
                    if not fits(probe, expected, result):
                        again.append((probe, expected, result))
        for probe, expected, result in again:
            trace = self._trace(probe, result, before)
            second = self.stations[probe.flow.source].ask({"reach": [probe.target]})[0]
            if self._lost_upstream(probe, result) and fits(probe, expected, second):
                self.count("requests on a kept connection that was ended meanwhile")
                continue
            self.wrong(f"{probe}: expected {expected}, got {result}, later {second}{trace}")

    def _lost_upstream(self, probe: Probe, result: str) -> bool:
        """The client's proxy kept a connection that was direct at the server's node, which wants it proxied since the
        change: it is ended there within a second, and a request that may not be repeated is lost with it (502)."""
        again = probe.flow.request is not None and probe.flow.request.method in ("POST", "PATCH")
        legs = self.oracle.legs(dataclasses.replace(probe.flow, request=None))
        return result == "502" and again and legs == ("requests", "requests")

    @property
    def places(self) -> list[str]:
        return [*self.pods, "world", "node:node-1", "node:node-2"]

    def _counters(self, place: str) -> dict[str, int]:
        """What the kernel counts there, and on a node what the agent does."""
        found: dict[str, int] = dict(self.stations[place].ask({"counters": True}))
        if place.startswith("node:"):
            page = self.cluster.exec(place, "curl", "-sf", "http://127.0.0.1:15012/metrics", expect=None).out
            for line in page.splitlines():
                name, _, value = line.rpartition(" ")
                if name.startswith("weft_agent_packets_total"):
                    found[name] = int(float(value))
        return found

    def _trace(self, probe: Probe, result: str, before: dict[str, dict[str, int]]) -> str:
        """Where a probe without an answer may have gone: its flow as weft knows it, and what was counted meanwhile."""
        number = result.rpartition("port ")[2]
        if not number.isdigit():
            return ""
        rows = self.cluster.json("conntrack", "list") + self.cluster.flows("--since", "20s")
        ports = [
            {row.get("sport"), row.get("dport"), *(row.get(end, {}).get("port") for end in ("from", "to"))}
            for row in rows
        ]
        text = f"; of that port: {[row for row, its in zip(rows, ports, strict=True) if int(number) in its]}"
        ends = (probe.flow.source, probe.flow.target)
        for place in dict.fromkeys((*ends, *(f"node:{self.oracle.node_of(end)}" for end in ends if "/" in end))):
            now, then = self._counters(place), before.get(place, {})
            grown = {name: value - then.get(name, 0) for name, value in now.items() if value != then.get(name, 0)}
            text += f"; counted in {place}: {grown}"
        return text

    def probes(self) -> Iterator[Probe]:
        places = self.places
        for source in places:
            for target in places:
                if source != target and ("/" in source or "/" in target):
                    yield from self._pair(source, target)
        for source in self.pods:
            for service, ips in self.services.items():
                target = service.replace("/to-", "/")
                # a pod outside of the mesh has no one who translates addresses of Services for it
                if target in self.pods and not self.oracle.is_left_alone(source):
                    yield from self._service(source, target, ips)

    def _pair(self, source: str, target: str) -> Iterator[Probe]:
        for family in (0, 1):
            one, other = self.addresses(source)[family], self.addresses(target)[family]
            for port in chance.UDP:
                flow = Flow(source, target, one, other, "UDP", port)
                yield Probe("udp", other, port, flow)
            for port in chance.TCP:
                flow = Flow(source, target, one, other, "TCP", port)
                yield Probe("tcp", other, port, flow)
                if self.oracle.answer(flow).verdict == "requests" or self.random.random() < 0.1:
                    for _ in range(2):
                        asked = dataclasses.replace(flow, request=chance.request(self.random))
                        yield Probe("http", other, port, asked)

    def _service(self, source: str, target: str, ips: Sequence[str]) -> Iterator[Probe]:
        """By one port of each protocol, one family at a time."""
        family = self.random.choice((0, 1))
        one, other = self.addresses(source)[family], self.addresses(target)[family]
        address = next(ip for ip in ips if (":" in ip) == (family == 1))
        for how, protocol in (("tcp", "TCP"), ("http", "TCP"), ("udp", "UDP"), ("udpto", "UDP")):
            port = self.random.choice(chance.TCP if protocol == "TCP" else chance.UDP)
            request = chance.request(self.random) if how == "http" else None
            flow = Flow(source, target, one, other, protocol, port, request)
            yield Probe(how, address, port + 10_000, flow, through_service=True)

    # -- connections that stay open -----------------------------------------------------------------------------

    def open(self) -> list[Connection]:
        """A few from every pod: lines where policy is silent about requests, steady requests elsewhere."""
        held: list[Connection] = []
        for source in self.pods:
            choices = [target for target in (*self.pods, "world") if target != source]
            for target in self.random.sample(choices, 4):
                family = self.random.choice((0, 1))
                one, other = self.addresses(source)[family], self.addresses(target)[family]
                flow = Flow(source, target, one, other, "TCP", self.random.choice(chance.TCP))
                answer = self.oracle.answer(flow)
                if answer.verdict == "deny":
                    continue
                if answer.verdict == "requests" or self.random.random() < 0.4:
                    asked = dataclasses.replace(flow, request=chance.request(self.random))
                    held.append(Connection(Probe("http", other, flow.port, asked), flow))
                else:
                    held.append(Connection(Probe("tcp", other, flow.port, flow), flow))
        self._note(held)
        for source in self.pods:
            mine = {str(number): one for number, one in enumerate(held) if one.plain.source == source}
            self.stations[source].ask({"open": [[number, *one.probe.target] for number, one in mine.items()]})
            looked = self.stations[source].ask({"look": True})
            for number, opened in mine.items():
                opened.local = looked[number]["local"]
                if looked[number]["ended"]:
                    self.wrong(f"held {opened.probe} did not open: {looked[number]}")
        return held

    def look(self, held: list[Connection], changed: float) -> None:
        time.sleep(max(0.0, changed + ENDS_WITHIN_S - time.time()))
        seen: dict[str, dict[str, Any]] = {}
        for source in self.pods:
            seen |= self.stations[source].ask({"look": True})
        time.sleep(0.2)
        recent: dict[str, dict[str, Any]] = {}
        sockets: dict[str, set[tuple[int, str, int]]] = {}
        for place in (*self.pods, "world"):
            recent |= self.stations[place].ask({"look": True})
            sockets[place] = {(row[0], row[1], row[2]) for row in self.stations[place].ask({"sockets": True})}
        for number, one in enumerate(held):
            if GONE not in one.answers:
                self._judge(one, seen[str(number)], recent[str(number)], sockets[one.plain.target])
        for source in self.pods:
            self.stations[source].ask({"close": True})

    def _judge(
        self, one: Connection, seen: dict[str, Any], recent: dict[str, Any], at_server: set[tuple[int, str, int]]
    ) -> None:
        path = [answer.verdict for answer in one.answers]
        text = f"held {one.probe}: {path}: {seen} then {recent}"
        may_end = "deny" in path[1:] or turned_to_proxy(one.legs)
        self.count(f"held {path[0]} to {path[-1]}{' by a way that ends it' if may_end else ''}")
        last, nodes = one.answers[-1], [self.oracle.node_of(end) for end in (one.plain.source, one.plain.target)]
        if path[0] == "requests" and (last.verdict, last.direction) == ("deny", "ingress") and nodes[0] != nodes[1]:
            # the client's node knows nothing of the other's policy: its proxy may stay, but nothing gets through
            if "200" in recent["counts"]:
                self.wrong(f"{text}: requests pass")
            return
        if path[-1] == "deny" or (path[0] == "allow" and path[-1] == "requests"):
            if not recent["ended"]:
                self.wrong(f"{text}: lives on")
            if path[0] == "allow" and (one.plain.port, one.plain.source_ip, one.local) in at_server:
                self.wrong(f"{text}: the server's end lives on")
            return
        if recent["ended"] and not may_end and not one.may_break:
            self.wrong(f"{text}: broke")
        if not recent["ended"] and one.probe.how == "http":
            wanted = "403" if one.verdicts[-1].verdict == "deny" else "200"
            if set(recent["counts"]) - {wanted}:
                self.wrong(f"{text}: expected {wanted} only")
        if not recent["ended"] and not recent["counts"]:
            self.wrong(f"{text}: stands still")

    # -- what weft says of it -----------------------------------------------------------------------------------

    def compare_flows(self, begin: float) -> None:
        """Every denied TCP probe between pods has its record, with the policies that the oracle names."""
        wanted: dict[FlowKey, Answer] = {}
        for source in self.pods:
            for target in self.pods:
                for family in (0, 1):
                    one, other = self.addresses(source)[family], self.addresses(target)[family]
                    for protocol, port in (*(("TCP", port) for port in chance.TCP), *(("UDP", p) for p in chance.UDP)):
                        answer = self.oracle.answer(Flow(source, target, one, other, protocol, port))
                        wanted[one, other, protocol, port] = answer
        missing = {key for key, answer in wanted.items() if answer.verdict == "deny" and not answer.accepted}
        requests, self.forbidden = self.forbidden, set()
        deadline = time.monotonic() + 5
        while True:
            since = f"{time.time() - begin + 0.5:.1f}s"
            rows = self.cluster.flows("--since", since, "--verdict", "deny", "--limit", "100000")
            missing -= {flow_key(row) for row in rows}
            requests -= {(flow_key(row), frozenset(row["policies"])) for row in rows if row["layer"] == "L7"}
            if not (missing or requests) or time.monotonic() > deadline:
                break
            time.sleep(0.3)
        for key in sorted(missing):
            self.wrong(f"no record of the denied flow {key}: {wanted[key]}")
        for request in requests:
            self.wrong(f"no record of requests that were forbidden: {request}")
        for row in rows:
            if row["layer"] != "L3L4" or datetime.fromisoformat(row["time"]).timestamp() < begin:
                continue
            said = wanted.get(flow_key(row))
            if said is None:
                continue
            self.count("denials recorded")
            if row["dropReason"] == "needs-proxy-now":
                self.count("direct legs ended for the proxy")
            elif said.verdict != "deny":
                self.wrong(f"a record denies what is open ({said}): {row}")
            elif row["direction"] == said.direction and set(row["policies"]) != said.policies:
                self.wrong(f"a record names other policies than {said}: {row}")

    def check_some(self, count: int = 3) -> None:
        """`weft policy check` for a few."""
        pods = list(self.pods)
        for _ in range(count):
            pairs = [self.random.sample(pods, 2)] * 2 + [["world", pods[0]], [pods[-1], "world"]]
            source, target = self.random.choice(pairs)
            ends = [WORLD[0] if place == "world" else place for place in (source, target)]
            protocol, port = self.random.choice([("TCP", port) for port in chance.TCP] + [("UDP", chance.UDP[0])])
            request = chance.request(self.random) if protocol == "TCP" and self.random.random() < 0.5 else None
            arguments = ["--from", ends[0], "--to", ends[1], "--port", str(port), "--protocol", protocol.lower()]
            if request is not None:
                path = request.target.partition("?")[0]
                arguments += ["--method", request.method, "--path", path, "--host", request.host]
                for name, value in request.headers:
                    arguments += ["--header", f"{name}={value}"]
            answer = self.cluster.weft("policy", "check", *arguments, "-o", "json").json()
            expected = {
                self.oracle.answer(Flow(source, target, one, other, protocol, port, request)).verdict
                for one, other in zip(self.addresses(source), self.addresses(target), strict=True)
                if "world" not in (source, target) or "." in one
            }
            if len(expected) == 1 and answer["verdict"] != expected.pop().replace("requests", "allow"):
                self.wrong(f"policy check {arguments} says {answer['verdict']}: {answer['message']}")


def turned_to_proxy(legs: Sequence[tuple[str, ...]]) -> bool:
    """Whether some node let the connection pass directly once, and wanted its proxy to see it later: that ends it."""
    return any("requests" in way[way.index("allow") :] for way in zip(*legs, strict=True) if "allow" in way)


def probe_key(probe: Probe) -> FlowKey:
    flow = probe.flow
    return flow.source_ip, flow.target_ip, flow.protocol, flow.port


def flow_key(row: dict[str, Any]) -> FlowKey:
    return row["from"].get("ip", ""), row["to"].get("ip", ""), row["protocol"].upper(), row["to"].get("port", 0)


def fits(probe: Probe, expected: Answer, result: str) -> bool:
    """Whether what came of a probe is what the oracle says."""
    if probe.how.startswith("udp"):
        # the errors of datagrams are rate-limited, and a socket that never connected does not see them
        return result == "ok" if expected.verdict == "allow" else result in REFUSED | {"timeout"}
    if expected.accepted:
        # what the source's proxy makes of it: no HTTP, denied here as well, or nobody to connect to
        return result in REFUSED | {"proxy", "403", "502", "503"}
    if probe.how == "tcp":
        return result in {"allow": {"ok"}, "requests": {"proxy"}, "deny": REFUSED}[expected.verdict]
    if expected.verdict == "allow":
        return result == "200"
    return result in ({"403"} if expected.l7 else REFUSED)
