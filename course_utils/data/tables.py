"""A CSV with a column to be predicted: read, judged, split by group, prepared from its training rows, test locked."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from course_utils.data.columns import Prepared, fit_columns, role
from course_utils.data.core import SPLITS, DataError
from course_utils.data.csvfile import MAX_FILE, read_csv
from course_utils.data.lock import TestLock
from course_utils.data.splits import grouped_split
from course_utils.data.suspects import joined, suspects, unnamed_groups
from course_utils.data.targets import KINDS, as_classes, as_targets, decide, with_answers

FRACTIONS = (0.7, 0.15, 0.15)
BINS = 5  # of a number's range, so that each part holds small and large ones


@dataclass(frozen=True)
class TablePart:
    """The rows of one split. x: float32 (N, F), not standardised; y: int64 (N,) classes or float32 (N,) numbers.

    groups (N,) or None; raw: the same rows as texts, with their lines in the file as the index.
    """

    x: np.ndarray
    y: np.ndarray
    groups: np.ndarray | None
    raw: pd.DataFrame

    def __len__(self) -> int:
        return len(self.y)

    def subset(self, rows: np.ndarray) -> TablePart:
        """The rows at these positions."""
        groups = None if self.groups is None else self.groups[rows]
        return TablePart(self.x[rows], self.y[rows], groups, self.raw.iloc[rows])


@dataclass
class TableData(TestLock):
    """A table split in three; `train` and `val` lie open, the test rows only through `open_test(reason=...)`.

    kind ("classification" or "regression") and `why`; target (its column); classes (none for regression); columns: what
    became of each column; notes: what a person should know before training; prepared: texts → features.
    """

    name: str
    source: str
    kind: str
    why: str
    target: str
    classes: tuple[str, ...]
    columns: pd.DataFrame
    notes: list[str]
    prepared: Prepared
    train: TablePart
    val: TablePart
    _test: TablePart

    @cached_property
    def fingerprint(self) -> str:
        """Twelve hexadecimal digits for the rows, their split and what is asked of them."""
        digest = hashlib.sha256(repr((self.kind, self.target, self.classes, self.prepared)).encode())
        for part in (self.train, self.val, self._test):
            digest.update(json.dumps(part.raw.fillna("").to_numpy().tolist(), ensure_ascii=False).encode())
        return digest.hexdigest()[:12]

    def summary(self) -> pd.DataFrame:
        """One row a split: rows, groups (missing when there are none), rows of each class or mean and deviation."""
        rows = {}
        for name, part in (("train", self.train), ("validation", self.val)):
            groups = pd.NA if part.groups is None else len(np.unique(part.groups))
            rows[name] = {"rows": len(part), "groups": groups} | self._target_of(part)
        rows["test (locked)"] = {"rows": len(self._test)}
        return pd.DataFrame.from_dict(rows, orient="index").rename_axis("split")

    def _target_of(self, part: TablePart) -> dict[str, float]:
        if self.classes:
            return dict(zip(self.classes, np.bincount(part.y, minlength=len(self.classes)), strict=True))
        return {"mean": float(part.y.mean()), "deviation": float(part.y.std())}


def load_table(
    path: str | Path,
    target: str,
    *,
    groups: str | None = None,
    kind: str = "auto",
    seed: int = 0,
    drop: Sequence[str] = (),
    max_bytes: int = MAX_FILE,
) -> TableData:
    """Read the CSV at `path` to predict its column `target`: classes when that holds texts or few whole numbers.

    groups: the column that says which rows belong together (a patient, a machine): none of them is in two parts. kind:
    "classification" or "regression" overrules what is found. drop: columns to leave out. Exact copies of a row stay in
    one part. Medians, levels and suspicions come from the training rows alone. Raises DataError with one sentence.
    """
    path = Path(path).expanduser()
    if kind not in KINDS:
        raise DataError(f"kind is {kind!r}; it must be one of {', '.join(KINDS)}")
    table, separator = read_csv(path, max_bytes)
    comma = separator != ","
    _check_columns(table, path, {"target": [target], "groups": [groups] if groups else [], "drop": drop})
    notes = []
    table = with_answers(table, target, path, notes)
    kind, why = decide(table[target], kind, comma)
    y, classes = (as_classes if kind == "classification" else as_targets)(table[target], comma)
    who = _groups(table, groups, path)
    columns = _roles(table, target, groups, drop, comma)
    kinds = {row.column: row.used_as for row in columns.itertuples() if row.used_as in ("number", "category")}
    if not kinds:
        raise DataError(f"no column of {path} is left to predict {target!r} from; see which were dropped and why")
    parts = _split(table[[*kinds, target]], y, who, seed, notes)
    _check_split(parts, y, classes, groups)
    prepared = fit_columns(table.iloc[parts[0]], kinds, comma)
    x = prepared.matrix(table)
    made = {
        split: TablePart(x[rows], y[rows], None if who is None else who[rows], table.iloc[rows])
        for split, rows in zip(SPLITS, parts, strict=True)
    }
    notes += _absent(made, classes) + unnamed_groups(columns, groups)
    train = made["train"]
    notes += suspects(prepared, train.x, train.y, train.groups, kind, seed)
    source = f"the table {path.name}, {len(table)} rows, split {'by ' + groups if groups else 'row by row'}"
    return TableData(path.stem, source, kind, why, target, classes, columns, notes, prepared, *made.values())


def _check_columns(table: pd.DataFrame, path: Path, named: dict[str, Sequence[str]]) -> None:
    for what, names in named.items():
        for name in names:
            if name not in table:
                have = ", ".join(table.columns[:20]) + ("…" if len(table.columns) > 20 else "")
                raise DataError(f"{path} has no column {name!r} ({what}); it has {have}")
    if named["target"] == named["groups"]:
        raise DataError(f"target and groups are both {named['target'][0]!r}; they must be two columns")


def _absent(parts: dict[str, TablePart], classes: tuple[str, ...]) -> list[str]:
    """Of the open parts only: whoever asks what the test part holds has opened it."""
    there = set(parts["val"].y.tolist())
    return [f"No validation row has the class {c!r}." for place, c in enumerate(classes) if place not in there]


# --- the other columns, and the split ---------------------------------------------------------------------------------
def _groups(table: pd.DataFrame, groups: str | None, path: Path) -> np.ndarray | None:
    if groups is None:
        return None
    if table[groups].isna().any():
        line = table.index[table[groups].isna()][0]
        raise DataError(f"{path} has no {groups!r} in line {line}; each row needs to say which group it belongs to")
    return table[groups].astype(str).to_numpy()


def _roles(table: pd.DataFrame, target: str, groups: str | None, drop: Sequence[str], comma: bool) -> pd.DataFrame:
    rows = []
    for name, values in table.items():
        if name == target:
            found = "target", "what is predicted"
        elif name == groups:
            found = "groups", "holds rows together, is no feature"
        else:
            found = ("left out", "as was asked for") if name in drop else role(values, comma)
        rows.append((name, found[0], found[1], values.nunique(), int(values.isna().sum())))
    return pd.DataFrame(rows, columns=["column", "used_as", "why", "distinct", "missing"])


def _split(
    used: pd.DataFrame, y: np.ndarray, groups: np.ndarray | None, seed: int, notes: list[str]
) -> list[np.ndarray]:
    """Rows of train, validation and test: whole groups, copies of a row together, the target spread alike."""
    _, copy_of = np.unique(pd.util.hash_pandas_object(used.fillna(""), index=False), return_inverse=True)
    copies = len(used) - len(np.unique(copy_of))
    if copies:
        notes.append(f"{copies} rows are exact copies of others in every used column.")
    together = groups
    if 0 < copies <= len(used) / 5:  # a table of few coarse columns has copies that mean nothing
        together = joined(copy_of, groups)
    elif groups is None:
        together = None
    strata = y if y.dtype.kind == "i" else pd.qcut(y, BINS, labels=False, duplicates="drop")
    return grouped_split(strata, together, FRACTIONS, seed)


def _check_split(parts: list[np.ndarray], y: np.ndarray, classes: tuple[str, ...], groups: str | None) -> None:
    absent = set(range(len(classes))) - set(y[parts[0]].tolist())
    of = f" of {groups!r}" if groups else ""
    if absent:
        raise DataError(
            f"no training row has the class {classes[min(absent)]!r}: all its rows are in one group{of}; each class "
            "needs rows in several groups"
        )
