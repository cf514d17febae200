"""The phantom is as hard as the lessons need it to be: the cheap rows of the difficulty table, on one seed.

`python -m benchmarks.phantom_bands` measures all of it.
"""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression

from course_utils.phantom import make_dataset

HONEST = ["age", "signal_quality", "central_thickness_um", "visual_acuity_logmar"]
LEAK = "follow_up_weeks"


@pytest.fixture(scope="module")
def dataset():
    """The default set."""
    return make_dataset()


def pixels(split) -> np.ndarray:
    """Every other pixel of every other row, roughly standardised: what a linear model needs of a scan, cheaper."""
    images = split.images.reshape(len(split), 32, 2, 32, 2).mean(axis=(2, 4))
    return (images.reshape(len(split), -1) / 255 - 0.3) / 0.2


def test_majority(dataset):
    shares = np.bincount(dataset["test"].labels) / len(dataset["test"])
    assert 0.44 <= shares.max() <= 0.50


def test_linear_model_learns_little(dataset):
    train, test = dataset["train"], dataset["test"]
    model = LogisticRegression(C=1e-3, tol=1e-3, max_iter=400).fit(pixels(train), train.labels)
    assert 0.53 <= model.score(pixels(test), test.labels) <= 0.65


def test_leaking_column_gains_15_points(dataset):
    train, test = dataset["train"], dataset["test"]

    def accuracy(columns):
        model = HistGradientBoostingClassifier(max_iter=60, random_state=0).fit(train.meta[columns], train.labels)
        return model.score(test.meta[columns], test.labels)

    honest, leaking = accuracy(HONEST), accuracy([*HONEST, LEAK])
    assert honest > 0.5
    assert leaking - honest >= 0.15
