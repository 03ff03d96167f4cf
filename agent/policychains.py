"""The kernel's policy map as people read it: each chain whole, as ranges of ports and what is said of them.

A chain is found as the kernel finds it, from its page 0 on (`agent/policypages.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from agent.datapath.interface import Table
from agent.datapath.tables import PolicyKey, PolicyPage, PolicyStep
from agent.mapwords import MapWords, policy_flags
from mesh.layouts import POLICY_FINAL, POLICY_LEVELS, POLICY_MORE
from mesh.model import Direction, Protocol

MISSING = -1
"""In place of flags, where a page is not there: the kernel denies."""
EVERYTHING = "every port"
_PORTS = 1 << 16
_END = 1 << 24
_NAMES = {int(protocol): protocol.name for protocol in Protocol if protocol is not Protocol.ANY}


@dataclass(frozen=True, slots=True)
class Said:
    """One answer of a chain, and all ports that have it."""

    ports: str
    """`TCP 80,8000-8010, UDP`."""
    flags: int
    rules: int


def chain_rows(table: Table[PolicyKey, PolicyPage], words: MapWords, most: int) -> tuple[list[dict[str, Any]], bool]:
    """A row for each chain, by set, direction and identity; and whether there are more than `most`."""
    firsts = {(key.set, key.direction, key.identity) for key, _ in table.items() if key.page == 0}
    worded: dict[tuple[PolicyStep, ...], list[dict[str, Any]]] = {}
    rows = []
    for number, direction, identity in sorted(firsts)[:most]:
        steps = steps_of(_reader(table, PolicyKey(set=number, identity=identity, direction=direction)))
        if steps not in worded:
            worded[steps] = [_in_words(said, words) for said in said_by(steps)]
        who = {"set": number, "direction": Direction(direction).name.lower(), "identity": words.identity(identity)}
        rows.append(who | {"says": worded[steps]})
    return rows, len(firsts) > most


def _reader(table: Table[PolicyKey, PolicyPage], first: PolicyKey) -> Callable[[int], PolicyPage | None]:
    return lambda page: table.get(replace(first, page=page))


def _in_words(said: Said, words: MapWords) -> dict[str, Any]:
    if said.flags == MISSING:
        return {"ports": said.ports, "flags": ["page-missing"], "rules": []}
    return {"ports": said.ports, "flags": policy_flags(said.flags), "rules": words.rules(said.rules)}


def steps_of(read: Callable[[int], PolicyPage | None]) -> tuple[PolicyStep, ...]:
    """The steps of a chain, of all its pages, in their order. `read` gives a page by its number."""
    return tuple(_below(read, PolicyStep(0, 0, POLICY_MORE, 0), POLICY_LEVELS))


def _below(read: Callable[[int], PolicyPage | None], way: PolicyStep, levels: int) -> Iterator[PolicyStep]:
    page = read(way.rules) if levels else None
    if page is None:
        yield PolicyStep(way.protocol, way.port, MISSING)
        return
    for step in page.steps:
        if step.flags & POLICY_MORE:
            yield from _below(read, step, levels - 1)
        else:
            yield step


def said_by(steps: tuple[PolicyStep, ...]) -> tuple[Said, ...]:
    """What is said, by the first port of which it is; ports of which nothing is said are left out."""
    places: dict[tuple[int, int], list[tuple[int, int]]] = {}
    begins = [step.protocol * _PORTS + step.port for step in steps]
    for step, begin, end in zip(steps, begins, (*begins[1:], _END), strict=True):
        if step.flags & ~POLICY_FINAL:
            found = places.setdefault((step.flags, step.rules), [])
            joins = bool(found) and found[-1][1] == begin - 1
            found.append((found.pop()[0] if joins else begin, end - 1))
    return tuple(Said(_ports(found), flags, rules) for (flags, rules), found in places.items())


def _ports(ranges: Iterable[tuple[int, int]]) -> str:
    """Ranges of protocol * 65536 + port in words."""
    words: dict[str, list[str]] = {}
    for low, high in ranges:
        if (low, high) == (0, _END - 1):
            return EVERYTHING
        for protocols, ports in _split(low, high):
            words.setdefault(protocols, []).extend(ports)
    return ", ".join(f"{protocols} {','.join(ports)}".rstrip() for protocols, ports in words.items())


def _split(low: int, high: int) -> Iterator[tuple[str, list[str]]]:
    """By protocol; protocols of which it holds whole stand together."""
    first, last = low // _PORTS, high // _PORTS
    if low % _PORTS:
        end = min(high, first * _PORTS + _PORTS - 1)
        yield _name(first, first), [_span(low % _PORTS, end % _PORTS)]
        first += 1
    whole = last if high % _PORTS == _PORTS - 1 else last - 1
    if first <= whole:
        yield _name(first, whole), []
    if first <= last > whole:
        yield _name(last, last), [_span(0, high % _PORTS)]


def _name(first: int, last: int) -> str:
    if first == last:
        return _NAMES.get(first, f"protocol {first}")
    return f"protocols {first}-{last}"


def _span(low: int, high: int) -> str:
    return f"{low}-{high}" if high > low else str(low)
