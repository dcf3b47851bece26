"""How a long-running command learns that it should end."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine


def on_signals() -> asyncio.Event:
    """Return an event that Ctrl-C and SIGTERM set."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for sign in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(sign, stopping.set)
    return stopping


async def is_done_before(stopping: asyncio.Event, work: Coroutine[object, object, None]) -> bool:
    """Do some work, which may take long; say whether it was done, or broken off since it is time to end."""
    doing, waiting = asyncio.ensure_future(work), asyncio.ensure_future(stopping.wait())
    try:
        await asyncio.wait({doing, waiting}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
        if not doing.done():
            doing.cancel()
            await asyncio.wait({doing})
    if doing.cancelled():
        return False
    doing.result()
    return True
