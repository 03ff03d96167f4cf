"""Followers of objects: their kinds, and the end of one that is too slow."""

from __future__ import annotations

import asyncio

from controller.watches import Event, Watch, Watches
from mesh.model import Revision
from tests.unit.controller.manifests import intent_of, pod


def event(number: int) -> Event:
    (entry,) = intent_of(pod("web")).entries.values()
    return Event(removed=False, entry=entry, revision=Revision(number))


POD = ("Pod", "default", "web")


def test_each_follower_gets_its_kinds() -> None:
    async def main() -> None:
        watches = Watches()
        pods, nodes, every = watches.add(["Pod"]), watches.add(["Node"]), watches.add([])
        watches.publish(POD, event(1))
        watches.end()
        assert [await first(watch) for watch in (pods, nodes, every)] == [1, None, 1]
        watches.remove(pods)
        assert len(watches) == 2
        assert await watches.add([]).next() is None

    async def first(watch: Watch) -> int | None:
        found = await watch.next()
        return found.revision if found else None

    asyncio.run(main())


def test_one_that_does_not_keep_up_is_ended_and_knows_it() -> None:
    async def main() -> None:
        watches = Watches()
        slow = watches.add([], limit=2)
        for number in range(5):
            watches.publish(POD, event(number))
        assert slow.overflowed
        seen = [await slow.next() for _ in range(3)]
        assert [item.revision for item in seen if item] == [0, 1]
        assert seen[-1] is None

    asyncio.run(main())
