"""The admin API over its socket: all or nothing, what is in force stays, answers with the promised keys."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path

import grpc
import grpc.aio
import pytest

from mesh.api import mesh_pb2 as pb
from tests.unit.controller.manifests import POLICY, SHOP, namespace, pod, service
from tests.unit.controller.running import Running, running, until

Script = Callable[[Running], Awaitable[None]]


def play(tmp_path: Path, script: Script) -> None:
    async def main() -> None:
        async with running(tmp_path) as controller:
            await script(controller)

    asyncio.run(main())


async def objects(controller: Running, kind: str, **asked: object) -> list[dict[str, object]]:
    reply = await controller.admin.Get(pb.GetRequest(kind=kind, **asked))
    return [json.loads(text) for text in reply.objects]


def test_apply_is_all_or_nothing(tmp_path: Path) -> None:
    async def script(controller: Running) -> None:
        before = controller.controller.intake.intent
        reply = await controller.apply("\n---\n".join([namespace("shop"), pod("web"), namespace("BAD!")]))
        assert [(problem.file, problem.object, problem.field) for problem in reply.refused] == [
            ("test.yaml", "Namespace BAD!", "metadata.name")
        ]
        assert controller.controller.intake.intent is before
        assert controller.controller.store.objects() == []

    play(tmp_path, script)


@pytest.mark.parametrize(
    "garbage",
    [
        "{",
        "just words",
        "kind: Pod",
        "apiVersion: v1\nkind: Gremlin\nmetadata: {name: x}",
        "a: &a [x, x]\nb: &b [*a, *a]\n" + "\n".join(f"c{i}: &c{i} [*b, *b]" for i in range(3)),
        service("s", ports=[{"port": 70000}]),
        pod("web", spec={"contianers": []}),
        pod("web", spec={"serviceAccountName": "ghost"}),
        f"{pod('web')}\n---\n{pod('web')}",
        pod("web").replace('"namespace": "default"', '"namespace": "nowhere"'),
    ],
)
def test_garbage_is_refused_with_a_reason_and_what_is_in_force_stays(tmp_path: Path, garbage: str) -> None:
    async def script(controller: Running) -> None:
        await controller.apply(SHOP)
        await controller.served()
        view = controller.controller.publisher.view
        reply = await controller.apply(garbage)
        assert reply.refused
        assert all(problem.reason and problem.file == "test.yaml" for problem in reply.refused)
        assert (reply.revision, (await controller.status())["controller"]["revision"]) == (2, 2)
        assert controller.controller.publisher.view is view

    play(tmp_path, script)


def test_unchanged_objects_make_no_revision_and_a_dry_run_neither(tmp_path: Path) -> None:
    async def script(controller: Running) -> None:
        first = await controller.apply(SHOP)
        again = await controller.apply(SHOP)
        assert (first.revision, again.revision) == (2, 2)
        assert {change.verb for change in again.changes} == {"unchanged"}
        dry = await controller.apply(POLICY, dry_run=True)
        assert ([change.verb for change in dry.changes], dry.revision) == (["created"], 2)
        assert await objects(controller, "meshpolicies", all_namespaces=True) == []

    play(tmp_path, script)


def test_warnings_come_with_what_was_taken(tmp_path: Path) -> None:
    async def script(controller: Running) -> None:
        reply = await controller.apply(f"{namespace('shop')}\n---\n{POLICY}")
        assert [(warning.object, warning.field) for warning in reply.warnings][:1] == [
            ("MeshPolicy shop/pay", "spec.podSelector")
        ]
        assert reply.refused == []

    play(tmp_path, script)


def test_cluster_addresses_and_identities_are_the_same_after_a_restart(tmp_path: Path) -> None:
    async def look() -> tuple[object, object, object]:
        async with running(tmp_path) as controller:
            await controller.apply("\n---\n".join([SHOP, POLICY, service("web"), service("other")]))
            await controller.served()
            spec = [(item["metadata"], item["spec"]) for item in await objects(controller, "svc", all_namespaces=True)]
            numbers = json.loads((await controller.admin.Identities(pb.IdentitiesRequest())).json)["identities"]
            return spec, numbers, (await controller.status())["controller"]["revision"]

    assert asyncio.run(look()) == asyncio.run(look())


def test_a_number_is_not_given_again_after_its_shape_is_gone(tmp_path: Path) -> None:
    async def number(controller: Running, name: str) -> int:
        await controller.served()
        view = controller.controller.publisher.view
        assert view is not None
        return int(view.policy.pods[f"default/{name}"].addresses[0][1])

    async def script(controller: Running) -> None:
        await controller.apply(pod("a", labels={"app": "a"}, status={"podIP": "10.0.0.1"}))
        first = await number(controller, "a")
        await controller.admin.Delete(pb.DeleteRequest(kind="pod", name="a"))
        await controller.served()
        await controller.apply(pod("b", labels={"app": "b"}, status={"podIP": "10.0.0.1"}))
        assert await number(controller, "b") > first

    play(tmp_path, script)


def test_get_by_kind_name_and_namespace(tmp_path: Path) -> None:
    async def script(controller: Running) -> None:
        await controller.apply("\n---\n".join([SHOP, pod("web")]))
        names = [item["metadata"]["name"] for item in await objects(controller, "po", all_namespaces=True)]  # type: ignore[index]
        assert names == ["web", "client", "pay"]
        assert len(await objects(controller, "pods")) == 1
        assert len(await objects(controller, "Pod", namespace="shop", name="pay")) == 1
        assert len(await objects(controller, "all", all_namespaces=True)) == 8
        for asked, code in (
            (pb.GetRequest(kind="Pod", name="ghost"), grpc.StatusCode.NOT_FOUND),
            (pb.GetRequest(kind="gremlins"), grpc.StatusCode.NOT_FOUND),
        ):
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await controller.admin.Get(asked)
            assert refused.value.code() is code

    play(tmp_path, script)


def test_delete_by_name_and_by_manifest(tmp_path: Path) -> None:
    async def script(controller: Running) -> None:
        await controller.apply("\n---\n".join([SHOP, pod("web")]))
        reply = await controller.admin.Delete(pb.DeleteRequest(kind="pod", name="web"))
        assert [(change.verb, change.name) for change in reply.changes] == [("deleted", "web")]
        with pytest.raises(grpc.aio.AioRpcError) as missing:
            await controller.admin.Delete(pb.DeleteRequest(kind="pod", name="web"))
        assert missing.value.details() == "there is no Pod default/web"
        await controller.admin.Delete(pb.DeleteRequest(kind="pod", name="web", ignore_missing=True))
        await controller.admin.Delete(pb.DeleteRequest(documents=[pb.Document(file="f", text=SHOP)]))
        assert controller.controller.intake.intent.entries == {}

    play(tmp_path, script)


def test_a_watch_lists_and_then_follows(tmp_path: Path) -> None:
    async def script(controller: Running) -> None:
        await controller.apply(SHOP)
        call = controller.admin.Watch(pb.WatchRequest(kinds=["Pod"]))
        seen = [await call.read() for _ in range(3)]
        assert [event.verb for event in seen] == ["put", "put", "synced"]
        await controller.apply(pod("web"))
        await controller.apply(service("web"))
        await controller.admin.Delete(pb.DeleteRequest(kind="pod", name="web"))
        events = [await call.read() for _ in range(2)]
        assert [(event.verb, json.loads(event.object)["metadata"]["name"]) for event in events] == [
            ("put", "web"),
            ("remove", "web"),
        ]
        assert events[0].revision < events[1].revision
        call.cancel()
        await until(lambda: unwatched(controller))

    play(tmp_path, script)


async def unwatched(controller: Running) -> bool:
    return len(controller.controller.intake.watches) == 0


def test_watches_end_when_the_controller_stops(tmp_path: Path) -> None:
    async def main() -> None:
        async with running(tmp_path) as controller:
            call = controller.admin.Watch(pb.WatchRequest())
            assert (await call.read()).verb == "synced"
            following = controller.admin.Observe(pb.ObserveRequest(follow=True))
            controller.controller.intake.watches.end()
            assert await call.read() is grpc.aio.EOF
            controller.controller.flows.end()
            assert await following.read() is grpc.aio.EOF

    asyncio.run(main())


def test_policy_is_checked_and_shown(tmp_path: Path) -> None:
    async def script(controller: Running) -> None:
        await controller.apply(f"{SHOP}\n---\n{POLICY}")
        await controller.served()
        asked = pb.PolicyCheckRequest(source="shop/client", destination="shop/payments", port=80, method="POST")
        answer = json.loads((await controller.admin.PolicyCheck(asked)).json)
        assert (answer["verdict"], answer["layer"]) == ("deny", "L7")
        assert {"decidedBy", "egress", "ingress", "needsL7", "message", "from", "to"} <= answer.keys()
        shown = json.loads((await controller.admin.PolicyShow(pb.PolicyShowRequest(namespace="shop", pod="pay"))).json)
        assert shown["ingress"]["defaultDeny"] is True
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await controller.admin.PolicyCheck(pb.PolicyCheckRequest(source="?", destination="shop/pay", port=1))
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT

    play(tmp_path, script)


def test_what_makes_no_sense_is_said(tmp_path: Path) -> None:
    async def script(controller: Running) -> None:
        for call in (
            controller.admin.Observe(pb.ObserveRequest(verdict="perhaps")).read(),
            controller.admin.CreateToken(pb.CreateTokenRequest(ttl_s=10**9)),
            controller.admin.CreateToken(pb.CreateTokenRequest(node="a b")),
            controller.admin.DeleteToken(pb.DeleteTokenRequest(id="abcdef.0123.f00d")),
            controller.admin.NodeCommand(pb.NodeCommandRequest(node="nosuch", name="map-dump")).read(),
        ):
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await call
            assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT

    play(tmp_path, script)


def test_join_tokens_are_listed_and_deleted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    async def script(controller: Running) -> None:
        made = [
            (await controller.admin.CreateToken(pb.CreateTokenRequest(node=node, uses=uses))).token
            for node, uses in (("node-9", 0), ("", 5))
        ]
        first, second = (token.split(".")[0] for token in made)

        async def listed() -> dict[str, tuple[str, int]]:
            answer = json.loads((await controller.admin.ListTokens(pb.ListTokensRequest())).json)
            return {row["id"]: (row["node"], row["usesLeft"]) for row in answer["tokens"]}

        assert {first: ("node-9", 1), second: ("", 5)}.items() <= (await listed()).items()
        await controller.admin.DeleteToken(pb.DeleteTokenRequest(id=first))
        assert first not in await listed()
        assert second in await listed()
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await controller.admin.DeleteToken(pb.DeleteTokenRequest(id=first))
        assert refused.value.code() is grpc.StatusCode.NOT_FOUND
        assert f"join token {first} deleted" in caplog.text
        assert not any(token.split(".")[1] in caplog.text for token in made)

    play(tmp_path, script)


def test_a_full_store_refuses_and_what_is_in_force_stays(tmp_path: Path) -> None:
    async def script(controller: Running) -> None:
        await controller.apply(SHOP)
        store = controller.controller.store
        with store.transaction() as cursor:
            (pages,) = cursor.execute("PRAGMA page_count").fetchone()
        store._connection.execute(f"PRAGMA max_page_count = {pages}")
        many = "\n---\n".join(pod(f"p-{i}", labels={"a": "x" * 60}) for i in range(300))
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await controller.apply(many)
        assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "no space left" in str(refused.value.details())
        assert (await controller.status())["controller"]["revision"] == 2
        assert len(await objects(controller, "pods", all_namespaces=True)) == 2

    play(tmp_path, script)
