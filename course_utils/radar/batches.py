"""Batches of radar windows straight from memory, varied a whole batch at a time."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

from course_utils.radar.views import as_dphi

RATE_MEAN, RATE_STD = 17.5, 7.0  # breaths a minute: targets are (rate - mean) / std


def standardized(rate):
    """Breaths a minute as the networks answer them."""
    return (rate - RATE_MEAN) / RATE_STD


def breaths(answer):
    """What a network answers, as breaths a minute."""
    return answer * RATE_STD + RATE_MEAN


class WindowBatches:
    """Iterable of (x float32 (B, 6, T), y float32 (B,)), y standardised; with `waveforms`, y (B, 1 + T / 4).

    `windows` has `z` complex64 (N, 3, T), `rate` (N,) and `waveform` (N, T / 4). `vary(z, rate, waveform, generator)`
    varies a batch, `view` makes the network's input of it. An epoch's order and variations depend on (seed, epoch)
    alone: `set_epoch(e)` picks the epoch, each pass without it goes on to the next. Raises ValueError when there is no
    window or the batch size is below 1.
    """

    def __init__(
        self,
        windows,
        batch_size: int = 64,
        *,
        view: Callable[[Tensor], Tensor] = as_dphi,
        vary: Callable | None = None,
        waveforms: bool = False,
        shuffle: bool = False,
        drop_last: bool = False,
        seed: int = 0,
    ) -> None:
        if len(windows) == 0 or batch_size < 1:
            raise ValueError(f"{len(windows)} windows in batches of {batch_size}: both must be at least 1")
        self.batch_size, self.shuffle, self.drop_last = batch_size, shuffle, drop_last
        self.view, self.vary, self.waveforms = view, vary, waveforms
        self.seed, self.epoch, self.size = seed, 0, len(windows)
        self.z, self.rate, self.waveform = (
            torch.from_numpy(np.ascontiguousarray(part)) for part in (windows.z, windows.rate, windows.waveform)
        )
        # Windows that never vary are made into inputs once, a thousand at a time, to spare memory.
        self.x = None if vary else torch.cat([view(part) for part in self.z.split(1000)])

    def __len__(self) -> int:
        batches = self.size / self.batch_size
        return math.floor(batches) if self.drop_last else math.ceil(batches)

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch that the next pass shows."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        epoch, self.epoch = self.epoch, self.epoch + 1
        states = np.random.SeedSequence([self.seed, epoch]).generate_state(2, np.uint32)
        ordering, varying = (torch.Generator().manual_seed(int(state)) for state in states)
        order = torch.randperm(self.size, generator=ordering) if self.shuffle else torch.arange(self.size)
        for batch in range(len(self)):
            yield self._make(order[batch * self.batch_size : (batch + 1) * self.batch_size], varying)

    def _make(self, rows: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        rate, waveform = self.rate[rows], self.waveform[rows]
        if self.vary is None:
            x = self.x[rows]
        else:
            z, rate, waveform = self.vary(self.z[rows], rate, waveform, generator)
            x = self.view(z)
        y = standardized(rate).float()
        return x, torch.cat([y[:, None], waveform.float()], dim=1) if self.waveforms else y
