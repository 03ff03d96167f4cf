"""The whole: starts, drains, starts again from what it kept."""

from __future__ import annotations

import asyncio
from ipaddress import ip_address
from pathlib import Path

import grpc
import grpc.aio
import pytest

from controller.app import Controller
from controller.config import ControllerConfig, Listen
from controller.errors import StoreBusy
from mesh.api import mesh_pb2 as pb
from tests.unit.controller.manifests import SHOP
from tests.unit.controller.running import NodeKey, running


def test_agents_are_told_that_the_controller_stops_and_find_their_state_in_the_next(tmp_path: Path) -> None:
    node = NodeKey("node-1")

    async def first() -> None:
        async with running(tmp_path) as controller:
            await controller.apply(SHOP)
            await controller.served()
            await controller.join(node, await controller.token())
            async with controller.agent(node) as agent:
                await agent.snapshot()
                await agent.say(ack=pb.Ack(revision=2))
                controller.controller.fleet.stop()
                with pytest.raises(grpc.aio.AioRpcError) as ended:
                    await agent.hear()
                assert ended.value.code() is grpc.StatusCode.UNAVAILABLE
                assert ended.value.details() == "the controller is stopping"

    async def second() -> None:
        async with running(tmp_path) as controller, controller.agent(node, revision=2) as agent:
            assert (await agent.snapshot()).revision == 2
            assert (await controller.status())["nodes"][0]["name"] == "node-1"

    asyncio.run(first())
    asyncio.run(second())


def test_a_source_is_in_force_before_anything_is_served(tmp_path: Path) -> None:
    folder = tmp_path / "manifests"
    folder.mkdir()
    (folder / "shop.yaml").write_text(SHOP)

    async def main() -> None:
        async with running(tmp_path, source=folder) as controller:
            status = await controller.status()
            assert (status["controller"]["revision"], status["objects"]["Pod"]) == (2, 2)

    asyncio.run(main())


def test_a_second_controller_on_one_state_is_refused(tmp_path: Path) -> None:
    async def main() -> None:
        async with running(tmp_path) as controller:
            with pytest.raises(StoreBusy):
                Controller.build(controller.controller.config)

    asyncio.run(main())


def test_nothing_stays_open_when_the_build_fails(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "ca.key").write_text("garbage")
    listen = Listen(ip_address("127.0.0.1"), 0)
    config = ControllerConfig(state=tmp_path / "state", listen=listen, admin_socket=tmp_path / "a.sock")

    async def main() -> None:
        for _ in range(2):
            with pytest.raises(Exception, match=r"restore ca\.key and ca\.crt"):
                Controller.build(config)

    asyncio.run(main())
