"""Lesson 07's comparisons: structures, blocks, depth, normalisation, and several inputs, three seeds each.

Scans of 32 pixels, so that a training takes seconds. Network, training and score are the lesson's own, letter by letter
(a test compares them).
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from benchmarks.studies.regularisers import few_and_rest
from benchmarks.study import Study
from course_utils import models, notes, train
from course_utils.data import Batches, CourseData, ScanDataset, load_dataset
from course_utils.env import set_seed
from course_utils.metrics import accuracy, macro_f1
from course_utils.models import Case, JointNet, build, zero_last_gains
from course_utils.notes import Vocabulary
from course_utils.train import adamw_cosine, fit, predict

SIZE = 32


@dataclass(frozen=True)
class Trial:
    """One network and the training it gets."""

    network: dict  # what `build` is given
    scans: int = 1500
    epochs: int = 12
    batch_size: int = 50
    lr: float = 2e-3
    silent: bool = False  # residual branches start with a gain of 0


def train_trial(data: CourseData, few: ScanDataset, trial: Trial, *, seed: int, device="cpu"):
    """Train the trial's network on `few` scans; returns (model, history)."""
    set_seed(seed)
    sizes = {"in_channels": data.channels, "classes": len(data.classes), "size": data.size}
    model = build(**trial.network, **sizes).to(device)
    if trial.silent:
        zero_last_gains(model)
    scale = {"mean": data.mean, "std": data.std, "device": device}
    train_loader = Batches(few, trial.batch_size, shuffle=True, seed=seed, drop_last=True, **scale)
    optimizer, lr_scheduler = adamw_cosine(model, train_loader, trial.epochs, lr=trial.lr)
    history = fit(
        model,
        train_loader,
        Batches(data.val, 300, **scale),
        loss_fn=nn.CrossEntropyLoss(),
        optimizer=optimizer,
        lr_scheduler=lr_scheduler,
        epochs=trial.epochs,
        device=device,
        progress=False,
    )
    return model, history


def score(model: nn.Module, history: pd.DataFrame, loader, device="cpu") -> dict[str, float]:
    """Where the training ended, and how well the scans of unseen patients are read."""
    logits, targets = predict(model, loader, device)
    preds = logits.argmax(1)
    numbers = {"train_loss": history["train_loss"].iloc[-1], "train_accuracy": history["train_accuracy"].iloc[-1]}
    numbers |= {"accuracy": accuracy(targets, preds), "macro_f1": macro_f1(targets, preds)}
    numbers["loss"] = nn.functional.cross_entropy(torch.from_numpy(logits), torch.from_numpy(targets)).item()
    return numbers


# --- a scan, its table row, its note ----------------------------------------------------------------------------------
COLUMNS = ["age", "signal_quality", "central_thickness_um", "visual_acuity_logmar"]


def numbers_of(meta: pd.DataFrame, extra: tuple[str, ...] = ()) -> pd.DataFrame:
    """The columns a doctor has before the diagnosis, as numbers, and which of them are missing."""
    table = meta[[*COLUMNS, *extra]].astype(float)
    thickness = table["central_thickness_um"]
    table["central_thickness_um"] = thickness.where(~(thickness < 10), 1000 * thickness)  # millimetres: lesson 03
    missing = table.isna().astype(float).add_prefix("no_")
    return table.assign(female=meta["sex"] == "F", left=meta["eye"] == "OS", **missing).astype(float)


def all_cases(part: ScanDataset, few: ScanDataset, data: CourseData, extra: tuple[str, ...] = ()) -> Case:
    """Every scan of `part` with its row and note; means, deviations and vocabulary come from `few`."""
    known, table = numbers_of(few.meta, extra), numbers_of(part.meta, extra)
    rows = ((table - known.mean()) / known.std().clip(lower=1e-6)).fillna(0.0)  # a missing value becomes the mean
    images = (part.images.float() / 255 - data.mean) / data.std
    vocabulary = Vocabulary(few.meta["referral_note"])
    return Case(images, torch.tensor(rows.to_numpy(np.float32)), vocabulary.encode(part.meta["referral_note"]))


@dataclass
class CaseBatches:
    """Batches of (Case, targets), in a new order each epoch when `shuffle` is set."""

    case: Case
    targets: Tensor
    batch_size: int = 50
    shuffle: bool = False
    seed: int = 0
    epoch: int = field(default=0, init=False)

    def __len__(self) -> int:
        return -(-len(self.targets) // self.batch_size)

    def __iter__(self) -> Iterator[tuple[Case, Tensor]]:
        self.epoch += 1
        generator = torch.Generator().manual_seed(1000 * self.seed + self.epoch)
        n = len(self.targets)
        order = torch.randperm(n, generator=generator) if self.shuffle else torch.arange(n)
        for rows in order.split(self.batch_size):
            yield Case(*(part[rows] for part in self.case)), self.targets[rows]


def train_joint(data, few, inputs, *, extra=(), epochs=12, seed=0, device="cpu"):
    """Train a network of these inputs on `few` cases; returns (model, history)."""
    set_seed(seed)
    learn, check = (all_cases(part, few, data, extra) for part in (few, data.val))
    sizes = {"in_channels": data.channels, "classes": len(data.classes), "size": data.size}
    words = len(Vocabulary(few.meta["referral_note"]))
    model = JointNet(inputs, columns=learn.row.shape[1], words=words, **sizes).to(device)
    loader = CaseBatches(learn, few.labels, shuffle=True, seed=seed)
    optimizer, lr_scheduler = adamw_cosine(model, loader, epochs, lr=4e-3)
    watched = CaseBatches(check, data.val.labels, 300)
    options = {"optimizer": optimizer, "lr_scheduler": lr_scheduler, "epochs": epochs, "device": device}
    return model, fit(model, loader, watched, loss_fn=nn.CrossEntropyLoss(), progress=False, **options)


# --- what is compared -------------------------------------------------------------------------------------------------
FAMILIES = {
    "MLP": {"name": "mlp", "hidden": (24,)},
    "CNN": {"name": "small_cnn"},
    "GRU": {"name": "scan_rnn", "kind": "gru", "hidden": 76},
    "LSTM": {"name": "scan_rnn", "kind": "lstm", "hidden": 64},
    "Transformer": {"name": "patch_transformer", "width": 36},
    "hybrid": {"name": "hybrid", "width": 32},
}


def with_block(block: str) -> Trial:
    """A skeleton of two strided convolutions, then three blocks of this kind."""
    return Trial({"name": "block_net", "block": block, "widths": (16, 32), "blocks": (0, 3)}, scans=1000, epochs=10)


def deep(block: str, blocks: int = 8, lr: float = 2e-3, silent: bool = False, **options) -> Trial:
    """So many blocks in a row on small maps; two convolutions each."""
    network = {"name": "block_net", "block": block, "widths": (16,), "blocks": blocks, "stride": 4, "options": options}
    return Trial(network, scans=800, epochs=8, lr=lr, silent=silent)


def in_batches(norm: str, size: int) -> Trial:
    """A short residual network under this normalisation, trained in batches of this size."""
    network = {"name": "block_net", "block": "residual", "widths": (16,), "blocks": 2, "options": {"norm": norm}}
    return Trial(network, scans=600, epochs=3, batch_size=size)


DEPTHS = (1, 4, 8, 16)
INPUTS = {
    "picture": ("image",),
    "table row": ("row",),
    "note": ("note",),
    "picture and row": ("image", "row"),
    "all three": ("image", "row", "note"),
}
SETTINGS: dict[str, Trial | tuple[str, ...]] = {
    **{name: Trial(network, lr=4e-3) for name, network in FAMILIES.items()},
    "MLP, gentler": Trial(FAMILIES["MLP"], lr=1e-3),
    "Transformer, longer": Trial(FAMILIES["Transformer"], lr=4e-3, epochs=24),
    **{f"block: {block}": with_block(block) for block in models.BLOCKS},
    **{f"{block} {depth}": deep(block, depth) for depth in DEPTHS for block in ("plain", "residual")},
    "plain 16, gentler": deep("plain", 16, lr=5e-4),
    **{f"plain 8, norm {norm}": deep("plain", norm=norm) for norm in ("none", "layer", "group")},
    **{f"residual 8, norm {norm}": deep("residual", norm=norm) for norm in ("none", "layer", "group")},
    "residual 8, norm none, gain 0": deep("residual", norm="none", gain=0.0),
    "residual 8, pre-activation": deep("residual", order="pre"),
    "residual 8, silent start": deep("residual", silent=True),
    **{f"batches of {size}, norm {norm}": in_batches(norm, size) for size in (2, 8, 32) for norm in ("batch", "group")},
    **{f"input: {name}": parts for name, parts in INPUTS.items()},
}  # fmt: skip


PARTS = ("blocks", "tokens", "families", "joint", "networks")


@cache
def phantom() -> CourseData:
    return load_dataset("oct-phantom", size=SIZE)


def measure(setting: Trial | tuple[str, ...], seed: int) -> dict[str, float]:
    """One training and its scores on the scans of all other training patients."""
    data = phantom()
    if isinstance(setting, Trial):
        few, rest = few_and_rest(data, setting.scans, seed)
        model, history = train_trial(data, few, setting, seed=seed)
        return score(model, history, Batches(rest, 300, mean=data.mean, std=data.std))
    few, rest = few_and_rest(data, Trial.scans, seed)
    model, history = train_joint(data, few, setting, seed=seed)
    return score(model, history, CaseBatches(all_cases(rest, few, data), rest.labels, 300))


STUDY = Study(
    name="architectures",
    question="Which structures, which blocks and what depth fit the scans, and what do table and note add?",
    settings=SETTINGS,
    seeds=range(3),
    measure=measure,
    data=lambda: phantom().fingerprint,
    modules=[sys.modules[__name__], *(getattr(models, part) for part in PARTS), notes, train],
    small=("MLP", 0),
    columns={
        "train_loss": "cross-entropy of the last epoch on the training scans, in nats",
        "train_accuracy": "share of them read right in that epoch",
        "accuracy": "share read right of the scans of all other training patients, which the network never saw",
        "macro_f1": "macro-F1 on those scans",
        "loss": "cross-entropy on those scans, in nats",
    },
)
