"""Tasks that end with those who wait for them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Collection, Iterator


async def all_of(work: Iterator[Awaitable[None]]) -> None:
    """Waits for all of it; none of it outlives this."""
    tasks = [asyncio.ensure_future(each) for each in work]
    try:
        await asyncio.gather(*tasks)
    finally:
        await end(tasks)


async def end(tasks: Collection[asyncio.Task[None]]) -> None:
    left = [task for task in tasks if not task.done()]
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)
