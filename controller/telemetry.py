"""The controller's metrics. The only module here that knows the metrics library."""

from __future__ import annotations

from collections import Counter as Count
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, start_http_server

from controller.config import Listen
from controller.errors import ControllerError
from controller.snapshot import ClusterView
from controller.store import ObjectId

# The library's `_created` series double the page, and promtool takes them for gauges without a unit.
disable_created_metrics()  # type: ignore[no-untyped-call] # the library has no types for it


@dataclass(slots=True)
class MetricsServer:
    """The HTTP server, in a thread of the metrics library."""

    port: int
    _server: object
    _thread: object

    def close(self) -> None:
        self._server.shutdown()  # type: ignore[attr-defined] # a WSGIServer; the library types it from 0.20 on
        self._server.server_close()  # type: ignore[attr-defined] # as above
        self._thread.join()  # type: ignore[attr-defined] # a Thread, as above


class Telemetry:
    """One instance per controller: its own registry, so that tests can hold two."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        kept: dict[str, Any] = {"registry": self.registry}
        self._revision = Gauge("weft_controller_revision", "Revision of the intent that is in force.", **kept)
        self._served = Gauge("weft_controller_served_revision", "Revision that nodes are served from.", **kept)
        self._objects = Gauge("weft_controller_objects", "Objects in force.", ["kind"], **kept)
        self._identities = Gauge("weft_controller_identities", "Identities in use.", **kept)
        self._nodes = Gauge("weft_controller_nodes", "Nodes that have joined.", ["state"], **kept)
        self._applies = Counter("weft_controller_applies", "Changes asked for.", ["source", "outcome"], **kept)
        self._build = Histogram("weft_controller_build_seconds", "Time to compile a revision.", **kept)
        self._sent = Counter("weft_controller_messages_sent", "Messages to agents.", ["form"], **kept)
        self._answers = Counter("weft_controller_answers", "Acks and nacks of agents.", ["answer"], **kept)
        self._joins = Counter("weft_controller_joins", "Certificates asked for by nodes.", ["outcome"], **kept)
        self._streams = Counter("weft_controller_streams", "Streams of agents.", ["outcome"], **kept)
        self._flows = Counter("weft_controller_flows", "Flow records received.", **kept)
        self._flows_lost = Counter("weft_controller_flows_lost", "Flow records that nodes had to drop.", **kept)
        self._overflows = Counter("weft_controller_watch_overflows", "Followers that did not keep up.", **kept)

    def built(self, seconds: float, view: ClusterView) -> None:
        self._build.observe(seconds)
        self._served.set(view.revision)
        self._identities.set(len(view.identities))

    def intent(self, revision: int, keys: Iterable[ObjectId]) -> None:
        self._revision.set(revision)
        self._objects.clear()
        for kind, number in Count(kind for kind, _, _ in keys).items():
            self._objects.labels(kind).set(number)

    def nodes(self, connected: int, away: int) -> None:
        self._nodes.labels("connected").set(connected)
        self._nodes.labels("away").set(away)

    def applied(self, source: str, outcome: str) -> None:
        self._applies.labels(source, outcome).inc()

    def sent(self, form: str) -> None:
        self._sent.labels(form).inc()

    def answered(self, answer: str) -> None:
        self._answers.labels(answer).inc()

    def joined(self, outcome: str) -> None:
        self._joins.labels(outcome).inc()

    def stream(self, outcome: str) -> None:
        self._streams.labels(outcome).inc()

    def flows(self, number: int, lost: int) -> None:
        self._flows.inc(number)
        self._flows_lost.inc(lost)

    def overflowed(self) -> None:
        self._overflows.inc()

    def serve(self, listen: Listen) -> MetricsServer:
        """Serve /metrics. Raises ControllerError where the port cannot be had."""
        try:
            server, thread = start_http_server(listen.port, str(listen.host), self.registry)
        except OSError as error:
            raise ControllerError(f"metrics on {listen}: {error.strerror}; choose another --metrics") from error
        return MetricsServer(int(server.server_port), server, thread)
