"""Starting worker processes so that none is left behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from course_utils.env import to_json


def launch(job: dict, folder: Path, *, processes: int = 2, restarts: int = 0, limit: float = 180.0) -> dict:
    """Run a job under torchrun with so many processes on this machine; returns by task what each process reported.

    RuntimeError with the last lines of its messages when it fails; TimeoutError after `limit` seconds. Either way no
    process is left.
    """
    path = folder / "job.json"
    path.write_text(to_json(job), encoding="utf-8")
    reports = {t["name"]: [report_path(folder, t["name"], rank) for rank in range(processes)] for t in job["tasks"]}
    for old in sum(reports.values(), []):
        old.unlink(missing_ok=True)
    torchrun = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    command = [sys.executable, *torchrun, f"--max-restarts={restarts}", "-m", "course_utils.scale.worker", str(path)]
    run_limited(command, limit)
    return {name: [json.loads(path.read_text("utf-8")) for path in paths] for name, paths in reports.items()}


def report_path(folder: Path, task: str, rank: int) -> Path:
    """Where a process leaves what it has to say of a task."""
    return folder / f"report-{task}-{rank}.json"


def run_limited(command: Sequence[str], limit: float) -> str:
    """Run a command that can import what we can, one thread a process; returns what it said. Errors as in `launch`."""
    process = start_process(command)
    try:
        said, _ = process.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        raise TimeoutError(f"{' '.join(command[1:4])} … did not end within {limit:g} seconds; it was stopped") from None
    finally:
        process.kill()  # its workers notice (`end_with_parent`)
        process.wait()
        process.stdout.close()
    if process.returncode:
        lines = said.splitlines()
        own = [line for line in lines if line.startswith("[rank")]  # what the workers themselves said, if anything
        cause = own or lines
        raise RuntimeError(f"{' '.join(command[1:4])} … failed:\n" + "\n".join(cause[-20:]))
    return said


def start_process(command: Sequence[str]) -> subprocess.Popen:
    """Start a command with our import paths, one thread, and its messages in a pipe."""
    paths = os.pathsep.join([str(Path(__file__).resolve().parents[2]), *filter(None, sys.path)])
    environment = os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    # Else processes that torchrun starts again find the addresses of the dead (PyTorch issue 135712).
    environment["TORCH_DISABLE_SHARE_RDZV_TCP_STORE"] = "1"
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    )


def end_with_parent(every: float = 0.5) -> None:
    """End this process soon after the one that started it is gone, however that one ended."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(every)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
