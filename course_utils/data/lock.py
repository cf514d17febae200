"""The lock on a test set, and the record of every look at one: `runs/test_openings.jsonl`, one JSON object a line."""

from __future__ import annotations

import json
import os
import warnings
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from course_utils.env import file_lock, runs_dir

COLUMNS = ["time", "dataset", "fingerprint", "reason"]


class DataError(ValueError):
    """The data cannot be used; the message says in one sentence which file, what was wrong and what would be right."""


class LockedError(DataError):
    """The test set was reached for without `open_test`."""


class TestLock:
    """The lock on the test part of a data set that has a `name`, a `fingerprint` and a part `_test`."""

    __test__ = False  # the name starts like a test's: pytest must not collect it
    _opened = False

    @property
    def test(self) -> Any:
        """Always raises LockedError: the way in is `open_test`."""
        raise LockedError(
            "the test set is locked so that no choice is ever made on it; when everything is decided, "
            'open it with data.open_test(reason="..."), which is recorded'
        )

    def open_test(self, reason: str) -> Any:
        """The test part; the opening is written to `runs/test_openings.jsonl` with its reason.

        Warns, once for this object, when these data were opened before: a test set that is looked at twice has begun to
        be a validation set. Raises DataError without a reason.
        """
        if not isinstance(reason, str) or not reason.strip():
            raise DataError('open_test needs a reason in words, such as open_test(reason="final score of lesson 12")')
        earlier = record_opening(self.name, self.fingerprint, reason.strip())
        if earlier and not self._opened:
            warnings.warn(
                f"the test set of {self.name} has been opened {earlier} time{'s' * (earlier > 1)} before; "
                "each look makes its score a little too good",
                stacklevel=2,
            )
        self._opened = True
        return self._test


def record_opening(dataset: str, fingerprint: str, reason: str, root: Path | None = None) -> int:
    """Append one opening and return how many earlier ones the same data had. Several processes may write at once."""
    path = (root or runs_dir()) / "test_openings.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    time = datetime.now(UTC).isoformat(timespec="seconds")
    entry = json.dumps(dict(zip(COLUMNS, (time, dataset, fingerprint, reason), strict=True)), ensure_ascii=False)
    with file_lock(path.with_suffix(".lock")):
        earlier = sum(row["fingerprint"] == fingerprint for row in _rows(path))
        with path.open("a+b") as file:
            # A killed writer may have left half a line: start a fresh one, so that only its own entry is lost.
            start = b"\n" if _ends_in_half_a_line(file) else b""
            file.write(start + entry.encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
    return earlier


def test_openings(root: Path | None = None) -> pd.DataFrame:
    """Every recorded look at a test set: columns time (UTC), dataset, fingerprint, reason."""
    return pd.DataFrame(_rows((root or runs_dir()) / "test_openings.jsonl"), columns=COLUMNS)


test_openings.__test__ = False  # the name starts like a test's: pytest must not run it


def _ends_in_half_a_line(file) -> bool:
    if file.seek(0, os.SEEK_END) == 0:
        return False
    file.seek(-1, os.SEEK_END)
    return file.read(1) != b"\n"


def _rows(path: Path) -> list[dict[str, str]]:
    """The readable lines; what a killed process left half written is passed over."""
    rows = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else ():
        try:
            row = json.loads(line)
        except json.JSONDecodeError:
            continue
        if isinstance(row, dict) and set(COLUMNS) <= set(row):
            rows.append(row)
    return rows
