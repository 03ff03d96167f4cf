"""How full the maps are that can fill up, from what is known without asking the kernel. Pure.

What the agent writes it mirrors, so the mirror's sizes are the maps'. Conntrack entries are the kernel's; their number
is that of the last walk, which looks at each of them anyway. Copying maps to count them costs a fifth of a second on a
busy node.
"""

from __future__ import annotations

from agent.datapath.interface import Tables
from agent.datapath.mapnames import SHAPES, STEMS
from agent.realized import Realized

NEARLY_FULL = 0.9


def pressure(tables: Tables, realized: Realized, tracked: int) -> dict[str, float]:
    """Map name -> share of its entries in use. `tracked`: conntrack entries at the last walk."""
    return {
        name: (tracked if stem == "conntrack" else realized.size(stem)) / getattr(tables, stem).max_entries
        for stem, name in STEMS.items()
        if SHAPES[name].can_fill
    }


def nearly_full(shares: dict[str, float]) -> str:
    """What an operator is told about them; empty while there is room."""
    full = [f"{name} {share:.0%}" for name, share in sorted(shares.items()) if share >= NEARLY_FULL]
    return f"maps nearly full: {', '.join(full)}" if full else ""
