"""The column that is to be predicted: is it a number or a class, and can it be predicted at all?"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from course_utils.data.core import DataError
from course_utils.data.csvfile import as_numbers

KINDS = ("auto", "classification", "regression")
FEWEST_ROWS = 30
FEWEST_OF_A_CLASS = 3  # one each for training, validation and test
FEW_VALUES = 10  # so many different whole numbers, or fewer, are taken for classes
MOST_CLASSES = 100


def with_answers(table: pd.DataFrame, target: str, path: Path, notes: list[str]) -> pd.DataFrame:
    known = table[target].notna()
    if not known.any():
        raise DataError(f"every value of the target {target!r} in {path} is missing; give the column with the answers")
    if not known.all():
        notes.append(f"{(~known).sum()} rows have no {target!r} and are left out.")
    if known.sum() < FEWEST_ROWS:
        raise DataError(f"{path} has {known.sum()} rows with an answer; at least {FEWEST_ROWS} are needed")
    if table.loc[known, target].nunique() == 1:
        raise DataError(f"the target {target!r} in {path} is the same in every row; there is nothing to predict")
    return table[known]


def decide(answers: pd.Series, kind: str, comma: bool) -> tuple[str, str]:
    """The kind of task, and why."""
    if kind != "auto":
        return kind, "as was asked for"
    plain = pd.to_numeric(answers.str.replace(",", "."), errors="coerce")  # infinity is a number here, refused later
    distinct, share = answers.nunique(), plain.notna().mean()
    if share == 1:
        if distinct <= FEW_VALUES and (plain % 1 == 0).all():
            return "classification", f"{answers.name!r} holds {distinct} different whole numbers"
        return "regression", f"{answers.name!r} holds {distinct} different numbers"
    if share > 0.5:
        line, text = next((line, text) for line, text in answers.items() if pd.isna(plain[line]))
        raise DataError(
            f"the target {answers.name!r} holds numbers, and text in other rows ({text!r} in line {line}); "
            'correct these, or ask for kind="classification"'
        )
    return "classification", f"{answers.name!r} holds {distinct} different texts"


def as_classes(answers: pd.Series, _comma: bool) -> tuple[np.ndarray, tuple[str, ...]]:
    counts = answers.value_counts()
    if len(counts) > MOST_CLASSES:
        raise DataError(
            f"the target {answers.name!r} has {len(counts)} classes; at most {MOST_CLASSES} are possible: "
            'is it a number (kind="regression"), or a name?'
        )
    if counts.min() < FEWEST_OF_A_CLASS:
        has = "1 row" if counts.min() == 1 else f"{counts.min()} rows"
        raise DataError(
            f"the class {counts.idxmin()!r} of {answers.name!r} has {has}; each class needs {FEWEST_OF_A_CLASS}, one "
            "for each part: find more, join classes, or leave these rows out"
        )
    names = sorted(counts.index, key=lambda text: (0, float(text), text) if _is_number(text) else (1, 0.0, text))
    return answers.map({name: place for place, name in enumerate(names)}).to_numpy(np.int64), tuple(names)


def _is_number(text: str) -> bool:
    try:
        return np.isfinite(float(text))
    except ValueError:
        return False


def as_targets(answers: pd.Series, comma: bool) -> tuple[np.ndarray, tuple[str, ...]]:
    numbers = as_numbers(answers, comma)
    if numbers.isna().any():
        line = numbers.index[numbers.isna()][0]
        raise DataError(
            f"the target {answers.name!r} is {answers[line]!r} in line {line}; regression needs a finite number in "
            "each row, and nothing where it is not known"
        )
    return numbers.to_numpy(np.float32), ()
