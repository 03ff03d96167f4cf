"""The question of `weft policy check`, between command line and controller: a frozen value, to and from protobuf."""

from __future__ import annotations

from dataclasses import dataclass

from mesh.api import mesh_pb2 as pb


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckQuestion:
    """One flow, perhaps with a request, to be decided; as the command line gives it."""

    source: str
    destination: str
    port: int = 0
    port_name: str = ""
    protocol: str = "tcp"
    method: str = ""
    path: str = ""
    host: str = ""
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def speaks_of_a_request(self) -> bool:
        return bool(self.method or self.path or self.host or self.headers)


def question_to_pb(question: CheckQuestion) -> pb.PolicyCheckRequest:
    return pb.PolicyCheckRequest(
        source=question.source,
        destination=question.destination,
        port=question.port,
        port_name=question.port_name,
        protocol=question.protocol,
        method=question.method,
        path=question.path,
        host=question.host,
        headers=[pb.Label(key=key, value=value) for key, value in question.headers],
    )


def question_from_pb(request: pb.PolicyCheckRequest) -> CheckQuestion:
    return CheckQuestion(
        source=request.source,
        destination=request.destination,
        port=request.port,
        port_name=request.port_name,
        protocol=request.protocol,
        method=request.method,
        path=request.path,
        host=request.host,
        headers=tuple((label.key, label.value) for label in request.headers),
    )
