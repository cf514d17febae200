"""A training that any number of processes can share, and a fair split of rows."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DistributedSampler

from course_utils.env import set_seed
from course_utils.models import MeanMaxPool, normalization


@dataclass(frozen=True)
class Plan:
    """What decides a shared training; `batch` is the joined batch of all processes."""

    epochs: int = 4
    batch: int = 64
    lr: float = 0.05
    seed: int = 0
    norm: str = "group"
    amp: bool = False  # forward pass in bfloat16


def small_net(plan: Plan, channels: int, classes: int) -> nn.Sequential:
    """Three convolutions, pooled: (B, C, S, S) → (B, K). The seed of the plan decides its first weights."""
    set_seed(plan.seed)
    layers: list[nn.Module] = []
    for before, after in ((channels, 16), (16, 32), (32, 64)):
        conv = nn.Conv2d(before, after, 3, padding=1, bias=False)
        layers += [conv, normalization(plan.norm, after), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*layers, MeanMaxPool(), nn.Linear(128, classes)).to(memory_format=torch.channels_last)


def train_share(
    model: nn.Module, optimizer: torch.optim.Optimizer, images: Tensor, targets: Tensor, plan: Plan, *,
    rank: int = 0, world: int = 1, first: int = 0, lr_scheduler=None, on_epoch=None,
) -> None:  # fmt: skip
    """Train on this process's share of every batch, from epoch `first` on; one process alone has the whole batch.

    images float32 (N, C, S, S), targets int64 (N,), the same in all processes. `on_epoch(epoch)` is called after each.
    """
    sampler = DistributedSampler(range(len(images)), world, rank, seed=plan.seed)
    for epoch in range(first, plan.epochs):
        sampler.set_epoch(epoch)  # without it every epoch has the same order
        for rows in torch.tensor(list(sampler)).split(plan.batch // world):
            with torch.autocast(images.device.type, torch.bfloat16, enabled=plan.amp):
                loss = F.cross_entropy(model(images[rows]), targets[rows])
            optimizer.zero_grad()
            loss.backward()  # here DDP averages the gradients of all processes
            optimizer.step()
            if lr_scheduler is not None:
                lr_scheduler.step()
        if on_epoch is not None:
            on_epoch(epoch)


def sgd(model: nn.Module, plan: Plan) -> torch.optim.SGD:
    """The optimizer of a plan."""
    return torch.optim.SGD(model.parameters(), lr=plan.lr, momentum=0.9)


def share(count: int, rank: int, world: int) -> slice:
    """The rows of one worker when `count` rows are split in order: none missing, none twice, sizes differ by one."""
    return slice(count * rank // world, count * (rank + 1) // world)
