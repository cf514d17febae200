"""Studies: comparisons that honestly take more time than a lesson has, run once and stored with their provenance.

`make study NAME=regularisers`, or ``python -m benchmarks.study regularisers``, trains what is not stored yet, row by
row, and writes `benchmarks/studies/NAME.csv` after each: stopped at any moment, it goes on where it was. `--rows` names
settings to run, `--again` runs stored ones anew. `NAME.json` beside the table says how it came about.
A study is a file `benchmarks/studies/NAME.py` with a `STUDY`.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import os
import platform
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd
import torch
from scipy import stats
from tqdm import tqdm

from course_utils.env import atomic_path, file_lock, git_state, runs_dir, to_json

STUDIES = Path(__file__).resolve().parent / "studies"
KEYS = ["setting", "seed", "config"]
PROVENANCE = ["config", "code", "machine", "seconds"]


def _files(module: ModuleType) -> list[Path]:
    """The source files of a module: one, or for a package all below it, in a fixed order."""
    path = Path(module.__file__)
    return sorted(path.parent.rglob("*.py")) if path.name == "__init__.py" else [path]


@dataclass(frozen=True)
class Study:
    """What a study compares: every setting under every seed, by `measure(setting, seed) -> numbers`.

    `data` gives the fingerprint of the data set: rows made on other data are out of date. `modules` are those whose
    text decides the numbers: their hash is the code version of a row. `small` is the (setting, seed) that the tests run
    again, comparing the column `judged`; `columns`: what each number means.
    """

    name: str
    question: str
    settings: dict[str, Any]
    seeds: Sequence[int]
    measure: Callable[[Any, int], dict[str, float]]
    data: Callable[[], str]
    modules: Sequence[ModuleType]
    small: tuple[str, int]
    columns: dict[str, str] = field(default_factory=dict)
    judged: str = "macro_f1"

    @property
    def path(self) -> Path:
        """The stored table."""
        return STUDIES / f"{self.name}.csv"

    @property
    def code(self) -> str:
        """Short hash of the text of `modules`; of a package, the text of all its files."""
        texts = [path.read_bytes() for module in self.modules for path in _files(module)]
        return hashlib.sha256(b"\n".join(texts)).hexdigest()[:10]

    def config(self, setting: str) -> str:
        """Short hash of a setting and of the data: a row stored under another one is out of date."""
        return hashlib.sha256(f"{self.settings[setting]!r} {self.data()}".encode()).hexdigest()[:10]

    def table(self) -> pd.DataFrame:
        """The stored rows, in the study's order; no rows when nothing is stored yet."""
        if not self.path.exists():
            return pd.DataFrame(columns=["setting", "seed", *PROVENANCE])
        rows = pd.read_csv(self.path)
        order = {setting: place for place, setting in enumerate(self.settings)}
        rows = rows[rows["setting"].isin(order)]
        return rows.sort_values(["setting", "seed"], key=lambda c: c.map(order) if c.name == "setting" else c)


def load_study(name: str) -> Study:
    """The study of that name. Raises ValueError, naming those there are, for another."""
    names = sorted(path.stem for path in STUDIES.glob("*.py") if path.stem != "__init__")
    if name not in names:
        raise ValueError(f"there is no study {name!r}; there are: {', '.join(names)}")
    return importlib.import_module(f"benchmarks.studies.{name}").STUDY


def to_do(study: Study, settings: Sequence[str], again: bool = False) -> list[tuple[str, int]]:
    """(setting, seed) pairs not stored yet, seed by seed, so that a study stopped early is a smaller study."""
    unknown = [setting for setting in settings if setting not in study.settings]
    if unknown:
        raise ValueError(f"study {study.name} has no setting {unknown[0]!r}; it has: {', '.join(study.settings)}")
    stored = set() if again else {tuple(row) for row in study.table()[KEYS].itertuples(index=False)}
    pairs = [(setting, seed) for seed in study.seeds for setting in settings]
    return [(setting, seed) for setting, seed in pairs if (setting, seed, study.config(setting)) not in stored]


def run_row(study: Study, setting: str, seed: int) -> dict[str, Any]:
    """One training: its numbers and where they come from."""
    start = time.perf_counter()
    numbers = study.measure(study.settings[setting], seed)
    seconds = round(time.perf_counter() - start, 1)
    source = {"config": study.config(setting), "code": study.code, "machine": machine(), "seconds": seconds}
    return {"setting": setting, "seed": seed, **numbers, **source}


def store(study: Study, row: dict[str, Any]) -> None:
    """Put one row into the table, in place of the one it renews; readers see the old table or the new one."""
    table = study.table()
    kept = table[(table["setting"] != row["setting"]) | (table["seed"] != row["seed"])]
    rows = pd.DataFrame([*kept.to_dict("records"), row])
    rows = rows[[name for name in rows if name not in PROVENANCE] + PROVENANCE]
    with atomic_path(study.path) as temporary:
        rows.to_csv(temporary, index=False, float_format="%.5g", lineterminator="\n")


def describe(study: Study) -> None:
    """Write NAME.json: question, settings, seeds, machine, versions, minutes."""
    table = study.table()
    about = {
        "study": study.name,
        "question": study.question,
        "settings": {name: repr(setting) for name, setting in study.settings.items()},
        "seeds": list(study.seeds),
        "columns": study.columns,
        "data": study.data(),
        "rows": len(table),
        "minutes": round(float(table["seconds"].sum()) / 60, 1),
        "machines": sorted(set(table["machine"])),
        "code": {"versions": sorted(set(table["code"])), "of": [module.__name__ for module in study.modules]},
        "git": git_state(),
        "python": platform.python_version(),
        "torch": metadata.version("torch"),
        "finished": datetime.now(UTC).date().isoformat(),
    }
    with atomic_path(study.path.with_suffix(".json")) as temporary:
        temporary.write_text(to_json(about) + "\n", encoding="utf-8")


def machine() -> str:
    """System, processor, cores and threads, in one word each."""
    return f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} thread"


def run(study: Study, settings: Sequence[str], again: bool = False) -> int:
    """Run what is missing; returns how many rows were run. A second runner of the same study waits for the first."""
    with file_lock(runs_dir() / "locks" / f"study-{study.name}.lock", timeout=7200):
        pairs = to_do(study, settings, again)
        with tqdm(pairs, desc=study.name, unit="row") as bar:
            for setting, seed in bar:
                bar.set_postfix_str(f"{setting}, seed {seed}")
                store(study, run_row(study, setting, seed))
                describe(study)
    return len(pairs)


def summary(table: pd.DataFrame, columns: Sequence[str], against: str | None = None) -> pd.DataFrame:
    """Mean and 95 % t interval over seeds of each column, one row a setting: `column`, `column_low`, `column_high`.

    With `against`, of the differences from that setting, taken seed by seed.
    """
    wide = table.pivot(index="seed", columns="setting")
    rows = {}
    for setting in dict.fromkeys(table["setting"]):
        rows[setting] = {}
        for column in columns:
            values = wide[column][setting] - (wide[column][against] if against else 0.0)
            values = values.dropna()
            half = stats.t.ppf(0.975, len(values) - 1) * values.sem() if len(values) > 1 else float("nan")
            rows[setting] |= {column: values.mean(), f"{column}_low": values.mean() - half}
            rows[setting] |= {f"{column}_high": values.mean() + half}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("setting")


def again_within(study: Study, column: str, level: float = 0.99) -> tuple[float, float, float]:
    """Run the study's small row anew: (value, low, high), the bounds where a new training of it would fall.

    The interval is the prediction interval of one more value, mean ± t · s · √(1 + 1/n), of the setting's seeds.
    """
    setting, seed = study.small
    stored = study.table().query("setting == @setting")[column]
    half = stats.t.ppf((1 + level) / 2, len(stored) - 1) * stored.std() * (1 + 1 / len(stored)) ** 0.5
    value = study.measure(study.settings[setting], seed)[column]
    return value, stored.mean() - half, stored.mean() + half


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.study", description=__doc__.split("\n\n")[0])
    parser.add_argument("name", help="the study: a file in benchmarks/studies")
    parser.add_argument("--rows", default="", help="settings to run, separated by semicolons (default: all)")
    parser.add_argument("--again", action="store_true", help="run rows that are stored already anew")
    options = parser.parse_args(arguments)
    try:
        study = load_study(options.name)
        settings = [name.strip() for name in options.rows.split(";") if name.strip()] or list(study.settings)
        count = run(study, settings, options.again)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    describe(study)
    print(f"{count} rows run, {len(study.table())} stored in {study.path}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
