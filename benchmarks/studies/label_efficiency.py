"""What learning elsewhere first is worth at 50, 200 and 1000 labels of one's own: each way of lesson 10, several seeds.

The networks, their pre-training and their fine-tuning are the lesson's own, letter by letter (a test compares them).
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.study import Study
from course_utils import pretrain, train
from course_utils.data import Augment, Batches, CourseData, ScanDataset, augment, grouped_split, load_dataset
from course_utils.env import set_seed
from course_utils.metrics import accuracy, macro_f1
from course_utils.models import build, networks
from course_utils.pretrain import (
    Slip,
    Tuning,
    TwoViews,
    contrast,
    fine_tune,
    joined,
    pretrain_on,
    pseudo_labelled,
    screening_programme,
    with_head,
)
from course_utils.train import predict

STEPS = {50: 400, 200: 600, 1000: 1200}  # of fine-tuning, by number of labels
EPOCHS = {"screening": 12, "upside down": 6, "slips": 20, "contrast": 20}  # of pre-training
SLIPS = Slip((-4, -2, 0, 2, 4))


@dataclass(frozen=True)
class Way:
    """One way to a classifier: where its stages come from, how they are fitted, and to how many labels."""

    labels: int
    start: str = "scratch"
    tuning: Tuning = Tuning()
    longer: int = 1  # times as many steps: a control
    threshold: float | None = None  # then one round of pseudo-labels on top, from this confidence on


def archive_and_unseen(data: CourseData) -> tuple[ScanDataset, ScanDataset]:
    """Three quarters of the training patients are the archive, in which labels are bought; the others judge."""
    rows = grouped_split(data.train.labels.numpy(), data.train.groups, (0.75, 0.25), seed=0)
    return tuple(data.train.subset(part) for part in rows)


def few_labels(archive: ScanDataset, labels: int, seed: int) -> tuple[ScanDataset, ScanDataset]:
    """About `labels` scans of the archive, whole patients, and the rest of it, whose labels nobody has paid for."""
    share = min(labels / len(archive), 0.5)
    rows = grouped_split(archive.labels.numpy(), archive.groups, (share, 1 - share), seed=seed)
    return tuple(archive.subset(part) for part in rows)


def blank(data: CourseData, seed: int) -> nn.Module:
    """The network of this lesson before it has learned anything: lesson 05's, half as wide."""
    set_seed(seed)
    size = {"in_channels": data.channels, "classes": len(data.classes), "size": data.size}
    return build("small_cnn", widths=(8, 16, 32), **size)


def varied(data: CourseData, part: ScanDataset, size: int, seed: int, device="cpu", **options) -> Batches:
    """Shuffled batches of `part`, normalised as `data` is; a ragged last one is dropped where there are others."""
    whole = {"shuffle": True, "drop_last": len(part) >= size, "seed": seed}
    return Batches(part, size, mean=data.mean, std=data.std, device=device, **whole, **options)


def adapt(start: nn.Module, data: CourseData, few: ScanDataset, tuning=None, *, steps, seed, device="cpu", **odds):
    """A copy of `start` with a fresh head, fine-tuned on `few`; `odds`: sample_weights of its scans."""
    set_seed(seed)
    model = with_head(start, len(data.classes))
    loader = varied(data, few, 32, seed, device, augment=Augment(), **odds)
    return fine_tune(model, loader, tuning, steps=steps, device=device)


def scores(model: nn.Module, data: CourseData, part: ScanDataset, device="cpu") -> dict[str, float]:
    """Accuracy, macro-F1 and cross-entropy on `part`."""
    logits, targets = predict(model, Batches(part, 500, mean=data.mean, std=data.std, device=device), device)
    loss = F.cross_entropy(torch.from_numpy(logits), torch.from_numpy(targets)).item()
    preds = logits.argmax(1)
    return {"accuracy": accuracy(targets, preds), "macro_f1": macro_f1(targets, preds), "loss": loss}


def asked_by_screening(data: CourseData, programme: ScanDataset, *, epochs: int, seed: int, device="cpu"):
    """Learn another clinic's question, refer or not; returns (network, history)."""
    model = with_head(blank(data, seed), 2)
    loader = varied(data, programme, 64, seed, device, augment=Augment())
    return model, pretrain_on(model, loader, epochs, device=device)


def asked_by_scan(data: CourseData, archive: ScanDataset, question, answers: int, *, epochs, seed, device="cpu"):
    """Learn how a scan was disturbed, by `question`; returns (network, history). No label of the archive is read."""
    model = with_head(blank(data, seed), answers)
    loader = varied(data, archive, 64, seed, device, augment=Augment(), mix=question)
    return model, pretrain_on(model, loader, epochs, device=device)


def asked_by_contrast(data: CourseData, archive: ScanDataset, *, epochs: int, seed: int, device="cpu"):
    """Learn which two views are of one scan (SimCLR); returns (network, history). No label of the archive is read."""
    model = with_head(blank(data, seed), 64, hidden=128)
    loader = varied(data, archive, 128, seed, device, mix=TwoViews(Augment()))
    return model, pretrain_on(model, loader, epochs, objective=contrast, device=device)


def upside_down(images: Tensor, targets: Tensor, classes: int, generator=None) -> tuple[Tensor, Tensor]:
    """Turn half of the images (B, C, H, W) upside down; the answer, int64 (B,), is whether. Labels are never read."""
    turned = torch.randint(2, (len(images),), generator=generator).to(images.device)
    return torch.where(turned[:, None, None, None] == 1, images.flip(2), images), turned


def label_itself(teacher, start, data: CourseData, few, rest, threshold: float, *, steps: int, seed: int, device="cpu"):
    """One round of pseudo-labels: a student from `start`, its batches labelled half by people, half by the teacher."""
    logits, _ = predict(teacher, Batches(rest, 500, mean=data.mean, std=data.std, device=device), device)
    sure = pseudo_labelled(rest, logits, threshold)
    weights = np.repeat([1 / len(few), 1 / len(sure)], [len(few), len(sure)])
    return adapt(start, data, joined(few, sure), steps=steps, seed=seed, device=device, sample_weights=weights)


ALL = (50, 200, 1000)
FEW = (50, 200)
WAYS = {
    "from scratch": (ALL, {}),
    "from scratch, twice the steps": (ALL, {"longer": 2}),
    "screening, frozen": (ALL, {"start": "screening", "tuning": Tuning(trainable=1)}),
    "screening, frozen but moving": (FEW, {"start": "screening", "tuning": Tuning(trainable=1, statistics="moving")}),
    "screening, partly": (ALL, {"start": "screening", "tuning": Tuning(trainable=2)}),
    "screening, fully": (ALL, {"start": "screening"}),
    "screening, gradual": (FEW, {"start": "screening", "tuning": Tuning(gradual=True)}),
    "screening, slower below": (FEW, {"start": "screening", "tuning": Tuning(slower=0.4)}),
    "upside down": ((200,), {"start": "upside down"}),
    "slips": (ALL, {"start": "slips"}),
    "slips, twice the steps": (FEW, {"start": "slips", "longer": 2}),
    "contrast": (ALL, {"start": "contrast"}),
    "contrast, frozen": (FEW, {"start": "contrast", "tuning": Tuning(trainable=1)}),
    "pseudo-labels": (FEW, {"threshold": 0.9}),
    "slips, pseudo-labels": (FEW, {"start": "slips", "threshold": 0.9}),
}


@cache
def phantom() -> CourseData:
    return load_dataset("oct-phantom", size=32)


@cache
def programme() -> ScanDataset:
    return screening_programme(3000, seed=0, size=32)


@cache
def pretrained(start: str, seed: int) -> nn.Module:
    """The network that a start gives, made once a seed."""
    data = phantom()
    archive, _ = archive_and_unseen(data)
    if start == "scratch":
        return blank(data, seed)
    training = {"epochs": EPOCHS[start], "seed": seed}
    if start == "screening":
        return asked_by_screening(data, programme(), **training)[0]
    if start == "contrast":
        return asked_by_contrast(data, archive, **training)[0]
    question, answers = (upside_down, 2) if start == "upside down" else (SLIPS, len(SLIPS.slips))
    return asked_by_scan(data, archive, question, answers, **training)[0]


@cache
def fitted(way: Way, seed: int) -> nn.Module:
    """The network of one way without pseudo-labels: it is also their teacher."""
    few, _ = few_labels(archive_and_unseen(phantom())[0], way.labels, seed)
    steps = way.longer * STEPS[way.labels]
    return adapt(pretrained(way.start, seed), phantom(), few, way.tuning, steps=steps, seed=seed)


def measure(way: Way, seed: int) -> dict[str, float]:
    """One training and its scores on the unseen patients."""
    data = phantom()
    archive, unseen = archive_and_unseen(data)
    model = fitted(replace(way, threshold=None), seed)
    if way.threshold is not None:
        few, rest = few_labels(archive, way.labels, seed)
        options = {"steps": STEPS[way.labels], "seed": seed}
        model = label_itself(model, pretrained(way.start, seed), data, few, rest, way.threshold, **options)
    return {"labels": way.labels, **scores(model, data, unseen)}


STUDY = Study(
    name="label_efficiency",
    question="What is learning elsewhere first worth, at 50, 200 and 1000 labels of one's own?",
    settings={f"{name} · {labels}": Way(labels, **how) for name, (counts, how) in WAYS.items() for labels in counts},
    seeds=range(4),
    measure=measure,
    data=lambda: phantom().fingerprint,
    modules=[sys.modules[__name__], augment, networks, pretrain, train],
    small=("from scratch · 50", 0),
    columns={
        "labels": "scans of the archive whose labels were used, about",
        "accuracy": "share read right of the scans of training patients outside the archive, which no step has seen",
        "macro_f1": "macro-F1 on those scans",
        "loss": "cross-entropy on those scans, in nats",
    },
)
