"""A/B tests: how many patients first, then one look at the end, or a test that may be looked at any day.

Shares are of units that were assigned at random and are independent: patients, not scans.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import stats


def sample_size(p_a: float, p_b: float, alpha: float = 0.05, power: float = 0.8) -> int:
    """Units in *each* arm for which a two-sided test tells share `p_a` from share `p_b`.

    n = (z(1 - α/2) √(2 p̄ q̄) + z(power) √(p_a q_a + p_b q_b))² / (p_a - p_b)², the normal approximation (Fleiss, 1981).
    """
    for name, value in {"p_a": p_a, "p_b": p_b, "alpha": alpha, "power": power}.items():
        if not 0 < value < 1:
            raise ValueError(f"{name} is {value}; it must lie between 0 and 1")
    if p_a == p_b:
        raise ValueError(f"p_a and p_b are both {p_a}; no number of patients shows a difference of nothing")
    p = (p_a + p_b) / 2
    by_chance = stats.norm.ppf(1 - alpha / 2) * math.sqrt(2 * p * (1 - p))
    to_be_seen = stats.norm.ppf(power) * math.sqrt(p_a * (1 - p_a) + p_b * (1 - p_b))
    return math.ceil(((by_chance + to_be_seen) / (p_a - p_b)) ** 2)


def design_effect(values: np.ndarray, groups: np.ndarray) -> float:
    """By how much scans in groups (patients) widen the variance of a mean: 1 when scans were independent.

    The cluster variance of the mean of `values` (N,) over the variance that counts scans (Kish, 1965).
    """
    values, codes = np.asarray(values, dtype=float), np.unique(groups, return_inverse=True)[1]
    if len(values) != len(codes) or codes.max() < 1:
        raise ValueError(f"{len(values)} values of {len(codes)} scans; one each is needed, of two patients or more")
    apart = np.bincount(codes, values - values.mean())  # summed over each patient
    naive = values.var() * len(values)
    return float((apart**2).sum() / naive) if naive else 1.0


def two_shares_p(successes_a, n_a, successes_b, n_b):
    """Two-sided p-value that two shares are equal, by the pooled z-test; numbers or arrays alike."""
    a, m, b, n = (np.asarray(v, dtype=float) for v in (successes_a, n_a, successes_b, n_b))
    pooled = (a + b) / (m + n)
    error = np.sqrt(pooled * (1 - pooled) * (1 / m + 1 / n))
    z = np.divide(b / n - a / m, error, out=np.zeros(np.shape(error)), where=error > 0)
    return 2 * stats.norm.sf(np.abs(z))


def always_valid_p(successes_a, n_a, successes_b, n_b, tau: float = 0.05):
    """p-values along one test that may be read after every unit: mixture SPRT (Johari et al., KDD 2017).

    Arrays (…, T) of running counts. `tau`: the size of difference the test looks for most keenly. The chance that the
    smallest p ever falls below α is at most α when nothing differs, however often one looks.
    """
    a, m, b, n = (np.asarray(v, dtype=float) for v in (successes_a, n_a, successes_b, n_b))
    pooled = (a + b + 1) / (m + n + 2)  # never exactly 0 or 1
    variance = pooled * (1 - pooled) * (1 / m + 1 / n)
    gap = b / n - a / m
    evidence = -0.5 * np.log1p(tau**2 / variance) + gap**2 * tau**2 / (2 * variance * (variance + tau**2))
    return np.minimum(1, np.exp(-np.maximum.accumulate(evidence, axis=-1)))
