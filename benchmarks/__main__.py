"""`make bench [NAME=throughput]`: run the benchmarks one after another and write benchmarks/RESULTS.md.

Each benchmark keeps its own section, with the machine, versions and command it was measured with, so that one can be
renewed alone. Nothing else should run on the machine meanwhile.
"""

import importlib
import os
import platform
import re
import sys
import time
from datetime import date
from importlib.metadata import version
from pathlib import Path

import pandas as pd

from course_utils.env import atomic_path, git_state

RESULTS = Path(__file__).parent / "RESULTS.md"
BENCHMARKS = (
    "pipeline",
    "throughput",
    "frameworks",
    "fit_profile",
    "phantom_bands",
    "radar_bands",
    "serving",
    "capstone",
    "lessons",
)
PACKAGES = ("torch", "torchvision", "numpy", "pandas")
HEAD = "# Results\n\nWritten by `make bench`: do not edit. Every section says where and how it was measured.\n"


def machine() -> str:
    """Processor, cores and system, in a line."""
    model = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
        model = found[1] if found else model
    return f"{model}, {os.cpu_count()} cores, {platform.system()}"


def measure(name: str) -> pd.DataFrame:
    """The table of one benchmark, summed up where its module knows how (`summary`)."""
    module = importlib.import_module(f"benchmarks.{name}")
    table = module.run()
    return module.summary(table) if hasattr(module, "summary") else table


def as_text(table: pd.DataFrame) -> str:
    """A table the way a console shows it, numbers rounded; the index only where it says something."""
    return table.round(3).to_string(index=not isinstance(table.index, pd.RangeIndex))


def section(name: str, table: pd.DataFrame, seconds: float) -> str:
    """One benchmark as markdown: what it is, where and how it was measured, the table."""
    about = (importlib.import_module(f"benchmarks.{name}").__doc__ or name).strip().splitlines()[0]
    state = git_state()
    commit = f"{str(state['commit'])[:12]}{' with local changes' if state['dirty'] is True else ''}"
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return (
        f"\n## {name}\n\n{about}\n\n"
        f"- command: `make bench NAME={name}` ({seconds / 60:.1f} minutes, {date.today().isoformat()})\n"
        f"- machine: {machine()}; OMP_NUM_THREADS={os.environ.get('OMP_NUM_THREADS', 'unset')}\n"
        f"- versions: Python {platform.python_version()}, {packages}; commit {commit}\n\n```\n{as_text(table)}\n```\n"
    )


def store(name: str, text: str) -> None:
    """Replace one section of RESULTS.md, in the order of `BENCHMARKS`."""
    old = RESULTS.read_text(encoding="utf-8") if RESULTS.exists() else ""
    sections = {found.split("\n", 1)[0]: f"\n## {found}" for found in old.split("\n## ")[1:]}
    sections[name] = text
    with atomic_path(RESULTS) as partial:
        body = "".join(sections[known].rstrip("\n") + "\n" for known in BENCHMARKS if known in sections)
        partial.write_text(HEAD + body, encoding="utf-8")


def main(names: list[str]) -> int:
    """Run the named benchmarks, or all. Returns the exit status: 2 for an unknown name."""
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        print(f"make bench: NAME={unknown[0]} is not known; there are {', '.join(BENCHMARKS)}.", file=sys.stderr)
        return 2
    for name in names or BENCHMARKS:
        print(f"{name} …", flush=True)
        start = time.perf_counter()
        table = measure(name)
        store(name, section(name, table, time.perf_counter() - start))
        print(f"{as_text(table)}\n", flush=True)
    print("stored in benchmarks/RESULTS.md")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
