"""Answers of the usual shapes, read kindly: arrays, tensors and lists of numbers, dictionaries of guesses."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from course_utils.exercises.core import NotYet


def floats(answer: Any, shape: tuple[int, ...] | None = None, what: str = "the result") -> np.ndarray:
    """Finite numbers as float64, from a tensor, an array, a table or nested lists; NotYet in words otherwise."""
    try:
        answer = answer.detach().cpu() if hasattr(answer, "detach") else answer
        if np.iscomplexobj(answer):
            raise NotYet(f"{what} should be real numbers, and is complex")
        values = np.asarray(answer, dtype=np.float64)
    except (TypeError, ValueError, RuntimeError):
        raise NotYet(f"{what} should be numbers, and is {type(answer).__name__}") from None
    if shape is not None and values.shape != shape:
        raise NotYet(f"{what} should have the shape {shape}, and has {values.shape}")
    missing = int((~np.isfinite(values)).sum())
    if missing:
        raise NotYet(f"{missing} of {values.size} numbers in {what} are NaN or infinite")
    return values


def close(a: Any, b: Any, tolerance: float = 1e-4) -> bool:
    """Whether two arrays of numbers agree, up to the rounding of float32."""
    return np.shape(a) == np.shape(b) and bool(np.allclose(a, b, rtol=tolerance, atol=tolerance))


def entries(answer: Any, names: Iterable[str], what: str = "your answer") -> dict[str, Any]:
    """A dictionary with exactly these entries, all of them filled in."""
    names = tuple(names)
    if not isinstance(answer, dict) or set(answer) != set(names):
        raise NotYet(f"{what} should be a dictionary with one entry for each of {', '.join(names)}")
    for name in names:
        if answer[name] is None or answer[name] is ...:
            raise NotYet(f"{name} still waits for its answer")
    return answer


def pair(answer: Any, what: str) -> tuple[Any, Any]:
    """Two values out of a tuple or list."""
    if not isinstance(answer, tuple | list) or len(answer) != 2:
        raise NotYet(f"{what} should be two values, and is {type(answer).__name__}")
    return answer[0], answer[1]


def flags(answer: Any, count: int, what: str = "the mask") -> np.ndarray:
    """One True or False for each of `count` things, bool (count,), from an array, a Series, a tensor or a list."""
    values = floats(answer, (count,), what)
    if not np.isin(values, (0, 1)).all():
        raise NotYet(f"{what} should be True or False for each row, and holds {values[~np.isin(values, (0, 1))][0]:g}")
    return values.astype(bool)
