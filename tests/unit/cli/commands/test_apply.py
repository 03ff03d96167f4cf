"""weft apply."""

from __future__ import annotations

import json
from pathlib import Path

from mesh.api import mesh_pb2 as pb
from tests.support.adminserver import FakeAdmin
from tests.unit.cli.conftest import Weft


def test_all_files_go_in_one_request(weft: Weft, admin: FakeAdmin, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("a")
    (tmp_path / "b.yaml").write_text("b")
    admin.reply = pb.ApplyReply(revision=2, changes=[pb.Change(verb="created", kind="Pod", namespace="s", name="a")])
    done = weft("apply", "-f", str(tmp_path / "b.yaml"), "-f", str(tmp_path))
    assert (done.exit_code, done.stdout) == (0, "Pod s/a created\n")
    assert [document.text for document in admin.requests[0].documents] == ["b", "a"]


def test_where_all_objects_were_passed_by_the_warnings_say_it(weft: Weft, admin: FakeAdmin) -> None:
    admin.reply = pb.ApplyReply(revision=2, warnings=[pb.Problem(file="<stdin>", reason="1 ConfigMap passed by")])
    done = weft("apply", "-f", "-", input="kind: ConfigMap")
    assert (done.exit_code, done.stdout) == (0, "")
    assert done.stderr == "warning: <stdin>: 1 ConfigMap passed by\nweft: nothing was left to apply\n"


def test_a_refusal_is_four_and_one_line_each_on_standard_error(weft: Weft, admin: FakeAdmin) -> None:
    admin.reply = pb.ApplyReply(
        refused=[
            pb.Problem(file="<stdin>", object="Pod s/a", field="spec.x", reason="unknown field"),
            pb.Problem(file="<stdin>", object="Pod s/b", field="spec.y", reason="not a number"),
        ]
    )
    done = weft("apply", "-f", "-", input="kind: Pod")
    assert (done.exit_code, done.stdout) == (4, "")
    assert done.stderr == "<stdin>: Pod s/a: spec.x: unknown field\n<stdin>: Pod s/b: spec.y: not a number\n"
    assert admin.requests[0].documents[0].text == "kind: Pod"


def test_warnings_are_no_failure(weft: Weft, admin: FakeAdmin) -> None:
    admin.reply = pb.ApplyReply(
        changes=[pb.Change(verb="created", kind="MeshPolicy", namespace="s", name="a")],
        warnings=[pb.Problem(object="MeshPolicy s/a", reason="selects nothing")],
    )
    done = weft("apply", "-f", "-", "--dry-run", "-o", "json", input="x")
    assert (done.exit_code, done.stderr) == (0, "warning: MeshPolicy s/a: selects nothing\n")
    assert json.loads(done.stdout)["warnings"][0]["reason"] == "selects nothing"
    assert admin.requests[0].dry_run


def test_without_f_it_is_a_usage_error(weft_alone: Weft) -> None:
    assert weft_alone("apply").exit_code == 2
    done = weft_alone("apply", "--dry-run", "a.yaml", "b.yaml")
    assert done.exit_code == 2
    assert "Missing option '-f'" in weft_alone("apply", "-o", "json").stderr
    assert done.stderr.endswith("Error: files are named with -f: weft apply -f a.yaml\n")


def test_nobody_to_reach_is_three(weft_alone: Weft) -> None:
    done = weft_alone("--controller", "unix:/nobody/here", "apply", "-f", "-", input="x")
    assert done.exit_code == 3
    assert "cannot reach the controller" in done.stderr
