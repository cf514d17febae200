"""A hyperparameter search that several processes share through one database."""

from __future__ import annotations

import itertools
import os
import time
from pathlib import Path

import numpy as np
import optuna
import torch
import torch.nn.functional as F
from optuna.trial import TrialState

from course_utils.scale.training import Plan, sgd, small_net, train_share


def shared_study(storage: str, seed: int, *, beat: int = 1, grace: int = 6) -> optuna.Study:
    """The study "shared" in an SQL database, made if missing; a worker whose heart stops for `grace` seconds is dead.

    Each worker needs a seed of its own, or all draw the same settings. A dead worker's trial is closed as failed and
    its settings are tried again.
    """
    engine = {"connect_args": {"timeout": 60}} if storage.startswith("sqlite") else None
    again = optuna.storages.RetryFailedTrialCallback(max_retry=2)
    beats = {"heartbeat_interval": beat, "grace_period": grace, "failed_trial_callback": again}
    database = optuna.storages.RDBStorage(storage, engine_kwargs=engine, **beats)
    sampler = optuna.samplers.RandomSampler(seed=seed)
    return optuna.create_study(study_name="shared", storage=database, sampler=sampler, load_if_exists=True)


def search_share(study, objective, wanted: int) -> None:
    """Try settings until `wanted` trials are complete, whoever did them, and none is in flight or waiting."""
    known = set()  # trials of others that this worker has given a beat
    while True:
        trials = study.get_trials(deepcopy=False)
        states = [trial.state for trial in trials]
        done, running = states.count(TrialState.COMPLETE), states.count(TrialState.RUNNING)
        waiting = states.count(TrialState.WAITING)
        if waiting or done + running < wanted:
            study.optimize(objective, n_trials=1)
        elif running:  # somebody else's: wait, and take it over should that somebody be dead
            in_flight = {trial._trial_id for trial in trials if trial.state == TrialState.RUNNING}
            for trial_id in in_flight - known:
                study._storage.record_heartbeat(trial_id)  # its owner may have died before the first
            known |= in_flight
            time.sleep(0.3)
            optuna.storages.fail_stale_trials(study)
        else:
            return


def search(job: dict, folder: Path) -> None:
    """What each worker of a shared search does: draw a setting, train, score on the judging scans, again.

    If the job names a trial in `dies`, this worker kills itself in the so-manieth of its own.
    """
    own = itertools.count(1)
    scans = {key: torch.from_numpy(value) for key, value in np.load(folder / "scans.npz", allow_pickle=False).items()}

    def objective(trial) -> float:
        trial.set_user_attr("worker", job["number"])
        plan = Plan(**job["plan"], lr=trial.suggest_float("lr", 1e-3, 1.0, log=True))
        if next(own) == job.get("dies"):
            os.kill(os.getpid(), 9)  # as when the machine loses its power
        model = small_net(plan, scans["images"].shape[1], job["classes"])
        train_share(model, sgd(model, plan), scans["images"], scans["targets"], plan)
        with torch.inference_mode():
            return F.cross_entropy(model.eval()(scans["judge_images"]), scans["judge_targets"]).nan_to_num(99.0).item()

    search_share(shared_study(job["storage"], job["seed"] + job["number"]), objective, job["wanted"])
