"""`python -m tests.kernels` for those who call it by its file."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
runpy.run_module("tests.kernels", run_name="__main__", alter_sys=True)
