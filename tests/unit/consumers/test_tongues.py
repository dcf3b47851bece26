"""A channel's language is detected once, by the first window that is sure of it."""

from __future__ import annotations

import asyncio

from aftercall.consumers import tongues


async def test_the_first_sure_window_decides_for_its_channel() -> None:
    """Others of the channel wait for it; the other channel does not."""
    found = tongues.Tongues(None, switching=False)

    assert await found.ask(0) is None
    second = asyncio.create_task(found.ask(0))
    assert await found.ask(1) is None
    await asyncio.sleep(0)
    assert not second.done()
    found.heard(0, "es", 0.9)
    found.heard(1, "en", None)
    assert ("es", "es", "en") == (await second, await found.ask(0), await found.ask(1))


async def test_a_window_that_is_not_sure_leaves_it_to_the_next() -> None:
    """Nor one in which nothing was said, nor one that failed: somebody else finds out, one at a time."""
    found = tongues.Tongues(None, switching=False)
    for language, probability in (("cy", 0.3), (None, None)):
        assert await found.ask(0) is None
        following = [asyncio.create_task(found.ask(0)) for _ in range(2)]
        await asyncio.sleep(0)
        found.heard(0, language, probability)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        asked = [task for task in following if task.done()]
        assert [None] == [task.result() for task in asked]
        for task in following:
            task.cancel()
        found.heard(0, None, None)

    assert await found.ask(0) is None
    found.heard(0, "de", 0.8)
    found.heard(0, "fr", 0.99)
    assert "de" == await found.ask(0)


async def test_a_language_that_was_said_is_never_detected() -> None:
    """And with code-switching every window is."""
    assert "en" == await tongues.Tongues("en", switching=False).ask(0)
    found = tongues.Tongues(None, switching=True)
    assert (None, None) == (await found.ask(0), await found.ask(0))
    found.heard(0, "en", 0.9)
    assert await found.ask(0) is None
