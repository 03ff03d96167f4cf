"""What the programs export is sound, by Prometheus' own judgement."""

from __future__ import annotations

import subprocess

import pytest

from tests.support.cluster import Cluster


@pytest.mark.parametrize("component", ["agent", "controller", "proxy"])
def test_metrics_are_clean_under_promtool(mesh: Cluster, component: str) -> None:
    rows = [row for row in mesh.json("lab", "status")["components"] if row["component"] == component]
    assert rows
    for row in rows:
        inside = ["nsenter", f"--net=/proc/{row['pid']}/ns/net"]
        page = subprocess.run(
            [*inside, "curl", "-sf", f"http://{row['metrics']}/metrics"], capture_output=True, text=True, check=True
        ).stdout
        assert f"weft_{component}_" in page
        judged = subprocess.run(["promtool", "check", "metrics"], input=page, capture_output=True, text=True)
        assert (judged.returncode, judged.stdout + judged.stderr) == (0, "")
