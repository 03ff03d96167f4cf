"""Flow records between model and messages."""

from __future__ import annotations

from mesh.api import mesh_pb2 as pb
from mesh.api.codec_policy import rule_ref_from_pb, rule_ref_to_pb
from mesh.api.codec_words import CodecError, port_from_pb, protocol_from_pb, word_from_pb
from mesh.model import Direction, FlowRecord, HttpRecord, IdentityId, Layer, Party, Verdict


def flow_to_pb(flow: FlowRecord) -> pb.Flow:
    message = pb.Flow(
        id=flow.id,
        time_ns=flow.time_ns,
        node=flow.node,
        direction=flow.direction,
        verdict=flow.verdict.value,
        layer=flow.layer.value,
        protocol=flow.protocol,
        source=_party_to_pb(flow.source),
        destination=_party_to_pb(flow.destination),
        service=flow.service,
        drop_reason=flow.drop_reason,
        rules=[rule_ref_to_pb(ref) for ref in flow.rules],
        count=flow.count,
    )
    if flow.http is not None:
        message.http.CopyFrom(
            pb.HttpExchange(method=flow.http.method, path=flow.http.path, status=flow.http.status, host=flow.http.host)
        )
    return message


def flow_from_pb(message: pb.Flow, field: str = "flow") -> FlowRecord:
    try:
        direction = Direction(message.direction)
    except ValueError:
        raise CodecError(f"{field}.direction", f"{message.direction} is not known") from None
    http = None
    if message.HasField("http"):
        exchange = message.http
        http = HttpRecord(method=exchange.method, path=exchange.path, status=exchange.status, host=exchange.host)
    return FlowRecord(
        id=message.id,
        time_ns=message.time_ns,
        node=message.node,
        direction=direction,
        verdict=word_from_pb(Verdict, message.verdict, f"{field}.verdict"),
        layer=word_from_pb(Layer, message.layer, f"{field}.layer"),
        # A packet with another protocol is dropped and recorded as ANY.
        protocol=protocol_from_pb(message.protocol, f"{field}.protocol", wildcard=True),
        source=_party_from_pb(message.source, f"{field}.source"),
        destination=_party_from_pb(message.destination, f"{field}.destination"),
        service=message.service,
        drop_reason=message.drop_reason,
        rules=tuple(rule_ref_from_pb(ref, f"{field}.rules[{i}]") for i, ref in enumerate(message.rules)),
        http=http,
        count=max(1, message.count),
    )


def _party_to_pb(party: Party) -> pb.Party:
    return pb.Party(
        namespace=party.namespace,
        pod=party.pod,
        service_account=party.service_account,
        identity=party.identity,
        ip=party.ip,
        port=party.port,
    )


def _party_from_pb(message: pb.Party, field: str) -> Party:
    return Party(
        namespace=message.namespace,
        pod=message.pod,
        service_account=message.service_account,
        identity=IdentityId(message.identity),
        ip=message.ip,
        port=port_from_pb(message.port, f"{field}.port", zero=True),
    )
