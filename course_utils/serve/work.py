"""Where the work of a request is done: on threads beside the event loop, one scan at a time or many together."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any

import numpy as np


class MicroBatcher:
    """Run requests that wait at the same time through the model as one batch of at most `largest` scans.

    Nobody waits for company: a batch is whatever arrived while the one before was running.
    """

    def __init__(self, run: Callable[[np.ndarray], np.ndarray], executor: Executor, largest: int) -> None:
        self.run, self.executor, self.largest = run, executor, largest
        self.waiting: deque[tuple[np.ndarray, asyncio.Future]] = deque()
        self.task: asyncio.Task | None = None

    async def __call__(self, images: np.ndarray) -> np.ndarray:
        """What `run` gives for images (n, …): (n, K)."""
        future = asyncio.get_running_loop().create_future()
        self.waiting.append((images, future))
        if self.task is None or self.task.done():
            self.task = asyncio.create_task(self._work())
        return await future

    async def _work(self) -> None:
        while self.waiting:
            taken = [self.waiting.popleft()]
            while self.waiting and sum(len(i) for i, _ in taken) + len(self.waiting[0][0]) <= self.largest:
                taken.append(self.waiting.popleft())
            await self._together(taken)

    async def _together(self, taken: list[tuple[np.ndarray, asyncio.Future]]) -> None:
        outcome: Any
        try:
            images = np.concatenate([images for images, _ in taken])
            outcome = await asyncio.get_running_loop().run_in_executor(self.executor, self.run, images)
        except Exception as error:  # whatever it is belongs to those who wait, not to this task
            for _, future in taken:
                if not future.done():
                    future.set_exception(error)
            return
        ends = np.cumsum([len(images) for images, _ in taken])[:-1]
        for (_, future), part in zip(taken, np.split(outcome, ends), strict=True):
            if not future.done():  # its client may have gone
                future.set_result(part)
