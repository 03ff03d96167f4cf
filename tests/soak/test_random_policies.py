"""Random policies, relabelled and vanishing pods, and everything that packets and requests meet, against the oracle.

WEFT_TRIAL_ROUNDS and WEFT_TRIAL_SEED make a longer or another run; with WEFT_TRIAL_FAULTS programs are killed, too,
with WEFT_TRIAL_LEAVING pods leave the mesh and come back.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from tests.support.cluster import running
from tests.support.trial import Trial

ROUNDS = int(os.environ.get("WEFT_TRIAL_ROUNDS", "8"))
SEED = int(os.environ.get("WEFT_TRIAL_SEED", "1"))
FAULTS = bool(os.environ.get("WEFT_TRIAL_FAULTS"))
LEAVING = bool(os.environ.get("WEFT_TRIAL_LEAVING"))
NAME = os.environ.get("WEFT_TRIAL_LAB", "test-trial")


@pytest.mark.timeout(120 + 20 * ROUNDS)
def test_packets_and_requests_fare_as_the_oracle_says(tmp_path: Path) -> None:
    trial = Trial(None, SEED, faults=FAULTS, leaving=LEAVING)  # type: ignore[arg-type] # the lab comes up from the trial's own manifest
    path = tmp_path / "cluster.json"
    path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": trial.manifest()}))
    with running(NAME, path) as trial.cluster:
        try:
            trial.start()
            trial.run(ROUNDS)
        finally:
            trial.close()
            (tmp_path / "history").write_text("\n".join(trial.history))
            (tmp_path / "problems").write_text("\n".join(trial.problems))
            (tmp_path / "counts").write_text(json.dumps(trial.counts, indent=1))
            print(json.dumps(trial.counts, indent=1), f"history and problems: {tmp_path}", file=sys.stderr)
    assert trial.problems[:5] == []
