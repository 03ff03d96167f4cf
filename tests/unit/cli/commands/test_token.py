"""weft token."""

from __future__ import annotations

import json

from tests.support.adminserver import FakeAdmin
from tests.unit.cli.conftest import Weft


def test_the_token_alone_is_printed(weft: Weft, admin: FakeAdmin) -> None:
    assert weft("token", "create", "--node", "node-3", "--ttl", "1h").stdout == "name.secret.hash\n"
    assert (admin.requests[0].node, admin.requests[0].ttl_s) == ("node-3", 3600)
    assert json.loads(weft("token", "create", "-o", "json").stdout) == {"token": "name.secret.hash"}
    assert (admin.requests[1].ttl_s, admin.requests[1].uses) == (0, 1)
    assert weft("token", "create", "--uses", "50").exit_code == 0
    assert admin.requests[2].uses == 50
    assert weft("token", "create", "--uses", "0").exit_code == 2
    assert weft("token", "create", "--uses", "2", "--node", "n").exit_code == 2
    assert weft("token", "create", "--ttl", "soon").exit_code == 2


TOKENS = [
    {
        "id": "abc123",
        "state": "good",
        "node": "",
        "uses": 1,
        "usesLeft": 49,
        "expires": "2026-01-02T12:00:00Z",
        "created": "2026-01-01T12:00:00Z",
    },
    {
        "id": "def456",
        "state": "spent",
        "node": "node-3",
        "uses": 1,
        "usesLeft": 0,
        "expires": "2026-01-02T12:00:00Z",
        "created": None,
    },
]


def test_tokens_are_listed(weft: Weft, admin: FakeAdmin) -> None:
    admin.tokens = TOKENS
    assert weft("token", "list").stdout.splitlines() == [
        "ID      STATE  NODE    LEFT  EXPIRES               CREATED",
        "abc123  good   any       49  2026-01-02T12:00:00Z  2026-01-01T12:00:00Z",
        "def456  spent  node-3     0  2026-01-02T12:00:00Z  -",
    ]
    assert json.loads(weft("token", "list", "-o", "json").stdout) == TOKENS
    assert weft("token", "list", "-o", "name").stdout == "abc123\ndef456\n"
    admin.tokens = []
    assert weft("token", "list").stderr == "there are no join tokens; make one: weft token create\n"


def test_tokens_are_deleted_by_their_ids(weft: Weft, admin: FakeAdmin) -> None:
    admin.tokens = TOKENS
    done = weft("token", "delete", "abc123", "nosuch", "def456", "abc123")
    assert (done.exit_code, done.stdout) == (1, "token abc123 deleted\ntoken def456 deleted\n")
    assert done.stderr == "weft: there is no join token nosuch\n"
    assert [asked.id for asked in admin.requests] == ["abc123", "nosuch", "def456"]
    assert weft("token", "delete").exit_code == 2
