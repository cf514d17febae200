"""Reading a CSV that anybody may have made: text as it stands, or one sentence that says why not."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd

from course_utils.data.core import DataError

MAX_FILE = 100 * 2**20  # bytes; what fits here fits into the memory of a laptop several times
MAX_COLUMNS = 2000
SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab"}
SUFFIXES = (".csv", ".tsv", ".txt")
MISSING = {"", "na", "n/a", "nan", "null", "?"}  # compared in small letters; other words are values
DECIMAL_COMMA = re.compile(r"\s*[+-]?\d+,\d+\s*")
FIRST_LINES = 50  # by which the separator is told


def read_csv(path: Path, max_bytes: int = MAX_FILE) -> tuple[pd.DataFrame, str]:
    """The table in a CSV file as text, missing values as NaN, and its separator; the index is the line in the file.

    UTF-8, with or without its mark, separated by comma, semicolon or tab, first line: names of the columns. DataError
    naming file and line for anything else; nothing is guessed that could change a value.
    """
    text = _text(path, max_bytes)
    separator = _separator(text)
    try:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
        header = [name.strip() for name in next(line for line in reader if line)]
        rows, lines = _rows(reader, header, path)
    except StopIteration:
        raise DataError(f"{path} holds only empty lines; it needs a line of column names and rows below it") from None
    except csv.Error as error:
        raise DataError(f"{path} is no CSV that can be read ({error}, line {reader.line_num}); save it anew") from None
    names = [name or f"column {place}" for place, name in enumerate(header, start=1)]
    _check_names(names, path)
    if not rows:
        raise DataError(f"{path} has a line of column names and no rows; it needs at least one row below them")
    table = pd.DataFrame(rows, columns=names, index=pd.Index(lines, name="line"), dtype=object)
    return table.apply(_without_missing), separator


def _text(path: Path, max_bytes: int) -> str:
    if not path.exists():
        raise DataError(f"there is no file at {path}; give the path of a .csv file")
    if not path.is_file():
        raise DataError(f"{path} is no file; a table is one .csv file")
    size = path.stat().st_size
    if size == 0:
        raise DataError(f"{path} is empty; it needs a line of column names and rows below it")
    if size > max_bytes:
        most = max_bytes / 2**20
        raise DataError(
            f"{path} has {size / 2**20:,.0f} MB; at most {most:,.0f} MB are read: take a sample of its rows"
        )
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); check who may open it") from None
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise DataError(f"{path} is written in UTF-16; save it as CSV in UTF-8")
    if b"\x00" in content:
        raise DataError(f"{path} is no text file, whatever its name says; export the table as CSV in UTF-8")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise DataError(f"{path} is not UTF-8 (line {line}); save it as CSV in UTF-8") from None


def _separator(text: str) -> str:
    """The separator that cuts the first lines into most fields of equal number."""
    head = text.splitlines()[:FIRST_LINES]

    def width(separator: str) -> tuple[float, int]:
        try:
            counts = Counter(len(row) for row in csv.reader(head, delimiter=separator) if row)
        except csv.Error:
            return 0.0, 0
        fields, often = max(counts.items(), key=lambda item: (item[0] > 1, item[1]), default=(0, 0))
        return (often / max(len(head), 1) if fields > 1 else 0.0), fields

    return max(SEPARATORS, key=width)


def _rows(reader, header: list[str], path: Path) -> tuple[list[list[str]], list[int]]:
    rows, lines = [], []
    for row in reader:
        if not row:
            continue  # an empty line
        if len(row) != len(header):
            raise DataError(
                f"line {reader.line_num} of {path} has {len(row)} fields and the first line {len(header)}; "
                "each row needs a field for each column"
            )
        rows.append(row)
        lines.append(reader.line_num)
    return rows, lines


def _check_names(names: list[str], path: Path) -> None:
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise DataError(f"{path} has several columns called {twice[0]!r}; each column needs a name of its own")
    if len(names) < 2:
        raise DataError(
            f"{path} has one column only; separate at least two, one of them the target, by comma, semicolon or tab"
        )
    if len(names) > MAX_COLUMNS:
        raise DataError(f"{path} has {len(names)} columns; at most {MAX_COLUMNS} are read: leave out some")


def _without_missing(column: pd.Series) -> pd.Series:
    texts = column.str.strip()
    return texts.mask(texts.str.lower().isin(MISSING), np.nan)


def as_numbers(column: pd.Series, decimal_comma: bool = False) -> pd.Series:
    """Texts as float64; what is no finite number becomes NaN, as what is missing already is. "1,5" counts if it may."""

    def plain(text):
        return text.replace(",", ".") if isinstance(text, str) and DECIMAL_COMMA.fullmatch(text) else text

    numbers = pd.to_numeric(column.map(plain) if decimal_comma else column, errors="coerce").astype(float)
    return numbers.where(np.isfinite(numbers))
