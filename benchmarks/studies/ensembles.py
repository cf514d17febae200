"""What several networks are worth together: averaged, stacked, or merged into one, and which pairs pay.

The lesson `11_objectives_and_ensembles` shows the functions below and runs one pool of the five.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations

import numpy as np
from torch import nn

from benchmarks.studies.objectives import EPOCHS, SCANS, learn_and_unseen, phantom, train_reader
from benchmarks.study import Study
from course_utils import ensembles, metrics, models, train
from course_utils.data import Batches, CourseData, ScanDataset, augment
from course_utils.ensembles import (
    average_probs,
    average_weights,
    error_correlation,
    fit_stacker,
    keep_every,
    refresh_batchnorm,
    stacked_probs,
)
from course_utils.metrics import accuracy, macro_f1
from course_utils.tracking import TRIAGE
from course_utils.train import predict

STARTS = ("cnn 1", "cnn 2", "cnn 3", "cnn 4")
SNAPSHOTS = ("snapshot 1", "snapshot 2", "snapshot 3")
RESNET = {"model": "small_resnet", "options": {"widths": (16, 32, 64)}}
MEMBERS = {
    **{name: {"start": start} for start, name in enumerate(STARTS, 1)},
    "resnet 1": {"start": 11, **RESNET},
    "resnet 2": {"start": 12, **RESNET},
    "plain": {"start": 20, "model": "first_cnn"},
    "memoriser": {"start": 30, "model": "mlp", "augment": None, "lr": 1e-3, "longer": 3},
    "averaged on the way": {"start": 1, "ema": 0.98},  # the training of cnn 1, its weights averaged
    "snapshots": {"start": 40, "cycles": 3},
}


def train_member(data: CourseData, learn: ScanDataset, name: str, *, seed: int, epochs: int, device="cpu") -> dict:
    """The networks that one training gives, by name: one as a rule, the snapshots of a cyclic one."""
    options = {"longer": 1, "cycles": None, **MEMBERS[name]}
    start, longer, cycles = (options.pop(key) for key in ("start", "longer", "cycles"))
    kept = []
    if cycles:
        cycle = max(1, epochs // cycles)
        options |= {"cycle": cycle, "on_epoch": keep_every(cycle, kept)}
    options |= {"seed": 100 * seed + start, "epochs": longer * epochs, "device": device}
    network = train_reader(data, learn, nn.CrossEntropyLoss(), **options)
    return dict(zip(SNAPSHOTS, kept)) if cycles else {name: network}


@dataclass(frozen=True)
class Blend:
    """Which networks of a pool, and how they become one."""

    members: tuple[str, ...]
    how: str = "probs"  # or "weights", "best", "stacked", "stacked on its own scans"


def blended(blend: Blend, said: dict, pool: dict, learn_loader, unseen_loader) -> np.ndarray:
    """Probabilities (N, K) of the unseen scans. said[part][name]: logits; said[part]["targets"]: classes."""
    learn, val, unseen = ([said[part][name] for name in blend.members] for part in ("learn", "val", "unseen"))
    if blend.how == "weights":
        merged = refresh_batchnorm(average_weights([pool[name] for name in blend.members]), learn_loader)
        return average_probs([predict(merged, unseen_loader)[0]])
    if blend.how == "best":
        scores = [accuracy(said["val"]["targets"], logits.argmax(1)) for logits in val]
        return average_probs([unseen[int(np.argmax(scores))]])
    if blend.how == "stacked":
        return stacked_probs(fit_stacker(val, said["val"]["targets"]), unseen)
    if blend.how == "stacked on its own scans":
        return stacked_probs(fit_stacker(learn, said["learn"]["targets"]), unseen)
    return average_probs(unseen)


def mean_error_correlation(targets: np.ndarray, preds: Sequence[np.ndarray]) -> float:
    """Over all pairs of the members; 1 for a single one."""
    pairs = [error_correlation(targets, a, b) for a, b in combinations(preds, 2)]
    return float(np.mean(pairs)) if pairs else 1.0


def score_blend(blend: Blend, said: dict, probs: np.ndarray, cost: np.ndarray) -> dict[str, float]:
    """Scores of the blend on unseen patients, and what its members score there."""
    targets, preds = said["unseen"]["targets"], probs.argmax(1)
    alone = [said["unseen"][name].argmax(1) for name in blend.members]
    scores = [accuracy(targets, each) for each in alone]
    numbers = {"members": len(alone), "accuracy": accuracy(targets, preds), "macro_f1": macro_f1(targets, preds)}
    numbers["log_loss"] = float(-np.log(probs[np.arange(len(targets)), targets].clip(1e-12)).mean())
    numbers["bill"] = 100 * metrics.expected_cost(targets, metrics.cheapest_decisions(probs, cost), cost)
    numbers |= {"members_mean": float(np.mean(scores)), "members_best": max(scores)}
    return numbers | {"error_correlation": mean_error_correlation(targets, alone)}


PAIRABLE = ("cnn 1", "cnn 2", "cnn 3", "resnet 1", "resnet 2", "plain", *SNAPSHOTS)
MIXED = ("cnn 1", "cnn 2", "resnet 1", "resnet 2")
EVERYBODY = (*STARTS, "resnet 1", "resnet 2", "plain", "memoriser")
BLENDS = {name: Blend((name,)) for name in (*EVERYBODY, "averaged on the way", *SNAPSHOTS)}
BLENDS |= {
    "best of six, by validation": Blend((*STARTS, "resnet 1", "resnet 2"), "best"),
    "four starts": Blend(STARTS),
    "two starts of two networks": Blend(MIXED),
    "all six": Blend((*STARTS, "resnet 1", "resnet 2")),
    "everybody": Blend(EVERYBODY),
    "everybody, stacked": Blend(EVERYBODY, "stacked"),
    "everybody, stacked on its own scans": Blend(EVERYBODY, "stacked on its own scans"),
    "cnn 1, stacked": Blend(("cnn 1",), "stacked"),
    "three snapshots": Blend(SNAPSHOTS),
    "three snapshots, one network": Blend(SNAPSHOTS, "weights"),
    "four starts, one network": Blend(STARTS, "weights"),
}
BLENDS |= {f"{a} + {b}": Blend((a, b)) for a, b in combinations(PAIRABLE, 2)}


@cache
def loaders(seed: int) -> dict[str, Batches]:
    """The scans that a seed's networks learn from, choose by and are judged on."""
    data = phantom()
    learn, unseen = learn_and_unseen(data, SCANS, seed)
    parts = {"learn": learn, "val": data.val, "unseen": unseen}
    return {part: Batches(scans, 256, mean=data.mean, std=data.std) for part, scans in parts.items()}


@cache
def trained(name: str, seed: int) -> dict[str, nn.Module]:
    return train_member(phantom(), loaders(seed)["learn"].dataset, name, seed=seed, epochs=EPOCHS)


@cache
def answers(name: str, seed: int) -> dict[str, np.ndarray]:
    """A network's logits for each part."""
    network = trained("snapshots" if name in SNAPSHOTS else name, seed)[name]
    return {part: predict(network, loader)[0] for part, loader in loaders(seed).items()}


def measure(blend: Blend, seed: int) -> dict[str, float]:
    """The scores of one blend; its members are trained once for all blends of a seed."""
    by_name = {name: answers(name, seed) for name in blend.members}
    said = {part: {name: logits[part] for name, logits in by_name.items()} for part in loaders(seed)}
    for part, loader in loaders(seed).items():
        said[part]["targets"] = loader.dataset.labels.numpy()
    pool = {}
    for name in blend.members:
        pool |= trained("snapshots" if name in SNAPSHOTS else name, seed)
    probs = blended(blend, said, pool, loaders(seed)["learn"], loaders(seed)["unseen"])
    return score_blend(blend, said, probs, np.array(TRIAGE.cost))


STUDY = Study(
    name="ensembles",
    question="Are several networks better than the best of them, and which ones belong together?",
    settings=BLENDS,
    seeds=range(5),
    measure=measure,
    data=lambda: phantom().fingerprint,
    modules=[sys.modules[__name__], augment, ensembles, models, train],
    small=("cnn 1", 0),
    columns={
        "members": "how many networks",
        "accuracy": "share read right of the scans of all other training patients, which no network saw",
        "macro_f1": "macro-F1 on those scans",
        "log_loss": "cross-entropy on those scans, in nats",
        "bill": "visits that a hundred of them cost when the decision of least expected cost is taken",
        "members_mean": "mean accuracy of the members there, each on its own",
        "members_best": "accuracy of the best member there, known in hindsight only",
        "error_correlation": "mean correlation of being wrong between two members; 1 for a single one",
    },
)
