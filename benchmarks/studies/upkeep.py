"""Mending the triage model when a new device has come: which scans to label, and does the retrained model recover?

The champion is the course's triage model, in the stream of lesson 15. In week 18 a few hundred scans of the last weeks
are labelled, and a challenger starts from the champion. Judged on the new device's scans of weeks 19 to 24: other
patients, since in the stream a patient comes in one week only.
"""

from __future__ import annotations

import copy
import sys

import numpy as np
import pandas as pd
import torch
from torch import nn

from benchmarks.studies import drift
from benchmarks.studies.drift import simulated, triage
from benchmarks.study import Study
from course_utils import phantom, recipes, train
from course_utils.data import Augment, Batches, CourseData, ScanDataset
from course_utils.env import set_seed
from course_utils.metrics import macro_f1, softmax
from course_utils.phantom.stream import production_stream
from course_utils.train import adamw_cosine, fit, predict

LABELS, EPOCHS, OLD = 300, 6, 1200


def choose(probs: np.ndarray, pool: np.ndarray, labels: int, how: str, seed: int = 0) -> np.ndarray:
    """Rows of `pool` to be labelled: the "unsure" ones (least largest probability), or "random" ones."""
    if how == "random":
        return np.random.default_rng(seed).choice(pool, min(labels, len(pool)), replace=False)
    return pool[np.argsort(probs[pool].max(1), kind="stable")[:labels]]


def retrain(
    champion: nn.Module, data: CourseData, new: ScanDataset, *, epochs: int, seed: int, repeat: int = 3, device="cpu"
) -> nn.Module:
    """A challenger: the champion trained on, with the new scans `repeat` times over among OLD training scans."""
    set_seed(seed)
    old = data.train.subset(np.random.default_rng(seed).permutation(len(data.train))[:OLD])
    images, labels = torch.cat([old.images, *[new.images] * repeat]), torch.cat([old.labels, *[new.labels] * repeat])
    scale = {"mean": data.mean, "std": data.std, "device": device}
    both = ScanDataset(images, labels, data.classes)
    loader = Batches(both, 64, shuffle=True, augment=Augment(), seed=seed, drop_last=True, **scale)
    challenger = copy.deepcopy(champion).to(device)
    optimizer, lr_scheduler = adamw_cosine(challenger, loader, epochs, lr=2e-3, weight_decay=5e-3, warmup_steps=10)
    loss_fn = nn.CrossEntropyLoss(label_smoothing=0.05)
    steps = {"optimizer": optimizer, "lr_scheduler": lr_scheduler, "epochs": epochs, "device": device}
    fit(challenger, loader, Batches(data.val, 256, **scale), loss_fn=loss_fn, ema=0.98, progress=False, **steps)
    return challenger.cpu().eval()


def whole(seed: int, drift: bool) -> ScanDataset:
    """All weeks of a stream, as one data set."""
    weeks = [split for _, split in production_stream(seed, drift=drift, threads=1)]
    meta = pd.concat([split.meta for split in weeks], ignore_index=True)
    images, labels = (np.concatenate([getattr(split, name) for split in weeks]) for name in ("images", "labels"))
    return ScanDataset(images[:, None], labels, simulated().classes, meta=meta, groups=meta.patient_id.to_numpy())


def measure(how: str, seed: int) -> dict[str, float]:
    """Accuracy on the new device, on the others, and before; "champion" labels and trains nothing."""
    data, model = triage()
    stream = drifted = whole(seed, drift=True)
    if how == "unchanged devices":
        stream = whole(seed, drift=False)  # the same patients
    week, new_device = stream.meta.week.to_numpy(), (drifted.meta.device == "C").to_numpy()

    def logits(network: nn.Module) -> np.ndarray:
        return predict(network, Batches(stream, 256, mean=data.mean, std=data.std))[0]

    before = logits(model)
    if how in ("random", "unsure"):
        pool = np.flatnonzero((week >= 11) & (week <= 18))
        chosen = choose(softmax(before), pool, LABELS, how, seed)
        model = retrain(model, data, stream.subset(chosen), epochs=EPOCHS, seed=seed)
    preds, targets = logits(model).argmax(1), stream.labels.numpy()
    right, late = preds == targets, week >= 19
    return {
        "macro_f1": macro_f1(targets[late], preds[late]),
        "before": (before.argmax(1) == targets)[week <= 6].mean(),
        "new_device": right[late & new_device].mean(),
        "others": right[late & ~new_device].mean(),
        "late": right[late].mean(),
        "calm_weeks": right[week <= 6].mean(),
    }


STUDY = Study(
    name="upkeep",
    question="Does a model retrained on three hundred labels recover on a device that it had never seen?",
    settings={name: name for name in ("champion", "random", "unsure", "unchanged devices")},
    seeds=range(5),
    measure=measure,
    data=lambda: simulated().fingerprint,
    modules=[sys.modules[__name__], drift, phantom, recipes, train],
    small=("champion", 0),
    columns={
        "macro_f1": "macro-F1 in weeks 19 to 24",
        "before": "the champion's accuracy in weeks 1 to 6",
        "new_device": "accuracy on the scans of device C in weeks 19 to 24 (without drift: of the same patients)",
        "others": "accuracy on the other scans of these weeks",
        "late": "accuracy on all scans of these weeks",
        "calm_weeks": "accuracy in weeks 1 to 6 of the model that is judged",
    },
)
