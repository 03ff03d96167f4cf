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


CHAIN = {
    "set": 9,
    "direction": "egress",
    "identity": "any",
    "says": [
        {"ports": "TCP 80,443", "flags": ["allow", "final"], "rules": ["NetworkPolicy a/b egress[0]"]},
        {"ports": "UDP", "flags": ["allow"], "rules": []},
    ],
}


def test_policy_has_a_row_for_each_chain_in_tables(weft: Weft, admin: FakeAdmin) -> None:
    admin.node_answers = [{"node": "node-1", "json": {"chains": [CHAIN, CHAIN | {"set": 10, "says": []}]}}]
    assert weft("map", "dump", "policy").stdout.splitlines() == [
        "NODE    SET  DIRECTION  PEER  SAYS",
        "node-1    9  egress     any   TCP 80,443: allow,final NetworkPolicy a/b egress[0]; UDP: allow",
        "node-1   10  egress     any   -",
    ]
    assert json.loads(admin.requests[0].arguments) == {"name": "policy", "chains": True}


def test_policy_is_as_the_kernel_has_it_for_programs(weft: Weft, admin: FakeAdmin) -> None:
    admin.node_answers = [{"node": "node-1", "json": {"entries": ENTRIES}}]
    for form in ("json", "yaml", "jsonl", "name"):
        assert weft("map", "dump", "policy", "-o", form).exit_code == 0
        assert json.loads(admin.requests[-1].arguments) == {"name": "policy"}
