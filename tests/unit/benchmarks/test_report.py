"""A target is met or short, and the JSON keeps every sample."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.report import Row, Section, Sense, Target, table, write_json
from benchmarks.rounds import Samples


def test_verdict_follows_the_sense_of_the_target() -> None:
    at_least, at_most = Target(sense=Sense.AT_LEAST, value=2.5), Target(sense=Sense.AT_MOST, value=1.03)
    assert Row(work="w", measured=2.5, target=at_least).verdict == "met"
    assert Row(work="w", measured=2.49, target=at_least).verdict == "short"
    assert Row(work="w", measured=1.03, target=at_most).verdict == "met"
    assert Row(work="w", measured=1.04, target=at_most).verdict == "short"
    assert Row(work="w", measured=1.0).verdict == ""


def test_table_shows_target_and_verdict_on_the_row() -> None:
    row = Row(work="throughput", measured=0.5, target=Target(sense=Sense.AT_LEAST, value=0.97), note="half")
    line = table([Section(name="l4", rows=[row])]).splitlines()[1]
    assert line.split() == ["l4:", "throughput", "0.5", ">=", "0.97", "short", "half"]


def test_json_keeps_samples_and_environment(tmp_path: Path) -> None:
    section = Section(name="l4", rows=[Row(work="w", measured=1.0)], samples={"c=1": Samples({"weft": [{"x": 1.5}]})})
    write_json(tmp_path / "deep" / "out.json", {"kernel": "6.1"}, [section])
    document = json.loads((tmp_path / "deep" / "out.json").read_text())
    assert document["environment"] == {"kernel": "6.1"}
    assert document["sections"][0]["samples"] == {"c=1": {"weft": [{"x": 1.5}]}}
