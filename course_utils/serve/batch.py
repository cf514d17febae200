"""A folder of scans to a table: `python -m course_utils.serve batch FOLDER --out table.csv`.

What is done is noted in a journal beside the table, file by file. Stopped at any moment, the same command goes on where
it was; the table appears in one step, when every file has been answered or refused.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from course_utils.data import DataError
from course_utils.env import atomic_path, file_lock
from course_utils.serve.predictor import Predictor

CHUNK = 64  # scans that share a run of the model


def predict_folder(predictor: Predictor, folder: str | Path, out: str | Path, *, progress: bool = True) -> pd.DataFrame:
    """Answer every file below `folder` (hidden ones excepted) and write the table `out`; returns it.

    Columns: file, status ("answered" or "refused"), label, decision, p_<class>…, reason, model. A file that is no
    picture is a row with the reason. DataError when the folder or the place of the table cannot be used.
    """
    folder, out = Path(folder), Path(out)
    journal = out.with_name(f".{out.name}.journal")
    _check(folder, out)
    with file_lock(out.with_name(f".{out.name}.lock")):
        files = _files(folder, {out.resolve(), journal.resolve()})
        head = {"folder": str(folder.resolve()), "model": predictor.version}
        rows = _resume(journal, head)
        left = [name for name, stamp in files.items() if rows.get(name, {}).get("stamp") != stamp]
        with journal.open("a", encoding="utf-8") as notes:
            bar = tqdm(total=len(files), initial=len(files) - len(left), desc="scans", disable=not progress, unit="")
            with bar:
                for start in range(0, len(left), CHUNK):
                    names = left[start : start + CHUNK]
                    for row in _answer(predictor, folder, names):
                        rows[row["file"]] = row | {"stamp": files[row["file"]]}
                        _note(notes, rows[row["file"]])
                    notes.flush()
                    bar.update(len(names))
        table = _table([rows[name] for name in files], predictor)
        with atomic_path(out) as temporary:
            table.to_csv(temporary, index=False)
        journal.unlink()
    return table


def _check(folder: Path, out: Path) -> None:
    if not folder.is_dir():
        raise DataError(f"{folder} is no folder; name the one that holds the scans")
    if out.suffix.lower() != ".csv" or out.is_dir():
        raise DataError(f"{out} is no name for the table; it must end in .csv")
    if not out.parent.is_dir():
        raise DataError(f"{out.parent} is no folder; make it first, or write the table elsewhere")


def _files(folder: Path, ours: set[Path]) -> dict[str, str]:
    """Every file below the folder, by its name in it, with a stamp that changes when the file does."""
    found = {}
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(root, name)
            if not name.startswith(".") and path.resolve() not in ours:
                seen = path.lstat()
                found[path.relative_to(folder).as_posix()] = f"{seen.st_size}-{seen.st_mtime_ns}"
    if not found:
        raise DataError(f"{folder} holds no file; name the folder that holds the scans")
    return found


def _resume(journal: Path, head: dict[str, str]) -> dict[str, dict[str, Any]]:
    """The rows of an interrupted run of the same folder and model; of any other, none.

    Leaves a journal that holds these rows and ends with a whole line, whatever a killed process left there.
    """
    found, *lines = [*_lines(journal)] or [{}]
    rows = {row["file"]: row for row in lines} if found == head else {}
    with atomic_path(journal) as temporary, temporary.open("w", encoding="utf-8") as notes:
        for line in (head, *rows.values()):
            _note(notes, line)
    return rows


def _lines(journal: Path) -> Iterator[dict[str, Any]]:
    if journal.is_file():
        for line in journal.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                yield json.loads(line)
            except ValueError:  # cut off in the middle: it is done again
                return


def _note(notes: IO[str], line: dict[str, Any]) -> None:
    notes.write(json.dumps(line) + "\n")


def _answer(predictor: Predictor, folder: Path, names: list[str]) -> Iterator[dict[str, Any]]:
    """A row for each file, in the order given."""
    images, refused = {}, {}
    for name in names:
        try:
            images[name] = _read(predictor, folder, name)
        except DataError as error:
            refused[name] = str(error).replace(str(folder / name), "it")
    answers = dict(zip(images, predictor.predict(np.stack(list(images.values()))))) if images else {}
    for name in names:
        if name in refused:
            yield {"file": name, "status": "refused", "reason": refused[name]}
        else:
            probs = {f"p_{label}": p for label, p in answers[name]["probabilities"].items()}
            said = {key: answers[name][key] for key in ("label", "decision")}
            yield {"file": name, "status": "answered", **said, **probs}


def _read(predictor: Predictor, folder: Path, name: str) -> np.ndarray:
    if not (folder / name).resolve().is_relative_to(folder.resolve()):
        raise DataError("it is a link that leaves the folder; copy the file there instead")
    return predictor.read(folder / name)


def _table(rows: list[dict[str, Any]], predictor: Predictor) -> pd.DataFrame:
    columns = ["file", "status", "label", "decision", *(f"p_{name}" for name in predictor.classes), "reason"]
    table = pd.DataFrame(rows, columns=columns)
    table["file"] = [os.fsencode(name).decode("utf-8", "backslashreplace") for name in table["file"]]
    return table.assign(model=predictor.version)
