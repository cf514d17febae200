"""A drift monitor whose threshold comes from simulation: whole patients of the reference are drawn, week after week.

Scans of one patient and visit share exposure and anatomy, so a week of 150 scans is worth far fewer independent ones:
p-values that count scans raise the alarm in weeks in which nothing happened.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy.spatial.distance import cdist

from course_utils.monitor.drift import RIDGE, median_distance

MEASURES = ("KS", "PSI", "MMD", "classifier")
MOST_COLUMNS = 12  # wider features (embeddings) are turned to their main directions first
BINS = 10


class View:
    """One kind of feature of the reference, standardised; measures weighted samples of its rows.

    Weights say how often a row is in the sample: 0 and 1 for real weeks, counts for simulated ones.
    """

    def __init__(self, rows: np.ndarray) -> None:
        self.mean, self.std = rows.mean(0), rows.std(0) + 1e-9
        self.turn = np.eye(rows.shape[1])
        if rows.shape[1] > MOST_COLUMNS:
            z = (rows - self.mean) / self.std
            self.turn = np.linalg.svd(z, full_matrices=False)[2][:MOST_COLUMNS].T  # (D, 12)
        z = ((rows - self.mean) / self.std) @ self.turn
        self.scale = z.std(0) + 1e-9
        self.rows = z / self.scale
        self.width = median_distance(self.rows)
        self.edges = np.quantile(self.rows, np.linspace(0, 1, BINS + 1)[1:-1], axis=0)  # (BINS - 1, D)

    def project(self, rows: np.ndarray) -> np.ndarray:
        """Features (M, D) in the reference's units."""
        return ((rows - self.mean) / self.std) @ self.turn / self.scale

    def prepare(self, z: np.ndarray, half: np.ndarray) -> dict[str, np.ndarray]:
        """What the measures need of rows z (N, D) and is the same whatever the weights."""
        order = np.argsort(z, axis=0, kind="stable")
        in_order = np.take_along_axis(z, order, 0)
        last = np.vstack([in_order[1:] > in_order[:-1], np.ones((1, z.shape[1]), bool)])  # of equal values
        binned = np.stack([np.searchsorted(e, v) for e, v in zip(self.edges.T, z.T, strict=True)], 1)
        one_hot = (binned[:, :, None] == np.arange(BINS)).reshape(len(z), -1).astype(float)
        likeness = np.exp(-cdist(z, z, "sqeuclidean") / (2 * self.width**2))
        x = np.column_stack([z, np.ones(len(z))])
        return {"order": order, "last": last, "bins": one_hot, "likeness": likeness, "x": x, "half": half}

    def measure(self, ready: dict[str, np.ndarray], a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """The four measures (W, 4) between the sample of weights a (N,) and each of W samples b (W, N)."""
        share_a, share_b = a / a.sum(), b / b.sum(1, keepdims=True)
        return np.column_stack(
            [
                _ks(ready, share_a, share_b),
                _psi(ready, a, b),
                _mmd2(ready["likeness"], a, b),
                2 * _auc(ready, share_a, share_b) - 1,
            ]
        )


def _ks(ready, a, b) -> np.ndarray:
    gap = (b - a)[:, ready["order"]].cumsum(1)  # (W, N, D)
    return np.abs(np.where(ready["last"], gap, 0)).max((1, 2))


def _psi(ready, a, b) -> np.ndarray:
    counts = [(w @ ready["bins"]).reshape(len(w), -1, BINS) + 0.5 for w in (a[None], b)]
    p, q = (count / count.sum(2, keepdims=True) for count in counts)
    return ((q - p) * np.log(q / p)).sum(2).max(1)


def _mmd2(likeness, a, b) -> np.ndarray:
    n, m = a.sum(), b.sum(1)
    by_a, by_b = likeness @ a, b @ likeness
    return (a @ by_a - n) / (n * (n - 1)) + ((by_b * b).sum(1) - m) / (m * (m - 1)) - 2 * (b @ by_a) / (n * m)


def _auc(ready, a, b) -> np.ndarray:
    x, both = ready["x"], []
    outer = (x[:, :, None] * x[:, None, :]).reshape(len(x), -1)
    for learn in (ready["half"], ~ready["half"]):
        gram = ((a + b)[:, learn] @ outer[learn]).reshape(len(b), x.shape[1], -1) + RIDGE * np.eye(x.shape[1])
        weights = np.linalg.solve(gram, (((b - a)[:, learn]) @ x[learn])[:, :, None])[:, :, 0]  # (W, D + 1)
        scores = weights @ x[~learn].T
        order = np.argsort(scores, axis=1)
        other = np.broadcast_to(a[~learn], scores.shape)
        low, high = (np.take_along_axis(w, order, 1) for w in (other, b[:, ~learn]))
        won, pairs = (high * (low.cumsum(1) - low / 2)).sum(1), low.sum(1) * high.sum(1)
        both.append(np.where(pairs > 0, won / np.maximum(pairs, 1e-12), 0.5))  # a tiny week may lack one half
    return np.mean(both, axis=0)


class DriftMonitor:
    """Weekly drift scores, in units of a threshold that `fit` finds by simulating undrifted streams.

    false_alarms: the share of undrifted streams of `weeks` weeks that may raise any alarm. Each measure on each kind
    of feature has its own threshold, and `score` gives value / threshold. Watching several at once rings more often,
    so the largest score of a kind, and of all, must pass a limit of its own: `alarms` says which does. ValueError for
    samples that do not fit.
    """

    def __init__(self, false_alarms: float = 0.05, weeks: int = 24, streams: int = 200, seed: int = 0) -> None:
        if not 0 < false_alarms < 1 or weeks < 1 or streams * false_alarms < 1:
            raise ValueError(
                f"{false_alarms} false alarms a stream cannot be read off {streams} simulated streams of {weeks} "
                "weeks; simulate at least 1 / false_alarms streams"
            )
        self.false_alarms, self.weeks, self.streams, self.seed = false_alarms, weeks, streams, seed

    def fit(self, features: Mapping[str, np.ndarray], patients: np.ndarray, per_week: int = 150) -> DriftMonitor:
        """Learn the reference: features {kind: (N, D)}, the patient of each scan (N,), scans in a week."""
        self._check(features, patients)
        self.patients = np.asarray(patients)
        self.views = {kind: View(np.asarray(rows, dtype=np.float64)) for kind, rows in features.items()}
        names = [(kind, measure) for kind in self.views for measure in MEASURES]
        self.columns = pd.MultiIndex.from_tuples(names, names=["features", "measure"])
        self.simulated = self._simulate(per_week)  # (streams, weeks, columns)
        highest = pd.DataFrame(self.simulated.max(1), columns=self.columns)  # of each stream
        self.thresholds = highest.quantile(1 - self.false_alarms).rename("threshold")
        self.limits = self._largest(highest / self.thresholds).quantile(1 - self.false_alarms).rename("limit")
        return self

    def _largest(self, scores: pd.DataFrame) -> pd.DataFrame:
        """The largest score of each kind of features, and of all: one row as in `scores`."""
        return pd.DataFrame({kind: scores[kind].max(axis=1) for kind in self.views} | {"all": scores.max(axis=1)})

    def _simulate(self, per_week: int) -> np.ndarray:
        rng = np.random.default_rng(self.seed)
        codes = np.unique(self.patients, return_inverse=True)[1]
        count = codes.max() + 1
        a_week = max(2, round(per_week * count / len(codes)))  # patients
        ready = [view.prepare(view.rows, codes % 2 == 0) for view in self.views.values()]
        found = []
        for _ in range(self.streams):
            reference = np.bincount(rng.integers(0, count, count), minlength=count)[codes].astype(float)
            drawn = rng.integers(0, count, (self.weeks, a_week))
            weeks = np.array([np.bincount(week, minlength=count)[codes] for week in drawn], dtype=float)
            pairs = zip(self.views.values(), ready, strict=True)
            found.append(np.concatenate([view.measure(rows, reference, weeks) for view, rows in pairs], axis=1))
        return np.array(found)

    def measure(self, features: Mapping[str, np.ndarray], patients: np.ndarray) -> pd.Series:
        """The raw measures of a week against the reference, indexed by (features, measure)."""
        self._check(features, patients)
        if set(features) != set(self.views):
            known, got = ", ".join(self.views), ", ".join(features)
            raise ValueError(f"the monitor was fitted on {known}, but the week has {got}; pass the same kinds")
        codes = [np.unique(p, return_inverse=True)[1] % 2 == 0 for p in (self.patients, np.asarray(patients))]
        half, values = np.concatenate(codes), []
        is_week = np.arange(len(half)) >= len(self.patients)
        for kind, view in self.views.items():
            z = np.concatenate([view.rows, view.project(np.asarray(features[kind], dtype=np.float64))])
            values.append(view.measure(view.prepare(z, half), (~is_week).astype(float), is_week[None].astype(float))[0])
        return pd.Series(np.concatenate(values), self.columns)

    def score(self, features: Mapping[str, np.ndarray], patients: np.ndarray) -> pd.Series:
        """The measures of a week in units of their own thresholds."""
        return self.measure(features, patients) / self.thresholds

    def alarms(self, scores: pd.DataFrame) -> pd.DataFrame:
        """Whether each kind of features, and "all" together, raise the alarm: bool, one row a row of `scores`."""
        return self._largest(scores) > self.limits

    @staticmethod
    def _check(features: Mapping[str, np.ndarray], patients: np.ndarray) -> None:
        for kind, rows in features.items():
            shape = np.shape(rows)
            if len(shape) != 2 or shape[0] != len(patients) or shape[0] < 20:
                raise ValueError(
                    f"the {kind} are {shape} for {len(patients)} patient ids; they must be one row a scan, 20 or more"
                )
            if not np.isfinite(rows).all():
                raise ValueError(f"the {kind} hold NaN or infinite values")
        if not features or len(np.unique(patients)) < 4:
            raise ValueError("a monitor needs features of scans of at least 4 patients")
