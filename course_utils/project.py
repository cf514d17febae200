"""A project of one's own: the same steps for a folder of pictures, a table of classes and a table of numbers.

What lesson 22 walks through. `answers` are what a model says of N cases: probabilities float64 (N, K), or numbers (N,)
in the target's unit.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn import dummy, ensemble, linear_model, pipeline, preprocessing
from torch import Tensor, nn

from course_utils import metrics
from course_utils.artifacts import Bundle
from course_utils.data import (
    Batches,
    CourseData,
    DataError,
    Prepared,
    ScanDataset,
    TableData,
    TablePart,
    first_scans,
    load_dataset,
    load_table,
)
from course_utils.data.csvfile import SUFFIXES
from course_utils.env import set_seed
from course_utils.metrics import Interval
from course_utils.models import build
from course_utils.recipes import Recipe, train_recipe
from course_utils.regress import fit_numbers, predict_numbers
from course_utils.train import adamw_cosine, fit, predict

BASELINE_SIDE = 16  # pixels: the baselines see a picture shrunk to this
PROVES_NOTHING = 20  # test answers; with fewer, even a row without a mistake leaves everything open


@dataclass(frozen=True)
class Project:
    """Data with a question. task: "classification" or "regression"; unit: of the number that is predicted."""

    name: str
    data: CourseData | TableData
    task: str
    unit: str = ""

    @property
    def pictures(self) -> bool:
        return isinstance(self.data, CourseData)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes; none for regression."""
        return self.data.classes

    @property
    def metric(self) -> str:
        return "macro recall" if self.task == "classification" else "mean absolute error"

    @property
    def better(self) -> int:
        """1 when more of the metric is better, -1 when less is."""
        return 1 if self.task == "classification" else -1

    def score(self, y: np.ndarray, answers: np.ndarray) -> float:
        """The metric of answers (N, K) or (N,) for the truth y (N,)."""
        if self.task == "classification":
            return metrics.macro_recall(y, answers.argmax(1))
        return float(np.abs(y - answers).mean())

    def interval(self, part: ScanDataset | TablePart, answers: np.ndarray, draws: int = 400, seed: int = 0) -> Interval:
        """The score on a part with its bootstrap interval, whole groups drawn where they are known.

        A bootstrap of answers that are all right (or all wrong) has no width, which would be a boast: Wilson's interval
        of so many answers stands in.
        """
        y = truth(part)
        found = metrics.bootstrap_interval(self.score, y, answers, groups=part.groups, n=draws, seed=seed)
        if self.task == "classification" and found.value in (0, 1):
            return metrics.wilson_interval(round(found.value * len(y)), len(y))
        return found

    def with_train(self, part: ScanDataset | TablePart) -> Project:
        """The same project with other training cases."""
        data = copy.copy(self.data)
        data.train = part
        for known in ("_moments", "fingerprint"):  # belonged to the old ones
            vars(data).pop(known, None)
        return replace(self, data=data)


def open_project(
    path: str | Path,
    *,
    target: str = "",
    groups: str = "",
    task: str = "auto",
    leave_out: Sequence[str] = (),
    unit: str = "",
    size: int = 32,
    n_train: int | None = None,
    seed: int = 0,
) -> Project:
    """Open a folder of pictures, a .npz file, a data set by name, or a CSV. DataError, in one sentence, for the rest.

    target, groups, task and leave_out speak of the columns of a CSV, size and n_train of pictures.
    """
    place = Path(path).expanduser()
    if place.suffix.lower() in SUFFIXES:
        if not target:
            raise DataError(f"{place} is a table: name the column that is to be predicted, TARGET")
        data = load_table(place, target, groups=groups or None, kind=task, seed=seed, drop=leave_out)
        return Project(data.name, data, data.kind, unit)
    if place.is_file() and place.suffix.lower() != ".npz":
        raise DataError(f"{place} is neither a table ({', '.join(SUFFIXES)}), a .npz file nor a folder of pictures")
    if target or groups or task == "regression" or leave_out:
        raise DataError(f"{place} holds pictures in classes; target, groups, regression and columns belong to a CSV")
    data = load_dataset(path, seed=seed, size=size, n_train=n_train)
    return Project(data.name, data, "classification")


# --- cases ------------------------------------------------------------------------------------------------------------
def truth(part: ScanDataset | TablePart) -> np.ndarray:
    """The right answers (N,) of a part: int64 classes or float32 numbers."""
    return part.labels.numpy() if isinstance(part, ScanDataset) else part.y


def plain(part: ScanDataset | TablePart) -> np.ndarray:
    """The cases as one row of numbers each, float32 (N, F), for models without layers; pictures are shrunk first."""
    if isinstance(part, TablePart):
        return part.x
    side = min(BASELINE_SIDE, part.images.shape[-1])
    small = [nn.functional.adaptive_avg_pool2d(chunk.float(), side) for chunk in part.images.split(512)]
    return (torch.cat(small).flatten(1) / 255).numpy()


def some(part: ScanDataset | TablePart, share: float, seed: int) -> ScanDataset | TablePart:
    """A share of a part, drawn by `seed`, whole groups where they are known."""
    wanted = max(1, round(share * len(part)))
    if isinstance(part, ScanDataset):
        return first_scans(part, wanted, seed)
    groups = np.arange(len(part)) if part.groups is None else part.groups
    names = np.random.default_rng(seed).permutation(np.unique(groups))
    kept = np.isin(groups, names[: max(1, round(share * len(names)))])
    return part.subset(np.flatnonzero(kept))


class Rows:
    """Batches of a table's rows: (x float32 (B, F), y (B,)); the order of an epoch depends on (seed, epoch) alone."""

    def __init__(self, x: np.ndarray, y: np.ndarray, batch_size: int, *, shuffle: bool = False, seed: int = 0):
        self.x, self.y = torch.from_numpy(x), torch.from_numpy(y)
        self.batch_size, self.shuffle, self.seed, self.epoch = batch_size, shuffle, seed, 0

    def __len__(self) -> int:
        return -(-len(self.y) // self.batch_size)

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        epoch, self.epoch = self.epoch, self.epoch + 1
        order = torch.arange(len(self.y))
        if self.shuffle:
            order = torch.from_numpy(np.random.default_rng([self.seed, epoch]).permutation(len(self.y)))
        for rows in order.split(self.batch_size):
            yield self.x[rows], self.y[rows]


# --- models -----------------------------------------------------------------------------------------------------------
def baseline_answers(estimator: Any, project: Project, part: ScanDataset | TablePart) -> np.ndarray:
    """Answers of a fitted scikit-learn model; a class it never saw gets probability 0."""
    if project.task == "regression":
        return estimator.predict(plain(part))
    probs = np.zeros((len(part), len(project.classes)))
    probs[:, estimator.classes_] = estimator.predict_proba(plain(part))
    return probs


def baselines(task: str) -> dict[str, Any]:
    """Models without layers, not fitted, for a task: nothing learned, a straight line, and a crowd of small trees."""
    trees = {"max_iter": 60, "max_leaf_nodes": 8, "random_state": 0}
    if task == "regression":
        nothing, line = dummy.DummyRegressor(), linear_model.RidgeCV(np.logspace(-2, 3, 11))
        boosting = ensemble.HistGradientBoostingRegressor(**trees)
    else:
        nothing, line = dummy.DummyClassifier(), linear_model.LogisticRegression(C=0.02, max_iter=500)
        boosting = ensemble.HistGradientBoostingClassifier(**trees)
    linear = pipeline.make_pipeline(preprocessing.StandardScaler(), line)
    return {"nothing learned": nothing, "linear": linear, "boosting": boosting}


def target_scale(project: Project) -> tuple[float, float]:
    """Mean and deviation of the training numbers: the network learns (y - mean) / deviation."""
    y = truth(project.data.train)
    return float(y.mean()), float(max(y.std(), 1e-12))


def train_network(
    project: Project, *, seed: int, epochs: int, recipe: Recipe, device="cpu"
) -> tuple[nn.Module, pd.DataFrame]:
    """Train the project's network and return it, on the CPU, with its history: `recipe` for pictures, an MLP for rows.

    Of a table's epochs the best on validation is kept.
    """
    if project.pictures:
        model, history = train_recipe(recipe, project.data, seed=seed, device=device, epochs=epochs)
        return model.cpu(), history
    set_seed(seed)
    train, val = project.data.train, project.data.val
    numbers = project.task == "regression"
    mean, std = target_scale(project) if numbers else (0.0, 1.0)
    y, y_val = (((part.y - mean) / std).astype(np.float32) if numbers else part.y for part in (train, val))
    model = build("table_mlp", in_channels=train.x.shape[1], classes=1 if numbers else len(project.classes))
    model.standardize(torch.from_numpy(train.x))
    batch_size = max(32, len(train) // 50)  # some fifty steps an epoch, however long the table
    loaders = Rows(train.x, y, batch_size, shuffle=True, seed=seed), Rows(val.x, y_val, 1024)
    optimizer, lr_scheduler = adamw_cosine(model, loaders[0], epochs, lr=3e-3, weight_decay=2e-2)
    rest = {"optimizer": optimizer, "lr_scheduler": lr_scheduler, "epochs": epochs, "device": device, "progress": False}
    if numbers:
        history = fit_numbers(model, *loaders, **rest)
    else:
        history = fit(model, *loaders, loss_fn=nn.CrossEntropyLoss(), patience=epochs, **rest)
    return model.cpu(), history


@torch.no_grad()
def linear_network(fitted: Any, project: Project) -> nn.Module:
    """The fitted linear baseline of a table as a network without hidden layers: it then fits the same bundle."""
    scaler, line = fitted[0], fitted[-1]
    weights, bias = np.atleast_2d(line.coef_), np.atleast_1d(line.intercept_)  # (K, F), (K,)
    if project.task == "regression":
        mean, std = target_scale(project)
        weights, bias = weights / std, (bias - mean) / std
    elif len(weights) == 1:  # two classes share one line: the first one's logit is 0
        weights, bias = np.vstack([0 * weights, weights]), np.array([0.0, bias[0]])
    model = build("table_mlp", in_channels=weights.shape[1], classes=len(weights), hidden=(), dropout=0.0)
    first = model.features[0]
    for place, values in ((first.mean, scaler.mean_), (first.std, scaler.scale_)):
        place.copy_(torch.from_numpy(values))
    model.head.weight.copy_(torch.from_numpy(weights))
    model.head.bias.copy_(torch.from_numpy(bias))
    return model.eval()


def network_outputs(model: nn.Module, project: Project, part: ScanDataset | TablePart) -> np.ndarray:
    """What the network itself says, float32 (N, K): logits, or one standardised number."""
    if project.pictures:
        return predict(model, Batches(part, 256, mean=project.data.mean, std=project.data.std))[0]
    rows = Rows(part.x, part.y, 1024)
    return (predict_numbers if project.task == "regression" else predict)(model, rows)[0]


def as_answers(project: Project, outputs: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """Outputs (N, K) of the network → answers: probabilities, or numbers in the unit of the target."""
    if project.task == "classification":
        return metrics.softmax(outputs, temperature)
    mean, std = target_scale(project)
    return outputs[:, 0].astype(float) * std + mean


def ask(bundle: Bundle, rows: Sequence[Mapping[str, Any]]) -> np.ndarray:
    """What a bundle made from a table answers to raw rows, dicts of texts or numbers, by its ONNX file alone.

    Probabilities (N, K) or numbers (N,). DataError when a column is missing.
    """
    said = bundle.metadata
    x = Prepared.from_dict(said["prepared"]).matrix(rows)
    outputs = bundle.session().run(None, {"x": x})[0]
    if "target" in said:
        return outputs[:, 0].astype(float) * said["target"]["std"] + said["target"]["mean"]
    return metrics.softmax(outputs, said["thresholds"]["temperature"])


# --- what it proves ---------------------------------------------------------------------------------------------------
def what_it_proves(project: Project, n: int) -> str:
    """A sentence on what `n` test cases can show at all."""
    few = f"{n} test case{'s' * (n != 1)} prove nothing yet" if n < PROVES_NOTHING else f"There are {n} test cases"
    if project.task == "classification":
        low = metrics.wilson_interval(n, n).low
        return f"{few}: with every answer right, the share of right answers could still be as low as {low:.2f}."
    known = 100 * 1.48 / np.sqrt(n)  # 1.96 · √(π/2 - 1) / √n, for errors that are normally distributed
    return f"{few}: even of well-behaved errors they give the mean only to about ±{known:.0f} %."
