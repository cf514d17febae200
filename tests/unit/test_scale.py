"""More than one process: the cost model against simulations, fair shares, a shared search, and two real processes."""

import importlib.util
import os
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import optuna
import pytest
import torch
import torch.nn.functional as F
from optuna.trial import TrialState

from course_utils import scale
from course_utils.scale import Plan, launch, run_limited, searching, sgd, share, small_net, train_share
from course_utils.scale.searching import search_share, shared_study


# --- what it costs ---
def ring(arrays):
    """A ring all-reduce, hop by hop: the sums that all hold at the end, and the numbers each worker sent."""
    world, sent = len(arrays), 0
    slices = [[part.copy() for part in np.array_split(array, world)] for array in arrays]
    for adding in (True, False):
        for hop in range(world - 1):
            moving = [(r, (r - hop + (not adding)) % world) for r in range(world)]
            carried = [slices[rank][number].copy() for rank, number in moving]
            for (rank, number), part in zip(moving, carried):
                there = slices[(rank + 1) % world]
                there[number] = there[number] + part if adding else part
            sent += len(carried[0])
    return [np.concatenate(parts) for parts in slices], sent, 2 * (world - 1)


@pytest.mark.parametrize("workers", [2, 3, 4, 8])
def test_allreduce_time_is_that_of_a_ring(workers):
    rng = np.random.default_rng(workers)
    arrays = [rng.normal(size=24 * workers) for _ in range(workers)]
    sums, sent, hops = ring(arrays)
    for result in sums:
        np.testing.assert_allclose(result, sum(arrays))
    expected = 8 * sent / 1e6 + hops * 1e-3
    assert scale.allreduce_seconds(8 * arrays[0].size, workers, 1e6, 1e-3) == pytest.approx(expected)


def test_one_worker_exchanges_nothing_and_the_exchange_can_hide():
    assert scale.allreduce_seconds(1e9, 1, 1e6, 1.0) == 0
    assert scale.step_seconds(1, 2.0, 1e9, 1e6, 1.0) == 2.0
    assert scale.step_seconds(4, 2.0, 1e9, 1e6, 1.0, hidden=1.0) == pytest.approx(0.5)
    shown = scale.step_seconds(4, 2.0, 1e6, 1e6, 0.0)
    assert shown == pytest.approx(0.5 + 1.5)


@pytest.mark.parametrize(("stages", "micro_batches"), [(1, 1), (2, 1), (4, 8), (8, 3)])
def test_bubble_is_the_idle_share_of_a_simulated_pipeline(stages, micro_batches):
    ends = np.zeros((stages + 1, micro_batches + 1))
    for stage in range(1, stages + 1):
        for batch in range(1, micro_batches + 1):  # when both the batch and the stage are there
            ends[stage, batch] = max(ends[stage - 1, batch], ends[stage, batch - 1]) + 1
    idle = 1 - micro_batches / ends[-1, -1]
    assert scale.bubble(stages, micro_batches) == pytest.approx(idle)


def test_state_bytes_are_what_adam_really_keeps():
    model = small_net(Plan(), 1, 4)
    optimizer = torch.optim.Adam(model.parameters())
    F.cross_entropy(model(torch.randn(4, 1, 16, 16)), torch.arange(4)).backward()
    optimizer.step()
    weights = list(model.parameters())
    moments = [state[key] for state in optimizer.state.values() for key in ("exp_avg", "exp_avg_sq")]
    held = sum(t.numel() * t.element_size() for t in [*weights, *(w.grad for w in weights), *moments])
    count = sum(w.numel() for w in weights)
    assert scale.state_bytes(count) == held
    assert scale.state_bytes(count, 8, ("weights", "gradients", "moments")) == held / 8
    assert scale.state_bytes(count, 8, ("moments",)) == 8 * count + 8 * count / 8


# --- shares ---
@pytest.mark.parametrize("world", [1, 2, 3, 7])
@pytest.mark.parametrize("count", [0, 1, 5, 100])
def test_shares_joined_are_all_rows_in_order_and_of_about_equal_size(count, world):
    parts = [list(range(count))[share(count, rank, world)] for rank in range(world)]
    assert sum(parts, []) == list(range(count))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def scans(count=96, size=16):
    rng = np.random.default_rng(0)
    return rng.normal(size=(count, 1, size, size)).astype(np.float32), rng.integers(0, 4, count)


def test_one_process_is_the_plain_loop():
    images, targets = (torch.from_numpy(array) for array in scans())
    plan = Plan(epochs=2, batch=32, lr=0.02, seed=3)
    shared, plain = small_net(plan, 1, 4), small_net(plan, 1, 4)
    train_share(shared, sgd(shared, plan), images, targets, plan)
    optimizer = sgd(plain, plan)
    for epoch in range(2):
        order = torch.randperm(96, generator=torch.Generator().manual_seed(plan.seed + epoch))
        for rows in order.split(32):
            optimizer.zero_grad()
            F.cross_entropy(plain(images[rows]), targets[rows]).backward()
            optimizer.step()
    for ours, theirs in zip(shared.parameters(), plain.parameters()):
        torch.testing.assert_close(ours, theirs)


def test_the_schedule_moves_at_each_step_and_epochs_are_told():
    images, targets = (torch.from_numpy(array) for array in scans())
    plan, told = Plan(epochs=3, batch=32), []
    model = small_net(plan, 1, 4)
    optimizer = sgd(model, plan)
    halve = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.5**step)
    train_share(model, optimizer, images, targets, plan, first=1, lr_scheduler=halve, on_epoch=told.append)
    assert told == [1, 2]
    assert optimizer.param_groups[0]["lr"] == pytest.approx(plan.lr * 0.5**6)


# --- a shared search ---
@pytest.fixture
def study(tmp_path):
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield shared_study(f"sqlite:///{tmp_path / 'study.db'}", 0, beat=1, grace=2)


def objective(trial):
    return trial.suggest_float("lr", 0, 1)


def test_search_ends_at_the_number_wanted_whoever_did_them(study):
    search_share(study, objective, 3)
    search_share(study, objective, 5)
    search_share(study, objective, 5)  # nothing left to do
    assert [trial.state for trial in study.trials] == [TrialState.COMPLETE] * 5


@pytest.mark.parametrize("last_beat", [True, False], ids=["after a beat", "before its first beat"])
def test_a_dead_workers_trial_is_closed_and_its_setting_tried_again(study, last_beat, monkeypatch):
    dead = study.ask()
    setting = dead.suggest_float("lr", 0, 1)
    if last_beat:
        study._storage.record_heartbeat(dead._trial_id)
    sleep, limit = time.sleep, time.monotonic() + 60

    def bounded_sleep(seconds):
        assert time.monotonic() < limit, "the survivor waits for the dead for ever"
        sleep(seconds)

    monkeypatch.setattr(searching.time, "sleep", bounded_sleep)
    search_share(study, objective, 2)
    states = [trial.state for trial in study.trials]
    assert states[dead.number] == TrialState.FAIL
    again = [trial for trial in study.trials if trial.system_attrs.get("failed_trial") == dead.number]
    assert [trial.params["lr"] for trial in again] == [setting]
    assert states.count(TrialState.COMPLETE) >= 2 and TrialState.RUNNING not in states


# --- processes ---
def test_a_command_has_its_limit_and_its_errors_are_told():
    start = time.monotonic()
    with pytest.raises(TimeoutError, match="did not end within 0.5 seconds"):
        run_limited([sys.executable, "-c", "import time; time.sleep(60)"], 0.5)
    assert time.monotonic() - start < 20
    with pytest.raises(RuntimeError, match="no such luck"):
        run_limited([sys.executable, "-c", "raise SystemExit('no such luck')"], 60)
    assert run_limited([sys.executable, "-c", "print('done')"], 60) == "done\n"


ORPHAN = """
import importlib.util, sys, time
spec = importlib.util.spec_from_file_location("launching", sys.argv[1])
launching = importlib.util.module_from_spec(spec)
spec.loader.exec_module(launching)
launching.end_with_parent(0.05)
print("ready", flush=True)
time.sleep(60)
"""
PARENT = """
import os, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", *sys.argv[1:]], stdout=subprocess.PIPE, text=True)
child.stdout.readline()
print(child.pid, flush=True)
os._exit(9)
"""


@pytest.mark.skipif(os.name != "posix", reason="process ids are looked up the POSIX way")
def test_a_worker_ends_soon_after_its_parent():
    module = importlib.util.find_spec("course_utils.scale.launching").origin
    done = subprocess.run([sys.executable, "-c", PARENT, ORPHAN, module], capture_output=True, text=True, timeout=60)
    pid, end = int(done.stdout), time.monotonic() + 20
    while is_running(pid):
        assert time.monotonic() < end, "the worker outlived its parent"
        time.sleep(0.05)


def is_running(pid):
    """Whether a process is there and not merely waiting to be collected."""
    status = Path(f"/proc/{pid}/stat")
    if status.exists() and status.read_text().rsplit(")", 1)[1].split()[0] == "Z":
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.slow
def test_two_processes_equal_one_also_after_a_kill(tmp_path):
    images, targets = scans(129)  # odd: one scan comes twice, for one process as for two
    np.savez(tmp_path / "scans.npz", images=images, targets=targets)
    plan = {"epochs": 2, "batch": 32, "lr": 0.02}
    tasks = [
        {"name": "whole", "do": "train", **plan},
        {"name": "broken", "do": "train", "dies": 0, **plan},
        {"name": "parts", "do": "train", "how": "fsdp", **plan},
        {"name": "answer", "do": "answer", "weights": "whole"},
    ]
    job = {"device": "cpu", "patience": 60, "classes": 4, "tasks": tasks}
    reports = launch(job, tmp_path, restarts=1, limit=240)
    attempts = {name: [report["attempt"] for report in both] for name, both in reports.items()}
    assert attempts == {"whole": [0, 0], "broken": [1, 1], "parts": [1, 1], "answer": [1, 1]}, "done again, or not done"
    assert [report["first"] for report in reports["broken"]] == [1, 1], "it did not go on from its checkpoint"
    assert reports["parts"][0]["weights"] < 0.6 * reports["whole"][0]["weights"]

    weights = {name: torch.load(tmp_path / f"{name}.pt", weights_only=True) for name in ("whole", "broken", "parts")}
    model = small_net(Plan(**plan), 1, 4)
    padded_training(model, Plan(**plan), *(torch.from_numpy(array) for array in (images, targets)))
    for key, value in model.state_dict().items():
        torch.testing.assert_close(weights["whole"][key], value, rtol=1e-3, atol=1e-4)
        torch.testing.assert_close(weights["parts"][key], value, rtol=1e-3, atol=1e-4)
        torch.testing.assert_close(weights["broken"][key], weights["whole"][key], rtol=0, atol=1e-6)

    answers = np.concatenate([np.load(tmp_path / f"answer-{rank}.npy") for rank in (0, 1)])
    model.load_state_dict(weights["whole"])
    with torch.inference_mode():
        np.testing.assert_allclose(answers, model.eval()(torch.from_numpy(images)).numpy(), atol=1e-5)


def padded_training(model, plan, images, targets):
    """One process that trains as two do: the epoch's order is filled to an even number, then cut into joint batches."""
    optimizer = sgd(model, plan)
    for epoch in range(plan.epochs):
        order = torch.randperm(len(images), generator=torch.Generator().manual_seed(plan.seed + epoch))
        for rows in torch.cat([order, order[: len(order) % 2]]).split(plan.batch):
            optimizer.zero_grad()
            F.cross_entropy(model(images[rows]), targets[rows]).backward()
            optimizer.step()
