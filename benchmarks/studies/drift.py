"""The production stream under the drift monitor: when does each alarm ring, and when has accuracy fallen?

Ten streams in which the devices change, and the same ten, with the same patients, in which they stay. Each is watched
by a monitor that was fitted on the stream's own first six weeks. What is measured is the lesson's code, letter by
letter (a test compares them).
"""

from __future__ import annotations

import sys
from functools import cache

import numpy as np
import pandas as pd
import torch
from scipy.stats import ks_2samp
from torch import nn

from benchmarks.study import Study
from course_utils import monitor, phantom, recipes
from course_utils.data import CourseData, load_dataset
from course_utils.metrics import macro_f1
from course_utils.monitor import DriftMonitor, rolling_accuracy, scan_statistics
from course_utils.phantom.stream import production_stream

WEEKS, FIRST, FALL = 24, 6, 0.03  # weeks in a stream, weeks of the reference, points of accuracy that hurt
NEVER = WEEKS + 1


def features(model: nn.Module, images: np.ndarray, data: CourseData) -> dict[str, np.ndarray]:
    """What the monitor looks at, one row a scan: plain picture statistics, the last features, the log probabilities."""
    x = (torch.from_numpy(images)[:, None].float() / 255 - data.mean) / data.std  # (N, 1, S, S)
    with torch.inference_mode():
        embeddings = model.eval().embed(x)  # (N, D)
        outputs = model.head(embeddings).log_softmax(1)  # (N, K)
    return {"inputs": scan_statistics(images), "embeddings": embeddings.numpy(), "outputs": outputs.numpy()}


def naive_alarm(reference: np.ndarray, week: np.ndarray, alpha: float = 0.05) -> bool:
    """The textbook's test, as if scans were independent: any picture statistic below alpha / their number."""
    p_values = [ks_2samp(*columns).pvalue for columns in zip(reference.T, week.T)]
    return min(p_values) < alpha / len(p_values)


def first_week(alarms, after: int = FIRST) -> int:
    """The first week, counted from 1, in which `alarms` (a row a week) is true after week `after`; NEVER if none."""
    rings = np.flatnonzero(np.asarray(alarms)[after:])
    return int(rings[0]) + after + 1 if len(rings) else NEVER


@cache
def simulated() -> CourseData:
    return load_dataset("oct-phantom")


@cache
def triage() -> tuple[CourseData, nn.Module]:
    """The phantom and the course's triage model."""
    data = simulated()
    return data, recipes.triage_model(data)[0]


@cache
def watched(seed: int, drift: bool) -> tuple[pd.DataFrame, pd.DataFrame]:
    """One stream: a row a scan (week, label_week, target, pred), and a row a week (alarms, the largest score)."""
    data, model = triage()
    weeks = list(production_stream(seed, drift=drift, threads=1))
    seen = [features(model, split.images, data) for _, split in weeks]
    scans = pd.concat([split.meta[["week", "label_week", "patient_id"]] for _, split in weeks], ignore_index=True)
    scans["target"] = np.concatenate([split.labels for _, split in weeks])
    scans["pred"] = np.concatenate([rows["outputs"].argmax(1) for rows in seen])
    reference = {kind: np.concatenate([rows[kind] for rows in seen[:FIRST]]) for kind in seen[0]}
    watch = DriftMonitor().fit(reference, scans.patient_id[scans.week <= FIRST].to_numpy())
    patients = [split.meta["patient_id"].to_numpy() for _, split in weeks]
    scores = pd.DataFrame([watch.score(rows, who) for rows, who in zip(seen, patients)])
    by_week = watch.alarms(scores).assign(score=(scores.max(axis=1) / watch.limits["all"]))
    by_week["naive"] = [naive_alarm(reference["inputs"], rows["inputs"]) for rows in seen]
    return scans, by_week


def measure(drift: bool, seed: int) -> dict[str, float]:
    """When the alarms rang, when accuracy had fallen: against its first weeks, and against the undrifted twin."""
    scans, by_week = watched(seed, drift)
    twin = watched(seed, False)[0]
    right, same_right = scans.target == scans.pred, twin.target == twin.pred
    rolling = rolling_accuracy(scans.week, right, scans.label_week)
    rolling_twin = rolling_accuracy(twin.week, same_right, twin.label_week)
    before = right[scans.week <= FIRST].mean()
    alarms = {f"alarm_{kind}": first_week(by_week[kind]) for kind in ("inputs", "embeddings", "outputs", "all")}
    weekly = right.groupby(scans.week).mean()
    return {
        "macro_f1": macro_f1(scans.target, scans.pred),
        "before": before,
        "after": right[scans.week > WEEKS - FIRST].mean(),
        **alarms,
        "naive_rings": int(by_week.naive[FIRST:].sum()),
        "lost": first_week(rolling["true"] <= before - FALL),
        "lost_known": first_week(rolling["known"] <= before - FALL),
        "lost_to_drift": first_week(rolling["true"] <= rolling_twin["true"] - FALL),
        **{f"accuracy_{week:02d}": share for week, share in weekly.items()},
        **{f"score_{week:02d}": score for week, score in enumerate(by_week["score"], 1)},
    }


STUDY = Study(
    name="drift",
    question="Does the monitor ring before the drift costs three points of accuracy, and does it stay quiet without?",
    settings={"drifted": True, "undrifted": False},
    seeds=range(10),
    measure=measure,
    data=lambda: simulated().fingerprint,
    modules=[sys.modules[__name__], monitor, phantom, recipes],
    small=("undrifted", 0),
    columns={
        "macro_f1": "macro-F1 over all weeks",
        "before": "accuracy in weeks 1 to 6",
        "after": "accuracy in weeks 19 to 24",
        "alarm_inputs": "first week after the 6th with an alarm on picture statistics; 25: none",
        "alarm_embeddings": "the same on the model's last features",
        "alarm_outputs": "the same on its log probabilities",
        "alarm_all": "the same on all together, with a limit that allows for watching all",
        "naive_rings": "weeks of 7 to 24 in which a KS test that counts scans as independent would ring",
        "lost": "first week in which accuracy over four weeks is 3 points below weeks 1 to 6; 25: none",
        "lost_known": "first week in which the labels that had come by then showed it",
        "lost_to_drift": "first week in which it is 3 points below the same patients' on unchanged devices",
    },
)
