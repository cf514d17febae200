"""What a service can know about itself: accuracy as far as labels have come, and a queue for the people who look."""

from __future__ import annotations

import numpy as np
import pandas as pd


def rolling_accuracy(week, right, label_week, window: int = 4) -> pd.DataFrame:
    """Accuracy over the last `window` weeks, one row a week: as it was (`true`) and as could be `known` by then.

    week, label_week int (N,): when a scan was read and when its label came; right bool (N,). NaN before any label.
    """
    week, right, label_week = np.asarray(week), np.asarray(right, dtype=float), np.asarray(label_week)
    if not len(week) == len(right) == len(label_week) or window < 1 or not len(week):
        raise ValueError(
            f"{len(week)} weeks, {len(right)} answers, {len(label_week)} label weeks, window {window}: the first "
            "three must be equally long and not empty, the window at least 1"
        )
    rows = []
    for now in range(int(week.min()), int(week.max()) + 1):
        true = right[(week <= now) & (week > now - window)]
        arrived = np.sort(np.unique(week[label_week <= now]))[-window:]  # the newest weeks whose labels are here
        known = right[np.isin(week, arrived) & (label_week <= now)]
        rows.append((now, *(part.mean() if len(part) else np.nan for part in (true, known)), len(known)))
    return pd.DataFrame(rows, columns=["week", "true", "known", "labels"])


def review_queue(probs: np.ndarray, places: int, random_share: float = 0.3, seed: int = 0) -> pd.DataFrame:
    """Which scans a person looks at: the least sure ones, and a random slice. Columns scan (row number), why.

    probs (N, K). The unsure find errors; only the random slice says how good the model is: the unsure are not typical.
    """
    if not 0 < places <= len(probs) or not 0 <= random_share <= 1:
        raise ValueError(f"{places} places for {len(probs)} scans, {random_share} at random: too many, or no share")
    by_chance = round(random_share * places)
    drawn = np.random.default_rng(seed).choice(len(probs), by_chance, replace=False)
    order = np.argsort(np.asarray(probs).max(1), kind="stable")
    unsure = order[~np.isin(order, drawn)][: places - by_chance]
    why = ["random"] * by_chance + ["unsure"] * len(unsure)
    return pd.DataFrame({"scan": np.concatenate([drawn, unsure]), "why": why})
