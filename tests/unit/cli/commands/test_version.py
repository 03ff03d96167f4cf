"""weft version."""

from __future__ import annotations

import json

from cli.version import VERSION
from tests.support.adminserver import FakeAdmin
from tests.unit.cli import samples
from tests.unit.cli.conftest import Weft


def test_with_a_controller_and_without(weft: Weft, weft_alone: Weft, admin: FakeAdmin) -> None:
    admin.status = samples.status()
    assert json.loads(weft("version", "-o", "json").stdout)["controller"] == "0.1.0"
    assert "controller" not in json.loads(weft("version", "--client", "-o", "json").stdout)
    done = weft_alone("--controller", "unix:/nobody/here", "version")
    assert done.exit_code == 0
    assert done.stdout.startswith(f"client      {VERSION}\n")
