"""A `weft` to call in-process, and a controller with answers laid down."""

from __future__ import annotations

import time
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
def plain_environment() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("WEFT_LAB", "WEFT_CONTROLLER", "NO_COLOR"):
            patch.delenv(name, raising=False)
        patch.setenv("TZ", "UTC")
        time.tzset()  # the C library looks at TZ when it is told to
        yield
    time.tzset()
