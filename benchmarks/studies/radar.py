"""What makes a network good at reading breathing from radar: its structure, its input, its losses, variation, people.

The recipe and its training are those of lesson 21, letter by letter (a test compares them). The numbers are measured on
forty fresh people, simulated for the study with a seed of their own: the lesson's test set stays shut.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, partial

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.study import Study
from course_utils import radar, regress
from course_utils.data import load_radar
from course_utils.env import set_seed
from course_utils.models import build, series
from course_utils.radar.augment import Vary
from course_utils.radar.batches import RATE_STD, WindowBatches, breaths
from course_utils.radar.views import as_dphi, as_iq
from course_utils.regress import answer, fit_numbers, matched, predict_numbers

LEVELS = (0.05, 0.5, 0.95)  # of the quantiles that a network with three outputs answers


@dataclass(frozen=True)
class Recipe:
    """Everything that decides a training, except the data and the seed."""

    network: str = "series_resnet"
    view: str = "dphi"  # or "iq"
    loss: str = "huber"  # "mse", "mae", or "quantiles": three outputs
    waveform: float = 0.0  # weight of the second task, the lung volume
    vary: bool = False  # physics-aware augmentation
    epochs: int = 10
    lr: float = 2e-3
    batch_size: int = 64


def pinball(outputs: Tensor, y: Tensor, levels: tuple[float, ...] = LEVELS) -> Tensor:
    """Quantile loss of outputs (B, Q) and targets (B,): too low costs the level, too high what is left of one."""
    error = y[:, None] - outputs
    level = torch.tensor(levels, device=y.device)
    return 2 * torch.maximum(level * error, (level - 1) * error).mean()  # of the median alone: the absolute error


def loss_in_breaths(kind: str) -> Callable[[Tensor, Tensor], Tensor]:
    """A loss of standardised outputs and targets, counted in breaths a minute."""
    losses = {"mse": F.mse_loss, "mae": F.l1_loss, "huber": partial(F.huber_loss, delta=1.0), "quantiles": pinball}
    scale = RATE_STD if kind == "mse" else 1.0  # so that its gradient is about as large as the others'
    return lambda outputs, y: losses[kind](breaths(outputs), breaths(y)) / scale


def joint_objective(loss_fn: Callable, weight: float) -> Callable:
    """The loss of the rate plus `weight` times that of the waveform: an objective for `fit_numbers`."""

    def objective(model: nn.Module, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        outputs, waveform = model.both(x)  # (B, K), (B, 150)
        return loss_fn(matched(outputs), y[:, 0]) + weight * F.smooth_l1_loss(waveform, y[:, 1:]), outputs

    return objective


def train_reader(train, val, recipe: Recipe, seed: int, device="cpu"):
    """A network trained on the windows `train` and kept where it did best on `val`; returns (model, history)."""
    set_seed(seed)
    view = {"dphi": as_dphi, "iq": as_iq}[recipe.view]
    varied = {"vary": Vary() if recipe.vary else None, "waveforms": recipe.waveform > 0}
    train_loader = WindowBatches(train, recipe.batch_size, view=view, shuffle=True, drop_last=True, seed=seed, **varied)
    model = build(recipe.network, in_channels=6, classes=3 if recipe.loss == "quantiles" else 1, size=600).to(device)
    loss_fn = loss_in_breaths(recipe.loss)
    optimizer = torch.optim.AdamW(model.parameters(), lr=recipe.lr, weight_decay=1e-4)
    steps = recipe.epochs * len(train_loader)
    history = fit_numbers(
        model,
        train_loader,
        WindowBatches(val, 250, view=view),
        loss_fn=loss_fn,
        objective=joint_objective(loss_fn, recipe.waveform) if recipe.waveform else None,
        optimizer=optimizer,
        lr_scheduler=torch.optim.lr_scheduler.OneCycleLR(optimizer, recipe.lr, total_steps=steps, pct_start=0.15),
        epochs=recipe.epochs,
        device=device,
        max_grad_norm=2.0,
        progress=False,
    )
    return model, history


def estimates(model: nn.Module, windows, recipe: Recipe, device="cpu") -> np.ndarray:
    """What a network answers for each window, in breaths a minute: (N, K)."""
    view = {"dphi": as_dphi, "iq": as_iq}[recipe.view]
    return breaths(predict_numbers(model, WindowBatches(windows, 250, view=view), device)[0])


FAST = Recipe(loss="quantiles", waveform=1.0, vary=True, epochs=14)
FULL = replace(FAST, epochs=28)


# --- the study ------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Row:
    """A recipe, how many windows it learns from, and how many of its labels are spoiled."""

    recipe: Recipe
    windows: int
    faulty: float = 0.0


NETWORKS = ("series_mlp", "series_cnn", "series_gru", "series_lstm", "series_transformer", "series_resnet")
RESNET, CNN = Recipe(), Recipe("series_cnn")
FEW = replace(RESNET, epochs=15)
SETTINGS = {name.removeprefix("series_"): Row(Recipe(name), 1500) for name in NETWORKS}
SETTINGS |= {"cnn, iq": Row(Recipe("series_cnn", view="iq"), 1500)}
SETTINGS |= {
    "800: plain": Row(FEW, 800),
    "800: waveform": Row(replace(FEW, waveform=1.0), 800),
    "800: varied": Row(replace(FEW, vary=True), 800),
    "800: varied, waveform": Row(replace(FEW, vary=True, waveform=1.0), 800),
    "3000: plain": Row(RESNET, 3000),
    "3000: waveform": Row(replace(RESNET, waveform=1.0), 3000),
    "3000: varied, waveform": Row(replace(RESNET, vary=True, waveform=1.0), 3000),
    "fast": Row(FAST, 3000),
    "fast, not varied": Row(replace(FAST, vary=False), 3000),
    "full": Row(FULL, 3000),
}
SETTINGS |= {
    f"{loss}, {'clean' if faulty == 0 else 'faulty'}": Row(replace(CNN, loss=loss), 1500, faulty)
    for faulty in (0.0, 0.1)
    for loss in ("mse", "mae", "huber")
}


NAMES = [name.replace(" ", "_") for name in radar.CONDITIONS]


@cache
def radar_data():
    return load_radar()


@cache
def fresh_people():
    """1000 windows of forty people who are in no part of the data set."""
    return radar.make_dataset(seed=1000, subjects=(1, 1, 40), windows=(1, 1, 25))["test"]


def portion(train, windows: int):
    """The first so many training windows, as many of each person, and the same people's other windows (None: none)."""
    return train[:windows], (train[windows:] if windows < len(train) else None)


def spoil(rate: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """Labels of which a `share` is wrong as counters are wrong: doubled, halved, or of another window."""
    rate, wrong = rate.copy(), rng.random(len(rate)) < share
    kinds = np.stack([2 * rate, rate / 2, rng.permutation(rate)])
    rate[wrong] = kinds[rng.integers(0, 3, len(rate)), np.arange(len(rate))][wrong]
    return rate


def measure(row: Row, seed: int) -> dict[str, float]:
    """One training and its errors, in breaths a minute, on people it has never met."""
    data = radar_data()
    train, same = portion(data.train, row.windows)
    if row.faulty:
        train = replace(train, rate=spoil(train.rate, row.faulty, np.random.default_rng(seed)))
    model, history = train_reader(train, data.val, row.recipe, seed)
    fresh = fresh_people()
    outputs = estimates(model, fresh, row.recipe)
    error = np.abs(answer(outputs) - fresh.true_rate)
    numbers = {"mae": error.mean(), "rmse": np.sqrt(np.square(error).mean())}
    numbers |= {f"mae_{name}": error[fresh.condition == k].mean() for k, name in enumerate(NAMES)}
    if row.recipe.loss == "quantiles":
        inside = (outputs[:, 0] <= fresh.true_rate) & (fresh.true_rate <= outputs[:, -1])
        numbers["coverage"] = inside.mean()
    if same is not None:
        numbers["mae_same"] = np.abs(answer(estimates(model, same, row.recipe)) - same.true_rate).mean()
    numbers |= {"train_loss": history["train_loss"].iloc[-1], "training_s": history["seconds"].sum()}
    return {name: float(value) for name, value in numbers.items()}


STUDY = Study(
    name="radar",
    question="What makes a network good at reading the breathing rate of people it has never met?",
    settings=SETTINGS,
    seeds=range(3),
    measure=measure,
    data=lambda: radar_data().fingerprint,
    modules=[sys.modules[__name__], radar, series, regress],
    small=("mlp", 0),
    judged="mae",
    columns={
        "mae": "mean absolute error in breaths/min on 1000 windows of forty fresh people",
        "rmse": "root of the mean squared error on them",
        **{f"mae_{name}": f"mae in the condition {name}" for name in NAMES},
        "train_loss": "the training loss of the last epoch, in breaths/min and with the waveform's part",
        "training_s": "seconds of training, validation included",
    },
)
