"""Which pods are attached here: taken over at the start, announced, removed; kept in endpoints.json.

`endpoint.add` of the local API answers when the pod's policy is in force, or says whom it waits for. Nothing here asks
the kernel for policy: each change goes through the enforcer.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from agent import podnetns, state
from agent.endpoints import Endpoints, Life, missing_parts, recover
from agent.enforcer import Enforcer
from agent.errors import EndpointRefused
from agent.files import StateFileError
from agent.local_api import text_of
from agent.state import LocalEndpoint
from agent.sync import Connection
from mesh.journal import line
from mesh.snapshot import NodeSnapshot

log = logging.getLogger("attachments")

WAIT_S = 30.0
LONGEST_WAIT_S = 600.0


class Attachments:
    def __init__(
        self, enforcer: Enforcer, endpoints: Endpoints, connection: Connection, *, forget: Callable[[int], None]
    ) -> None:
        """`forget`: flows of an endpoint's number are not those of the pod that has it from now on."""
        self._enforcer = enforcer
        self._endpoints = endpoints
        self._connection = connection
        self._forget = forget
        self.disk_warning = ""

    # -- at the start ---------------------------------------------------------------------------------------------

    def forget_departed(self) -> None:
        """Pods that left while the agent was away."""
        existing = podnetns.interfaces()
        held = self._enforcer.state
        why = {key: missing_parts(endpoint, existing) for key, endpoint in held.local.items()}
        for key, reason in why.items():
            if reason is None:
                self._endpoints.discover(key)
            else:
                log.info(line("pod left while the agent was away", pod=key, why=reason))
        kept = {key: endpoint for key, endpoint in held.local.items() if why[key] is None}
        self._enforcer.state = replace(held, local=kept)

    def adopt_unrecorded(self, snapshot: NodeSnapshot | None) -> None:
        """Endpoints of the kernel that no record explains stay attached: pruning them would leave their pods open."""
        held = self._enforcer.state
        named = held if snapshot is None else replace(held, snapshot=snapshot)
        kernel = {
            number: (e.ifindex, e.netns_cookie, frozenset(str(a) for a in (e.addr4, e.addr6) if a is not None))
            for number, e in self._enforcer.reconciler.realized.endpoint.items()
        }
        for endpoint in recover(named, kernel, podnetns.interfaces()):
            log.warning(line("endpoint without a record kept", pod=endpoint.key, id=endpoint.id))
            self._endpoints.adopt_id(endpoint.key, endpoint.id)
            self._endpoints.discover(endpoint.key)
            self._enforcer.state = state.attach(self._enforcer.state, endpoint)

    # -- as pods come and go --------------------------------------------------------------------------------------

    async def add(self, request: Mapping[str, Any]) -> dict[str, Any]:
        namespace, name = text_of(request, "namespace", longest=63), text_of(request, "pod", longest=253)
        wait = request.get("wait_s", WAIT_S)
        if not isinstance(wait, int | float) or not 0 <= wait <= LONGEST_WAIT_S:
            raise EndpointRefused(f"wait_s: a number from 0 to {LONGEST_WAIT_S:.0f} is needed")
        key = f"{namespace}/{name}"
        try:
            async with asyncio.timeout(wait):
                await self._enforcer.ready.wait()  # nothing has begun that would have to be carried to its end
                await self._enforcer.unbroken.run(self._attach(key, request))
                life = await self._endpoints.settled(key)
        except TimeoutError as error:
            held = "denied everything" if key in self._enforcer.state.local else "not attached, so nothing is denied"
            raise EndpointRefused(
                f"pod {key} is not enforced after {wait:g} s and is {held}: {self._why_not(key)}"
            ) from error
        if life is Life.GONE:
            raise EndpointRefused(f"pod {key} was removed while it was waited for")
        local = self._enforcer.state.local[key]
        return {"id": local.id, "state": life.value, "ifindex": local.ifindex}

    def _why_not(self, key: str) -> str:
        connected, away = self._connection.up, f"the controller is away ({self._connection.error})"
        if not self._enforcer.ready.is_set():
            return "the controller has sent nothing yet" if connected else away
        if key not in self._enforcer.state.local:
            return "other changes are still being written"
        if self._enforcer.state.policy_subject(key) is not None:
            return "its policy could not be written; see the agent's log"
        return "the controller has not announced it" if connected else away

    async def _attach(self, key: str, request: Mapping[str, Any]) -> None:
        host_ifname = text_of(request, "host_ifname", longest=15)
        netns = text_of(request, "netns")
        local = LocalEndpoint(
            id=self._endpoints.id_for(key),
            namespace=key.partition("/")[0],
            name=key.partition("/")[2],
            netns=netns,
            ifname=text_of(request, "ifname", longest=15),
            host_ifname=host_ifname,
            ifindex=podnetns.ifindex_of(host_ifname),
            netns_cookie=await podnetns.cookie_of(netns),
        )
        held = self._enforcer.state.local.get(key)
        if held == local:
            return
        before = self._endpoints.life(key)
        if held is not None:
            self._forget(local.id)
        if before is Life.GONE:
            self._endpoints.discover(key)
        try:
            await self._enforcer.change(lambda now: state.attach(now, local))
        except BaseException:
            if held is None and key not in self._enforcer.state.local:
                self._endpoints.remove(key)
            raise
        self._save()
        log.info(line("pod attached", pod=key, id=local.id, interface=host_ifname))

    async def remove_named(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """`host_ifname` or `netns` say which attachment is meant: a late call about an old one takes no newer away."""
        key = f"{text_of(request, 'namespace', longest=63)}/{text_of(request, 'pod', longest=253)}"
        held = self._enforcer.state.local.get(key)
        for name in ("host_ifname", "netns"):
            if held is not None and name in request and text_of(request, name) != getattr(held, name):
                held = None
        if held is not None:
            await self.remove(held)
        return {"removed": held is not None}

    async def remove(self, gone: LocalEndpoint) -> None:
        """The pod has left: entries, hooks and tracked flows go."""
        await self._enforcer.ready.wait()
        await self._enforcer.unbroken.run(self._remove(gone))

    async def _remove(self, gone: LocalEndpoint) -> None:
        await self._enforcer.change(lambda now: state.detach(now, gone))
        if gone.key in self._enforcer.state.local:
            return
        self._endpoints.remove(gone.key)
        self._save()
        log.info(line("pod detached", pod=gone.key))

    def _save(self) -> None:
        try:
            self._endpoints.save(self._enforcer.state.local.values())
            self.disk_warning = ""
        except StateFileError as error:
            self.disk_warning = str(error)
            log.error(line("attachments not saved", why=error))
