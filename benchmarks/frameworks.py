"""`fit` against the floor, a bare loop, Lightning, skorch and fastai; target: slower than none, 5 % over the floor.

    python -m benchmarks.frameworks [--rounds 11]

The floor is forward, backward and step on batches that lie ready, and validation's forward passes. What all trainers
share is said in `benchmarks.trainers`. Each has a process of its own, warmed up and waiting; they take turns, and each
round begins with another, so that a busy moment of the machine hits all of them. What lies above the floor is counted
within a round. The frameworks live in build/frameworks-venv, which borrows the packages of .venv and adds what is
missing: .venv stays as pinned. A framework that cannot be had (no network, say) is named and left out.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.frameworks_venv import frameworks_python
from benchmarks.trainers import SETTINGS, TRAINERS

ROOT = Path(__file__).resolve().parents[1]
MOST_ABOVE = 5.0  # percent above the floor
SAME = 1e-3  # validation losses of equal training differ by rounding at most


class Worker:
    """A process that trains with one trainer, once each time it is asked."""

    def __init__(self, python: str, trainer: str, settings: dict):
        self.errors = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")
        self.process = subprocess.Popen(
            [python, "-m", "benchmarks.trainers", json.dumps(settings | {"trainer": trainer})],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors, text=True, cwd=ROOT,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )  # fmt: skip

    def answer(self) -> dict:
        """The next answer; RuntimeError with the last line of what went wrong when there is none."""
        if line := self.process.stdout.readline():
            return json.loads(line)
        self.process.wait()
        self.errors.seek(0)
        said = [text.strip() for text in self.errors if text.strip()]
        raise RuntimeError(said[-1] if said else f"the process ended with status {self.process.returncode}")

    def once(self) -> dict:
        """Wall and CPU seconds of an epoch."""
        print(file=self.process.stdin, flush=True)
        return self.answer()

    def close(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.communicate()
        self.errors.close()


def run(rounds: int = 11, trainers=tuple(TRAINERS), python: str | None = None, **settings) -> pd.DataFrame:
    """One row a trainer: training scans a second, time above the floor and what it shares with the others.

    Medians over rounds, with the 5th and 95th percentile of the time above the floor. `settings` as in
    `trainers.SETTINGS`; `python` runs the trainers (that of the frameworks' environment by default).
    RuntimeError when the floor cannot be measured; a trainer that fails is a row that says why.
    """
    settings, python = SETTINGS | settings, python or frameworks_python()
    workers, about = {}, {}
    try:
        for name in trainers:
            workers[name] = Worker(python, name, settings)
        for name, worker in workers.items():  # all are warm before the first is timed
            try:
                about[name] = worker.answer()
            except RuntimeError as error:
                if name == "floor":
                    raise
                about[name] = {"note": f"left out: {error}"}
                print(f"  {name} is left out: {error}", flush=True)
        taken = _rounds({name: workers[name] for name in about if "note" not in about[name]}, rounds)
    finally:
        for worker in workers.values():
            worker.close()
    return _table(about, taken)


def _rounds(workers: dict[str, Worker], rounds: int) -> dict[str, list[dict]]:
    """Every worker once a round, in an order that turns by one place each time."""
    names, taken = list(workers), {name: [] for name in workers}
    for turn in range(rounds):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            taken[name].append(workers[name].once())
    return taken


def _table(about: dict[str, dict], taken: dict[str, list[dict]]) -> pd.DataFrame:
    floor = np.array([answer["wall"] for answer in taken["floor"]])
    rows = []
    for name, facts in about.items():
        row = {"trainer": name, "version": facts.get("version", "")}
        if name in taken:
            wall, cpu = (np.array([answer[clock] for answer in taken[name]]) for clock in ("wall", "cpu"))
            above = 100 * (wall / floor - 1)
            low, high = np.percentile(above, [5, 95])
            row |= {"scans_per_second": facts["scans"] / np.median(wall), "above_floor_%": np.median(above)}
            row |= {"p5": low, "p95": high, "cpu_s": np.median(cpu), "val_loss": facts["val_loss"]}
        rows.append(row | {"note": facts.get("note") or _note(facts, about["floor"])})
    return pd.DataFrame(rows)


def _note(facts: dict, floor: dict) -> str:
    """What makes a row no fair comparison; nothing when it is one."""
    differs = [key for key in ("threads", "deterministic") if facts[key] != floor[key]]
    if abs(facts["val_loss"] - floor["val_loss"]) > SAME:
        differs.append("the weights it ends with")
    return f"NOT the same work: {', '.join(differs)}" if differs else ""


def verdict(table: pd.DataFrame) -> str:
    """Whether the two targets are met, in a line."""
    above = table.set_index("trainer")["above_floor_%"]
    others = above.drop(["floor", "bare loop", "fit"], errors="ignore").dropna()
    quicker = [name for name in others.index if others[name] < above["fit"]]
    within = "met" if above["fit"] <= MOST_ABOVE else "NOT met"
    if not len(others):
        slower = "not measured, no framework is here"
    else:
        slower = f"NOT met ({', '.join(quicker)})" if quicker else "met"
    return f"fit is {above['fit']:.1f} % above the floor, target {MOST_ABOVE:g} %: {within}; slower than none: {slower}"


def main() -> None:
    """Run from the command line and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=11)
    for name, value in SETTINGS.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(value), default=value)
    table = run(**vars(parser.parse_args()))
    print(f"{table.round(3).to_string(index=False)}\n\n{verdict(table)}")


if __name__ == "__main__":
    main()
