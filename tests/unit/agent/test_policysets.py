"""Which set number a policy gets, and what may change in place."""

from __future__ import annotations

from agent.datapath.tables import PolicyKey as PolicyKeyOfMap
from agent.datapath.tables import PolicyPage, PolicyStep
from agent.numbers import NumberTable
from agent.policysets import Content, InPlace, allocate, content_of, in_place, keys_of
from mesh.layouts import POLICY_ALLOW, POLICY_FINAL
from mesh.model import PolicyKey
from mesh.policy.chains import compile_chains
from tests.support import nodes

PART = {(1, 0): PolicyPage.of(PolicyStep(6, 80, POLICY_ALLOW, 7))}
OTHER = {(1, 0): PolicyPage.of(PolicyStep(6, 81, POLICY_ALLOW, 7))}
A, B = PolicyKey("a"), PolicyKey("b")


def given(wanted: dict[int, PolicyKey], contents: dict[PolicyKey, Content], **more: object) -> object:
    facts: dict[str, object] = {"held": {}, "sets": {}, "live": set(), "existing": set(), "next_number": 10, **more}
    return allocate(wanted=wanted, contents=contents, **facts)  # type: ignore[arg-type]


def test_content_has_numbers_that_lead_back_to_the_rules() -> None:
    numbers: NumberTable[object] = NumberTable(repr)
    rule = nodes.allow(256)
    content = content_of(compile_chains(nodes.policy("a", rule)), numbers)  # type: ignore[arg-type]
    _, step, _ = content[256][1, 0].steps
    assert (step.protocol, step.port, step.flags) == (6, 80, POLICY_ALLOW | POLICY_FINAL)
    assert numbers.item(step.rules) == (rule.ref,)


def test_keys_carry_set_and_identity() -> None:
    assert keys_of(3, 256, PART) == {PolicyKeyOfMap(set=3, identity=256, direction=1, page=0): PART[1, 0]}


def test_page_0_comes_last_in_whatever_order_the_kernel_showed_them() -> None:
    part = {(direction, page): PART[1, 0] for page in (0, 2, 1) for direction in (0, 1)}
    assert [key.page for key in keys_of(3, 256, part)] == [2, 2, 1, 1, 0, 0]


def test_a_peer_that_nobody_has_yet_is_added_in_place() -> None:
    assert in_place({256: PART}, {256: PART, 257: PART}, live={256}, existing={256, 257}) == InPlace(
        add=(257,), remove=()
    )


def test_a_peer_that_lives_needs_a_new_set() -> None:
    assert in_place({}, {256: PART}, live={256}, existing={256}) is None
    assert in_place({256: PART}, {256: OTHER}, live={256}, existing={256}) is None


def test_a_peer_that_is_gone_is_removed_in_place_and_one_that_exists_is_not() -> None:
    assert in_place({256: PART}, {}, live={256}, existing=set()) == InPlace(add=(), remove=(256,))
    assert in_place({256: PART}, {}, live={256}, existing={256}) is None


def test_equal_content_shares_a_set() -> None:
    found = given({1: A, 2: B}, {A: {256: PART}, B: {256: PART}})
    assert found.numbers == {A: 10, B: 10}  # type: ignore[attr-defined]
    assert found.next_number == 11  # type: ignore[attr-defined]


def test_a_set_with_the_right_content_is_kept() -> None:
    found = given({1: A}, {A: {256: PART}}, held={1: 4}, sets={4: {256: PART}})
    assert found.numbers == {A: 4}  # type: ignore[attr-defined]
    assert found.fresh == {}  # type: ignore[attr-defined]


def test_a_set_that_others_keep_is_not_changed_under_them() -> None:
    contents: dict[PolicyKey, Content] = {A: {256: PART}, B: {256: PART, 257: PART}}
    found = given({1: A, 2: B}, contents, held={1: 4, 2: 4}, sets={4: {256: PART}}, existing={256, 257})
    assert found.numbers == {A: 4, B: 10}  # type: ignore[attr-defined]


def test_a_set_in_use_without_entries_is_the_empty_set() -> None:
    assert given({1: A}, {A: {}}, held={1: 4}).numbers == {A: 4}  # type: ignore[attr-defined]
