"""Batches straight from memory: the scans lie on the device once, as bytes, and a whole batch is varied at a time."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from course_utils.data.core import ScanDataset


class Batches:
    """Iterable of (images float32 (B, C, H, W) normalised, targets int64 (B,), or float32 (B, K) with `mix`).

    bytes -> [0, 1] -> augment -> mix -> (x - mean) / std, all on `device`. An epoch's order and variations depend only
    on (seed, epoch): `set_epoch(e)` picks the epoch, and each pass without it goes on to the next, so that a resumed
    training sees what the unbroken one would have seen. sample_weights (N,) draw with replacement, in proportion.
    Raises ValueError for an empty data set, a batch size below 1, or weights that do not fit.
    """

    def __init__(
        self,
        dataset: ScanDataset,
        batch_size: int = 64,
        *,
        shuffle: bool = False,
        augment: Callable[[Tensor, torch.Generator], Tensor] | None = None,
        mix: Callable[..., tuple[Tensor, Tensor]] | None = None,
        mean: float | Sequence[float] = 0.3,
        std: float | Sequence[float] = 0.2,
        device: torch.device | str = "cpu",
        seed: int = 0,
        drop_last: bool = False,
        sample_weights: Sequence[float] | np.ndarray | Tensor | None = None,
    ) -> None:
        if len(dataset) == 0 or batch_size < 1:
            raise ValueError(f"{len(dataset)} scans in batches of {batch_size}: both must be at least 1")
        self.dataset, self.batch_size, self.drop_last = dataset, batch_size, drop_last
        self.shuffle, self.augment, self.mix = shuffle, augment, mix
        self.device, self.seed, self.epoch = torch.device(device), seed, 0
        self.images, self.labels = dataset.images.to(self.device), dataset.labels.to(self.device)
        self.mean, self.std = (self._per_channel(value) for value in (mean, std))
        self.sample_weights = None if sample_weights is None else self._checked(sample_weights)

    def _per_channel(self, value: float | Sequence[float]) -> Tensor:
        return torch.as_tensor(value, dtype=torch.float32, device=self.device).reshape(1, -1, 1, 1)

    def _checked(self, weights: Sequence[float] | np.ndarray | Tensor) -> Tensor:
        weights = torch.as_tensor(weights, dtype=torch.float64)
        good = (
            weights.shape == (len(self.dataset),) and bool(torch.isfinite(weights).all()) and bool((weights >= 0).all())
        )
        if not good or weights.sum() == 0:
            raise ValueError(f"sample_weights must be {len(self.dataset)} finite numbers, none negative, not all zero")
        return weights

    def __len__(self) -> int:
        count = len(self.dataset) / self.batch_size
        return math.floor(count) if self.drop_last else math.ceil(count)

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch that the next pass shows."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        epoch, self.epoch = self.epoch, self.epoch + 1
        return self._pass(epoch)

    def _pass(self, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        ordering, varying = _generators(self.seed, epoch)
        order = self._order(ordering).to(self.device)
        for batch in range(len(self)):
            rows = order[batch * self.batch_size : (batch + 1) * self.batch_size]
            yield self._make(self.images[rows], self.labels[rows], varying)

    def _order(self, generator: torch.Generator) -> Tensor:
        n = len(self.dataset)
        if self.sample_weights is not None:
            return torch.multinomial(self.sample_weights, n, replacement=True, generator=generator)
        return torch.randperm(n, generator=generator) if self.shuffle else torch.arange(n)

    def _make(self, images: Tensor, targets: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        images = images.float().div_(255)  # (B, C, H, W) in [0, 1]
        if self.augment is not None:
            images = self.augment(images, generator)
        if self.mix is not None:
            images, targets = self.mix(images, targets, len(self.dataset.classes), generator)
        return (images - self.mean).div_(self.std), targets


def _generators(seed: int, epoch: int) -> tuple[torch.Generator, torch.Generator]:
    """One generator for the order and one for the variations, so that augmentation does not change the order."""
    states = np.random.SeedSequence([seed, epoch]).generate_state(2, np.uint64)
    order, vary = (torch.Generator().manual_seed(int(state >> np.uint64(1))) for state in states)
    return order, vary
