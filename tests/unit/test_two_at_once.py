"""Two lessons at once, and one that is killed: nothing is corrupt, nothing is made twice, no lock stays behind."""

import json
import os
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import pytest

from course_utils import env
from course_utils.artifacts import BundleError, cached_model, load_bundle
from course_utils.tracking import ExperimentLog

WAIT = 120.0  # seconds; generous, for a machine that is busy


def start(code, *arguments):
    """A Python process of its own that runs `code`, as a second lesson would be."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(*processes):
    outputs = [process.communicate(timeout=WAIT) for process in processes]
    for process, (_, error) in zip(processes, outputs):
        assert process.returncode == 0, error
    return [output for output, _ in outputs]


def wait_for(path):
    end = time.monotonic() + WAIT
    while not path.exists():
        assert time.monotonic() < end, f"{path} did not appear"
        time.sleep(0.01)


def kill(process):
    process.kill()  # SIGKILL: no handler, no clean-up
    process.communicate(timeout=WAIT)
    if os.name == "posix":
        assert process.returncode == -signal.SIGKILL


# --- the experiment log ---
WRITE_LOG = """
import sys
from course_utils.tracking import ExperimentLog
root, lesson = sys.argv[1:]
log = ExperimentLog(lesson, root=root)
for number in range(60):
    log.record(f"H{number}", "x" * 2000, lesson, "open")       # its own rows
    ExperimentLog("shared", root=root).record("same", "x" * 2000, lesson, "open")   # a row both write
"""


def test_two_lessons_write_the_log_while_a_third_reads_it(tmp_path):
    writers = [start(WRITE_LOG, tmp_path, lesson) for lesson in ("05_a", "06_b")]
    reader = ExperimentLog("20", root=tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a half entry would warn
        while any(process.poll() is None for process in writers):
            reader.table()
        finish(*writers)
        table = reader.table()
    assert table["lesson"].value_counts().to_dict() == {"05_a": 60, "06_b": 60, "shared": 1}
    assert not [path.name for path in reader.folder.iterdir() if path.name.startswith(".")]


def test_log_survives_a_killed_writer(tmp_path):
    log = ExperimentLog("05_a", root=tmp_path)
    for delay in (0.0, 0.01, 0.03):
        writer = start(WRITE_LOG, tmp_path, "05_a")
        wait_for(log.folder)
        time.sleep(delay)
        kill(writer)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            log.table()
    finish(start(WRITE_LOG, tmp_path, "05_a"))
    assert len(log.table()) == 61


# --- safe writes ---
WRITE_HALF = """
import sys, time
from pathlib import Path
from course_utils.env import atomic_path, file_lock
target = Path(sys.argv[1])
with file_lock(target.with_suffix(".lock")), atomic_path(target) as temporary:
    with open(temporary, "w") as file:
        file.write("half")
        file.flush()
        Path(sys.argv[2]).touch()
        time.sleep(600)
"""


def test_killed_in_the_middle_of_a_write(tmp_path):
    target, started = tmp_path / "file.json", tmp_path / "started"
    target.write_text("whole")
    writer = start(WRITE_HALF, target, started)
    wait_for(started)
    with pytest.raises(TimeoutError), env.file_lock(target.with_suffix(".lock"), timeout=0.1):
        pass
    kill(writer)
    assert target.read_text() == "whole"
    with env.file_lock(target.with_suffix(".lock"), timeout=5), env.atomic_path(target) as temporary:
        temporary.write_text("new")  # the lock is free at once, though its file is still there
    assert target.read_text() == "new"


# --- cached models ---
MAKE = """
import sys, time
from pathlib import Path
import torch
from course_utils import models
from course_utils.artifacts import cached_model
root, seconds = Path(sys.argv[1]), float(sys.argv[2])

def make():
    with open(root / "made.txt", "a") as file:
        file.write("made\\n")
    time.sleep(seconds)
    torch.manual_seed(0)
    return models.build("small_cnn"), None

model, info = cached_model("small", {"lr": 1}, make, root=root)
print(info["loaded"], float(sum(parameter.double().sum() for parameter in model.parameters())))
"""


def test_two_lessons_that_need_one_model_make_it_once(tmp_path):
    outputs = finish(*[start(MAKE, tmp_path, 3) for _ in range(2)])
    assert (tmp_path / "made.txt").read_text() == "made\n"
    lines = [output.splitlines()[-1].split() for output in outputs]
    assert sorted(loaded for loaded, _ in lines) == ["False", "True"]
    assert lines[0][1] == lines[1][1]


def test_killed_while_making_a_model(tmp_path):
    maker = start(MAKE, tmp_path, 600)
    wait_for(tmp_path / "made.txt")
    kill(maker)
    (output,) = finish(start(MAKE, tmp_path, 0))
    assert output.startswith("small: made in")
    (output,) = finish(start(MAKE, tmp_path, 0))
    assert output.startswith("small: loaded from")


WRITE_MODELS = """
import sys
import torch
from course_utils import models
from course_utils.artifacts import cached_model
model = models.build("mlp")         # four megabytes: long enough to write
for number in range(10_000):
    cached_model("m", {"number": number}, lambda: (model, None), root=sys.argv[1])
"""


@pytest.mark.parametrize("delay", [0.0, 0.013, 0.05])
def test_killed_while_storing_models(tmp_path, delay):
    writer = start(WRITE_MODELS, tmp_path)
    wait_for(tmp_path)
    end = time.monotonic() + WAIT
    while not list(tmp_path.glob("m-*/MANIFEST.json")) and time.monotonic() < end:
        time.sleep(0.005)
    time.sleep(delay)
    kill(writer)
    stored = [path for path in tmp_path.iterdir() if path.is_dir() and not path.name.startswith(".")]
    assert stored

    def unneeded():
        raise AssertionError("a whole model was not accepted")

    for number in range(len(stored)):
        assert cached_model("m", {"number": number}, unneeded, root=tmp_path)[1]["loaded"]


# --- bundles ---
SAVE = """
import sys
from datetime import date
import torch
from course_utils import models
from course_utils.artifacts import save_bundle
torch.manual_seed(0)
metadata = dict(name="m", dataset="oct-phantom", simulated=True, fingerprint="f", classes=["a", "b"], mean=0, std=1,
                split_seed=0, seed=0)
print(save_bundle(models.build("logistic", classes=2, size=16), root=sys.argv[1], metadata=metadata, metrics={},
                  thresholds={}, example=torch.rand(2, 1, 16, 16), today=date(2026, 1, 1)))
"""


def test_two_lessons_save_the_same_bundle(tmp_path):
    first, second = finish(start(SAVE, tmp_path), start(SAVE, tmp_path))
    assert first == second
    bundle = load_bundle(first.strip())
    assert json.loads((bundle.path / "metadata.json").read_text()) == bundle.metadata
    (bundle.path / "model.onnx").unlink()
    with pytest.raises(BundleError):
        load_bundle(bundle.path)


# --- the simulated data set ---
LOAD = """
import sys
from course_utils.data import load_dataset
data = load_dataset("oct-phantom", n_train=60, n_val=30, n_test=30, cache=sys.argv[1])
print(len(data.train), data.fingerprint)
"""


def test_two_lessons_that_need_the_data_make_it_once(tmp_path):
    first, second = finish(start(LOAD, tmp_path), start(LOAD, tmp_path))
    assert first.splitlines()[-1] == second.splitlines()[-1]
    files = [path for path in tmp_path.rglob("*") if path.is_file() and not path.name.startswith(".")]
    assert len(files) == 1
    stamp = files[0].stat().st_mtime_ns
    files[0].write_bytes(files[0].read_bytes()[: files[0].stat().st_size // 2])  # damaged on disk
    (third,) = finish(start(LOAD, tmp_path))
    assert third.splitlines()[-1] == first.splitlines()[-1]
    assert files[0].stat().st_mtime_ns != stamp


def test_killed_while_making_the_data(tmp_path):
    maker = start(LOAD, tmp_path)
    end = time.monotonic() + WAIT
    while not list(Path(tmp_path).rglob("*")) and time.monotonic() < end:
        time.sleep(0.002)
    kill(maker)
    (output,) = finish(start(LOAD, tmp_path))
    assert output.splitlines()[-1].startswith("60 ")
