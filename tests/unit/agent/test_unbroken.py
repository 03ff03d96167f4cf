"""Work that goes on when its asker has gone."""

from __future__ import annotations

import asyncio
import logging

import pytest

from agent.unbroken import Unbroken


def test_work_goes_on_without_who_asked_and_its_failure_is_told(caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        unbroken, go_on = Unbroken(), asyncio.Event()

        async def work() -> None:
            await go_on.wait()
            raise ValueError("half a change")

        asking = asyncio.ensure_future(unbroken.run(work()))
        await asyncio.sleep(0)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        go_on.set()
        await unbroken.ended()

    with caplog.at_level(logging.ERROR):
        asyncio.run(story())
    assert "half a change" in caplog.text


def test_who_waits_gets_the_answer_or_the_failure() -> None:
    async def story() -> int:
        unbroken = Unbroken()

        async def work(answer: int) -> int:
            if not answer:
                raise ValueError("no")
            return answer

        with pytest.raises(ValueError, match="no"):
            await unbroken.run(work(0))
        return await unbroken.run(work(4))

    assert asyncio.run(story()) == 4
