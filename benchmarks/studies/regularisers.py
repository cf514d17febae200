"""Every cure of lesson 08 on the same network that has learned its scans by heart, several seeds each.

The network, its cures and its training are the lesson's own, letter by letter (a test compares them).
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import cache, partial

import torch
from torch import nn

from benchmarks.study import Study
from course_utils import models, regularize, train
from course_utils.data import (
    Augment,
    Batches,
    CourseData,
    CutMix,
    MixUp,
    ScanDataset,
    augment,
    grouped_split,
    load_dataset,
)
from course_utils.env import set_seed
from course_utils.metrics import accuracy, macro_f1
from course_utils.models import ResidualBlock, conv_block
from course_utils.regularize import StochasticDepth, depth_rates, l1_penalty, l2_penalty, r3f, r_drop
from course_utils.train import adamw_cosine, fit, predict

SCANS, EPOCHS = 600, 16


@dataclass(frozen=True)
class Cure:
    """What is done against overfitting; a field at its default is not done."""

    width: int = 1  # times as many channels: not a cure, the control for "augmentation beats size"
    dropout: float = 0.0
    spatial: float = 0.0
    depth: float = 0.0
    l1: float = 0.0
    l2: float = 0.0
    decay: float = 0.0
    augment: Augment | None = None
    mix: MixUp | CutMix | None = None
    smoothing: float = 0.0
    r_drop: float = 0.0
    r3f: float = 0.0
    ema: float | None = None
    patience: int | None = None
    longer: int = 1  # times as many epochs: a control, too


def memoriser(data: CourseData, cure: Cure) -> nn.Module:
    """A small residual network with a large dense layer: plenty of room to learn six hundred scans by heart."""
    widths = [cure.width * channels for channels in (8, 16, 32, 32)]
    layers = [conv_block(data.channels, widths[0], kernel=5, stride=2), nn.MaxPool2d(2)]
    for before, after, stride, rate in zip(widths, widths[1:], (1, 2, 1), depth_rates(3, cure.depth)):
        block = ResidualBlock(before, after, stride)
        block.first.append(nn.Dropout2d(cure.spatial))
        block.second.append(StochasticDepth(rate))
        layers.append(block)
    features = nn.Sequential(*layers, nn.MaxPool2d(2), nn.Flatten())
    flat = features.eval()(torch.zeros(1, data.channels, data.size, data.size)).numel()
    dense = [nn.Linear(flat, 128), nn.ReLU(), nn.Dropout(cure.dropout), nn.Linear(128, len(data.classes))]
    model = nn.Sequential(features, nn.Dropout(cure.dropout), *dense)
    return model.to(memory_format=torch.channels_last)  # the same numbers, faster convolutions on a CPU


def cured_loss(model, images, targets, *, cure: Cure, loss_fn):
    """The loss with whatever the cure adds to it, and the logits: an `objective` for `fit`."""
    if cure.r_drop:
        loss, logits = r_drop(model, images, targets, loss_fn=loss_fn, alpha=cure.r_drop)
    elif cure.r3f:
        loss, logits = r3f(model, images, targets, loss_fn=loss_fn, weight=cure.r3f, sigma=0.3)
    else:
        logits = model(images)
        loss = loss_fn(logits, targets)
    if cure.l1:
        loss = loss + cure.l1 * l1_penalty(model)
    if cure.l2:
        loss = loss + cure.l2 * l2_penalty(model)
    return loss, logits


def train_memoriser(data: CourseData, few: ScanDataset, cure: Cure, *, epochs: int, seed: int, device="cpu"):
    """Train the memoriser on `few` scans, watched on `data.val`; returns (model, history)."""
    set_seed(seed)
    model = memoriser(data, cure).to(device)
    scale = {"mean": data.mean, "std": data.std, "device": device}
    varied = {"shuffle": True, "augment": cure.augment, "mix": cure.mix, "seed": seed, "drop_last": True}
    train_loader = Batches(few, 32, **varied, **scale)
    loss_fn = nn.CrossEntropyLoss(label_smoothing=cure.smoothing)
    epochs = cure.longer * epochs
    optimizer, lr_scheduler = adamw_cosine(model, train_loader, epochs, lr=2e-3, weight_decay=cure.decay)
    history = fit(
        model,
        train_loader,
        Batches(data.val, 200, **scale),
        loss_fn=loss_fn,
        objective=partial(cured_loss, cure=cure, loss_fn=loss_fn),
        optimizer=optimizer,
        lr_scheduler=lr_scheduler,
        epochs=epochs,
        patience=cure.patience,
        ema=cure.ema,
        device=device,
        progress=False,
    )
    return model, history


def few_and_rest(data: CourseData, scans: int, seed: int) -> tuple[ScanDataset, ScanDataset]:
    """About `scans` training scans, whole patients only, and the scans of all the other training patients."""
    share = min(scans / len(data.train), 0.5)
    groups = data.train.groups
    few, rest = grouped_split(data.train.labels.numpy(), groups, (share, 1 - share), seed=seed)
    return data.train.subset(few), data.train.subset(rest)


def score(model: nn.Module, data: CourseData, few: ScanDataset, rest: ScanDataset, device="cpu") -> dict[str, float]:
    """How well the scans are known by heart, and how well the unseen patients' are read."""
    scale = {"mean": data.mean, "std": data.std, "device": device}
    logits, targets = predict(model, Batches(few, 256, **scale), device)
    by_heart = accuracy(targets, logits.argmax(1))
    logits, targets = predict(model, Batches(rest, 256, **scale), device)
    preds = logits.argmax(1)
    numbers = {"train_accuracy": by_heart, "accuracy": accuracy(targets, preds), "macro_f1": macro_f1(targets, preds)}
    numbers["gap"] = numbers["train_accuracy"] - numbers["accuracy"]
    numbers["loss"] = nn.functional.cross_entropy(torch.from_numpy(logits), torch.from_numpy(targets)).item()
    if rest.meta is not None and "device" in rest.meta:
        for name, rows in rest.meta.reset_index(drop=True).groupby("device").groups.items():
            numbers[f"accuracy_{name}"] = accuracy(targets[rows], preds[rows])
    return numbers


NOISE = Augment(flip=0, shift=0, rotate=0, scale=0, contrast=0, brightness=0, gamma=0, noise=0.2)
ALL = {"augment": Augment(), "smoothing": 0.05, "ema": 0.95}
EVERYTHING = {**ALL, "dropout": 0.5, "spatial": 0.2, "depth": 0.5, "decay": 3.0, "mix": MixUp(0.4)}
CURES = {
    "nothing": Cure(),
    "twice the width": Cure(width=2),
    "early stopping": Cure(patience=4),
    "dropout": Cure(dropout=0.5),
    "spatial dropout": Cure(spatial=0.2),
    "stochastic depth": Cure(depth=0.5),
    "L1 in the loss": Cure(l1=3e-4),
    "L2 in the loss": Cure(l2=3e-2),
    "decoupled weight decay": Cure(decay=3.0),
    "geometric augmentation": Cure(augment=Augment.geometric()),
    "photometric augmentation": Cure(augment=Augment.photometric()),
    "input noise": Cure(augment=NOISE),
    "MixUp": Cure(mix=MixUp(0.4)),
    "CutMix": Cure(mix=CutMix(1.0)),
    "label smoothing": Cure(smoothing=0.1),
    "R-Drop": Cure(dropout=0.5, r_drop=0.5),
    "R3F": Cure(r3f=3.0),
    "weight averaging": Cure(ema=0.95),
    "augmentation": Cure(augment=Augment()),
    "everything": Cure(**EVERYTHING),
    "long: nothing": Cure(longer=3),
    "long: augmentation": Cure(augment=Augment(), longer=3),
    "long: augmentation, weight decay": Cure(augment=Augment(), decay=3.0, longer=3),
    "long: augmentation, averaging, smoothing": Cure(**ALL, longer=3),
    "long: these three and dropout": Cure(**ALL, dropout=0.5, longer=3),
    "long: everything": Cure(**EVERYTHING, longer=3),
}


@cache
def phantom() -> CourseData:
    return load_dataset("oct-phantom")


def measure(cure: Cure, seed: int) -> dict[str, float]:
    """One training and its scores."""
    data = phantom()
    few, rest = few_and_rest(data, SCANS, seed)
    model, history = train_memoriser(data, few, cure, epochs=EPOCHS, seed=seed)
    return {"epochs": len(history), **score(model, data, few, rest)}


STUDY = Study(
    name="regularisers",
    question="Which cures keep a network from learning six hundred scans by heart, and which of them add up?",
    settings=CURES,
    seeds=range(5),
    measure=measure,
    data=lambda: phantom().fingerprint,
    modules=[sys.modules[__name__], augment, models, regularize, train],
    small=("nothing", 0),
    columns={
        "epochs": "epochs trained (fewer with early stopping)",
        "train_accuracy": "share of the training scans read right, in evaluation mode, without augmentation",
        "accuracy": "share read right of the scans of all other training patients, which the network never saw",
        "macro_f1": "macro-F1 on those scans",
        "gap": "train_accuracy - accuracy",
        "loss": "cross-entropy on those scans, in nats",
        "accuracy_A": "accuracy on those of them from device A",
        "accuracy_B": "accuracy on those of them from device B",
    },
)
