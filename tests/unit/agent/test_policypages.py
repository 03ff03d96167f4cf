"""Chains in pages: every port of a chain of any length is found again, by the kernel's way."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.datapath.tables import PolicyKey, PolicyPage, PolicyStep
from agent.policypages import pages_of, rules_of
from mesh.layouts import POLICY_LEVELS, POLICY_MORE, POLICY_STEPS
from tests.support import chains

IDENTITY = 256


def chain_of(starts: list[tuple[int, int]]) -> tuple[PolicyStep, ...]:
    return tuple(PolicyStep(protocol, port, 2, rules=number) for number, (protocol, port) in enumerate(starts, 1))


def table_of(pages: dict[int, PolicyPage]) -> dict[PolicyKey, PolicyPage]:
    return {PolicyKey(set=1, identity=IDENTITY, direction=0, page=number): page for number, page in pages.items()}


def depth_of(pages: dict[int, PolicyPage]) -> int:
    number, depth = 0, 1
    while pages[number].steps[0].flags & POLICY_MORE:
        number, depth = pages[number].steps[0].rules, depth + 1
    return depth


@given(st.sets(st.tuples(st.sampled_from((1, 6, 17, 132)), st.integers(0, 65535)), max_size=400))
def test_each_step_holds_from_its_port_to_the_next_one(places: set[tuple[int, int]]) -> None:
    starts = sorted({(0, 0), *places})
    table = table_of(pages_of(chain_of(starts)))
    for number, (protocol, port) in enumerate(starts, 1):
        assert chains.said(table, 1, 0, IDENTITY, protocol, port).rules == number
        if (protocol, port - 1) >= starts[max(number - 2, 0)] and port:
            assert chains.said(table, 1, 0, IDENTITY, protocol, port - 1).rules == number - 1
    assert chains.said(table, 1, 0, IDENTITY, 255, 65535).rules == len(starts)


@pytest.mark.parametrize(("steps", "pages"), [(1, 1), (POLICY_STEPS, 1), (POLICY_STEPS + 1, 3), (POLICY_STEPS**2, 8)])
def test_a_chain_takes_one_page_and_more_only_when_it_is_long(steps: int, pages: int) -> None:
    assert len(pages_of(chain_of([(6, port) for port in range(steps)]))) == pages


def test_the_longest_chain_there_can_be_is_not_too_deep_and_its_pages_can_be_numbered() -> None:
    pages = pages_of(chain_of([(0, 0), *((protocol, port) for protocol in (6, 17, 132) for port in range(65536))]))
    assert depth_of(pages) <= POLICY_LEVELS
    assert max(pages) < 65536


def test_page_0_is_written_last() -> None:
    assert list(pages_of(chain_of([(6, port) for port in range(60)])))[-1] == 0


def test_only_steps_name_rules() -> None:
    pages = pages_of(chain_of([(6, port) for port in range(10)]))
    assert rules_of(pages[0]) == set()
    assert set().union(*map(rules_of, pages.values())) == set(range(1, 11))
