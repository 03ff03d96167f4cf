"""Which cluster: flags before environment, the lab default without both."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from cli.target import choose, of_lab


def test_without_anything_the_lab_is_default() -> None:
    target = choose(lab=None, controller=None, environment={})
    assert target.lab == "default"
    assert target.admin_socket == Path("/run/weft/labs/default/controller/admin.sock")
    assert target.supervisor_socket == Path("/run/weft/labs/default/supervisor.sock")


@pytest.mark.parametrize(
    ("lab", "controller", "environment", "expected"),
    [
        ("a", None, {"WEFT_LAB": "b"}, "lab a"),
        (None, None, {"WEFT_LAB": "b"}, "lab b"),
        ("a", None, {"WEFT_CONTROLLER": "unix:/x"}, "lab a"),
        (None, None, {"WEFT_LAB": "b", "WEFT_CONTROLLER": "unix:/x"}, "controller /x"),
        (None, "unix:/y", {"WEFT_CONTROLLER": "unix:/x"}, "controller /y"),
        (None, "unix:///y", {}, "controller /y"),
    ],
)
def test_a_flag_beats_the_environment(
    lab: str | None, controller: str | None, environment: dict[str, str], expected: str
) -> None:
    target = choose(lab=lab, controller=controller, environment=environment)
    assert (f"lab {target.lab}" if target.lab else f"controller {target.admin_socket}") == expected


def test_messages_name_the_lab_where_there_is_one() -> None:
    assert of_lab("a").whose == " of lab a"
    assert choose(lab=None, controller="unix:/x", environment={}).whose == ""


def test_two_flags_are_one_too_many() -> None:
    with pytest.raises(click.UsageError, match="exclude each other"):
        choose(lab="a", controller="unix:/x", environment={})


@pytest.mark.parametrize("address", ["", "/x", "unix:x", "tcp:/x", "localhost:1"])
def test_an_address_is_a_unix_socket(address: str) -> None:
    with pytest.raises(click.UsageError, match="unix:/absolute/path"):
        choose(lab=None, controller=address, environment={})


@pytest.mark.parametrize("name", ["", "A", "a/b", "..", "-a", "a-", "a" * 33])
def test_a_name_that_could_leave_the_directory_is_refused(name: str) -> None:
    with pytest.raises(click.UsageError, match="no name for a lab"):
        of_lab(name)


def test_a_controller_by_address_is_no_lab() -> None:
    with pytest.raises(click.UsageError, match="works on a lab"):
        _ = choose(lab=None, controller="unix:/x", environment={}).lab_name
