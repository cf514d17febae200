"""How far this week's scans lie from the reference: four measures, each in a few lines.

`reference` and `week` are samples of one number a scan, (N,) and (M,), or of feature rows, (N, D) and (M, D). A
measure alone is no alarm: how large it gets by chance is a question for simulation (see `watch`).
"""

from __future__ import annotations

import numpy as np
from scipy import stats
from scipy.spatial.distance import cdist, pdist

SCAN_STATISTICS = ("mean grey", "contrast", "floor", "ceiling", "grain across", "grain down")
RIDGE = 0.05  # of standardised features: keeps the domain classifier from reading noise


def ks_statistic(reference: np.ndarray, week: np.ndarray) -> float:
    """Kolmogorov–Smirnov: the largest gap between the two cumulative shares, 0 (equal) to 1 (apart)."""
    reference, week = np.sort(reference), np.sort(week)
    values = np.concatenate([reference, week])
    gap = np.searchsorted(reference, values, "right") / len(reference) - np.searchsorted(week, values, "right") / len(
        week
    )
    return float(np.abs(gap).max())


def psi(reference: np.ndarray, week: np.ndarray, bins: int = 10) -> float:
    """Population stability index: Σ (q - p) ln(q / p) over bins that hold equal shares of the reference.

    Half a scan is added to each bin, so that an empty one does not make the sum infinite.
    """
    edges = np.quantile(reference, np.linspace(0, 1, bins + 1)[1:-1])
    counts = [np.bincount(np.searchsorted(edges, values), minlength=bins) + 0.5 for values in (reference, week)]
    p, q = (count / count.sum() for count in counts)
    return float(((q - p) * np.log(q / p)).sum())


def median_distance(rows: np.ndarray, most: int = 1000) -> float:
    """The median distance between two rows (N, D): the usual width of the kernel. Looks at `most` rows at most."""
    return float(np.median(pdist(rows[:most])))


def mmd2(x: np.ndarray, y: np.ndarray, width: float | None = None) -> float:
    """Squared maximum mean discrepancy of rows x (N, D) and y (M, D), unbiased; about 0 when nothing differs.

    Mean likeness within x, plus within y, less twice the likeness between them; likeness k(a, b) = exp(-|a - b|² /
    (2 width²)), no row being compared with itself (Gretton et al., JMLR 2012). Below 0 only by chance.
    """
    width = width or median_distance(np.concatenate([x, y]))

    def likeness(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.exp(-cdist(a, b, "sqeuclidean") / (2 * width**2))

    within_x, within_y = ((likeness(a, a).sum() - len(a)) / (len(a) * (len(a) - 1)) for a in (x, y))
    return float(within_x + within_y - 2 * likeness(x, y).mean())


def domain_auc(reference: np.ndarray, week: np.ndarray, groups: np.ndarray, week_groups: np.ndarray) -> float:
    """How well a linear classifier tells this week's rows from the reference's: ROC AUC, 0.5 when it cannot.

    Fitted on half of the patients (`groups`) and scored on the other half, both ways: ridge regression on ±1.
    """
    rows = np.concatenate([reference, week])
    is_week = np.arange(len(rows)) >= len(reference)
    half = np.concatenate([_halves(groups), _halves(week_groups)])
    x = np.column_stack([(rows - reference.mean(0)) / (reference.std(0) + 1e-9), np.ones(len(rows))])
    share = np.where(is_week, 1 / len(week), 1 / len(reference))  # both sides weigh the same
    aucs = []
    for learn in (half, ~half):
        weighted = (x * share[:, None])[learn]
        gram = weighted.T @ x[learn] + RIDGE * np.eye(x.shape[1])
        weights = np.linalg.solve(gram, weighted.T @ np.where(is_week, 1.0, -1.0)[learn])
        ranks = stats.rankdata(x[~learn] @ weights)
        n = is_week[~learn].sum()
        aucs.append((ranks[is_week[~learn]].sum() - n * (n + 1) / 2) / (n * (len(ranks) - n)))
    return float(np.mean(aucs))


def _halves(groups: np.ndarray) -> np.ndarray:
    """Every other patient: bool (N,)."""
    return np.unique(groups, return_inverse=True)[1] % 2 == 0


def scan_statistics(images: np.ndarray) -> np.ndarray:
    """Six plain numbers of each scan, float64 (N, 6), in the order of SCAN_STATISTICS; images uint8 (N, H, W[, …]).

    Mean and standard deviation of the grey, its 5 % and 95 % quantiles, mean step between neighbours across and down.
    Colour scans (N, C, H, W) are averaged over C first. Greys run from 0 to 1.
    """
    grey = np.asarray(images, dtype=np.float32) / 255
    grey = grey.mean(1) if grey.ndim == 4 else grey
    if grey.ndim != 3 or 0 in grey.shape:
        raise ValueError(f"images must be (N, H, W) or (N, C, H, W) with N > 0, not {np.shape(images)}")
    low, high = np.quantile(grey.reshape(len(grey), -1), [0.05, 0.95], axis=1)
    steps = [np.abs(np.diff(grey, axis=axis)).mean((1, 2)) for axis in (2, 1)]
    return np.column_stack([grey.mean((1, 2)), grey.std((1, 2)), low, high, *steps]).astype(np.float64)
