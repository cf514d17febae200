"""What changes when the loss changes: one network told in seven ways what matters, or told again after its training.

The lesson `11_objectives_and_ensembles` shows the functions below and runs a slice of the settings.
"""

import copy
import sys
from dataclasses import dataclass
from functools import cache, partial

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.study import Study
from course_utils import ensembles, metrics, models, objectives, train
from course_utils.data import Augment, Batches, CourseData, ScanDataset, augment, grouped_split, load_dataset
from course_utils.ensembles import cyclic_cosine
from course_utils.env import set_seed
from course_utils.metrics import softmax
from course_utils.models import build
from course_utils.objectives import (
    expected_cost_loss,
    focal_loss,
    leave_one_out,
    priced_cross_entropy,
    reinforce_loss,
    sample_answers,
    sampled_macro_f1,
)
from course_utils.tracking import TRIAGE
from course_utils.train import adamw_cosine, fit, predict

SCANS, SIZE, EPOCHS, MORE_EPOCHS = 2000, 32, 12, 4
VARIED = Augment()


def learn_and_unseen(data: CourseData, scans: int, seed: int) -> tuple[ScanDataset, ScanDataset]:
    """About `scans` training scans, whole patients only, and the scans of all the other training patients."""
    share = min(scans / len(data.train), 0.5)
    learn, unseen = grouped_split(data.train.labels.numpy(), data.train.groups, (share, 1 - share), seed=seed)
    return data.train.subset(learn), data.train.subset(unseen)


def train_reader(
    data: CourseData, learn: ScanDataset, loss_fn, *, seed: int, epochs: int, model="small_cnn", start=None, lr=4e-3,
    augment=VARIED, cycle: int | None = None, device="cpu", options=None, **extra,
) -> nn.Module:  # fmt: skip
    """A network trained on `learn`, from scratch or on from a copy of `start`; `cycle`: see `cyclic_cosine`."""
    set_seed(seed)
    shape = {"in_channels": data.channels, "classes": len(data.classes), "size": data.size}
    network = copy.deepcopy(start) if start is not None else build(model, **shape, **(options or {})).to(device)
    scale = {"mean": data.mean, "std": data.std, "device": device}
    train_loader = Batches(learn, 64, shuffle=True, augment=augment, seed=seed, drop_last=len(learn) >= 64, **scale)
    optimizer, lr_scheduler = adamw_cosine(network, train_loader, epochs, lr=lr)
    if cycle is not None:
        lr_scheduler = cyclic_cosine(optimizer, cycle * len(train_loader))
    extra |= {"optimizer": optimizer, "lr_scheduler": lr_scheduler, "epochs": epochs, "device": device}
    fit(network, train_loader, Batches(data.val, 256, **scale), loss_fn=loss_fn, progress=False, **extra)
    return network


def judge(logits, targets, val_logits, val_targets, cost) -> dict[str, float]:
    """Scores, and the bill of a hundred scans by three rules: the class said, the cheapest decision, and calibrated."""
    probs, preds = softmax(logits), logits.argmax(1)
    calibrated = softmax(logits, metrics.fit_temperature(val_logits, val_targets))
    numbers = {"accuracy": metrics.accuracy(targets, preds), "macro_f1": metrics.macro_f1(targets, preds)}
    numbers["log_loss"] = float(-np.log(probs[np.arange(len(targets)), targets].clip(1e-12)).mean())
    rules = {
        "said": cost.argmin(1)[preds],
        "cheapest": metrics.cheapest_decisions(probs, cost),
        "calibrated": metrics.cheapest_decisions(calibrated, cost),
    }
    return numbers | {f"bill_{rule}": 100 * metrics.expected_cost(targets, d, cost) for rule, d in rules.items()}


def losses(learn: ScanDataset, prices: Tensor) -> dict:
    """The losses under comparison; prices (K, K): what saying class j costs when class k is true."""
    counts = torch.bincount(learn.labels, minlength=len(prices)).clamp(min=1).to(prices.device)
    rarity = counts.sum() / (len(prices) * counts)
    dearest = prices.max(1).values
    return {
        "cross-entropy": nn.CrossEntropyLoss(),
        "class weights": nn.CrossEntropyLoss(weight=rarity),
        "price weights": nn.CrossEntropyLoss(weight=dearest / dearest.mean()),
        "focal loss": focal_loss,
        "label smoothing": nn.CrossEntropyLoss(label_smoothing=0.1),
        "expected cost": partial(expected_cost_loss, cost=prices),
        "cross-entropy + cost": partial(priced_cross_entropy, cost=prices),
    }


def by_loss(model, images, targets, *, loss_fn):
    """Any loss as an `objective` for `fit`."""
    logits = model(images)
    return loss_fn(logits, targets), logits


def by_draws(model, images, targets, *, prices: Tensor, baseline=True, anchor=1.0, samples: int = 8):
    """REINFORCE on the price of each drawn answer; `anchor` times the cross-entropy keeps it from forgetting."""
    logits = model(images)
    answers = sample_answers(logits, samples)  # (S, B)
    rewards = -prices[targets, answers]
    loss = reinforce_loss(logits, answers, leave_one_out(rewards) if baseline else rewards)
    return loss + anchor * nn.functional.cross_entropy(logits, targets), logits


def by_macro_f1(model, images, targets, *, weight=10.0, samples: int = 64):
    """REINFORCE on the macro-F1 of a whole drawn batch, which no single scan has a share of; and the same anchor."""
    logits = model(images)
    answers = sample_answers(logits, samples)
    rewards = weight * sampled_macro_f1(answers, targets, logits.shape[1])  # (S,)
    loss = reinforce_loss(logits, answers, leave_one_out(rewards))
    return loss + nn.functional.cross_entropy(logits, targets), logits


def second_aims(learn: ScanDataset, prices: Tensor) -> dict:
    """What a trained network can be told in a few more epochs."""
    told = losses(learn, prices)
    return {
        "cross-entropy": partial(by_loss, loss_fn=told["cross-entropy"]),
        "class weights": partial(by_loss, loss_fn=told["class weights"]),
        "expected cost": partial(by_loss, loss_fn=told["expected cost"]),
        "cost, anchored": partial(by_loss, loss_fn=told["cross-entropy + cost"]),
        "REINFORCE": partial(by_draws, prices=prices, anchor=0.0),
        "REINFORCE, anchored": partial(by_draws, prices=prices),
        "REINFORCE, anchored, no baseline": partial(by_draws, prices=prices, baseline=False),
        "macro-F1, anchored": by_macro_f1,
    }


@dataclass(frozen=True)
class Aim:
    """What a training is told to make small, and what it is told afterwards, if anything."""

    loss: str = "cross-entropy"
    then: str | None = None


AIMS = {loss: Aim(loss) for loss in ("cross-entropy", "class weights", "price weights", "focal loss")}
AIMS |= {loss: Aim(loss) for loss in ("label smoothing", "expected cost", "cross-entropy + cost")}
AIMS |= {f"then {then}": Aim(then=then) for then in ("cross-entropy", "class weights", "expected cost")}
AIMS |= {f"then {then}": Aim(then=then) for then in ("cost, anchored", "REINFORCE", "REINFORCE, anchored")}
AIMS |= {f"then {then}": Aim(then=then) for then in ("REINFORCE, anchored, no baseline", "macro-F1, anchored")}


@cache
def phantom() -> CourseData:
    return load_dataset("oct-phantom", size=SIZE)


@cache
def trained(loss: str, seed: int) -> nn.Module:
    data, cost = phantom(), np.array(TRIAGE.cost, dtype=np.float32)
    learn, _ = learn_and_unseen(data, SCANS, seed)
    loss_fn = losses(learn, torch.from_numpy(cost[:, cost.argmin(1)]))[loss]
    return train_reader(data, learn, loss_fn, seed=100 * seed + 1, epochs=EPOCHS)


def measure(aim: Aim, seed: int) -> dict[str, float]:
    """One training, a second one on top where the aim says so, and its scores on unseen patients."""
    data, cost = phantom(), np.array(TRIAGE.cost, dtype=np.float32)
    learn, unseen = learn_and_unseen(data, SCANS, seed)
    network = trained(aim.loss, seed)
    if aim.then is not None:
        objective = second_aims(learn, torch.from_numpy(cost[:, cost.argmin(1)]))[aim.then]
        again = {"start": network, "objective": objective, "lr": 1e-3, "epochs": MORE_EPOCHS}
        network = train_reader(data, learn, nn.CrossEntropyLoss(), seed=100 * seed + 2, **again)
    scale = {"mean": data.mean, "std": data.std}
    unseen_said = predict(network, Batches(unseen, 256, **scale))
    return judge(*unseen_said, *predict(network, Batches(data.val, 256, **scale)), cost)


STUDY = Study(
    name="objectives",
    question="Does another loss make cheaper decisions, and does it still when the decision rule knows the prices?",
    settings=AIMS,
    seeds=range(5),
    measure=measure,
    data=lambda: phantom().fingerprint,
    modules=[sys.modules[__name__], augment, ensembles, models, objectives, train],
    small=("cross-entropy", 0),
    columns={
        "accuracy": "share read right of the scans of all other training patients, which the network never saw",
        "macro_f1": "macro-F1 on those scans",
        "log_loss": "cross-entropy on those scans, in nats, of the probabilities as they are",
        "bill_said": "visits that a hundred of them cost when the most probable class is acted on",
        "bill_cheapest": "the same when the decision of least expected cost is taken",
        "bill_calibrated": "the same with probabilities calibrated by one temperature on the validation scans",
    },
)
