"""How a chain lies in the kernel's policy map: in pages of a few steps. Pure; bpf/lib/policy.h walks them.

A short chain is page 0. Of a longer one the pages of steps come first, then pages that point to those, and so on,
until one page is enough: page 0 again. Nobody finds a chain without its page 0, so that one is written last and deleted
first: then a chain is never seen in part.
"""

from __future__ import annotations

from agent.datapath.tables import PolicyPage, PolicyStep
from mesh.layouts import POLICY_MORE, POLICY_STEPS


def pages_of(chain: tuple[PolicyStep, ...]) -> dict[int, PolicyPage]:
    """Pages by number, page 0 last."""
    pages: dict[int, PolicyPage] = {}
    level = chain
    while len(level) > POLICY_STEPS:
        above: list[PolicyStep] = []
        for start in range(0, len(level), POLICY_STEPS):
            number = len(pages) + 1
            pages[number] = PolicyPage.of(*level[start : start + POLICY_STEPS])
            above.append(PolicyStep(level[start].protocol, level[start].port, POLICY_MORE, number))
        level = tuple(above)
    pages[0] = PolicyPage.of(*level)
    return pages


def rules_of(page: PolicyPage) -> set[int]:
    """Numbers of the sets of rules that its steps carry."""
    return {step.rules for step in page.steps if not step.flags & POLICY_MORE}
