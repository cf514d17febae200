"""The course's memory: the problem card, the hypotheses, and the experiment log with its checked claims.

The log is a folder of small JSON files, one an entry, each written in one atomic step. Parallel lessons cannot clash, a
killed one leaves nothing half written, and running a lesson again replaces its own rows.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import platform
import re
import warnings
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from course_utils.env import Profile, atomic_path, git_state, runs_dir, to_json, versions

# --- the problem card ------------------------------------------------------------------------------------------------
TASKS = ("binary", "multi-class", "multi-label", "regression", "ranking", "similarity", "recommendation")


@dataclass(frozen=True)
class ProblemCard:
    """One machine-learning problem on one page: what goes in, what comes out, what it is worth, what it may cost.

    `cost` has a row a class and a column a decision, in one unit of the customer's (here clinic visits); `review_cost`
    is what it costs to let a person decide. ValueError with one sentence for the first thing that cannot be right.
    """

    need: str
    input: str
    output: str
    task: str
    classes: tuple[str, ...]
    decisions: tuple[str, ...]
    cost: tuple[tuple[float, ...], ...]
    review_cost: float
    metric: str
    baseline_today: str
    target: float  # least (for errors: largest) acceptable value of `metric`
    latency_ms: float  # per scan, on one CPU thread
    model_mb: float
    train_minutes: float
    memory_gb: float
    label_budget: int  # scans somebody can be paid to label
    privacy: str

    def __post_init__(self) -> None:
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        for name in ("need", "input", "output", "metric", "baseline_today", "privacy"):
            if not str(values[name]).strip():
                raise ValueError(f"{name} is empty; write one sentence")
        for name in ("latency_ms", "model_mb", "train_minutes", "memory_gb", "label_budget"):
            if not 0 < values[name] < math.inf:
                raise ValueError(f"{name} is {values[name]}; a budget is a number above zero")
        if self.task not in TASKS:
            raise ValueError(f'task is "{self.task}"; it must be one of {", ".join(TASKS)}')
        least = 2 if self.task in ("binary", "multi-class", "multi-label") else 0
        if len(set(self.classes)) != len(self.classes) or len(self.classes) < least:
            raise ValueError(f"classes are {self.classes}; a {self.task} task needs {least} or more different names")
        if self.task == "binary" and len(self.classes) != 2:
            raise ValueError(f"classes are {self.classes}; a binary task has exactly 2")
        if [len(row) for row in self.cost] != [len(self.decisions)] * len(self.classes):
            raise ValueError("cost must have one row a class and one number a decision in each row")
        if not all(0 <= value < math.inf for row in (*self.cost, (self.review_cost,)) for value in row):
            raise ValueError("a cost is negative or not a number; costs start at zero, the best decision")

    def table(self) -> pd.DataFrame:
        """The card as a table: columns question and answer."""
        rows = [(field.name.replace("_", " "), getattr(self, field.name)) for field in fields(self)]
        rows = [(name, ", ".join(map(str, v)) if isinstance(v, tuple) else v) for name, v in rows]
        return pd.DataFrame(rows, columns=["question", "answer"])

    def cost_table(self) -> pd.DataFrame:
        """The cost matrix: a row a class, a column a decision."""
        return pd.DataFrame(self.cost, index=pd.Index(self.classes, name="truth"), columns=list(self.decisions))


TRIAGE = ProblemCard(
    need="an eye clinic reads retinal OCT scans a day late; urgent patients wait in the same queue as healthy ones",
    input="one OCT scan: grey, square, 8 bits",
    output="a probability for each of four classes, turned into one of three decisions",
    task="multi-class",
    classes=("CNV", "DME", "DRUSEN", "NORMAL"),
    decisions=("urgent", "routine", "discharge"),
    cost=((0, 8, 20), (0, 4, 10), (1.5, 0, 3), (2, 1, 0)),  # clinic visits
    review_cost=0.7,
    metric="macro-F1",
    baseline_today="first come, first served; a nurse flags scans whose centre is thick",
    target=0.85,
    latency_ms=20,
    model_mb=1.0,
    train_minutes=5,
    memory_gb=2,
    label_budget=4000,
    privacy="scans stay in the clinic: training and serving need no network",
)


# --- hypotheses ------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Hypothesis:
    """A statement that a lesson can refute, why we believe it, and the number of the lesson that tests it."""

    statement: str
    because: str
    lesson: str


HYPOTHESES: dict[str, Hypothesis] = {
    "H1": Hypothesis(
        "a small CNN beats every model that ignores where pixels lie",
        "a lesion is a local shape, and it may lie anywhere along the retina",
        "05",
    ),
    "H2": Hypothesis(
        "hand-made layer features beat raw pixels for a linear model",
        "disease shows in how thick a layer is, and no single pixel holds a thickness",
        "05",
    ),
    "H3": Hypothesis(
        "a big enough model memorises 400 scans, and validation does not follow",
        "it has far more weights than scans, enough to learn each scan by heart",
        "06",
    ),
    "H4": Hypothesis(
        "ten times less data costs more than a smaller model does",
        "rare lesions are seen too seldom, whatever the model",
        "06",
    ),
    "H5": Hypothesis(
        "residual blocks allow depth",
        "the gradient reaches the first layers through the skip connections",
        "07",
    ),
    "H6": Hypothesis(
        "augmentation beats size",
        "the errors come from too few looks at each lesion, not from too few parameters",
        "08",
    ),
    "H7": Hypothesis(
        "photometric augmentation helps most on the device seen least",
        "devices differ in brightness and contrast, which is what it varies",
        "08",
    ),
    "H8": Hypothesis(
        "a random split flatters: it scores above the honest grouped split",
        "scans of one patient resemble each other and land on both sides",
        "02",
    ),
    "H9": Hypothesis(
        "vertical flips hurt or do nothing, horizontal flips help",
        "left and right eyes mirror each other; no retina lies upside down",
        "03",
    ),
    "H10": Hypothesis(
        "averaging several models beats the best single one",
        "models started differently make different mistakes",
        "11",
    ),
    "H11": Hypothesis(
        "test error is larger on device B than on device A",
        "device B is rare in training and common in the test set",
        "12",
    ),
    "H12": Hypothesis(
        "int8 weights cost less than one accuracy point",
        "rounding moves logits less than the margin of most decisions",
        "13",
    ),
    "H13": Hypothesis(
        "pre-training without labels helps when labels are few",
        "the structure of a retina can be learned from unlabelled scans",
        "10",
    ),
    "H14": Hypothesis(
        "one temperature repairs over-confidence",
        "the network is over-confident by about the same factor everywhere",
        "12",
    ),
    "H15": Hypothesis(
        "training on normalised inputs converges faster",
        "the loss surface is rounder, so one learning rate suits every weight",
        "03",
    ),
}
VERDICTS = ("supported", "refuted", "mixed", "open")


# --- the experiment log ----------------------------------------------------------------------------------------------
class ClaimFailed(AssertionError):
    """A sentence of a lesson is not true in this run. A finding: look at the numbers, leave the threshold alone."""


@dataclass(frozen=True)
class ExperimentLog:
    """The log of one lesson's run, in `root`/log/<data set>/<profile>/ (`root`: the course's `runs/`).

    `home`: the data sets on which this lesson's claims are judged. ValueError for an unknown profile.
    """

    lesson: str
    _: KW_ONLY
    profile: str = "fast"
    dataset: str = "oct-phantom"
    seed: int = 0
    root: str | Path | None = None
    home: tuple[str, ...] = ("oct-phantom",)

    def __post_init__(self) -> None:
        Profile(self.profile)
        if not self.lesson.strip():
            raise ValueError('lesson is empty; pass the name of the notebook, like "05_baseline"')

    @property
    def dataset_name(self) -> str:
        """The data set as the log names it: of a path the last part, since the rest says only where it lies here."""
        return _last_part(self.dataset)

    @property
    def folder(self) -> Path:
        """Where the entries of this data set and profile lie. Not created by asking."""
        name = slug(self.dataset_name)
        if self.dataset_name != self.dataset:  # a path: two files of one name are two data sets
            name = f"{name}-{_short_hash(str(Path(self.dataset).resolve()))}"
        return Path(self.root or runs_dir()) / "log" / name / self.profile

    def hypothesis(self, key: str, statement: str, because: str, lesson: str) -> None:
        """Write a hypothesis down before the work; `lesson` is the one that will test it."""
        self._write("hypothesis", key, statement=statement, because=because, tested_in=lesson)

    def record(self, key: str, change: str, evidence: str, verdict: str, **numbers: float) -> None:
        """One turn of the loop: what was changed for hypothesis `key`, what was seen, and what follows from it."""
        if verdict not in VERDICTS:
            raise ValueError(f'the verdict on {key} is "{verdict}"; it must be one of {", ".join(VERDICTS)}')
        self._write("record", key, change=change, evidence=evidence, verdict=verdict, numbers=numbers)

    def run(self, name: str, config: Any, result: Any) -> Path:
        """Store one run with all that is needed to repeat it: seed, config, environment, git state, result."""
        table = versions()
        installed = table[table["version"] != "not installed"]
        tools = dict(zip(installed["tool"], installed["version"], strict=True))
        machine = {"system": platform.system(), "machine": platform.machine(), "cores": os.cpu_count()}
        content = {"environment": tools | machine, "git": git_state(), "config": config, "result": result}
        return self._write("run", name, **content)

    def claim(
        self,
        sentence: str,
        value: float | bool,
        *,
        at_least: float | None = None,
        at_most: float | None = None,
        seeds: int | Sequence[int] | None = None,
        interval: Sequence[float] | None = None,
        unit: str = "",
    ) -> None:
        """Hold a sentence of the lesson against its measured value; store it; print one line.

        `value`: True or False without a threshold, else a number with `at_least`, `at_most` or both. `seeds`: how many,
        or which. `interval`: (low, high), or a metrics.Interval. Not judged in the smoke profile, nor away from the
        data sets of `home`. ClaimFailed when it does not hold (NaN never does); ValueError when it is not a claim.
        """
        value = _claim_value(sentence, value, at_least, at_most)
        judged = self.profile != "smoke" and self.dataset_name in {_last_part(home) for home in self.home}
        held = _holds(value, at_least, at_most) if judged else None
        seeds = len(seeds) if isinstance(seeds, Sequence) else seeds
        interval = None if interval is None else [float(bound) for bound in interval][-2:]
        wanted, measured = _wanted(at_least, at_most, unit), _measured(value, interval, seeds, unit)
        self._write(
            "claim", sentence, value=value, at_least=at_least, at_most=at_most, seeds=seeds, interval=interval,
            unit=unit, wanted=wanted, judged=judged, held=held,
        )  # fmt: skip
        if held is False:
            raise ClaimFailed(f"✗ {sentence}: {wanted} does not hold (measured {measured})")
        place = "in the smoke profile" if self.profile == "smoke" else f"on {self.dataset_name}"
        line = f"✓ {sentence}: {wanted}" if held else f"· {sentence}: not judged {place}"
        print(f"{line} (measured {measured})")

    def table(self) -> pd.DataFrame:
        """Every intervention so far, of every lesson: lesson, key, hypothesis, change, evidence, numbers, verdict."""
        said = {key: item.statement for key, item in HYPOTHESES.items()}
        said |= {entry["key"]: entry["statement"] for entry in self._read("hypothesis")}
        rows = [entry | {"hypothesis": said.get(entry["key"], "")} for entry in self._read("record")]
        for row in rows:
            row["numbers"] = ", ".join(f"{name} {_number(value)}" for name, value in row["numbers"].items())
        return _frame(rows, ["lesson", "key", "hypothesis", "change", "evidence", "numbers", "verdict"])

    def hypotheses(self) -> pd.DataFrame:
        """Every hypothesis written down: key, hypothesis, because, tested_in, verdict (the last; "open" at first)."""
        newest = sorted(self._read("record"), key=lambda entry: entry["created"])
        verdict = {entry["key"]: entry["verdict"] for entry in newest}
        latest = {entry["key"]: entry for entry in self._read("hypothesis")}
        rows = [
            entry | {"hypothesis": entry["statement"], "verdict": verdict.get(key, "open")}
            for key, entry in sorted(latest.items(), key=lambda item: _natural(item[0]))
        ]
        return _frame(rows, ["key", "hypothesis", "because", "tested_in", "verdict"])

    def claims(self) -> pd.DataFrame:
        """Every claim so far, in the order made: lesson, claim, wanted, value, low, high, seeds, unit, verdict."""
        verdicts = {True: "holds", False: "fails", None: "not judged"}
        rows = sorted(self._read("claim"), key=lambda entry: (entry["lesson"], entry["created"]))
        for row in rows:
            low, high = row["interval"] or (None, None)
            row |= {"claim": row["key"], "low": low, "high": high, "verdict": verdicts[row["held"]]}
        return _frame(rows, ["lesson", "claim", "wanted", "value", "low", "high", "seeds", "unit", "verdict"])

    def forget(self) -> None:
        """Remove this lesson's own entries, so that sentences it no longer makes do not linger."""
        for path in self.folder.glob(f"{slug(self.lesson)}.*.json"):
            path.unlink(missing_ok=True)

    def _write(self, kind: str, key: str, **content: Any) -> Path:
        path = self.folder / f"{slug(self.lesson)}.{kind}.{slug(key)}.json"
        about = {"kind": kind, "lesson": self.lesson, "key": key, "created": datetime.now(UTC).isoformat()}
        about |= {"profile": self.profile, "dataset": self.dataset_name, "seed": self.seed}
        with atomic_path(path) as temporary:
            temporary.write_text(to_json(about | content) + "\n", encoding="utf-8")
        return path

    def _read(self, kind: str) -> list[dict[str, Any]]:
        """The whole entries of one kind, by lesson and key; one warning for each file that is no such entry."""
        found = []
        for path in sorted(self.folder.glob(f"[!.]*.{kind}.*.json")):  # a dot: somebody is writing it
            try:
                entry = json.loads(path.read_text(encoding="utf-8"))
                if not isinstance(entry, dict) or not ENTRY_KEYS[kind] <= entry.keys():
                    raise ValueError(f"not a {kind}")
            except FileNotFoundError:  # forgotten by another process since it was listed
                continue
            except (OSError, ValueError) as error:
                message = f"log entry {path} is skipped ({error}); delete it, or run its lesson again"
                warnings.warn(message, stacklevel=3)
            else:
                found.append(entry)
        return sorted(found, key=lambda entry: (entry["lesson"], _natural(entry["key"])))


ENTRY_KEYS = {
    kind: {"kind", "lesson", "key", "created", *extra}
    for kind, extra in {
        "hypothesis": ("statement", "because", "tested_in"),
        "record": ("change", "evidence", "verdict", "numbers"),
        "claim": ("value", "wanted", "interval", "seeds", "unit", "held"),
        "run": ("config", "result", "environment", "git"),
    }.items()
}


def slug(text: str) -> str:
    """`text` as a file name that is safe on every system; a short hash keeps different texts apart."""
    name = re.sub(r"[^a-z0-9_]+", "-", text.lower()).strip("-")[:60]
    return name if name == text else f"{name}-{_short_hash(text)}".strip("-")


def _short_hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:8]


def _last_part(dataset: str) -> str:
    return re.split(r"[/\\]", dataset.rstrip("/\\"))[-1]


def _natural(key: str) -> list[tuple[int, int | str]]:
    """Sorts H2 before H10."""
    return [(0, int(part)) if part.isdigit() else (1, part) for part in re.split(r"(\d+)", key) if part]


def _frame(rows: list[dict[str, Any]], columns: list[str]) -> pd.DataFrame:
    return pd.DataFrame([[row[name] for name in columns] for row in rows], columns=columns)


# --- the arithmetic and the wording of a claim -----------------------------------------------------------------------
def _claim_value(sentence: str, value: Any, at_least: float | None, at_most: float | None) -> float | bool:
    thresholds = at_least is not None or at_most is not None
    if not sentence.strip():
        raise ValueError("the claim has no sentence; say what is claimed")
    value = value.item() if hasattr(value, "item") else value  # NumPy and PyTorch scalars
    if not isinstance(value, bool | int | float):
        raise ValueError(
            f'the claim "{sentence}" has a {type(value).__name__} as its value; pass a number, True or False'
        )
    if isinstance(value, bool) and thresholds:
        raise ValueError(
            f'the claim "{sentence}" is {value} and has a threshold; pass the number, or drop the threshold'
        )
    if not isinstance(value, bool) and not thresholds:
        raise ValueError(f'the claim "{sentence}" has no threshold; pass at_least, at_most or both')
    return value


def _holds(value: float | bool, at_least: float | None, at_most: float | None) -> bool:
    if isinstance(value, bool):
        return value
    low, high = -math.inf if at_least is None else at_least, math.inf if at_most is None else at_most
    return math.isfinite(value) and low <= value <= high


def _wanted(at_least: float | None, at_most: float | None, unit: str) -> str:
    bounds = [("at least", at_least), ("at most", at_most)]
    return " and ".join(f"{word} {_number(bound, unit)}" for word, bound in bounds if bound is not None) or "true"


def _measured(value: float | bool, interval: list[float] | None, seeds: int | None, unit: str) -> str:
    parts = [str(value).lower() if isinstance(value, bool) else _number(value, unit)]
    if interval is not None:
        parts.append(f"interval {_number(interval[0])} to {_number(interval[1])}")
    if seeds is not None:
        parts.append(f"{seeds} seed" + "s" * (seeds != 1))
    return ", ".join(parts)


def _number(value: Any, unit: str = "") -> str:
    if isinstance(value, float):
        value = f"{value:.4g}" if abs(value) < 1000 or not math.isfinite(value) else f"{value:.0f}"
    return f"{value} {unit}".strip()
