"""A small network for the rows of a table, which carries its own standardisation."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from course_utils.models.core import Classifier, register


class Standardize(nn.Module):
    """(x - mean) / std for each column, (B, F) in and out; mean and std are kept with the weights."""

    def __init__(self, columns: int):
        super().__init__()
        self.register_buffer("mean", torch.zeros(columns))
        self.register_buffer("std", torch.ones(columns))

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.mean) / self.std


@register("table_mlp")
class TableMLP(Classifier):
    """Dense layers on the columns of a table: rows (B, in_channels) float32, as they are; `size` has no meaning here.

    Whoever trains it says once by `standardize` what the columns' scales are; the exported file then takes raw rows.
    """

    def __init__(
        self, in_channels: int, classes: int, size: int, hidden: Sequence[int] = (64, 32), dropout: float = 0.1
    ):
        layers: list[nn.Module] = [Standardize(in_channels)]
        width = in_channels
        for units in hidden:
            layers += [nn.Linear(width, units), nn.ReLU(), nn.Dropout(dropout)]
            width = units
        super().__init__(nn.Sequential(*layers), width, classes)

    @torch.no_grad()
    def standardize(self, x: Tensor) -> TableMLP:
        """Take mean and deviation of each column from the training rows x (N, F); a constant column is only centred."""
        first = self.features[0]
        first.mean.copy_(x.mean(0))
        std = x.std(0, correction=0)
        first.std.copy_(torch.where(std > 1e-6 * x.abs().amax(0).clamp(min=1e-12), std, torch.ones_like(std)))
        return self
