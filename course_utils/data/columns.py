"""From the texts of a table's row to the numbers that a network takes, the same in training and in use."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from course_utils.data.core import DataError
from course_utils.data.csvfile import as_numbers

MOST_LEVELS = 30  # of a category: the most frequent in training; what is rarer shares one answer, all zeros
ALMOST_ALL = 0.95  # of the values must be numbers for a column of numbers; the odd text then counts as missing
NAMELESS = re.compile(
    r"(^|.*[\W_])(id|ids|nr|no|number|code|key|uuid|index|record|row|patient|person|subject|customer|user)",
    re.IGNORECASE,
)  # names of columns that say who or which, not what


@dataclass(frozen=True)
class Column:
    """One column that is used. Median, `lacking` and levels are those of the training rows."""

    name: str
    kind: str  # "number" or "category"
    median: float = 0.0  # stands in for a number that is missing
    lacking: bool = False  # some are missing: then a further feature says so
    levels: tuple[str, ...] = ()

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the numbers that it becomes."""
        if self.kind == "number":
            return (self.name, f"{self.name} is missing") if self.lacking else (self.name,)
        return tuple(f"{self.name} = {level}" for level in self.levels) + (f"{self.name} is missing",) * self.lacking

    def encode(self, values: pd.Series, decimal_comma: bool = False) -> np.ndarray:
        """Texts (N,) → float32 (N, features): a number as it is, a category as zeros and a one."""
        if self.kind == "number":
            numbers = as_numbers(values, decimal_comma)
            shown = [numbers.fillna(self.median), numbers.isna()] if self.lacking else [numbers.fillna(self.median)]
        else:
            shown = [values == level for level in self.levels] + [values.isna()] * self.lacking
        return np.column_stack([part.to_numpy(dtype=np.float32) for part in shown])


@dataclass(frozen=True)
class Prepared:
    """What turns raw rows into features; fitted on training rows, and small enough to travel inside a bundle."""

    columns: tuple[Column, ...]
    decimal_comma: bool = False

    @property
    def features(self) -> tuple[str, ...]:
        """Names of all features, in their order."""
        return tuple(name for column in self.columns for name in column.features)

    def matrix(self, rows: pd.DataFrame | Sequence[Mapping[str, Any]]) -> np.ndarray:
        """Rows as texts or numbers, a table or dicts → features float32 (N, F), not standardised.

        A missing or unreadable number becomes the training median, an unknown category all zeros. DataError when a
        column is not there.
        """
        table = rows if isinstance(rows, pd.DataFrame) else pd.DataFrame(list(rows))
        absent = [column.name for column in self.columns if column.name not in table]
        if absent:
            raise DataError(f"the rows lack {absent[0]!r}; they need {', '.join(c.name for c in self.columns)}")
        return np.hstack([column.encode(_texts(table[column.name]), self.decimal_comma) for column in self.columns])

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Prepared:
        """What `to_dict` gave. DataError when it is something else."""
        try:
            columns = tuple(Column(**{**item, "levels": tuple(item["levels"])}) for item in content["columns"])
            return cls(columns, bool(content["decimal_comma"]))
        except (KeyError, TypeError) as error:
            raise DataError(f"this is no preparation of a table ({error}); write the bundle again") from None


def fit_columns(table: pd.DataFrame, kinds: Mapping[str, str], decimal_comma: bool = False) -> Prepared:
    """Medians and levels of the training rows `table`, for each column of `kinds` (name → "number" or "category")."""
    columns = []
    for name, kind in kinds.items():
        values = _texts(table[name])
        if kind == "number":
            numbers = as_numbers(values, decimal_comma)
            median = float(numbers.median()) if numbers.notna().any() else 0.0
            columns.append(Column(name, kind, median, bool(numbers.isna().any())))
        else:
            levels = tuple(sorted(values.value_counts().index[:MOST_LEVELS]))
            columns.append(Column(name, kind, lacking=bool(values.isna().any()), levels=levels))
    return Prepared(tuple(columns), decimal_comma)


def role(values: pd.Series, decimal_comma: bool = False) -> tuple[str, str]:
    """What a column of texts is good for: ("number" | "category" | "left out", why), without a look at the target."""
    present = values.dropna()
    distinct = present.nunique()
    if distinct == 0:
        return "left out", "every value is missing"
    if distinct == 1 and len(present) == len(values):
        return "left out", "the same value in every row"
    numbers = as_numbers(present, decimal_comma)
    if numbers.notna().mean() >= ALMOST_ALL:
        whole = numbers.dropna() % 1 == 0
        if whole.all() and distinct == len(values) and _says_who(values.name, numbers):
            return "left out", "a number for each row: it says which row, not what is in it"
        odd = int(numbers.isna().sum())
        return "number", f"{odd} values are no finite numbers: they count as missing" if odd else "numbers"
    if distinct > len(present) / 2 and (distinct > MOST_LEVELS or distinct == len(present)):
        return "left out", "nearly every row has a text of its own: a name or free text"
    if NAMELESS.fullmatch(str(values.name)) and distinct > MOST_LEVELS:
        return "left out", "it says who or which, not what"
    rare = distinct - MOST_LEVELS
    return "category", f"{distinct} texts, the {rare} rarest taken together" if rare > 0 else f"{distinct} texts"


def _says_who(name: Any, numbers: pd.Series) -> bool:
    consecutive = (np.diff(np.sort(numbers.to_numpy())) == 1).all()
    return bool(consecutive) or NAMELESS.fullmatch(str(name)) is not None


def _texts(values: pd.Series) -> pd.Series:
    """Values of a caller as texts without blanks around them, missing ones as NaN."""
    texts = values.astype(object)
    return texts.map(lambda value: np.nan if pd.isna(value) else str(value).strip())
