"""A `weft` to call in-process, and a controller with answers laid down."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from click.testing import CliRunner, Result

from cli.__main__ import weft as group
from tests.support.adminserver import FakeAdmin, serving

Weft = Callable[..., Result]


@pytest.fixture
def admin() -> Iterator[FakeAdmin]:
    with serving(FakeAdmin()) as fake:
        yield fake


@pytest.fixture
def weft(admin: FakeAdmin) -> Weft:
    """`weft("get", "pods", input=...)` against the fake controller."""

    def run(*arguments: str, input: str | bytes | None = None) -> Result:
        return CliRunner().invoke(group, ["--controller", admin.address, *arguments], input=input, prog_name="weft")

    return run


@pytest.fixture
def weft_alone() -> Weft:
    """`weft` with no controller behind it."""

    def run(*arguments: str, input: str | bytes | None = None) -> Result:
        return CliRunner().invoke(group, list(arguments), input=input, prog_name="weft")

    return run


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WEFT_LAB", "WEFT_CONTROLLER", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TZ", "UTC")
