"""Metrics: arrays in; a number, a dict or a DataFrame out.

scikit-learn and SciPy do the arithmetic; what is ours is the names, the checks and the choice of what to report.
Words: `targets` (N,) int class ids, `preds` (N,) int class ids, `probs` (N, K) rows that sum to 1, `logits` (N, K),
`groups` (N,) patient ids. Arrays or CPU tensors. Wrong input raises ValueError.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd
import scipy

# The parts of SciPy, and scikit-learn inside the functions, load when they are first used: that takes seconds, which a
# service that only needs `softmax` and `cheapest_decisions` should not wait for.

MOST_LEVELS = 30  # a slice column with more distinct values than this is a measurement, not a category


class Interval(NamedTuple):
    """A value and the interval around it; `f"{interval:.2f}"` reads `0.91 (0.88–0.94)`."""

    value: float
    low: float
    high: float

    def __format__(self, spec: str) -> str:
        spec = spec or ".3f"
        return f"{self.value:{spec}} ({self.low:{spec}}–{self.high:{spec}})"


# ── Checks ───────────────────────────────────────────────────────────────────────────────────────────────────────────
def _ids(values, name: str) -> np.ndarray:
    """Class ids as int64 (N,)."""
    ids = np.asarray(values)
    if ids.ndim != 1 or ids.size == 0:
        raise ValueError(f"{name} must be one class id a scan, shape (N,) with N > 0, not {ids.shape}.")
    if ids.dtype.kind not in "iub":
        raise ValueError(f"{name} must be whole numbers (class ids), not {ids.dtype}.")
    if ids.min() < 0:
        raise ValueError(f"{name} must be class ids from 0 up, but holds {ids.min()}.")
    return ids.astype(np.int64, copy=False)


def _pair(a, b, a_name: str, b_name: str) -> tuple[np.ndarray, np.ndarray]:
    a, b = _ids(a, a_name), _ids(b, b_name)
    if len(a) != len(b):
        raise ValueError(f"{a_name} and {b_name} must be equally long, but have {len(a)} and {len(b)} entries.")
    return a, b


def _numbers(values, name: str, ndim: int) -> np.ndarray:
    """Finite float64 numbers of the given number of dimensions."""
    numbers = np.asarray(values, dtype=np.float64)
    if numbers.ndim != ndim or numbers.size == 0:
        raise ValueError(f"{name} must have {'shape (N,)' if ndim == 1 else 'shape (N, K)'}, not {numbers.shape}.")
    if not np.isfinite(numbers).all():
        raise ValueError(f"{name} must be finite, but holds {(~np.isfinite(numbers)).sum()} NaN or infinite values.")
    return numbers


def _probs(probs) -> np.ndarray:
    """Probabilities as float64 (N, K), K >= 2, rows that sum to 1 up to float32 rounding."""
    if np.ndim(probs) == 1:
        raise ValueError("probs must have shape (N, K); from one score p of class 1 make np.column_stack([1 - p, p]).")
    probs = _numbers(probs, "probs", 2)
    if probs.shape[1] < 2:
        raise ValueError("probs must have a column for each of at least two classes, not one column.")
    totals = probs.sum(axis=1)
    if probs.min() < 0 or np.abs(totals - 1).max() > 1e-3:
        worst = totals[np.abs(totals - 1).argmax()]
        raise ValueError(
            f"probs must be non-negative rows that sum to 1 (smallest value {probs.min():.3g}, "
            f"worst sum {worst:.3g}): pass logits through softmax first."
        )
    return probs


def _scored(targets, probs) -> tuple[np.ndarray, np.ndarray]:
    targets, probs = _ids(targets, "targets"), _probs(probs)
    _fits(targets, probs, "probs")
    return targets, probs


def _fits(targets: np.ndarray, scores: np.ndarray, name: str) -> None:
    if len(targets) != len(scores):
        raise ValueError(f"targets and {name} must be equally long, but have {len(targets)} and {len(scores)} rows.")
    if targets.max() >= scores.shape[1]:
        raise ValueError(f"targets hold class {targets.max()}, but {name} has columns for {scores.shape[1]} classes.")


# ── Classification ───────────────────────────────────────────────────────────────────────────────────────────────────
def softmax(logits, temperature: float = 1.0) -> np.ndarray:
    """Probabilities float64 (N, K) of logits (N, K), divided by `temperature` first (above 1: less sure)."""
    return scipy.special.softmax(_numbers(logits, "logits", 2) / temperature, axis=1)


def accuracy(targets, preds) -> float:
    """Share of scans whose predicted class is the target."""
    targets, preds = _pair(targets, preds, "targets", "preds")
    return float((targets == preds).mean())


def confusion_counts(targets, preds, n_classes: int | None = None) -> np.ndarray:
    """Confusion matrix int64 (K, K): a row for each target class, a column for each predicted class."""
    targets, preds = _pair(targets, preds, "targets", "preds")
    seen = int(max(targets.max(), preds.max())) + 1
    k = seen if n_classes is None else n_classes
    if k < seen:
        raise ValueError(f"n_classes is {k}, but class {seen - 1} occurs in targets or preds.")
    return np.bincount(targets * k + preds, minlength=k * k).reshape(k, k)


def macro_f1(targets, preds) -> float:
    """F1 = 2·TP / (targets + predictions) of each class, averaged over the classes in targets or preds.

    As scikit-learn's `f1_score(average="macro")`, from counts alone: quick enough to bootstrap.
    """
    counts = confusion_counts(targets, preds)
    size = counts.sum(axis=0) + counts.sum(axis=1)
    return float((2 * counts.diagonal()[size > 0] / size[size > 0]).mean())


def macro_recall(targets, preds) -> float:
    """Recall averaged over the classes in targets (balanced accuracy)."""
    counts = confusion_counts(targets, preds)
    support = counts.sum(axis=1)
    return float((counts.diagonal()[support > 0] / support[support > 0]).mean())


def roc_auc_per_class(targets, probs) -> np.ndarray:
    """Area under the ROC curve of each class against the rest, float64 (K,); NaN for a class nobody or everybody has.

    The chance that a scan of the class scores above one of the rest, ties counting half (Mann–Whitney U, from ranks).
    """
    targets, probs = _scored(targets, probs)
    own = targets[:, None] == np.arange(probs.shape[1])  # (N, K)
    n_own, n_rest = own.sum(axis=0), (~own).sum(axis=0)
    rank_sum = (scipy.stats.rankdata(probs, axis=0) * own).sum(axis=0)
    with np.errstate(invalid="ignore"):
        return (rank_sum - n_own * (n_own + 1) / 2) / (n_own * n_rest)


def roc_auc(targets, probs) -> float:
    """One-against-rest ROC AUC averaged over the classes present; NaN when only one class is present."""
    return _mean_of_present(roc_auc_per_class(targets, probs))


def average_precision_per_class(targets, probs) -> np.ndarray:
    """Average precision (area under precision–recall) of each class against the rest, (K,); NaN for an absent class."""
    from sklearn import metrics as sk

    targets, probs = _scored(targets, probs)
    own = targets[:, None] == np.arange(probs.shape[1])
    return np.array(
        [
            sk.average_precision_score(is_class, score) if is_class.any() else np.nan
            for is_class, score in zip(own.T, probs.T, strict=True)
        ]
    )


def _mean_of_present(values: np.ndarray) -> float:
    present = values[~np.isnan(values)]
    return float(present.mean()) if present.size else float("nan")


def classification_metrics(targets, probs) -> dict[str, float]:
    """The usual figures of targets (N,) and probs (N, K): accuracy, macro F1 and recall, ROC AUC, AP, log loss.

    A class absent from `targets` is left out of recall, ROC AUC and average precision (there is nothing to rank); it
    counts 0 in macro F1 once it is predicted. With K = 2 both classes count, as with any K. Log loss is in nats.
    """
    from sklearn import metrics as sk

    targets, probs = _scored(targets, probs)
    preds = probs.argmax(axis=1)
    exact = probs / probs.sum(axis=1, keepdims=True)  # scikit-learn warns of float32 rounding
    return {
        "accuracy": accuracy(targets, preds),
        "macro_f1": macro_f1(targets, preds),
        "macro_recall": macro_recall(targets, preds),
        "roc_auc": roc_auc(targets, probs),
        "average_precision": _mean_of_present(average_precision_per_class(targets, probs)),
        "log_loss": float(sk.log_loss(targets, exact, labels=np.arange(probs.shape[1]))),
    }


def per_class_table(targets, probs, classes) -> pd.DataFrame:
    """One row a class: precision, recall, f1, support (scans), auc, average_precision.

    NaN where a figure has no meaning: the precision of a class never predicted, the recall of a class that is absent.
    """
    from sklearn import metrics as sk

    targets, probs = _scored(targets, probs)
    if len(classes) != probs.shape[1]:
        raise ValueError(f"classes must name the {probs.shape[1]} columns of probs, but holds {len(classes)} names.")
    precision, recall, f1, support = sk.precision_recall_fscore_support(
        targets, probs.argmax(axis=1), labels=np.arange(len(classes)), zero_division=np.nan
    )
    columns = {"precision": precision, "recall": recall, "f1": f1, "support": support}
    columns["auc"] = roc_auc_per_class(targets, probs)
    columns["average_precision"] = average_precision_per_class(targets, probs)
    return pd.DataFrame(columns, index=pd.Index(list(classes), name="class"))


# ── Uncertainty ──────────────────────────────────────────────────────────────────────────────────────────────────────
def _resamples(size: int, groups, n: int, seed: int):
    """Yields n index arrays: scans drawn with replacement or, given groups, whole patients."""
    rng = np.random.default_rng(seed)
    if groups is None:
        for _ in range(n):
            yield rng.integers(0, size, size)
        return
    if len(groups) != size:
        raise ValueError(f"groups must name the patient of each of the {size} rows, but has {len(groups)} entries.")
    codes, names = pd.factorize(np.asarray(groups), use_na_sentinel=False)
    members = np.split(np.argsort(codes, kind="stable"), np.cumsum(np.bincount(codes))[:-1])
    for _ in range(n):
        yield np.concatenate([members[i] for i in rng.integers(0, len(names), len(names))])


def bootstrap_interval(
    statistic: Callable[..., float],
    *arrays,
    groups=None,
    n: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Percentile bootstrap interval of `statistic(*arrays)`; rows of the arrays stay together.

    With `groups` whole patients are drawn, because scans of one patient are not independent (cluster bootstrap).
    Resamples where the statistic is NaN (a class fell out) are left out. Efron & Tibshirani, 1993.
    """
    arrays = [np.asarray(array) for array in arrays]
    if not arrays or len({len(array) for array in arrays}) > 1:
        raise ValueError(f"arrays must be equally long, but have {[len(array) for array in arrays]} rows.")
    if not 0 < level < 1 or n < 1:
        raise ValueError(f"level must lie between 0 and 1 and n be at least 1, not {level} and {n}.")
    value = float(statistic(*arrays))
    draws = [statistic(*(array[rows] for array in arrays)) for rows in _resamples(len(arrays[0]), groups, n, seed)]
    tail = (1 - level) / 2
    finite = np.asarray(draws, dtype=float)
    finite = finite[~np.isnan(finite)]
    low, high = np.quantile(finite, [tail, 1 - tail]) if finite.size else (np.nan, np.nan)
    return Interval(value, float(low), float(high))


def paired_bootstrap(
    statistic: Callable[..., float],
    targets,
    a,
    b,
    groups=None,
    n: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Interval of `statistic(targets, a) - statistic(targets, b)`, both models on the same resampled scans.

    An interval that leaves 0 out says that the two differ on scans like these; it says nothing about other seeds.
    """

    def difference(targets, a, b) -> float:
        return statistic(targets, a) - statistic(targets, b)

    return bootstrap_interval(difference, targets, a, b, groups=groups, n=n, level=level, seed=seed)


def mcnemar(targets, preds_a, preds_b) -> dict[str, float]:
    """McNemar's exact test: of the scans only one model gets right, is the split further from even than chance?

    Gives only_a, only_b (scans only that model gets right), p_value (two-sided binomial). Takes scans as independent.
    """
    targets, preds_a = _pair(targets, preds_a, "targets", "preds_a")
    targets, preds_b = _pair(targets, preds_b, "targets", "preds_b")
    right_a, right_b = preds_a == targets, preds_b == targets
    only_a, only_b = int((right_a & ~right_b).sum()), int((right_b & ~right_a).sum())
    differ = only_a + only_b
    p_value = scipy.stats.binomtest(only_a, differ).pvalue if differ else 1.0
    return {"only_a": only_a, "only_b": only_b, "p_value": float(p_value)}


def seed_interval(values, level: float = 0.95) -> Interval:
    """Mean of one figure over seeds with Student's t interval; low and high are NaN for a single seed."""
    values = _numbers(values, "values", 1)
    mean = float(values.mean())
    if len(values) < 2:
        return Interval(mean, float("nan"), float("nan"))
    half = scipy.stats.t.ppf((1 + level) / 2, len(values) - 1) * scipy.stats.sem(values)
    return Interval(mean, float(mean - half), float(mean + half))


def wilson_interval(successes: int, n: int, level: float = 0.95) -> Interval:
    """A share `successes / n` with Wilson's score interval, sound for small n and shares near 0 or 1."""
    bounds = scipy.stats.binomtest(int(successes), int(n)).proportion_ci(level, method="wilson")
    return Interval(successes / n, float(bounds.low), float(bounds.high))


def slice_table(targets, preds, slices: pd.DataFrame | pd.Series, groups=None) -> pd.DataFrame:
    """Accuracy on each value of each column of `slices`: slice, level, n, accuracy, low, high (95 %).

    Wilson's interval; with `groups` widened to the patient bootstrap's where that is wider (a bootstrap of a slice
    without errors has no width, which would be a boast). Missing values are a level of their own. Cut numbers into
    bands first (`pd.cut`).
    """
    targets, preds = _pair(targets, preds, "targets", "preds")
    slices = slices.to_frame() if isinstance(slices, pd.Series) else slices
    if len(slices) != len(targets):
        raise ValueError(f"slices must have a row for each of the {len(targets)} scans, but has {len(slices)}.")
    groups = None if groups is None else np.asarray(groups)
    rows = []
    for column in slices.columns:
        values = slices[column]
        if values.nunique() > MOST_LEVELS:
            raise ValueError(f"{column} has {values.nunique()} distinct values: cut it into bands first (pd.cut).")
        for level, index in _levels(values):
            who = None if groups is None else groups[index]
            interval = _accuracy_interval(targets[index], preds[index], who)
            rows.append((column, level, len(index), *interval))
    return pd.DataFrame(rows, columns=["slice", "level", "n", "accuracy", "low", "high"])


def _levels(values: pd.Series):
    """(level as text, row positions) of each value that occurs, in order, missing ones last."""
    values = values.reset_index(drop=True)
    for level, part in values.groupby(values, observed=True, sort=True):
        yield str(level), part.index.to_numpy()
    if values.isna().any():
        yield "missing", np.flatnonzero(values.isna())


def _accuracy_interval(targets: np.ndarray, preds: np.ndarray, groups) -> Interval:
    wilson = wilson_interval((targets == preds).sum(), len(targets))
    if groups is None:
        return wilson
    cluster = bootstrap_interval(accuracy, targets, preds, groups=groups)
    return Interval(wilson.value, min(wilson.low, cluster.low), max(wilson.high, cluster.high))


# ── Calibration ──────────────────────────────────────────────────────────────────────────────────────────────────────
def reliability_table(targets, probs, bins: int = 15) -> pd.DataFrame:
    """Scans binned by confidence (the largest probability), equal widths: what the model said and what came true.

    Columns bin_low, bin_high, n, confidence (mean), accuracy, low, high (95 %, Wilson). Empty bins are left out.
    """
    targets, probs = _scored(targets, probs)
    if bins < 1:
        raise ValueError(f"bins must be at least 1, not {bins}.")
    confidence, right = probs.max(axis=1), probs.argmax(axis=1) == targets
    where = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)  # bin b holds (b/bins, (b+1)/bins]
    rows = []
    for b in np.unique(where):
        inside = where == b
        share = wilson_interval(right[inside].sum(), inside.sum())
        rows.append((b / bins, (b + 1) / bins, int(inside.sum()), confidence[inside].mean(), *share))
    return pd.DataFrame(rows, columns=["bin_low", "bin_high", "n", "confidence", "accuracy", "low", "high"])


def calibration_error(targets, probs, bins: int = 15) -> float:
    """Expected calibration error: mean gap between confidence and accuracy over bins (Guo et al., ICML 2017)."""
    table = reliability_table(targets, probs, bins)
    return float(np.average((table.accuracy - table.confidence).abs(), weights=table.n))


def fit_temperature(logits, targets) -> float:
    """The temperature T in [0.05, 20] for which softmax(logits / T) has the least log loss (Guo et al., ICML 2017).

    Fit it on validation scans. Decisions stay as they are; only the confidence moves.
    """
    logits, targets = _numbers(logits, "logits", 2), _ids(targets, "targets")
    _fits(targets, logits, "logits")
    rows = np.arange(len(targets))

    def log_loss(log_t: float) -> float:
        return -scipy.special.log_softmax(logits / np.exp(log_t), axis=1)[rows, targets].mean()

    found = scipy.optimize.minimize_scalar(log_loss, bounds=(np.log(0.05), np.log(20)), method="bounded")
    return float(np.exp(found.x))


# ── Decisions and their cost ─────────────────────────────────────────────────────────────────────────────────────────
def _cost(cost, n_classes: int) -> np.ndarray:
    cost = _numbers(cost, "cost", 2)
    if cost.shape[0] < n_classes:
        raise ValueError(f"cost must have a row for each of {n_classes} true classes, but has {cost.shape[0]}.")
    return cost


def cheapest_decisions(probs, cost) -> np.ndarray:
    """The decision int64 (N,) with the least expected cost for each scan; cost (K, D): a row for each true class.

    There may be more decisions than classes ("ask a colleague"). Bayes' rule: argmin over d of Σ_k p(k)·cost[k, d].
    """
    probs = _probs(probs)
    cost = _cost(cost, probs.shape[1])
    if len(cost) != probs.shape[1]:
        raise ValueError(f"cost has {len(cost)} rows, but probs has {probs.shape[1]} classes: one row a class.")
    return (probs @ cost).argmin(axis=1)


def expected_cost(targets, decisions, cost) -> float:
    """Mean cost a scan of decisions (N,) given the true classes, from cost (K, D)."""
    targets, decisions = _pair(targets, decisions, "targets", "decisions")
    cost = _cost(cost, int(targets.max()) + 1)
    if decisions.max() >= cost.shape[1]:
        raise ValueError(f"decisions hold {decisions.max()}, but cost has columns for {cost.shape[1]} decisions.")
    return float(cost[targets, decisions].mean())


def cost_curve(sick, scores, *, miss: float, false_alarm: float, thresholds=None) -> pd.DataFrame:
    """What each threshold of one score "sick or not" costs: sick when score >= threshold.

    sick (N,) bool or 0/1, scores (N,). One row a threshold (default 0, 0.01 … 1): threshold, sensitivity, specificity,
    misses, false_alarms (scans), cost (mean a scan). Sensitivity is NaN when nobody is sick.
    """
    sick, scores = _ids(sick, "sick"), _numbers(scores, "scores", 1)
    if sick.max() > 1 or len(sick) != len(scores):
        raise ValueError(f"sick must be 0 or 1 for each of the {len(scores)} scores.")
    thresholds = np.linspace(0, 1, 101) if thresholds is None else _numbers(thresholds, "thresholds", 1)
    ill, well = np.sort(scores[sick == 1]), np.sort(scores[sick == 0])
    misses = np.searchsorted(ill, thresholds)  # the sick below the threshold
    false_alarms = len(well) - np.searchsorted(well, thresholds)
    columns = {
        "threshold": thresholds,
        "sensitivity": 1 - misses / len(ill) if len(ill) else np.nan,
        "specificity": 1 - false_alarms / len(well) if len(well) else np.nan,
        "misses": misses,
        "false_alarms": false_alarms,
        "cost": (miss * misses + false_alarm * false_alarms) / len(sick),
    }
    return pd.DataFrame(columns)


def abstention_curve(targets, probs, points: int = 50) -> pd.DataFrame:
    """What is gained by leaving the unsure scans to people: one row a threshold on confidence.

    Columns threshold, coverage (share the model decides itself), n, accuracy (on those). Coverage falls down the rows,
    from 1.
    """
    targets, probs = _scored(targets, probs)
    confidence, right = probs.max(axis=1), probs.argmax(axis=1) == targets
    thresholds = np.unique(np.quantile(confidence, np.linspace(0, 1, points, endpoint=False), method="lower"))
    kept = confidence >= thresholds[:, None]  # (points, N)
    n = kept.sum(axis=1)
    columns = {
        "threshold": thresholds,
        "coverage": n / len(targets),
        "n": n,
        "accuracy": (kept & right).sum(axis=1) / n,
    }
    return pd.DataFrame(columns)


# ── Numbers, rankings, annotators ────────────────────────────────────────────────────────────────────────────────────
def regression_metrics(y, y_hat) -> dict[str, float]:
    """mse (unit²), mae and rmse (the unit of y), r2 (share of variance explained; 0: no better than the mean)."""
    from sklearn import metrics as sk

    y, y_hat = _numbers(y, "y", 1), _numbers(y_hat, "y_hat", 1)
    if len(y) != len(y_hat) or len(y) < 2:
        raise ValueError(f"y and y_hat must be equally long, two values at least, not {len(y)} and {len(y_hat)}.")
    mse = float(sk.mean_squared_error(y, y_hat))
    mae, r2 = float(sk.mean_absolute_error(y, y_hat)), float(sk.r2_score(y, y_hat))
    return {"mse": mse, "mae": mae, "rmse": mse**0.5, "r2": r2}


def ranking_metrics(relevance, scores, k: int = 10) -> dict[str, float]:
    """average_precision, ndcg and precision_at_{k} of one ranked list; relevance (N,) >= 0, above 0 is relevant."""
    from sklearn import metrics as sk

    relevance, scores = _numbers(relevance, "relevance", 1), _numbers(scores, "scores", 1)
    if len(relevance) != len(scores) or not 1 <= k <= len(scores):
        raise ValueError(
            f"relevance and scores must be equally long (k = {k} at least), not {len(relevance)} and {len(scores)}."
        )
    if relevance.min() < 0 or relevance.max() == 0:
        raise ValueError("relevance must be non-negative and above 0 for one item at least.")
    top = np.argsort(-scores, kind="stable")[:k]
    return {
        "average_precision": float(sk.average_precision_score(relevance > 0, scores)),
        "ndcg": float(sk.ndcg_score(relevance[None], scores[None])),
        f"precision_at_{k}": float((relevance[top] > 0).mean()),
    }


def cohens_kappa(a, b) -> float:
    """Agreement of two annotators beyond chance, 1 full, 0 chance (Cohen, 1960); NaN when both know one label only."""
    from sklearn import metrics as sk

    a, b = _pair(a, b, "a", "b")
    if len(np.union1d(a, b)) < 2:
        return float("nan")
    return float(sk.cohen_kappa_score(a, b))
