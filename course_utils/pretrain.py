"""Learning from more than one's own labels: transfer, pre-training without labels, pseudo-labels.

Every method here is the same three moves: keep a network's stages, give them a head that answers another question, and
train. What changes is who asks: another hospital's records, the picture itself, or a model's own answers.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course_utils.data import Augment, ScanDataset
from course_utils.data.load import shrink
from course_utils.metrics import softmax
from course_utils.phantom.cohort import NORMAL, enrol, traits
from course_utils.phantom.scans import SMALLEST, draw
from course_utils.train import Objective, adamw_cosine, train_one_epoch


# --- transfer --------------------------------------------------------------------------------------------------------
def with_head(model: nn.Module, outputs: int, hidden: int = 0) -> nn.Module:
    """A copy of `model` with its stages as they are and a fresh head for `outputs` answers.

    hidden > 0 puts a layer of so many units and a ReLU before the last one. New weights come from torch's generator.
    """
    twin = copy.deepcopy(model)
    width = next(layer for layer in model.head.modules() if isinstance(layer, nn.Linear)).in_features
    if hidden:
        twin.head = nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, outputs))
    else:
        twin.head = nn.Linear(width, outputs)
    return twin


def stages(model: nn.Module) -> list[nn.Module]:
    """The parts of a network that hold weights: first layer first, head last."""
    return [part for part in (*model.features, model.head) if list(part.parameters())]


@dataclass(frozen=True)
class Tuning:
    """How a network is fitted to a new task; as it stands, every stage learns at the same rate from the first step."""

    trainable: int | None = None  # only so many of the last stages learn: 1 is the head alone; None is all
    gradual: bool = False  # the head alone first, then one more stage after each equal share of the steps
    slower: float = 1.0  # each stage learns at this times the rate of the stage above it
    statistics: str = "kept"  # of frozen batch normalisation: "kept", or "moving" as model.train() leaves them

    def __post_init__(self) -> None:
        if self.trainable is not None and self.trainable < 1:
            raise ValueError(f"trainable is {self.trainable}; at least 1 stage, the head, must learn (None: all)")
        if not 0 < self.slower <= 1:
            raise ValueError(f"slower is {self.slower}; it must be above 0 and at most 1")
        if self.statistics not in ("kept", "moving"):
            raise ValueError(f'statistics is "{self.statistics}"; it must be "kept" or "moving"')

    def learning(self, progress: float, count: int) -> int:
        """How many of the last of `count` stages learn when a share `progress` of the steps is done."""
        awake = 1 + int(progress * count) if self.gradual else count
        return min(awake, self.trainable or count)


def set_learning(model: nn.Module, last: int, statistics: str = "kept") -> None:
    """Put `model` in training mode with only its `last` stages learning.

    The frozen stages get no gradient and, with statistics "kept", evaluation mode as well: otherwise their batch
    normalisation normalises by each batch, and its running statistics follow the new data although no weight learns.
    """
    model.train()
    parts = stages(model)
    for place, part in enumerate(parts):
        frozen = place < len(parts) - last
        part.requires_grad_(not frozen)
        part.train(not frozen or statistics == "moving")


def fine_tune(
    model: nn.Module,
    loader: Iterable,
    tuning: Tuning | None = None,
    *,
    steps: int,
    lr: float = 4e-3,
    weight_decay: float = 5e-3,
    device: torch.device | str = "cpu",
) -> nn.Module:
    """Train `model` in place on `steps` batches of `loader`, begun again as often as needed; cross-entropy, AdamW.

    The learning rate warms up over a tenth of the steps and falls as a half cosine. Returns the model, in evaluation
    mode. Raises ValueError for fewer than one step, or a loader that gives nothing.
    """
    if steps < 1:
        raise ValueError(f"steps is {steps}; it must be at least 1")
    parts, tuning = stages(model.to(device)), tuning or Tuning()
    rates = [lr * tuning.slower**above for above in reversed(range(len(parts)))]
    groups = [{"params": list(part.parameters()), "lr": rate} for part, rate in zip(parts, rates, strict=True)]
    optimizer = torch.optim.AdamW(groups, weight_decay=weight_decay)
    for step, (images, targets) in enumerate(islice(forever(loader), steps)):
        set_learning(model, tuning.learning(step / steps, len(parts)), tuning.statistics)
        height = min(1.0, 10 * (step + 1) / steps) * (1 + math.cos(math.pi * step / steps)) / 2
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate * height
        loss = F.cross_entropy(model(images.to(device)), targets.to(device))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
    return model.requires_grad_(True).eval()


def forever(loader: Iterable) -> Iterator:
    """The batches of `loader`, epoch after epoch, without end. Raises ValueError when an epoch is empty."""
    while True:
        empty = True
        for batch in loader:
            empty = False
            yield batch
        if empty:
            raise ValueError("the loader gave no batch: is the data empty, or smaller than a dropped last batch?")


# --- without labels --------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class TwoViews:
    """Two variations of each scan; the answer for each view is the row where the other view of its scan stands.

    A `mix` for `Batches`: it puts its own question in the place of the labels, which it never reads.
    """

    augment: Augment

    def __call__(
        self, images: Tensor, targets: Tensor, classes: int, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """Views (2B, C, H, W) from images (B, C, H, W) in [0, 1], and partners int64 (2B,): row i and row i ± B."""
        views = torch.cat([self.augment(images, generator), self.augment(images, generator)])
        return views, torch.arange(len(views), device=images.device).roll(len(images))


def nt_xent(z: Tensor, partners: Tensor, temperature: float = 0.2) -> tuple[Tensor, Tensor]:
    """SimCLR's loss (Chen et al. 2020, ICML) and its logits: cross-entropy over "which of the others is my partner?".

    z (2B, D), of any length; partners int64 (2B,). Logits (2B, 2B): cosines divided by the temperature, a view's own
    set to minus infinity. Returns (scalar, logits).
    """
    z = F.normalize(z, dim=1)
    logits = (z @ z.T / temperature).masked_fill(torch.eye(len(z), dtype=torch.bool, device=z.device), -torch.inf)
    return F.cross_entropy(logits, partners), logits


def contrast(model: nn.Module, images: Tensor, targets: Tensor, temperature: float = 0.2) -> tuple[Tensor, Tensor]:
    """An `objective` for `train_one_epoch`: its accuracy is then the share of views that find their partner."""
    return nt_xent(model(images), targets, temperature)


@dataclass(frozen=True)
class Slip:
    """A fault line: an upright strip of each scan slips up or down; the answer is which of `slips` (pixels) it was.

    A `mix` for `Batches`, like `TwoViews`. Negative is up. The strip is a fifth to a half of the scan wide; what slips
    out at one end comes back in as a reflection at the other. A slip of 0 leaves the scan whole.
    """

    slips: tuple[int, ...] = (-3, 0, 3)

    def __call__(
        self, images: Tensor, targets: Tensor, classes: int, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """Slipped images (B, C, H, W), and answers int64 (B,), places in `slips`; the labels are never read."""
        batch, _, height, width = images.shape
        answers = torch.randint(len(self.slips), (batch,), generator=generator)
        draws = torch.rand(2, batch, generator=generator)
        wide = width * (0.2 + 0.3 * draws[0])
        start = (width - wide) * draws[1]
        column = torch.arange(width) + 0.5
        strip = (column >= start[:, None]) & (column < (start + wide)[:, None])  # (B, W)
        slip = torch.tensor(self.slips)[answers][:, None] * strip  # (B, W): pixels, column by column
        source = (torch.arange(height)[:, None] - slip[:, None, :]).abs()  # (B, H, W): the row each pixel comes from
        source = torch.where(source < height, source, 2 * (height - 1) - source).to(images.device)
        return images.gather(2, source[:, None].expand_as(images)), answers.to(images.device)


def pretrain_on(
    model: nn.Module,
    loader: Iterable,
    epochs: int,
    *,
    objective: Objective | None = None,
    lr: float = 4e-3,
    device: torch.device | str = "cpu",
) -> pd.DataFrame:
    """Train `model` in place on the question that `loader` asks; returns loss and accuracy, one row an epoch."""
    model.to(device)
    optimizer, lr_scheduler = adamw_cosine(model, loader, epochs, lr=lr)
    options = {"lr_scheduler": lr_scheduler, "objective": objective}
    rows = [train_one_epoch(model, loader, F.cross_entropy, optimizer, device, **options) for _ in range(epochs)]
    return pd.DataFrame(rows, index=pd.RangeIndex(1, epochs + 1, name="epoch"))


# --- from the model's own answers ------------------------------------------------------------------------------------
def pseudo_labelled(part: ScanDataset, logits: np.ndarray, threshold: float, temperature: float = 1.0) -> ScanDataset:
    """The scans of `part` that a model is sure of, with its answers in the place of labels (Lee 2013).

    logits (N, K) float; kept are rows whose largest probability, softmax(logits / temperature), reaches `threshold`.
    The labels of `part` are never read. Raises ValueError when no scan is kept.
    """
    probs = softmax(logits, temperature)
    sure = probs.max(1) >= threshold
    if not sure.any():
        raise ValueError(f"no scan reaches a confidence of {threshold}; the largest is {probs.max():.3f}")
    chosen = part.subset(sure)
    chosen.labels = torch.from_numpy(probs[sure].argmax(1))
    return chosen


def joined(first: ScanDataset, second: ScanDataset) -> ScanDataset:
    """The scans of both, the first's before the second's; tables and patients are left behind.

    Raises ValueError when their classes differ.
    """
    if first.classes != second.classes:
        raise ValueError(f"the classes are {first.classes} and {second.classes}; they must be the same to be joined")
    images, labels = torch.cat([first.images, second.images]), torch.cat([first.labels, second.labels])
    return ScanDataset(images, labels, first.classes)


# --- another hospital ------------------------------------------------------------------------------------------------
def screening_programme(n: int, *, seed: int = 0, size: int = 32, channels: int = 1) -> ScanDataset:
    """Simulated scans of a screening programme elsewhere: other patients, all on device C, and one bit a scan.

    The bit: refer (any disease, 1) or not (0), as such programmes record it. Images uint8 (n, channels, size, size).
    """
    cohort = enrol(n, "extra", seed)
    scans = draw(cohort, traits(cohort, device_b=0.0, device_c=1.0), max(size, SMALLEST))
    images = shrink(torch.from_numpy(scans.images)[:, None], size).expand(-1, channels, -1, -1).contiguous()
    return ScanDataset(images, scans.labels != NORMAL, ("no referral", "referral"), groups=cohort.who.patient)
