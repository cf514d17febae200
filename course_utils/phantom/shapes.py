"""The few curves everything is drawn with: polynomials only, so that pixels agree on every machine.

`exp` and `sin` come from each system's own mathematics library and may differ in the last bit; sums, products and
square roots may not (IEEE 754). A last bit is enough to change a rounded pixel, hence the diet.
"""

from __future__ import annotations

import numpy as np

Array = np.ndarray


def lerp(low: Array | float, high: Array | float, fraction: Array) -> Array:
    """Linear interpolation: `low` where `fraction` is 0, `high` where it is 1."""
    return low + (high - low) * fraction


def column(values: Array) -> Array:
    """(n,) -> float32 (n, 1): one number a scan, ready to meet a row of pixel columns."""
    return np.asarray(values, np.float32)[:, None]


def plane(values: Array) -> Array:
    """(n,) -> float32 (n, 1, 1): one number a scan, ready to meet whole pictures."""
    return np.asarray(values, np.float32)[:, None, None]


def bump(distance: Array) -> Array:
    """A smooth mound, 1 at distance 0 and exactly 0 beyond distance 1: (1 - d^2)^2."""
    inside = np.maximum(1 - distance * distance, 0)
    return inside * inside


def smoothstep(t: Array) -> Array:
    """3 t^2 - 2 t^3: from 0 to 1 with flat ends."""
    return t * t * (3 - 2 * t)


def spline(coefficients: Array, size: int) -> Array:
    """A smooth random line: cubic B-spline with coefficients (n, K) sampled at `size` columns, float32 (n, size)."""
    pieces = coefficients.shape[1] - 3
    position = (np.arange(size) + 0.5) / size * pieces
    first = position.astype(int)
    t = position - first
    s = 1 - t
    weights = (s * s * s, 3 * t * t * t - 6 * t * t + 4, -3 * t * t * t + 3 * t * t + 3 * t + 1, t * t * t)
    line = np.zeros((len(coefficients), size), np.float32)
    for k, weight in enumerate(weights):  # summed one by one: a matrix product could add in another order elsewhere
        line += coefficients[:, first + k].astype(np.float32) * (weight / 6).astype(np.float32)
    return line


def texture(grid: Array, size: int) -> Array:
    """Slow random texture: a coarse grid (n, rows, columns) blown up smoothly to float32 (n, size, size)."""
    return _stretch(_stretch(grid, size, axis=1), size, axis=2)


def _stretch(values: Array, size: int, axis: int) -> Array:
    position = np.arange(size) * ((values.shape[axis] - 1.001) / (size - 1))
    first = position.astype(int)
    shape = [1, 1, 1]
    shape[axis] = size
    weight = smoothstep((position - first).astype(np.float32)).reshape(shape)
    before, after = np.take(values, first, axis), np.take(values, first + 1, axis)
    return before + (after - before) * weight
