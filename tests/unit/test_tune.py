"""Tuning against PyTorch's schedulers and scikit-learn; a search that is really killed; what choosing does to noise."""

import multiprocessing
import os
import signal
import sqlite3

import numpy as np
import optuna
import pandas as pd
import pytest
import torch
from optuna.trial import TrialState
from sklearn.model_selection import StratifiedGroupKFold
from torch import nn

from course_utils import tune
from course_utils.data import CourseData, ScanDataset

optuna.logging.set_verbosity(optuna.logging.WARNING)
STEPS = 50


def pytorch_rates(make, steps=STEPS):
    """The learning rate that a PyTorch scheduler gives at each step, for a base rate of 1."""
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler, rates = make(optimizer), []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


lrs = torch.optim.lr_scheduler
REFERENCES = {
    "constant": lambda o: lrs.ConstantLR(o, factor=1.0),
    "warm-up": lambda o: lrs.LinearLR(o, start_factor=1 / 5, total_iters=4),
    "step": lambda o: lrs.MultiStepLR(o, milestones=[30, 43], gamma=0.1),
    "cosine": lambda o: lrs.CosineAnnealingLR(o, T_max=STEPS),
    "one-cycle": lambda o: lrs.OneCycleLR(o, max_lr=1.0, total_steps=STEPS, cycle_momentum=False),
}


@pytest.mark.parametrize("kind", tune.SCHEDULES)
def test_schedules_are_pytorchs(kind):
    factor = tune.schedule(kind, STEPS)
    assert np.allclose([factor(step) for step in range(STEPS)], pytorch_rates(REFERENCES[kind]), atol=1e-6)


@pytest.mark.parametrize("kind", tune.SCHEDULES)
@pytest.mark.parametrize("steps", [1, 2, 3, 4, 7, 300])
def test_schedules_stay_between_zero_and_one_even_one_step_too_far(kind, steps):
    factors = [tune.schedule(kind, steps)(step) for step in range(steps + 1)]
    assert all(-1e-12 <= value <= 1 + 1e-12 for value in factors)


@pytest.mark.parametrize(("kind", "steps"), [("sine", 10), ("cosine", 0)])
def test_a_schedule_that_is_none_is_refused(kind, steps):
    with pytest.raises(ValueError, match="choose one of constant"):
        tune.schedule(kind, steps)


def toy_batches(n=3):
    torch.manual_seed(0)
    return [(torch.randn(8, 5), torch.randint(0, 3, (8,))) for _ in range(n)]


def test_range_test_grows_by_a_constant_factor_and_begins_again_at_the_end_of_an_epoch():
    table = tune.lr_range_test(nn.Linear(5, 3), toy_batches(), nn.CrossEntropyLoss(), low=1e-4, high=1e-2, steps=11)
    assert len(table) == 11
    assert np.allclose(table["lr"], np.geomspace(1e-4, 1e-2, 11))
    ewm = table["loss"].ewm(alpha=0.2, adjust=True).mean()  # pandas' bias-corrected moving average
    assert np.allclose(table["smoothed"], ewm)


def test_range_test_stops_where_the_loss_explodes():
    table = tune.lr_range_test(nn.Linear(5, 3), toy_batches(), nn.CrossEntropyLoss(), low=1e-3, high=1e6, steps=60)
    assert len(table) < 60
    assert not table["smoothed"].iloc[-1] < 4 * table["smoothed"].min()


@pytest.mark.parametrize("wrong", [{"low": 0.0}, {"low": 1.0, "high": 0.1}, {"steps": 1}])
def test_range_test_refuses_an_empty_range(wrong):
    with pytest.raises(ValueError, match="0 < low < high"):
        tune.lr_range_test(nn.Linear(5, 3), toy_batches(), nn.CrossEntropyLoss(), **wrong)


def test_useful_rates_reach_from_the_middle_of_the_fall_to_the_lowest_loss():
    lr = np.geomspace(1e-5, 1, 101)
    smoothed = 1 - np.tanh(3 * (np.log10(lr) + 2)) + 1e-6 * (np.log10(lr) + 1) ** 2  # half down at 0.01, lowest at 0.1
    smoothed[0], smoothed[-5:] = 5.0, 9.0  # an unlucky first batch, an explosion
    lucky = pd.DataFrame({"lr": lr[:90], "smoothed": 0.3})  # a start that shows no fall, and stopped sooner
    low, high = tune.useful_rates([pd.DataFrame({"lr": lr, "smoothed": smoothed}), lucky])
    assert low == pytest.approx(1e-2, rel=0.15)
    assert lr[75] < high <= lr[89]
    assert tune.useful_rates([lucky]) == (lr[0], lr[0])


def test_class_weights():
    labels = torch.tensor([0] * 90 + [1] * 10)
    assert torch.equal(tune.class_weights(labels, 2, 0.0), torch.ones(2))
    inverse = tune.class_weights(labels, 3, 1.0)
    assert inverse[1] / inverse[0] == pytest.approx(9)
    assert inverse[labels].mean() == pytest.approx(1)
    assert torch.isfinite(inverse).all()


# ── one training ─────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.fixture
def noise() -> CourseData:
    """Thirty scans of noise in three classes, ten to validate on."""
    generator = torch.Generator().manual_seed(0)

    def scans(n):
        images = torch.randint(0, 256, (n, 1, 16, 16), generator=generator, dtype=torch.uint8)
        return ScanDataset(images, torch.arange(n) % 3, ("a", "b", "c"))

    return CourseData("noise", {"train": scans(30), "val": scans(10), "test": scans(4)}, source="noise")


def test_a_training_repeats_bit_for_bit_and_obeys_its_setting(noise):
    setting = tune.Setting(epochs=2, lr=1e-2, schedule="cosine")
    (model, history), (_, again) = (tune.train_setting(setting, noise, noise.train, noise.val, seed=3) for _ in "ab")
    same = [name for name in history if name != "seconds"]
    pd.testing.assert_frame_equal(history[same], again[same])
    assert history["lr"].tolist() == pytest.approx([1e-2, 5e-3])  # after one of two epochs half a wave is half way down
    assert set(tune.score(model, noise, noise.val)) == {"accuracy", "macro_f1"}
    other = tune.train_setting(tune.Setting(epochs=2, width=4), noise, noise.train, noise.val, seed=3)[0]
    assert sum(p.numel() for p in other.parameters()) < sum(p.numel() for p in model.parameters())


class Impatient(optuna.pruners.BasePruner):
    """Ends every trial after its first report."""

    def prune(self, study, trial):
        return True


def test_a_trial_reports_each_epoch_and_stops_when_told(noise):
    def objective(trial):
        return tune.training_trial(trial, noise, noise.train, noise.val, epochs=2)

    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    study.optimize(objective, n_trials=1)
    trial = study.trials[0]
    assert sorted(trial.intermediate_values) == [1, 2]
    assert trial.value == trial.intermediate_values[2]
    pruned = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0), pruner=Impatient())
    pruned.optimize(objective, n_trials=1)
    assert (pruned.trials[0].state, list(pruned.trials[0].intermediate_values)) == (TrialState.PRUNED, [1])


def test_a_loss_that_blows_up_ends_the_trial_and_not_the_study(noise, monkeypatch):
    def blown_up(*args, **options):
        raise FloatingPointError("the training loss is no longer finite")

    monkeypatch.setattr(tune, "train_setting", blown_up)
    study = optuna.create_study()
    study.optimize(lambda trial: tune.training_trial(trial, noise, noise.train, noise.val, epochs=1), n_trials=2)
    assert [trial.state for trial in study.trials] == [TrialState.PRUNED] * 2


# ── a search that survives ───────────────────────────────────────────────────────────────────────────────────────────
def quadratic(trial):
    return trial.suggest_float("x", -1, 1) ** 2


def die_in_the_fourth(trial):
    """A trial of a process that the system kills while it runs its fourth one."""
    value = quadratic(trial)
    if trial.number == 3:
        os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))
    return value


def killed_study(path):
    process = multiprocessing.get_context("spawn").Process(target=tune.search, args=(path, die_in_the_fourth, 10))
    process.start()
    process.join(60)
    return process.exitcode


def test_a_killed_search_goes_on_to_the_number_asked_for(tmp_path):
    path = tmp_path / "search.db"
    assert killed_study(path) != 0
    before = optuna.load_study(study_name="search", storage=f"sqlite:///{path}").trials
    assert [trial.state for trial in before] == [TrialState.COMPLETE] * 3 + [TrialState.RUNNING]
    study = tune.search(path, quadratic, 10)
    states = [trial.state for trial in study.trials]
    assert (states.count(TrialState.COMPLETE), states.count(TrialState.FAIL)) == (10, 1)
    assert TrialState.RUNNING not in states
    assert study.trials[:3] == before[:3]
    assert study.trials[4].params == before[3].params
    assert study.trials[4].user_attrs == {"retry_of": 3}
    assert len({trial.params["x"] for trial in study.trials}) == 10, "a resumed sampler draws the same numbers again"
    assert len(tune.search(path, quadratic, 10).trials) == 11, "asked again for ten, it has nothing to do"
    assert sqlite3.connect(path).execute("pragma integrity_check").fetchone() == ("ok",)


def test_only_ended_trials_count():
    study = optuna.create_study()
    for state in (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL):
        study.add_trial(optuna.trial.create_trial(value=1.0 if state == TrialState.COMPLETE else None, state=state))
    study.ask()
    assert [tune.trials_left(study, wanted) for wanted in (1, 2, 5)] == [0, 0, 3]


def test_a_stale_trial_without_a_setting_is_closed_but_not_queued():
    study = optuna.create_study()
    study.ask()
    assert tune.close_stale(study) == [0]
    assert [trial.state for trial in study.trials] == [TrialState.FAIL]
    assert tune.close_stale(study) == []


# ── honest estimates ─────────────────────────────────────────────────────────────────────────────────────────────────
def patients(n=60, seed=0):
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(n), rng.integers(1, 5, n))
    return (groups % 3), groups


def test_folds_are_scikit_learns_and_judge_each_scan_once_a_repeat():
    labels, groups = patients()
    folds = list(tune.grouped_folds(labels, groups, folds=4, repeats=3, seed=7))
    assert len(folds) == 12
    expected = StratifiedGroupKFold(4, shuffle=True, random_state=8).split(labels, labels, groups)
    for (train, judge), (sk_train, sk_judge) in zip(folds[4:8], expected, strict=True):
        assert np.array_equal(train, sk_train) and np.array_equal(judge, sk_judge)
    for repeat in range(3):
        judged = np.concatenate([judge for _, judge in folds[4 * repeat : 4 * repeat + 4]])
        assert np.array_equal(np.sort(judged), np.arange(len(labels)))
    assert not any(set(groups[train]) & set(groups[judge]) for train, judge in folds)
    assert not np.array_equal(folds[0][1], folds[4][1]), "a repeat must deal anew"


def test_without_groups_scans_of_a_patient_are_parted():
    labels, groups = patients()
    assert any(set(groups[train]) & set(groups[judge]) for train, judge in tune.grouped_folds(labels, None))
