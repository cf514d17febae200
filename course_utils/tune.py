"""Choosing settings: a learning-rate range test, schedules, a search that survives a kill, and honest estimates.

What lesson 09 builds. A `Setting` is one point of the search space, `train_setting` turns it into a scored model.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import optuna
import pandas as pd
import torch
from optuna.trial import TrialState
from torch import nn

from course_utils.data import Augment, Batches, CourseData, ScanDataset
from course_utils.env import file_lock, set_seed
from course_utils.metrics import accuracy, macro_f1
from course_utils.models import build
from course_utils.train import fit, predict

SCHEDULES = ("constant", "warm-up", "step", "cosine", "one-cycle")


def StratifiedGroupKFold(*args, **options):
    """scikit-learn's, imported when it is first used: the worker of a search has no need of it."""
    from sklearn.model_selection import StratifiedGroupKFold as Dealer

    return Dealer(*args, **options)


def lr_range_test(
    model: nn.Module,
    loader: Iterable,
    loss_fn: Callable,
    *,
    low: float = 1e-5,
    high: float = 3.0,
    steps: int = 80,
    smooth: float = 0.8,
    device="cpu",
) -> pd.DataFrame:
    """One short training whose learning rate grows by a constant factor each step, from `low` to `high` (Smith 2017).

    Changes `model`: give it a fresh one and throw it away. Returns the columns lr, loss and smoothed (a bias-corrected
    moving average), one row a step; stops early where the loss is not finite or four times its lowest.
    Raises ValueError unless 0 < low < high and steps is at least 2.
    """
    if not 0 < low < high or steps < 2:
        raise ValueError(f"low {low:g}, high {high:g}, {steps} steps: want 0 < low < high and at least 2 steps")
    optimizer = torch.optim.AdamW(model.to(device).train().parameters(), lr=low)
    rows, average, lowest, batches = [], 0.0, math.inf, iter(())
    for step in range(steps):
        lr = low * (high / low) ** (step / (steps - 1))
        optimizer.param_groups[0]["lr"] = lr
        batch = next(batches, None)
        if batch is None:  # the epoch is over: begin another
            batches = iter(loader)
            batch = next(batches)
        loss = loss_fn(model(batch[0].to(device)), batch[1].to(device))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        average = smooth * average + (1 - smooth) * loss.item()
        smoothed = average / (1 - smooth ** (step + 1))
        lowest = min(lowest, smoothed)
        rows.append({"lr": lr, "loss": loss.item(), "smoothed": smoothed})
        if not smoothed < 4 * lowest:  # also true for NaN
            break
    return pd.DataFrame(rows)


def useful_rates(tables: Sequence[pd.DataFrame]) -> tuple[float, float]:
    """Between which learning rates to look, from range tests of several random starts: (low, high).

    Of the mean of their smoothed losses: low is where half of the fall is done, high where the loss is lowest. One
    start alone may begin at a lucky loss and show no fall.
    """
    loss = pd.concat([table.set_index("lr")["smoothed"] for table in tables], axis=1).dropna().mean(axis=1)
    start, high = loss.iloc[: max(1, len(loss) // 10)].median(), loss.idxmin()
    above = loss.index[(loss > (start + loss.min()) / 2) & (loss.index < high)]
    return float(above.max() if len(above) else high), float(high)


def schedule(kind: str, steps: int) -> Callable[[int], float]:
    """The learning rate's factor by step (0 … steps - 1), at most 1: one of `SCHEDULES`, for `LambdaLR`.

    warm-up: up over a tenth of the steps, then constant. step: a tenth from 60 % of the steps, a hundredth from 85 %.
    cosine: half a wave down to 0 (Loshchilov & Hutter 2017). one-cycle: half a wave up from 1/25 over 30 % of the
    steps, then one down to nearly 0 (Smith & Topin 2018). Raises ValueError for another name or no steps.
    """
    if kind not in SCHEDULES or steps < 1:
        raise ValueError(f"schedule {kind!r} over {steps} steps: choose one of {', '.join(SCHEDULES)}, 1 step or more")
    top, last = 0.3 * steps - 1, steps - 1

    def wave(start: float, end: float, share: float) -> float:
        return end + (start - end) * (1 + math.cos(math.pi * min(1.0, share))) / 2

    factors = {
        "constant": lambda step: 1.0,
        "warm-up": lambda step: min(1.0, (step + 1) / max(1, steps // 10)),
        "step": lambda step: 0.1 ** ((step >= 0.6 * steps) + (step >= 0.85 * steps)),
        "cosine": lambda step: wave(1, 0, step / steps),
        "one-cycle": lambda step: (
            wave(0.04, 1, step / top) if step <= top else wave(1, 4e-6, (step - top) / (last - top))
        ),
    }
    return factors[kind]


@dataclass(frozen=True)
class Setting:
    """What may be chosen about a short training of the small network; the defaults are where lesson 09 starts."""

    lr: float = 3e-3
    schedule: str = "constant"
    epochs: int = 6
    batch_size: int = 16
    width: int = 8
    weight_decay: float = 1e-3
    dropout: float = 0.0
    balance: float = 0.0  # classes weigh 1 / frequency ** balance in the loss
    augment: bool = False


def class_weights(labels: torch.Tensor, classes: int, balance: float) -> torch.Tensor:
    """Weights (K,) proportional to 1 / frequency ** balance, of mean 1 over the scans; a class not seen counts once."""
    frequency = torch.bincount(labels, minlength=classes).clamp(min=1).float()
    weights = frequency**-balance
    return weights * len(labels) / weights[labels].sum()


def train_setting(
    setting: Setting, data: CourseData, learn: ScanDataset, judge: ScanDataset, *, seed: int = 0, device="cpu",
    on_epoch: Callable | None = None,
) -> tuple[nn.Module, pd.DataFrame]:  # fmt: skip
    """Train the small network by `setting` on `learn`, watched on `judge`; returns the model and its history.

    `data` lends classes, picture size and normalisation. Whatever `on_epoch(row, model)` raises ends the training.
    """
    set_seed(seed)
    widths = (setting.width, 2 * setting.width, 4 * setting.width)
    options = {"in_channels": data.channels, "classes": len(data.classes), "size": data.size}
    model = build("small_cnn", widths=widths, dropout=setting.dropout, **options).to(device)
    scale = {"mean": data.mean, "std": data.std, "device": device}
    augment, whole = Augment() if setting.augment else None, len(learn) >= setting.batch_size
    varied = {"shuffle": True, "augment": augment, "seed": seed, "drop_last": whole}
    train_loader = Batches(learn, setting.batch_size, **varied, **scale)
    optimizer = torch.optim.AdamW(model.parameters(), lr=setting.lr, weight_decay=setting.weight_decay)
    factor = schedule(setting.schedule, setting.epochs * len(train_loader))
    weight = class_weights(learn.labels, len(data.classes), setting.balance).to(device)
    history = fit(
        model,
        train_loader,
        Batches(judge, 256, **scale),
        loss_fn=nn.CrossEntropyLoss(weight=weight),
        optimizer=optimizer,
        lr_scheduler=torch.optim.lr_scheduler.LambdaLR(optimizer, factor),
        epochs=setting.epochs,
        device=device,
        progress=False,
        on_epoch=on_epoch,
    )
    return model, history


def score(model: nn.Module, data: CourseData, scans: ScanDataset, device="cpu") -> dict[str, float]:
    """Accuracy and macro-F1 of `model` on `scans`."""
    logits, targets = predict(model, Batches(scans, 256, mean=data.mean, std=data.std, device=device), device)
    preds = logits.argmax(1)
    return {"accuracy": accuracy(targets, preds), "macro_f1": macro_f1(targets, preds)}


def suggest_setting(trial: optuna.Trial, epochs: int) -> Setting:
    """Ask an Optuna trial for a `Setting`: rates on a logarithmic scale, the rest as they are."""
    return Setting(
        lr=trial.suggest_float("lr", 1e-4, 1e-1, log=True),
        schedule=trial.suggest_categorical("schedule", ["constant", "cosine", "one-cycle"]),
        batch_size=trial.suggest_categorical("batch_size", [16, 32, 64]),
        weight_decay=trial.suggest_float("weight_decay", 1e-5, 1e-1, log=True),
        dropout=trial.suggest_float("dropout", 0.0, 0.5),
        epochs=epochs,
    )


def training_trial(
    trial: optuna.Trial, data: CourseData, learn: ScanDataset, judge: ScanDataset, *, epochs: int, device="cpu"
) -> float:
    """One trial: train, report the validation loss of each epoch so that a pruner may end it, return the last."""

    def report(row: dict, model: nn.Module) -> None:
        trial.report(row["val_loss"], row["epoch"])
        if trial.should_prune():
            raise optuna.TrialPruned

    setting = suggest_setting(trial, epochs)
    try:
        _, history = train_setting(setting, data, learn, judge, seed=trial.number, device=device, on_epoch=report)
    except FloatingPointError:  # the loss blew up: a bad setting, not a broken study
        raise optuna.TrialPruned from None
    return float(history["val_loss"].iloc[-1])


def close_stale(study: optuna.Study) -> list[int]:
    """End the trials a killed process left RUNNING as failed, and queue their settings again; returns their numbers.

    Call it only while nobody else works on the study: a trial that really is running looks the same.
    """
    stale = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
    for trial in stale:
        study.tell(trial.number, state=TrialState.FAIL)
        if trial.params:
            study.enqueue_trial(trial.params, user_attrs={"retry_of": trial.number})
    return [trial.number for trial in stale]


def trials_left(study: optuna.Study, wanted: int) -> int:
    """How many more trials a study needs until `wanted` have ended by themselves: complete or pruned, never failed."""
    ended = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))
    return max(0, wanted - len(ended))


def search(path: str | Path, objective: Callable[[optuna.Trial], float], wanted: int, *, seed: int = 0) -> optuna.Study:
    """Go on with the study stored in the SQLite file `path` (a new one if there is none) until `wanted` trials ended.

    Minimises. One process at a time works on a file: a second one waits for the lock. Killed at any moment, it goes on
    when called again; the trial that was in flight is closed and tried again.
    """
    path = Path(path)
    with file_lock(path.with_suffix(".lock")):
        study = optuna.create_study(study_name="search", storage=f"sqlite:///{path}", load_if_exists=True)
        close_stale(study)
        # A resumed sampler must not draw the numbers again that the killed one drew: its seed moves on with the trials.
        study.sampler = optuna.samplers.TPESampler(seed=seed + len(study.trials))
        study.optimize(objective, n_trials=trials_left(study, wanted))
    return study


def grouped_folds(
    labels: np.ndarray, groups: np.ndarray | None, *, folds: int = 5, repeats: int = 1, seed: int = 0
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Repeated K-fold: yields (learn, judge) row numbers, `folds` × `repeats` times, no patient on both sides.

    Each repeat deals the patients anew, keeping the classes' shares about equal. `groups` None: each scan stands alone.
    """
    rows = np.arange(len(labels))
    for repeat in range(repeats):
        dealt = StratifiedGroupKFold(folds, shuffle=True, random_state=seed + repeat)
        yield from dealt.split(rows, labels, rows if groups is None else groups)
