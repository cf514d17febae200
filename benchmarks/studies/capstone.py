"""What simulated eyes are worth on real pictures: pre-training on the phantom against none, at 50, 200 and 640 labels.

On two real files that are not in the repository, OCT scans at 64 pixels and chest X-rays at 28, judged on their
validation scans. The pre-trained network is the triage model of lesson 08, trained once on the phantom at each size.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import cache

import torch.nn.functional as F
from torch import from_numpy, nn

from benchmarks.capstone import real_file
from benchmarks.study import Study
from course_utils import metrics, pretrain, recipes, train
from course_utils.data import Augment, Batches, CourseData, ScanDataset, augment, grouped_split, load_dataset
from course_utils.env import set_seed
from course_utils.models import build, networks
from course_utils.pretrain import fine_tune, with_head
from course_utils.recipes import triage_model
from course_utils.train import predict

FILES = {"kermany_oct_real": "4d300e9ead35", "pneumoniamnist": "257eb943faa7"}  # and their fingerprints
STEPS = {50: 200, 200: 300, 640: 450}  # of fine-tuning, 32 scans each, by number of labels


@dataclass(frozen=True)
class Trial:
    """One file, so many of its labels, and what the network has seen before."""

    file: str
    labels: int
    simulated_first: bool = False
    longer: int = 1  # times as many steps: a control


@cache
def real(name: str) -> CourseData:
    """The scans of one file. Raises FileNotFoundError without it, ValueError for others than the table was made on."""
    data = load_dataset(real_file(name))
    if data.fingerprint != FILES[name]:
        raise ValueError(f"{name}.npz holds other scans ({data.fingerprint}) than the study's ({FILES[name]})")
    return data


@cache
def simulator(size: int) -> nn.Module:
    """The triage model of the phantom at this size."""
    return triage_model(load_dataset("oct-phantom", size=size))[0]


def blank(data: CourseData, seed: int) -> nn.Module:
    """The same network before it has learned anything."""
    set_seed(seed)
    return build("small_cnn", in_channels=data.channels, classes=len(data.classes), size=data.size)


def some_scans(part: ScanDataset, labels: int, seed: int) -> ScanDataset:
    """About `labels` scans, whole patients, the classes in proportion; all of them when there are no more."""
    share = labels / len(part)
    if share >= 1:
        return part
    return part.subset(grouped_split(part.labels.numpy(), part.groups, (share, 1 - share), seed=seed)[0])


def fine_tuned(start: nn.Module, data: CourseData, few: ScanDataset, *, steps: int, seed: int, device="cpu"):
    """A copy of `start` with a fresh head, all of it trained on `steps` batches of `few`, varied as ever."""
    set_seed(seed)
    model = with_head(start, len(data.classes))
    options = {"drop_last": len(few) >= 32, "mean": data.mean, "std": data.std, "device": device}
    loader = Batches(few, 32, shuffle=True, augment=Augment(), seed=seed, **options)
    return fine_tune(model, loader, steps=steps, device=device)


def measure(trial: Trial, seed: int) -> dict[str, float]:
    """One training and its scores on the validation scans. The labels bought depend on the seed, not on the way."""
    data = real(trial.file)
    start = simulator(data.size) if trial.simulated_first else blank(data, seed)
    few = some_scans(data.train, trial.labels, seed)
    model = fine_tuned(start, data, few, steps=trial.longer * STEPS[trial.labels], seed=seed)
    logits, targets = predict(model, Batches(data.val, 256, mean=data.mean, std=data.std))
    preds = logits.argmax(1)
    return {
        "labels": len(few),
        "accuracy": metrics.accuracy(targets, preds),
        "macro_recall": metrics.macro_recall(targets, preds),
        "macro_f1": metrics.macro_f1(targets, preds),
        "loss": F.cross_entropy(from_numpy(logits), from_numpy(targets)).item(),
    }


WAYS = {
    "from scratch": ((50, 200, 640), {}),
    "from scratch, twice the steps": ((50, 200, 640), {"longer": 2}),
    "simulated first": ((50, 200, 640), {"simulated_first": True}),
}

STUDY = Study(
    name="capstone",
    question="What is pre-training on the phantom worth on real OCT scans and chest X-rays, at 50, 200 and 640 labels?",
    settings={
        f"{file} · {way} · {labels}": Trial(file, labels, **how)
        for file in FILES
        for way, (counts, how) in WAYS.items()
        for labels in counts
    },
    seeds=range(4),
    measure=measure,
    data=lambda: " ".join(FILES.values()),  # `real` holds the files to it
    modules=[sys.modules[__name__], augment, networks, pretrain, recipes, train],
    small=("pneumoniamnist · from scratch · 50", 0),
    columns={
        "labels": "scans whose labels were used",
        "accuracy": "share of the validation scans read right",
        "macro_recall": "recall on them, averaged over the classes",
        "macro_f1": "macro-F1 on them",
        "loss": "cross-entropy on them, in nats",
    },
)
