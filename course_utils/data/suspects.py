"""What a person should know about a table before training: copies, groups nobody named, columns that know too much."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd

from course_utils.data.columns import NAMELESS, Prepared
from course_utils.data.core import DataError
from course_utils.data.splits import grouped_split

ALMOST_PERFECT = {"classification": 0.95, "regression": 0.9}  # balanced accuracy, R²: by one column alone


def unnamed_groups(columns: pd.DataFrame, groups: str | None) -> list[str]:
    if groups is not None:
        return []
    total = columns["distinct"].max()
    named = columns[columns["column"].map(lambda name: NAMELESS.fullmatch(str(name)) is not None)]
    repeating = named[(named["used_as"] != "target") & (named["distinct"] > total / 10) & (named["distinct"] < total)]
    return [
        f"{name!r} repeats: if its rows belong together, name it as groups, or train and test share them."
        for name in repeating["column"]
    ]


def suspects(
    prepared: Prepared, x: np.ndarray, y: np.ndarray, groups: np.ndarray | None, kind: str, seed: int
) -> list[str]:
    """Columns that predict the target almost perfectly alone: known in time, or a leak? Half learns, half judges."""
    from sklearn import tree
    from sklearn.metrics import balanced_accuracy_score, r2_score

    strata = y if kind == "classification" else np.zeros(len(y), dtype=int)
    try:
        learn, judge = grouped_split(strata, groups, (0.5, 0.5), seed)
    except DataError:
        return []
    make = tree.DecisionTreeClassifier if kind == "classification" else tree.DecisionTreeRegressor
    score = balanced_accuracy_score if kind == "classification" else r2_score
    found, start = [], 0
    for column in prepared.columns:
        own = x[:, start : start + len(column.features)]
        start += len(column.features)
        alone = make(max_leaf_nodes=32, min_samples_leaf=3, random_state=0).fit(own[learn], y[learn])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a class that the half lacks
            value = score(y[judge], alone.predict(own[judge]))
        if value >= ALMOST_PERFECT[kind]:
            found.append(
                f"LEAK? {column.name!r} alone predicts the target almost perfectly: is it known when the prediction is "
                "needed? If not, leave it out."
            )
    return found


def joined(first: np.ndarray, second: np.ndarray | None) -> np.ndarray:
    """Groups so that rows equal in either of two names are in one: connected parts of the graph names — rows."""
    if second is None:
        return first
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    _, second = np.unique(second, return_inverse=True)
    size = int(first.max()) + 1
    links = coo_array((np.ones(len(first)), (first, size + second)), shape=(size + second.max() + 1,) * 2)
    return connected_components(links, directed=False)[1][first]
