"""The lab's side of the Admin service, against a server that answers what it is told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc
import pytest

from lab import controlplane
from lab.controlplane import ControllerAway, ControlPlane, Event, Refused
from mesh.api import mesh_pb2 as pb
from mesh.api import mesh_pb2_grpc as pb_grpc
from tests.support.waiting import LONGEST_S


class Admin(pb_grpc.AdminServicer):
    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.refuse = False

    async def Apply(self, request: Any, context: Any) -> pb.ApplyReply:
        self.asked.append(request)
        problem = pb.Problem(file="a.yaml", object="Pod shop/a", field="spec", reason="is missing")
        return pb.ApplyReply(refused=[problem]) if self.refuse else pb.ApplyReply(warnings=[problem])

    async def Delete(self, request: Any, context: Any) -> pb.ApplyReply:
        self.asked.append(request)
        return pb.ApplyReply()

    async def Watch(self, request: Any, context: Any) -> AsyncIterator[pb.WatchEvent]:
        yield pb.WatchEvent(verb="put", object='{"kind": "Pod"}')
        yield pb.WatchEvent(verb="synced")

    async def Status(self, request: Any, context: Any) -> pb.Answer:
        return pb.Answer(json='{"settled": true}')

    async def CreateToken(self, request: Any, context: Any) -> pb.CreateTokenReply:
        return pb.CreateTokenReply(token=f"for-{request.node}")


def against(tmp_path: Path, admin: Admin, act: Callable[[ControlPlane], Awaitable[Any]]) -> Any:
    async def run() -> Any:
        server = grpc.aio.server()
        pb_grpc.add_AdminServicer_to_server(admin, server)  # type: ignore[no-untyped-call]  # generated
        server.add_insecure_port(f"unix:{tmp_path}/admin.sock")
        await server.start()
        control = ControlPlane(tmp_path / "admin.sock")
        try:
            return await act(control)
        finally:
            await control.close()
            await server.stop(None)

    return asyncio.run(run())


def test_what_a_user_gave_goes_with_its_file_and_warnings_come_back(tmp_path: Path) -> None:
    admin = Admin()
    warnings = against(tmp_path, admin, lambda control: control.apply_texts([("a.yaml", "x")]))
    assert warnings == ["a.yaml: Pod shop/a: spec: is missing"]
    assert [(document.file, document.text) for document in admin.asked[0].documents] == [("a.yaml", "x")]
    assert not admin.asked[0].status


def test_what_the_lab_writes_is_one_list_with_status(tmp_path: Path) -> None:
    admin = Admin()
    against(tmp_path, admin, lambda control: control.write([{"kind": "Pod"}, {"kind": "Node"}]))
    (request,) = admin.asked
    assert request.status
    assert json.loads(request.documents[0].text)["items"] == [{"kind": "Pod"}, {"kind": "Node"}]


def test_a_refusal_carries_every_problem(tmp_path: Path) -> None:
    admin = Admin()
    admin.refuse = True
    with pytest.raises(Refused) as caught:
        against(tmp_path, admin, lambda control: control.apply_texts([]))
    assert caught.value.problems == ("a.yaml: Pod shop/a: spec: is missing",)


def test_watching_ends_by_saying_that_the_controller_went(tmp_path: Path) -> None:
    async def watch(control: ControlPlane) -> list[Event]:
        stream = control.watch(["Pod"])
        events = [await anext(stream), await anext(stream)]
        with pytest.raises(ControllerAway):
            await anext(stream)
        return events

    assert against(tmp_path, Admin(), watch) == [Event("put", {"kind": "Pod"}), Event("synced", None)]


def test_status_tokens_and_deletes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(controlplane, "_GLANCE_S", LONGEST_S)

    async def ask(control: ControlPlane) -> tuple[bool, Any, str]:
        await control.delete("Pod", "shop", "a")
        return await control.ready(), await control.status(), await control.create_token("n1")

    admin = Admin()
    assert against(tmp_path, admin, ask) == (True, {"settled": True}, "for-n1")
    assert admin.asked[0].ignore_missing


def test_nobody_there(tmp_path: Path) -> None:
    async def ask() -> bool:
        control = ControlPlane(tmp_path / "admin.sock")
        try:
            with pytest.raises(ControllerAway):
                await control.create_token("n1")
            return await control.ready()
        finally:
            await control.close()

    assert asyncio.run(ask()) is False
