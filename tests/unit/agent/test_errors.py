"""The tree of errors."""

from __future__ import annotations

import inspect

from agent import errors


def test_every_error_is_one_of_ours_and_says_when_it_comes() -> None:
    found = [kind for _, kind in inspect.getmembers(errors, inspect.isclass)]
    assert len(found) >= 6
    for kind in found:
        assert issubclass(kind, errors.AgentError)
        assert kind.__doc__
    assert issubclass(errors.OutOfStep, errors.SnapshotRefused)
