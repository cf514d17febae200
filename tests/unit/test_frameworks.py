"""The comparison of trainers compares like with like, leaves out what is not here, and its stopwatch adds up."""

import json
import sys
import time
from importlib.metadata import PackageNotFoundError, version

import numpy as np
import pytest
import torch

from benchmarks import fit_profile, frameworks, frameworks_venv, trainers
from course_utils.data import CourseData, ScanDataset

RNG = np.random.default_rng(0)


def scans(n: int) -> ScanDataset:
    """Noise: four classes, 32 pixels."""
    images = RNG.integers(0, 256, (n, 1, 32, 32), dtype=np.uint8)
    return ScanDataset(images, np.arange(n) % 4, ("CNV", "DME", "DRUSEN", "NORMAL"))


@pytest.fixture(scope="module")
def data() -> CourseData:
    """Two and a half batches of 16, and some to validate on."""
    return CourseData("noise", {"train": scans(40), "val": scans(20), "test": scans(4)}, source="noise")


@pytest.fixture(scope="module")
def floor(data) -> trainers.Timed:
    """The floor after one training."""
    timed = trainers.Timed("floor", data, 16, 2)
    timed.once()
    return timed


@pytest.mark.parametrize("name", [name for name in trainers.TRAINERS if name != "floor"])
def test_every_trainer_ends_with_the_weights_of_the_floor(name, data, floor):
    if name in trainers.PACKAGES:
        pytest.importorskip(trainers.PACKAGES[name])
    timed = trainers.Timed(name, data, 16, 2)
    taken = timed.once()
    assert 0 < taken["cpu"] and 0 < taken["wall"]
    for ours, theirs in zip(timed.model.state_dict().values(), floor.model.state_dict().values(), strict=True):
        torch.testing.assert_close(ours, theirs)
    assert timed.check() == pytest.approx(floor.check())


def test_another_training_is_noticed(floor):
    facts = floor.check()
    assert frameworks._note(facts, facts) == ""
    assert "threads" in frameworks._note(facts | {"threads": 2}, facts)
    assert "weights" in frameworks._note(facts | {"val_loss": facts["val_loss"] + 0.01}, facts)


def test_the_parts_of_fit_add_up_and_contain_those_of_the_floor(data):
    parts = fit_profile.profile("fit", data, 16, 2)
    assert set(parts) == set(fit_profile.PARTS)
    assert min(parts.values()) > 0
    assert set(fit_profile.profile("floor", data, 16, 2)) == {
        "forward", "loss", "backward", "optimizer", "loop", "val forward",
    }  # fmt: skip
    assert torch.Tensor.backward.__name__ == "backward", "the stopwatch was left in PyTorch"


def test_a_stopwatch_counts_each_moment_once():
    watch = fit_profile.Stopwatch()
    inner = watch.timed("inner", lambda: time.sleep(0.02))
    start = time.perf_counter()
    watch.timed("outer", lambda: (inner(), inner(), time.sleep(0.01)))()
    whole = time.perf_counter() - start
    assert watch.seconds["inner"] >= 0.04 and 0.01 <= watch.seconds["outer"] <= whole - 0.04
    assert sum(watch.seconds.values()) == pytest.approx(whole, abs=2e-3)


@pytest.fixture
def answers(monkeypatch):
    """Workers without a process: epochs of known length, and a trainer that is not installed."""
    seconds = {"floor": 2.0, "fit": 2.08, "Lightning": 2.2, "skorch": None}

    class Fake:
        def __init__(self, python, trainer, settings):
            self.trainer = trainer

        def answer(self):
            if seconds[self.trainer] is None:
                raise RuntimeError("No package metadata was found for skorch")
            return {"version": "", "val_loss": 1.0, "threads": 1, "deterministic": True, "scans": 100}

        def once(self):
            return {"wall": seconds[self.trainer], "cpu": seconds[self.trainer]}

        def close(self):
            self.trainer = None

    monkeypatch.setattr(frameworks, "Worker", Fake)
    return seconds


def test_the_table_counts_from_the_floor_and_names_what_is_missing(answers, capsys):
    table = frameworks.run(3, tuple(answers), "python").set_index("trainer")
    assert table.loc["floor", "scans_per_second"] == 50
    assert table.loc[["floor", "fit", "Lightning"], "above_floor_%"].tolist() == pytest.approx([0, 4, 10])
    assert np.isnan(table.loc["skorch", "above_floor_%"])
    assert "No package metadata" in table.loc["skorch", "note"]
    assert "skorch is left out" in capsys.readouterr().out


@pytest.mark.parametrize(
    "fit, others, expected",
    [
        (2.08, 2.2, ("4.0 % above the floor, target 5 %: met", "slower than none: met")),
        (2.3, 2.2, ("15.0 % above the floor, target 5 %: NOT met", "slower than none: NOT met (Lightning)")),
        (2.08, None, ("target 5 %: met", "not measured")),
    ],
)
def test_the_verdict(answers, fit, others, expected):
    answers |= {"fit": fit, "Lightning": others}
    said = frameworks.verdict(frameworks.run(1, tuple(answers), "python"))
    assert all(part in said for part in expected)


@pytest.mark.slow
def test_a_framework_that_is_not_installed_is_said_in_its_own_words():
    try:
        pytest.skip(f"skorch {version('skorch')} is installed here")
    except PackageNotFoundError:
        pass
    worker = frameworks.Worker(sys.executable, "skorch", trainers.SETTINGS)
    with pytest.raises(RuntimeError, match="skorch"):
        worker.answer()
    worker.close()


# ── The environment of the frameworks ────────────────────────────────────────────────────────────────────────────────
@pytest.fixture
def commands(monkeypatch, tmp_path):
    """Commands are noted, not run; `torch` and `numpy` are installed, and the index knows one framework."""
    noted = []

    def answer(*command, text=None):
        noted.append((command, text))
        if "-c" in command:
            return json.dumps({"torch": "2.15.0+cpu", "NumPy": "2.4.6"})
        return "numpy==2.4.6\ntorch==2.15.0\nlightning==2.6.6\n" if "compile" in command else ""

    monkeypatch.setattr(frameworks_venv, "_run", answer)
    monkeypatch.setattr(frameworks_venv, "VENV", tmp_path)
    return noted


def test_only_what_is_missing_is_installed(commands, tmp_path):
    frameworks_venv.install("lightning>=2.6", "python")
    assert (tmp_path / "constraints.txt").read_text() == "torch==2.15.0\nnumpy==2.4.6\n"
    command, text = commands[-1]
    assert text == "lightning==2.6.6" and "--no-deps" in command


def test_what_is_there_is_left_alone(commands):
    frameworks_venv.install("torch>=2", "python")
    assert len(commands) == 1, "asked what is there, nothing else"


def test_without_a_network_the_others_go_on(commands, monkeypatch, capsys):
    def refuse(requirement, python):
        raise RuntimeError("could not reach the index")

    monkeypatch.setattr(frameworks_venv, "_works", lambda python: True)
    monkeypatch.setattr(frameworks_venv, "install", refuse)
    assert frameworks_venv.frameworks_python().startswith(str(frameworks_venv.VENV))
    said = capsys.readouterr().out
    assert all(f"{name} could not be installed: could not reach" in said for name in frameworks_venv.wanted())


def test_every_framework_that_is_compared_is_wanted():
    assert {frameworks_venv.plain(name) for name in frameworks_venv.wanted()} == set(trainers.PACKAGES.values())


def test_a_command_that_fails_is_told_by_its_last_line():
    code = "import sys; sys.exit('first\\n\\nlast line\\n')"
    with pytest.raises(RuntimeError, match="^last line$"):
        frameworks_venv._run(sys.executable, "-c", code)
    with pytest.raises(RuntimeError):
        frameworks_venv._run("/no/such/program")
