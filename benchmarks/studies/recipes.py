"""The plain recipe of lesson 05 against the regularised one of lesson 08: the whole training set, three seeds."""

from __future__ import annotations

import sys
from dataclasses import replace
from functools import cache

from benchmarks.study import Study
from course_utils import models, recipes, train
from course_utils.data import CourseData, augment, load_dataset
from course_utils.metrics import accuracy, macro_f1
from course_utils.recipes import PLAIN, REGULARISED, Recipe, loaders, train_recipe
from course_utils.train import predict

SCANS_OF_THE_SMALL_ROW = 500


@cache
def phantom(n_train: int | None = None) -> CourseData:
    return load_dataset("oct-phantom", n_train=n_train)


def measure(setting: tuple[Recipe, int | None], seed: int) -> dict[str, float]:
    """One training by a recipe on so many training scans (None: all), scored on the validation set."""
    recipe, n_train = setting
    data = phantom(n_train)
    model, history = train_recipe(recipe, data, seed=seed)
    logits, targets = predict(model, loaders(data, recipe)[1])
    preds = logits.argmax(1)
    numbers = {"epochs": len(history), "accuracy": accuracy(targets, preds), "macro_f1": macro_f1(targets, preds)}
    for name, rows in data.val.meta.reset_index(drop=True).groupby("device").groups.items():
        numbers[f"accuracy_{name}"] = accuracy(targets[rows], preds[rows])
    return numbers


STUDY = Study(
    name="recipes",
    question="How much does the regularised recipe gain on the whole training set?",
    settings={
        "plain": (PLAIN, None),
        "regularised": (REGULARISED, None),
        "regularised, more epochs": (replace(REGULARISED, epochs=20), None),
        "plain, few scans": (PLAIN, SCANS_OF_THE_SMALL_ROW),
    },
    seeds=range(3),
    measure=measure,
    data=lambda: phantom().fingerprint,
    modules=[sys.modules[__name__], augment, models, recipes, train],
    small=("plain, few scans", 0),
    columns={
        "epochs": "epochs trained",
        "accuracy": "share of the validation scans read right",
        "macro_f1": "macro-F1 on the validation scans",
        "accuracy_A": "accuracy on those of them from device A",
        "accuracy_B": "accuracy on those of them from device B (few scans: a noisy number)",
    },
)
