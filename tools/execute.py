"""Execute one lesson in a process of its own, or many of them a few at a time.

The parent (`execute_all`) starts a worker (`python -m tools.execute …`) for each lesson, and the worker starts the
kernel. Whatever happens to one lesson — an error, a dead kernel, no memory left — the others go on. When the parent is
stopped, workers and kernels are stopped with it; when it is killed outright, the workers notice and end by themselves.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import psutil

from course_utils.env import atomic_path
from tools.lesson_format import NOTEBOOKS, ROOT, save_text, source

ANSI = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class Task:
    """One lesson to execute: `source` is read, `target` is written, with `parameters` put after its parameters cell."""

    source: Path
    target: Path
    parameters: dict[str, object] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    cwd: Path = NOTEBOOKS
    after: str = ""  # the lesson whose model it loads: while that one runs, it could only wait

    @property
    def slug(self) -> str:
        """The lesson's name."""
        return self.source.stem

    @property
    def log(self) -> Path:
        """Where the worker's own messages go."""
        return self.target.with_suffix(".log")

    @property
    def report(self) -> Path:
        """Where the worker leaves its `Outcome`."""
        return self.target.with_suffix(".json")


@dataclass(frozen=True)
class Outcome:
    """How a lesson went: seconds of the whole run, peak memory of its processes, and where it failed if it did."""

    slug: str
    ok: bool
    seconds: float
    peak_mb: float
    cell: str = ""
    error: str = ""
    traceback: str = ""


class PeakMemory(threading.Thread):
    """Watches the memory of this process's children (the kernel and what it starts), in MB.

    On Linux a page that several processes share counts once, split between them; elsewhere once a process. Splitting
    takes the system a twentieth of a second a process, so it is asked only when the plain sum has grown by `step`;
    in between, that sum is taken to be shared as it was when last asked.
    """

    def __init__(self, every: float = 0.5, step: float = 60e6):
        super().__init__(daemon=True)
        self.every, self.step, self.megabytes, self.parent = every, step, 0.0, os.getppid()

    def run(self) -> None:
        """Look again and again; end everything when the parent is gone, since nobody waits for the result then."""
        me, asked, shared = psutil.Process(), 0, 1.0
        while True:
            if os.getppid() != self.parent:
                kill_tree(me.pid)
            children = me.children(recursive=True)
            if (plain := sum(map(_resident, children))) > asked + self.step:
                asked, shared = plain, sum(map(_share, children)) / plain
            self.megabytes = max(self.megabytes, plain * shared / 2**20)
            time.sleep(self.every)


def _resident(process: psutil.Process) -> int:
    """Bytes of memory a process holds, shared pages in full; 0 when it has just ended."""
    try:
        return process.memory_info().rss
    except psutil.Error:
        return 0


def _share(process: psutil.Process) -> int:
    """The same with its share of the shared pages, where the system tells."""
    if sys.platform != "linux":
        return _resident(process)
    try:
        return process.memory_full_info().pss
    except psutil.Error:
        return 0


def kill_tree(pid: int) -> None:
    """Kill a process and everything below it, children first, and wait until they are gone."""
    try:
        top = psutil.Process(pid)
        processes = [*top.children(recursive=True), top]
    except psutil.NoSuchProcess:
        return
    for process in processes:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs([process for process in processes if process.pid != os.getpid()], timeout=10)


def execute(task: Task) -> Outcome:
    """Execute a lesson here, in this process, and write the executed notebook, failed or not, in one piece."""
    import papermill
    from nbclient.exceptions import DeadKernelError

    memory, start = PeakMemory(), time.perf_counter()
    memory.start()
    trouble: dict[str, str] = {}
    with atomic_path(task.target) as partial:
        try:
            papermill.execute_notebook(
                str(task.source),
                str(partial),
                parameters=task.parameters,
                kernel_name="python3",
                language="python",
                cwd=str(task.cwd),
                progress_bar=False,
            )
        except papermill.PapermillExecutionError as error:
            trouble = {
                "cell": _failed_cell(partial),
                "error": f"{error.ename}: {ANSI.sub('', error.evalue)}".strip(),
                "traceback": ANSI.sub("", "\n".join(error.traceback)),
            }
        except DeadKernelError:
            trouble = {"cell": _failed_cell(partial), "error": "the kernel died (out of memory, or killed)"}
    return Outcome(task.slug, not trouble, time.perf_counter() - start, memory.megabytes, **trouble)


def _failed_cell(path: Path) -> str:
    """Which cell of an executed notebook stopped it: number among the code cells, id and first line."""
    cells = [cell for cell in json.loads(path.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "code"]
    cells = [cell for cell in cells if "injected-parameters" not in cell["metadata"].get("tags", [])]
    for number, cell in enumerate(cells, start=1):
        failed = cell["metadata"].get("papermill", {}).get("status") == "failed"
        answered = "shell.execute_reply" in cell["metadata"].get("execution", {})
        if failed or (source(cell).strip() and not answered):
            line = next((line for line in source(cell).splitlines() if line.strip()), "")
            return f"code cell {number} (id {cell.get('id', '?')}): {line.strip()}"
    return "an unknown cell"


def start_worker(task: Task) -> subprocess.Popen:
    """Start the worker of a task, out of reach of the terminal's Ctrl-C: its parent ends it."""
    for path in (task.report, task.target):
        path.unlink(missing_ok=True)
    task.log.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "tools.execute", str(task.source), str(task.target), "--cwd", str(task.cwd)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYDEVD_DISABLE_FILE_VALIDATION": "1", **task.environment}
    with task.log.open("wb") as log:
        return subprocess.Popen(
            [*command, "--parameters", json.dumps(task.parameters)],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def outcome_of(task: Task, status: int, seconds: float) -> Outcome:
    """What a worker that ended reported; when it could not report, the last line it said."""
    if task.report.exists():
        return Outcome(**json.loads(task.report.read_text(encoding="utf-8")))
    said = task.log.read_text(encoding="utf-8", errors="replace").strip().splitlines() or ["it said nothing"]
    return Outcome(task.slug, False, seconds, 0.0, "before the first cell", f"worker ended with {status}: {said[-1]}")


def next_up(waiting: Sequence[Task], running: Container[str]) -> int:
    """Which of the waiting tasks to start: the first that waits for no running lesson, else the first of all."""
    return next((place for place, task in enumerate(waiting) if task.after not in running), 0)


def execute_all(
    tasks: Iterable[Task],
    jobs: int,
    on_start: Callable[[Task], None] = lambda task: None,
    on_done: Callable[[Task, Outcome], None] = lambda task, outcome: None,
) -> list[Outcome]:
    """Execute lessons in order, `jobs` at a time. On any exception, Ctrl-C included, running lessons are killed.

    A lesson that would only wait for what a running one makes lets those behind it go first.
    """
    waiting, running, outcomes = list(tasks), {}, []
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                task = waiting.pop(next_up(waiting, running))
                running[task.slug] = (task, start_worker(task), time.perf_counter())
                on_start(task)
            for slug, (task, worker, start) in list(running.items()):
                if worker.poll() is not None:
                    del running[slug]
                    outcomes.append(outcome_of(task, worker.returncode, time.perf_counter() - start))
                    on_done(task, outcomes[-1])
            time.sleep(0.05)
    finally:
        for _, worker, _ in running.values():
            kill_tree(worker.pid)
    return outcomes


def main(arguments: list[str] | None = None) -> int:
    """The worker: executes one lesson and leaves its outcome beside the executed notebook."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("--cwd", type=Path, default=NOTEBOOKS)
    parser.add_argument("--parameters", type=json.loads, default={})
    options = parser.parse_args(arguments)
    task = Task(options.source, options.target, options.parameters, cwd=options.cwd)
    outcome = execute(task)
    save_text(task.report, json.dumps(asdict(outcome)))
    return int(not outcome.ok)


if __name__ == "__main__":
    sys.exit(main())
