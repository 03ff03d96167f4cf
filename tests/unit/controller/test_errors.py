"""The tree of errors: a caller that handles the root handles all."""

from __future__ import annotations

import pytest

from controller import errors


@pytest.mark.parametrize("name", ["StoreFull", "StoreBusy", "StoreTooNew", "StoreDamaged"])
def test_what_a_store_cannot_do_is_one_family(name: str) -> None:
    assert issubclass(getattr(errors, name), errors.StoreError)


@pytest.mark.parametrize("name", ["StoreError", "JoinRefused", "NoSuchThing"])
def test_everything_is_a_controller_error(name: str) -> None:
    assert issubclass(getattr(errors, name), errors.ControllerError)
