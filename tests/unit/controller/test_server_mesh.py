"""Agents over real TLS: join, hello, snapshot, delta, ack, nack, commands, flows; and everyone who is refused.

Long because each of those goes through the same listening server.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import grpc
import grpc.aio
import pytest

from controller import app
from controller.server_mesh import MeshParts
from mesh.api import codec
from mesh.api import mesh_pb2 as pb
from mesh.model import Direction, FlowRecord, Layer, Party, Protocol, Verdict
from mesh.snapshot import apply
from tests.unit.controller.manifests import POLICY, SHOP, pod
from tests.unit.controller.running import Agent, NodeKey, Running, running, until

Script = Callable[[Running], Awaitable[None]]


def play(tmp_path: Path, script: Script) -> None:
    async def main() -> None:
        async with running(tmp_path) as controller:
            await script(controller)

    asyncio.run(main())


async def refusal_of_join(controller: Running, node: NodeKey, token: str, *, name: str = "") -> str:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await controller.join(node, token, name=name)
    assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED
    return str(refused.value.details())


def test_a_snapshot_then_deltas_as_the_intent_changes(tmp_path: Path) -> None:
    async def script(controller: Running) -> None:
        await controller.apply(SHOP)
        await controller.served()
        node = await controller.join(NodeKey("node-1"), await controller.token())
        async with controller.agent(node) as agent:
            held = await agent.snapshot()
            assert list(held.endpoints) == ["shop/pay"]
            assert (held.node, held.revision) == ("node-1", 2)
            assert not (await controller.status())["settled"]
            await agent.say(ack=pb.Ack(revision=2))
            await controller.apply(POLICY)
            delta = await agent.delta()
            assert (delta.base, delta.revision) == (2, 3)
            held = apply(held, delta)
            policy = held.policies[held.endpoints["shop/pay"].policy]
            assert policy.ingress.default_deny
            await agent.say(ack=pb.Ack(revision=3))
            await until(lambda: settled(controller))
            row = (await controller.status())["nodes"][0]
            assert (row["state"], row["ackedRevision"], row["lag"]) == ("connected", 3, 0)

    play(tmp_path, script)


async def settled(controller: Running) -> bool:
    return bool((await controller.status())["settled"])


def test_a_delta_that_changes_nothing_for_a_node_advances_its_revision(tmp_path: Path) -> None:
    async def script(controller: Running) -> None:
        node = await controller.join(NodeKey("node-9"), await controller.token())
        async with controller.agent(node) as agent:
            assert (await agent.snapshot()).revision == 1
            await agent.say(ack=pb.Ack(revision=1))
            await controller.apply(SHOP)
            assert not (await agent.delta()).empty
            await agent.say(ack=pb.Ack(revision=2))
            account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "nobody"}}
            await controller.apply(json.dumps(account))
            delta = await agent.delta()
            assert (delta.empty, delta.revision) == (True, 3)

    play(tmp_path, script)


def test_changes_during_an_unanswered_delta_come_together_in_the_next(tmp_path: Path) -> None:
    async def script(controller: Running) -> None:
        await controller.apply(SHOP)
        await controller.served()
        node = await controller.join(NodeKey("node-1"), await controller.token())
        async with controller.agent(node) as agent:
            await agent.snapshot()
            for name in ("a", "b", "c"):
                address = {"podIP": f"10.244.1.{ord(name)}"}
                await controller.apply(pod(name, spec={"nodeName": "node-1"}, status=address))
            await controller.served()
            await agent.say(ack=pb.Ack(revision=2))
            delta = await agent.delta()
            assert (delta.base, delta.revision) == (2, 5)
            assert set(delta.put["endpoints"]) == {"default/a", "default/b", "default/c"}

    play(tmp_path, script)


def test_a_nack_is_shown_and_the_next_delta_starts_from_what_is_held(tmp_path: Path) -> None:
    async def script(controller: Running) -> None:
        await controller.apply(SHOP)
        await controller.served()
        node = await controller.join(NodeKey("node-1"), await controller.token())
        async with controller.agent(node) as agent:
            await agent.snapshot()
            await agent.say(ack=pb.Ack(revision=2))
            await controller.apply(POLICY)
            await agent.delta()
            await agent.say(nack=pb.Nack(revision=3, reason="policy map is full"))
            await until(lambda: warned(controller))
            row = (await controller.status())["nodes"][0]
            assert row["warnings"] == ["refused revision 3: policy map is full"]
            assert (row["ackedRevision"], row["lag"]) == (2, 1)
            await controller.apply(pod("a"))
            delta = await agent.delta()
            assert (delta.base, delta.revision) == (2, 4)

    play(tmp_path, script)


def test_an_agent_that_says_no_more_is_heard_to_its_last_word(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def script(controller: Running) -> None:
        await controller.apply(SHOP)
        await controller.served()
        node = await controller.join(NodeKey("node-1"), await controller.token())
        async with controller.agent(node) as agent:
            await agent.snapshot()
            await agent.say(nack=pb.Nack(revision=2, reason="starts at revision 7"))
            await agent.call.done_writing()
            assert await agent.hear() is None
        assert "node node-1 refused revision 2: 'starts at revision 7'" in caplog.text

    play(tmp_path, script)


async def warned(controller: Running) -> bool:
    return bool((await controller.status())["nodes"][0]["warnings"])


def test_an_agent_that_comes_back_goes_on_from_what_it_holds(tmp_path: Path) -> None:
    async def script(controller: Running) -> None:
        await controller.apply(SHOP)
        await controller.served()
        node = await controller.join(NodeKey("node-1"), await controller.token())
        async with controller.agent(node) as agent:
            await agent.snapshot()
            await agent.say(ack=pb.Ack(revision=2))
            await until(lambda: settled(controller))
        await until(lambda: away(controller))
        await controller.apply(POLICY)
        await controller.served()
        async with controller.agent(node, revision=2) as agent:
            assert (await agent.delta()).base == 2
        await until(lambda: away(controller))
        async with controller.agent(node, revision=77) as agent:
            assert (await agent.snapshot()).revision == 3

    play(tmp_path, script)


async def away(controller: Running) -> bool:
    return (await controller.status())["nodes"][0]["state"] == "away"


def test_joining_takes_a_good_token(tmp_path: Path) -> None:
    async def script(controller: Running) -> None:
        good = await controller.token()
        wrong = f"{good.partition('.')[0]}.{'0' * 32}"
        assert "its secret is wrong" in await refusal_of_join(controller, NodeKey("n1"), wrong)
        assert "not of the form" in await refusal_of_join(controller, NodeKey("n1"), "nonsense")
        assert "not of the form" in await refusal_of_join(controller, NodeKey("n1"), "")
        bound = await controller.token("n2")
        assert "good for node n2 only" in await refusal_of_join(controller, NodeKey("n1"), bound)
        assert controller.controller.store.nodes() == {}

    play(tmp_path, script)


def test_a_token_is_spent_by_one_node_which_may_come_again(tmp_path: Path) -> None:
    async def script(controller: Running) -> None:
        once, thrice = await controller.token(), await controller.token(uses=3)
        first = await controller.join(NodeKey("n1"), once)
        await controller.join(first, once)  # as if the answer had been lost
        assert "is spent: a node has joined with it" in await refusal_of_join(controller, NodeKey("n2"), once)
        for name in ("n2", "n3", "n4"):
            node = await controller.join(NodeKey(name), thrice)
            await controller.join(node, thrice)
        assert "is spent: 3 nodes have joined" in await refusal_of_join(controller, NodeKey("n5"), thrice)
        await controller.admin.Delete(pb.DeleteRequest(kind="node", name="n1"))
        assert "is spent" in await refusal_of_join(controller, first, once)
        with pytest.raises(grpc.aio.AioRpcError, match="leave out the node, or the uses"):
            await controller.token("n7", uses=2)

    play(tmp_path, script)


def test_a_second_node_cannot_take_the_name_of_the_first_until_it_is_deleted(tmp_path: Path) -> None:
    async def script(controller: Running) -> None:
        first = await controller.join(NodeKey("n1"), await controller.token())
        second = NodeKey("n1")
        reason = await refusal_of_join(controller, second, await controller.token())
        assert reason == "node n1 has joined before with another key; `weft delete node n1` frees the name"
        await controller.join(first, await controller.token())
        reply = await controller.admin.Delete(pb.DeleteRequest(kind="node", name="n1"))
        assert reply.refused == []
        await controller.join(second, await controller.token())
        async with controller.stub(first) as stub:
            agent = Agent(stub.Sync(), "n1")
            await agent.hello()
            assert "has joined with another key since" in await agent.expect("refused")

    play(tmp_path, script)


def test_a_deleted_nodes_stream_ends_with_the_reason(tmp_path: Path) -> None:
    async def script(controller: Running) -> None:
        node = await controller.join(NodeKey("n1"), await controller.token())
        async with controller.agent(node) as agent:
            await agent.snapshot()
            await controller.admin.Delete(pb.DeleteRequest(kind="Node", name="n1"))
            assert "node n1 was deleted" in await agent.expect("refused")
            assert await agent.hear() is None
        async with controller.stub(node) as stub:
            again = Agent(stub.Sync(), "n1")
            await again.hello()
            assert "node n1 was deleted; join again with a token" in await again.expect("refused")

    play(tmp_path, script)


def test_a_hello_must_fit_the_certificate_and_the_version(tmp_path: Path) -> None:
    async def script(controller: Running) -> None:
        node = await controller.join(NodeKey("n1"), await controller.token())
        for hello, reason in (
            ({"node": "n2"}, "the certificate is that of node n1, the hello says 'n2'"),
            ({"version": "9.0.0"}, "does not speak with version"),
        ):
            async with controller.stub(node) as stub:
                agent = Agent(stub.Sync(), "n1")
                await agent.hello(**hello)
                assert reason in await agent.expect("refused")
        async with controller.stub(node) as stub:
            agent = Agent(stub.Sync(), "n1")
            await agent.say(ack=pb.Ack(revision=2))
            assert "the first message must be a hello" in await agent.expect("refused")

    play(tmp_path, script)


def test_a_stream_needs_a_certificate_of_this_authority(tmp_path: Path) -> None:
    async def script(controller: Running) -> None:
        async with controller.stub(None) as stub:
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await Agent(stub.Sync(), "n1").hello()
            assert refused.value.code() is grpc.StatusCode.UNAVAILABLE

    play(tmp_path, script)
    other = tmp_path / "other"

    async def foreign() -> None:
        async with running(tmp_path) as here, running(other) as there:
            node = await there.join(NodeKey("n1"), await there.token())
            async with here.stub(node) as stub:
                with pytest.raises(grpc.aio.AioRpcError) as refused:
                    await Agent(stub.Sync(), "n1").hello()
                assert refused.value.code() is grpc.StatusCode.UNAVAILABLE

    asyncio.run(foreign())


def test_the_open_port_takes_joins_alone(tmp_path: Path) -> None:
    async def script(controller: Running) -> None:
        credentials = grpc.ssl_channel_credentials(controller.controller.authority.bundle)
        from mesh.api import mesh_pb2_grpc
        from tests.unit.controller.running import OPTIONS

        target = f"127.0.0.1:{controller.controller.servers.join_port}"
        async with grpc.aio.secure_channel(target, credentials, options=OPTIONS) as channel:
            call = mesh_pb2_grpc.MeshStub(channel).Sync()
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await call.read()
            assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED

    play(tmp_path, script)


def test_a_node_renews_with_the_certificate_that_it_has_and_for_itself_alone(tmp_path: Path) -> None:
    async def script(controller: Running) -> None:
        node = await controller.join(NodeKey("n1"), await controller.token())
        async with controller.stub(node) as stub:
            reply = await stub.Join(pb.JoinRequest(node="n1", csr=node.csr))
            assert reply.certificate != node.certificate
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await stub.Join(pb.JoinRequest(node="n2", csr=node.csr))
            assert "the certificate shown is that of node n1, not of n2" in str(refused.value.details())

    play(tmp_path, script)


def test_the_same_node_replaces_its_stream(tmp_path: Path) -> None:
    async def script(controller: Running) -> None:
        node = await controller.join(NodeKey("n1"), await controller.token())
        async with controller.agent(node) as old, controller.agent(node) as new:
            await new.snapshot()
            while (message := await old.hear()) is not None and message.WhichOneof("message") != "refused":
                pass
            assert message is not None
            assert "the node has opened a new stream" in message.refused
            assert (await controller.status())["nodes"][0]["state"] == "connected"

    play(tmp_path, script)


def test_an_answer_that_was_not_asked_for_ends_the_stream(tmp_path: Path) -> None:
    async def script(controller: Running) -> None:
        node = await controller.join(NodeKey("n1"), await controller.token())
        async with controller.agent(node) as agent:
            await agent.snapshot()
            await agent.say(ack=pb.Ack(revision=99))
            assert "acknowledged revision 99, which was not sent to it" in await agent.expect("refused")

    play(tmp_path, script)


def test_questions_reach_nodes_and_their_answers_come_back(tmp_path: Path) -> None:
    async def script(controller: Running) -> None:
        node = await controller.join(NodeKey("n1"), await controller.token())
        async with controller.agent(node) as agent:
            await agent.snapshot()
            call = controller.admin.NodeCommand(pb.NodeCommandRequest(name="endpoint-list", arguments="{}"))
            command = await agent.expect("command")
            assert (command.name, command.arguments) == ("endpoint-list", "{}")
            await agent.say(result=pb.CommandResult(id=command.id + 1, json='"for nobody"'))
            await agent.say(result=pb.CommandResult(id=command.id, json='[{"pod": "a/b"}]'))
            answers = [answer async for answer in call]
            assert [(answer.node, json.loads(answer.json)) for answer in answers] == [("n1", [{"pod": "a/b"}])]
        await until(lambda: away(controller))
        call = controller.admin.NodeCommand(pb.NodeCommandRequest(name="endpoint-list", node="n1"))
        assert ["node n1 is not connected" in answer.error async for answer in call] == [True]

    play(tmp_path, script)


def test_flows_are_kept_under_the_name_of_the_node_that_sent_them(tmp_path: Path) -> None:
    async def script(controller: Running) -> None:
        flow = FlowRecord(
            id="1",
            time_ns=1,
            node="somebody-else",
            direction=Direction.INGRESS,
            verdict=Verdict.DENY,
            layer=Layer.L3L4,
            protocol=Protocol.TCP,
            source=Party(),
            destination=Party(namespace="shop", pod="pay"),
        )
        node = await controller.join(NodeKey("n1"), await controller.token())
        async with controller.agent(node) as agent:
            await agent.snapshot()
            batch = pb.FlowBatch(flows=[codec.flow_to_pb(flow), pb.Flow(verdict="maybe")], lost=3)
            await agent.say(flows=batch)
            await until(lambda: received(controller))
            request = pb.ObserveRequest(destination="shop/pay", verdict="deny")
            answers = [json.loads(answer.json) async for answer in controller.admin.Observe(request)]
            assert [(answer["node"], answer["verdict"]) for answer in answers] == [("n1", "deny")]
            assert controller.controller.flows.lost_on_nodes == 4

    play(tmp_path, script)


def test_forged_and_oversized_flows_are_not_taken(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def flow(pod: str, reason: str = "") -> pb.Flow:
        return codec.flow_to_pb(
            FlowRecord(
                id="1",
                time_ns=1,
                node="n1",
                direction=Direction.INGRESS,
                verdict=Verdict.ALLOW,
                layer=Layer.L3L4,
                protocol=Protocol.TCP,
                source=Party(),
                destination=Party(namespace="shop", pod=pod),
                drop_reason=reason,
            )
        )

    async def script(controller: Running) -> None:
        await controller.apply(SHOP)
        node = await controller.join(NodeKey("node-1"), await controller.token())
        async with controller.agent(node) as agent:
            await agent.snapshot()
            await until(lambda: compiled(controller))
            forged_line = pb.Flow(verdict="x\n2026-01-01 INFO controller: all is well")
            flows = [flow("client"), flow("pay", "x" * 9000), forged_line, flow("pay")]
            await agent.say(flows=pb.FlowBatch(flows=flows))
            await until(lambda: received(controller))
            answers = [json.loads(answer.json) async for answer in controller.admin.Observe(pb.ObserveRequest())]
            assert [answer["to"]["pod"] for answer in answers] == ["pay"]
            assert controller.controller.flows.lost_on_nodes == 3
        assert "\n2026-01-01 INFO" not in caplog.text

    play(tmp_path, script)


async def compiled(controller: Running) -> bool:
    view = controller.controller.publisher.view
    return view is not None and "shop/pay" in view.policy.pods


async def received(controller: Running) -> bool:
    return controller.controller.flows.received > 0


def test_a_nodes_word_about_itself_is_shown(tmp_path: Path) -> None:
    async def script(controller: Running) -> None:
        node = await controller.join(NodeKey("n1"), await controller.token())
        async with controller.agent(node) as agent:
            await agent.snapshot()
            said = pb.NodeStatus(state="ready", warnings=["w"], endpoints=3, endpoints_enforced=2, proxy_workers=1)
            await agent.say(status=said)
            await until(lambda: warned(controller))
            row = (await controller.status())["nodes"][0]
            assert (row["endpoints"], row["endpointsEnforced"], row["proxyWorkers"]) == (3, 2, 1)
            assert row["agentState"] == "ready"

    play(tmp_path, script)


def test_the_stream_ends_with_the_certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the controller's clock, which is put forward once the node has joined: TLS still takes the certificate."""
    forward = timedelta()
    monkeypatch.setattr(app, "MeshParts", partial(MeshParts, now=lambda: datetime.now(UTC) + forward))

    async def script(controller: Running) -> None:
        nonlocal forward
        node = await controller.join(NodeKey("n1"), await controller.token())
        forward = timedelta(seconds=controller.controller.config.node_certificate_s - 0.5)
        async with controller.agent(node) as agent:
            while (message := await agent.hear()) is not None and message.WhichOneof("message") != "refused":
                pass
            assert message is not None
            assert "the node's certificate has expired; renew it" in message.refused

    play(tmp_path, script)
