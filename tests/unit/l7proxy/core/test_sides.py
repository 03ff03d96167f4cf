from __future__ import annotations

from l7proxy.core import sides
from l7proxy.core.sides import Shelf


def test_phases_are_distinct() -> None:
    phases = {sides.IDLE, sides.BODY, sides.ANSWER, sides.LINGER, sides.GONE}
    assert len(phases) == 5


def test_new_shelf_is_empty_and_nobodys() -> None:
    shelf = Shelf(("10.0.0.1", 80))
    assert (shelf.idle, shelf.users, shelf.key) == ([], 0, ("10.0.0.1", 80))
