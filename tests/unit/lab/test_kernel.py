"""System calls say what they were about when they fail."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab import kernel


def test_a_failure_names_the_path(tmp_path: Path) -> None:
    missing = str(tmp_path / "missing")
    for act in (lambda: kernel.unmount(missing), lambda: kernel.bind(missing, missing)):
        with pytest.raises(OSError, match="missing") as caught:
            act()
        assert caught.value.filename == missing
    with pytest.raises(FileNotFoundError):
        kernel.setns(missing, kernel.CLONE_NEWNET)
