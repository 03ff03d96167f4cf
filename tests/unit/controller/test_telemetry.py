"""The page of metrics: served, and clean for promtool."""

from __future__ import annotations

import subprocess
import urllib.request
from ipaddress import ip_address

import pytest

from controller.config import Listen
from controller.errors import ControllerError
from controller.telemetry import Telemetry
from tests.unit.controller.manifests import SHOP
from tests.unit.controller.views import compiled

ANYWHERE = Listen(ip_address("127.0.0.1"), 0)


def filled() -> Telemetry:
    telemetry = Telemetry()
    view, intent = compiled(SHOP)
    telemetry.built(0.01, view)
    telemetry.intent(intent.revision, intent.entries)
    telemetry.nodes(1, 2)
    telemetry.applied("user", "done")
    telemetry.sent("delta")
    telemetry.answered("ack")
    telemetry.joined("refused")
    telemetry.stream("opened")
    telemetry.flows(5, 1)
    telemetry.overflowed()
    return telemetry


def page(telemetry: Telemetry) -> str:
    server = telemetry.serve(ANYWHERE)
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/metrics", timeout=60) as answer:
            return str(answer.read().decode())
    finally:
        server.close()


def test_what_happened_is_on_the_page() -> None:
    text = page(filled())
    for line in (
        "weft_controller_revision 1.0",
        'weft_controller_objects{kind="Pod"} 2.0',
        'weft_controller_nodes{state="away"} 2.0',
        'weft_controller_joins_total{outcome="refused"} 1.0',
        "weft_controller_flows_lost_total 1.0",
    ):
        assert line in text


def test_promtool_finds_nothing() -> None:
    checked = subprocess.run(["promtool", "check", "metrics"], input=page(filled()), capture_output=True, text=True)
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")


def test_a_port_that_is_taken_is_named() -> None:
    telemetry = Telemetry()
    server = telemetry.serve(ANYWHERE)
    try:
        with pytest.raises(ControllerError, match="choose another --metrics"):
            telemetry.serve(Listen(ANYWHERE.host, server.port))
    finally:
        server.close()
