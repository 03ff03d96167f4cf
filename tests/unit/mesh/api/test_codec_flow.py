"""Flow records on the wire."""

from __future__ import annotations

import pytest
from hypothesis import given, settings

from mesh.api import mesh_pb2 as pb
from mesh.api.codec_flow import flow_from_pb, flow_to_pb
from mesh.api.codec_words import CodecError
from mesh.model import FlowRecord
from tests.unit.mesh.api.models import flows


@settings(max_examples=100, deadline=None)
@given(flows)
def test_a_flow_survives_the_wire(flow: FlowRecord) -> None:
    assert flow_from_pb(pb.Flow.FromString(flow_to_pb(flow).SerializeToString())) == flow


@pytest.mark.parametrize(
    ("changed", "field"), [({"direction": 7}, "flow.direction"), ({"verdict": "maybe"}, "flow.verdict")]
)
def test_an_unknown_word_is_refused(changed: dict[str, object], field: str) -> None:
    message = pb.Flow(verdict="allow", layer="L7", direction=0)
    for name, value in changed.items():
        setattr(message, name, value)
    with pytest.raises(CodecError, match=field):
        flow_from_pb(message)
