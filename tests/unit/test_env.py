"""Seeds, device, profile, folders and safe writes."""

import os
import subprocess
import sys
import threading
import time
import tomllib
from pathlib import Path

import numpy as np
import pytest
import torch

import course_utils
from course_utils import env

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def torch_settings():
    """Put back what `set_seed` changes for the whole process."""
    threads, strict = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(strict)


def draws():
    import random

    return random.random(), np.random.rand(3).tolist(), torch.rand(3).tolist()


def test_same_seed_same_draws(torch_settings):
    env.set_seed(7)
    first = draws()
    env.set_seed(7)
    assert draws() == first
    env.set_seed(8)
    assert draws() != first
    assert torch.get_num_threads() == 1
    assert torch.are_deterministic_algorithms_enabled() and torch.is_deterministic_algorithms_warn_only_enabled()


def test_threads_none_leaves_the_count_alone(torch_settings):
    torch.set_num_threads(2)
    env.set_seed(0, threads=None)
    assert torch.get_num_threads() == 2


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_impossible_seeds_are_refused(seed):
    with pytest.raises(ValueError, match=str(seed)):
        env.set_seed(seed)


def test_device():
    assert env.get_device("cpu").type == "cpu"
    assert env.get_device().type in {"cpu", "cuda", "mps"}
    with pytest.raises(ValueError, match='DEVICE is "cuda:99"'):
        env.get_device("cuda:99")


def test_profile():
    assert env.Profile("smoke").smoke and not env.Profile("full").smoke
    assert [env.Profile(name).pick(smoke=1, fast=2, full=3) for name in env.PROFILES] == [1, 2, 3]
    with pytest.raises(ValueError, match='"quick"; it must be one of smoke, fast, full'):
        env.Profile("quick")


def test_versions_names_alternatives_without_importing_them():
    table = env.versions()
    assert list(table.columns) == ["stage", "tool", "version", "why"]
    assert table.notna().all(axis=None)
    by_tool = table.set_index("tool")
    assert by_tool.loc["PyTorch", "version"] == torch.__version__.split("+")[0]
    assert {"TensorFlow/Keras", "MLflow", "OpenCV", "SavedModel"} <= set(by_tool.index)
    assert env._version("no-such-package-anywhere") == "not installed"


def test_device_report():
    table = env.device_report()
    assert list(table["device"]) == ["cpu", "cuda", "mps"]
    assert table["present"].iloc[0]


def test_folders(monkeypatch, tmp_path):
    monkeypatch.delenv("COURSE_DATA", raising=False)
    assert env.data_dir() == ROOT / "data"
    monkeypatch.setenv("COURSE_DATA", str(tmp_path / "elsewhere"))
    assert env.data_dir() == tmp_path / "elsewhere"
    assert not env.data_dir().exists()  # asking makes nothing
    monkeypatch.delenv("COURSE_RUNS", raising=False)
    monkeypatch.setattr(env, "checkout_dir", lambda: None)
    monkeypatch.chdir(tmp_path)
    assert env.runs_dir() == tmp_path / "runs"


def test_git_state(monkeypatch):
    assert set(env.git_state()) == {"commit", "dirty"}
    monkeypatch.setattr(env, "checkout_dir", lambda: None)
    assert env.git_state() == {"commit": "unknown", "dirty": "unknown"}


def test_git_state_of_a_real_checkout(monkeypatch, tmp_path):
    def git(*arguments):
        who = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
        subprocess.run(["git", "-C", tmp_path, *who, *arguments], check=True, capture_output=True)

    git("init")
    (tmp_path / "a.txt").write_text("a")
    git("add", "a.txt")
    git("commit", "-m", "one")
    monkeypatch.setattr(env, "checkout_dir", lambda: tmp_path)
    clean = env.git_state()
    assert len(clean["commit"]) == 40 and clean["dirty"] is False
    (tmp_path / "a.txt").write_text("b")
    assert env.git_state() == {**clean, "dirty": True}


# --- safe writes ---
def test_atomic_path_replaces_on_success(tmp_path):
    target = tmp_path / "deep" / "file.npz"
    for text in ("old", "new"):
        with env.atomic_path(target) as temporary:
            assert temporary.parent == target.parent and temporary.suffix == ".npz"
            temporary.write_text(text)
            assert not target.exists() or target.read_text() == "old"
    assert target.read_text() == "new"
    assert list(target.parent.iterdir()) == [target]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_atomic_path_leaves_nothing_on_failure(tmp_path, error):
    target = tmp_path / "file.txt"
    target.write_text("old")
    with pytest.raises(error), env.atomic_path(target) as temporary:
        temporary.write_text("half")
        raise error
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_atomic_path_may_be_a_folder(tmp_path):
    with env.atomic_path(tmp_path / "bundle") as temporary:
        temporary.mkdir()
        (temporary / "a").write_text("a")
    assert [path.name for path in (tmp_path / "bundle").iterdir()] == ["a"]
    with pytest.raises(RuntimeError), env.atomic_path(tmp_path / "other") as temporary:
        temporary.mkdir()
        raise RuntimeError
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


def test_atomic_path_sweeps_what_a_killed_process_left(tmp_path):
    target = tmp_path / "file.json"
    old, young, other = (
        tmp_path / ".file.json.aaa.tmp.json",
        tmp_path / ".file.json.bbb.tmp.json",
        tmp_path / ".else.json.aaa.tmp.json",
    )
    for path in (old, young, other):
        path.write_text("half")
    for path in (old, other):
        os.utime(path, (time.time() - 2 * env.LEFTOVER_AGE,) * 2)
    with env.atomic_path(target) as temporary:
        temporary.write_text("whole")
    assert {path.name for path in tmp_path.iterdir()} == {"file.json", young.name, other.name}


def test_file_lock_is_free_afterwards_and_refuses_after_the_timeout(tmp_path, capsys):
    lock = tmp_path / "deep" / "x.lock"
    with env.file_lock(lock), pytest.raises(TimeoutError, match=r"x\.lock for 0\.1 seconds"), env.file_lock(lock, 0.1):
        pass
    assert "waits for another process that holds x.lock" in capsys.readouterr().err
    with env.file_lock(lock, timeout=0.1):
        pass


def test_a_short_wait_for_a_lock_is_not_worth_a_word(tmp_path, capsys):
    lock, held = tmp_path / "x.lock", threading.Event()

    def hold():
        with env.file_lock(lock):
            held.set()
            time.sleep(0.3)

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait()
    start = time.monotonic()
    with env.file_lock(lock):
        assert time.monotonic() - start > 0.1, "the lock was not held by anybody, so this test shows nothing"
    holder.join()
    assert capsys.readouterr().err == ""


# --- importing ---
def test_import_is_light():
    heavy = "torch numpy pandas matplotlib sklearn scipy onnx onnxruntime".split()
    code = f"import course_utils, course_utils.env, sys; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]" and done.stderr == ""


def test_version_is_the_projects():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert course_utils.__version__ == project["version"]
