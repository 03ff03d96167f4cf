"""The life of a pod's attachment as a table, and the registry of attachments that survives the agent.

`discovered`: the local API announced it; everything is denied. `identified`: the controller has said who it is.
`enforced`: its policy is in the kernel. `exempt`: un-enrolled, left alone. `gone`: its entries are removed.
A pod that the controller no longer knows goes back to `discovered`, that is: denied, until its attachment is removed.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterable
from dataclasses import asdict
from enum import Enum
from pathlib import Path

from agent.errors import AgentError, EndpointRefused
from agent.files import write_atomic
from agent.state import LocalEndpoint, NodeState

LAST_ID = 65535
REMEMBERED_IDS = 4096
FILE_VERSION = 1


class Life(Enum):
    DISCOVERED = "discovered"
    IDENTIFIED = "identified"
    ENFORCED = "enforced"
    EXEMPT = "exempt"
    GONE = "gone"


class Step(Enum):
    IDENTIFY = "identify"
    ENFORCE = "enforce"
    SPARE = "spare"
    LOSE = "lose"
    REMOVE = "remove"


TRANSITIONS: dict[tuple[Life, Step], Life] = {
    (Life.DISCOVERED, Step.IDENTIFY): Life.IDENTIFIED,
    (Life.DISCOVERED, Step.REMOVE): Life.GONE,
    (Life.IDENTIFIED, Step.ENFORCE): Life.ENFORCED,
    (Life.IDENTIFIED, Step.SPARE): Life.EXEMPT,
    (Life.IDENTIFIED, Step.LOSE): Life.DISCOVERED,
    (Life.IDENTIFIED, Step.REMOVE): Life.GONE,
    (Life.ENFORCED, Step.IDENTIFY): Life.IDENTIFIED,
    (Life.ENFORCED, Step.LOSE): Life.DISCOVERED,
    (Life.ENFORCED, Step.REMOVE): Life.GONE,
    (Life.EXEMPT, Step.IDENTIFY): Life.IDENTIFIED,
    (Life.EXEMPT, Step.LOSE): Life.DISCOVERED,
    (Life.EXEMPT, Step.REMOVE): Life.GONE,
}
"""Every step that a life can take; any other is a mistake of ours. `enforced` -> `identified`: enrolment changed."""

SETTLED = frozenset({Life.ENFORCED, Life.EXEMPT})


class WrongStep(AgentError):
    """The table above has no such line."""


def advance(life: Life, step: Step) -> Life:
    after = TRANSITIONS.get((life, step))
    if after is None:
        raise WrongStep(f"an endpoint that is {life.value} cannot {step.value}")
    return after


class Endpoints:
    """Which pods are attached here, how far each is, and which number each has. Kept in endpoints.json."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lives: dict[str, Life] = {}
        self._ids: dict[str, int] = {}
        self._last_id = 0
        self._restored: tuple[LocalEndpoint, ...] = ()
        self._turn: asyncio.Future[None] | None = None
        self.reserved_set = 1
        """Numbers of policy sets below this one may have been used by an earlier process."""

    def load(self) -> tuple[LocalEndpoint, ...]:
        """The attachments that an earlier process wrote. A file that cannot be read is an error that names it."""
        try:
            document = json.loads(self._path.read_text())
            if document["version"] != FILE_VERSION:
                raise EndpointRefused(f"{self._path}: version {document['version']} is not one that this agent reads")
            self.reserved_set = int(document["reservedSet"])
            self._last_id = int(document["lastId"])
            self._ids = {str(key): int(number) for key, number in document["ids"].items()}
            self._restored = tuple(LocalEndpoint(**item) for item in document["endpoints"])
        except FileNotFoundError:
            return ()
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise EndpointRefused(
                f"{self._path} is damaged ({error}): attachments are taken from the kernel"
            ) from error
        return self._restored

    def save(self, attached: Iterable[LocalEndpoint]) -> None:
        self._restored = tuple(attached)
        self._write()

    def reserve_sets(self, number: int) -> None:
        self.reserved_set = number
        self._write()

    def _write(self) -> None:
        document = {
            "version": FILE_VERSION,
            "reservedSet": self.reserved_set,
            "lastId": self._last_id,
            "ids": self._ids,
            "endpoints": [asdict(endpoint) for endpoint in self._restored],
        }
        write_atomic(self._path, json.dumps(document).encode())

    def id_for(self, key: str) -> int:
        """The number of this pod: the one it had, else one that was not used for as long as possible."""
        known = self._ids.get(key)
        if known is not None:
            return known
        if len(self._ids) >= REMEMBERED_IDS:
            for old in [name for name in self._ids if name not in self._lives][: len(self._ids) - REMEMBERED_IDS + 1]:
                del self._ids[old]
        taken = set(self._ids.values())
        for offset in range(1, LAST_ID + 1):
            number = (self._last_id + offset - 1) % LAST_ID + 1
            if number not in taken:
                self._ids[key] = self._last_id = number
                return number
        raise EndpointRefused(f"pod {key}: all {LAST_ID} endpoint numbers of this node are in use")

    def adopt_id(self, key: str, number: int) -> None:
        """A number found in the kernel, for an attachment whose record was lost."""
        self._ids[key] = number

    def life(self, key: str) -> Life:
        return self._lives.get(key, Life.GONE)

    def lives(self) -> dict[str, Life]:
        return dict(self._lives)

    def discover(self, key: str) -> None:
        self._lives[key] = Life.DISCOVERED
        self._wake()

    def remove(self, key: str) -> None:
        life = self._lives.pop(key, None)
        if life is not None:
            advance(life, Step.REMOVE)
        self._wake()

    def identify(self, state: NodeState) -> None:
        """Before the kernel is written: who has become known, who is known no more, whose enrolment changed."""
        for key in state.local:
            life, subject = self._lives.get(key, Life.DISCOVERED), state.policy_subject(key)
            if subject is None:
                self._lives[key] = life if life is Life.DISCOVERED else advance(life, Step.LOSE)
            elif life is Life.DISCOVERED or life is (Life.EXEMPT if subject.enforced else Life.ENFORCED):
                self._lives[key] = advance(life, Step.IDENTIFY)
        self._wake()

    def enforced(self, state: NodeState) -> None:
        """After the kernel was written."""
        for key in state.local:
            subject = state.policy_subject(key)
            if subject is not None and self._lives.get(key) is Life.IDENTIFIED:
                self._lives[key] = advance(Life.IDENTIFIED, Step.ENFORCE if subject.enforced else Step.SPARE)
        self._wake()

    async def settled(self, key: str) -> Life:
        """Wait until the pod's policy is in force (or it is known to have none), or until it is gone."""
        while (life := self.life(key)) not in SETTLED and life is not Life.GONE:
            if self._turn is None:
                self._turn = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._turn)
        return life

    def _wake(self) -> None:
        turn, self._turn = self._turn, None
        if turn is not None and not turn.done():
            turn.set_result(None)


def recover(
    state: NodeState, kernel: dict[int, tuple[int, int, frozenset[str]]], interfaces: dict[int, str]
) -> tuple[LocalEndpoint, ...]:
    """Attachments for endpoint entries of the kernel that no record explains. Without this, they would be pruned and
    their pods left open.

    `kernel`: number -> (ifindex, netns cookie, addresses as text); `interfaces`: ifindex -> name, of those that exist.
    """
    owner = {str(address): key for key, pod in state.snapshot.endpoints.items() for address, _ in pod.addresses}
    known = {endpoint.id for endpoint in state.local.values()}
    found: list[LocalEndpoint] = []
    for number, (ifindex, cookie, addresses) in kernel.items():
        if number in known or ifindex not in interfaces:
            continue
        key = next((owner[a] for a in sorted(addresses) if a in owner), f"/unknown-{number}")
        if key in state.local:
            continue
        namespace, _, name = key.partition("/")
        found.append(
            LocalEndpoint(
                id=number,
                namespace=namespace,
                name=name,
                netns="",
                ifname="",
                host_ifname=interfaces[ifindex],
                ifindex=ifindex,
                netns_cookie=cookie,
            )
        )
    return tuple(found)


def missing_parts(endpoint: LocalEndpoint, interfaces: dict[int, str]) -> str | None:
    """Why a recorded attachment cannot be the one that is there now; None where it still is."""
    if interfaces.get(endpoint.ifindex) != endpoint.host_ifname:
        return f"interface {endpoint.host_ifname} (ifindex {endpoint.ifindex}) is gone"
    if endpoint.netns and not os.path.exists(endpoint.netns):
        return f"network namespace {endpoint.netns} is gone"
    return None
