"""weft map dump."""

from __future__ import annotations

import json

from cli.commands.map import fields
from tests.support.adminserver import FakeAdmin
from tests.unit.cli.conftest import Weft

ENTRIES = [{"key": {"prefix": "10.1.0.2/32"}, "value": {"identity": 256, "flags": 0}}]


def test_entries_of_a_map(weft: Weft, admin: FakeAdmin) -> None:
    admin.node_answers = [{"node": "node-1", "json": {"entries": ENTRIES}}, {"node": "node-2", "json": []}]
    assert weft("map", "dump", "ipcache").stdout == (
        "NODE    KEY                 VALUE\nnode-1  prefix=10.1.0.2/32  identity=256 flags=0\n"
    )
    assert json.loads(weft("map", "dump", "ipcache", "--node", "node-1", "-o", "json").stdout) == [
        {"node": "node-1", **ENTRIES[0]},
    ]
    assert (admin.requests[1].node, json.loads(admin.requests[1].arguments)) == ("node-1", {"name": "ipcache"})


def test_a_map_that_no_node_has_is_refused_input(weft: Weft, admin: FakeAdmin) -> None:
    admin.node_answers = [{"node": name, "json": {"refused": "no map is called 'x'"}} for name in ("node-1", "node-2")]
    done = weft("map", "dump", "x")
    assert (done.exit_code, done.stderr) == (4, "weft: no map is called 'x'\n"), "once, however many nodes there are"


def test_fields_of_any_shape() -> None:
    assert fields({"a": 1, "b": [1, 2]}) == "a=1 b=[1, 2]"
    assert fields({"value": 7}) == "7"
    assert fields(7) == "7"
    assert fields(None) == ""


def test_words_stand_in_for_numbers_and_json_has_both(weft: Weft, admin: FakeAdmin) -> None:
    key, value = {"prefixBits": 120, "addr": "10.1.0.0"}, {"identity": 4294967295, "flags": 18, "rules": 7}
    said = {
        "key": {"prefixBits": None, "addr": "10.1.0.0/24"},
        "value": {"identity": "any", "flags": ["allow", "default"], "rules": ["NetworkPolicy a/b egress[0]"]},
    }
    entry = {"key": key, "value": value, "words": said}
    admin.node_answers = [{"node": "node-1", "json": {"entries": [entry]}}]
    assert weft("map", "dump", "ipcache").stdout.splitlines()[1].split(maxsplit=2) == [
        "node-1",
        "addr=10.1.0.0/24",
        'identity=any flags=allow,default rules="NetworkPolicy a/b egress[0]"',
    ]
    assert json.loads(weft("map", "dump", "ipcache", "-o", "json").stdout) == [{"node": "node-1", **entry}]


def test_steps_of_a_chain_read_as_a_line() -> None:
    steps = [
        {"protocol": "ANY", "port": 0, "flags": ["final"], "rules": 0},
        {"protocol": "TCP", "port": 8080, "flags": ["allow", "final"], "rules": ["NetworkPolicy a/b egress[0]"]},
        {"protocol": "TCP", "port": 8081, "flags": [], "rules": 0},
    ]
    assert fields({"steps": steps}) == (
        "steps=ANY 0 final | TCP 8080 allow,final NetworkPolicy a/b egress[0] | TCP 8081"
    )
