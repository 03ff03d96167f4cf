"""The answer of `weft status`."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from controller.errors import BadQuestion
from controller.status import check_node
from controller.store import StoredNode
from tests.unit.controller.manifests import SHOP, intent_of
from tests.unit.controller.running import NodeKey, running


def test_a_node_that_joined_and_is_away_keeps_the_cluster_from_being_settled(tmp_path: Path) -> None:
    async def main() -> None:
        async with running(tmp_path) as controller:
            await controller.apply(SHOP)
            await controller.served()
            status = await controller.status()
            assert (status["settled"], status["nodes"]) == (True, [])
            assert status["objects"] == {"EndpointSlice": 1, "Namespace": 1, "Node": 2, "Pod": 2, "Service": 1}
            assert status["controller"]["state"] == "running"
            await controller.join(NodeKey("n1"), await controller.token())
            status = await controller.status()
            (row,) = status["nodes"]
            assert (row["name"], row["state"], row["lag"], row["ageSeconds"]) == ("n1", "away", 2, None)
            assert row["neverSeen"] is True
            assert status["settled"] is False

    asyncio.run(main())


def test_a_node_that_joined_under_an_earlier_controller_may_have_been_heard_by_that(tmp_path: Path) -> None:
    async def main() -> None:
        async with running(tmp_path) as controller:
            before = StoredNode(name="n1", key_hash="k", joined="2020-01-02T03:04:05Z")
            controller.controller.store.put_node(before)
            (row,) = (await controller.status())["nodes"]
            assert (row["joined"], row["ageSeconds"], row["neverSeen"]) == (before.joined, None, False)

    asyncio.run(main())


def test_what_was_said_about_the_files_of_a_source_stays_in_sight(tmp_path: Path) -> None:
    folder = tmp_path / "manifests"
    folder.mkdir()
    (folder / "a.yaml").write_text("apiVersion: v1\nkind: Secret\nmetadata: {name: x}\ndata: {key: aHVudGVyMg==}")

    async def main() -> None:
        async with running(tmp_path, source=folder) as controller:
            answer = (await controller.status())["controller"]
            assert answer["state"] == "running"
            assert answer["sourceWarnings"] == [
                f"{folder}/a.yaml: Secret: passed by, weft has no use for it (1 object)"
            ]

    asyncio.run(main())


def test_a_source_with_a_fault_is_told_with_file_field_and_reason(tmp_path: Path) -> None:
    folder = tmp_path / "manifests"
    folder.mkdir()
    (folder / "a.yaml").write_text("apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec: {contianers: []}")

    async def main() -> None:
        async with running(tmp_path, source=folder) as controller:
            answer = (await controller.status())["controller"]
            assert answer["state"] == "degraded"
            assert str(folder / "a.yaml") in answer["sourceError"]
            fields = {problem["field"] for problem in answer["sourceErrors"]}
            assert "spec.contianers" in fields
            assert json.dumps(answer)

    asyncio.run(main())


def test_a_misspelt_node_is_told_from_one_that_is_away() -> None:
    intent = intent_of(SHOP)
    check_node("n9", intent, ["n9"])
    for key in intent.entries:
        if key[0] == "Node":
            check_node(key[2], intent, [])
    with pytest.raises(BadQuestion, match="there is no node 'n8'; there are: .*n9"):
        check_node("n8", intent, ["n9"])
