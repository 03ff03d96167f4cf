"""One version, in one place and in the package."""

from __future__ import annotations

import tomllib

from cli.programs import ROOT
from cli.version import VERSION


def test_the_command_and_the_package_agree() -> None:
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"] == VERSION
