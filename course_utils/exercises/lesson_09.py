"""Exercises of lesson 09: what luck promises, a search that is resumed, folds by patient, a pruner on trial."""

from __future__ import annotations

import numpy as np

from course_utils.exercises.answers import entries, floats, pair
from course_utils.exercises.core import Exercise, NotYet, ask, choice, number

LESSON = "09_tune"

LOOKS = {"1 look, 100 scans": (1, 100), "300 looks, 100 scans": (300, 100), "300 looks, 1600 scans": (300, 1600)}


def optimism(looks: int, scans: int) -> float:
    """By how much the best of so many guessers, each right half of the time, looks better than it is."""
    right = np.random.default_rng(0).binomial(scans, 0.5, (1000, looks)).max(axis=1)
    return float(right.mean() / scans - 0.5)


def judge_optimism(guesses) -> str:
    """09.1: the best of many that have learned nothing."""
    entries(guesses, LOOKS, "guesses")
    one, many, large = (number(guesses[name], name) for name in LOOKS)
    true = {name: optimism(*LOOKS[name]) for name in LOOKS}
    if max(one, many, large) > 1:
        raise NotYet(
            f"{max(one, many, large):g}: the optimism is a share of one, neither per cent nor a number of scans"
        )
    if max(one, many, large) >= 0.4:
        raise NotYet(f"{max(one, many, large):g} is a lot: give best score less true score, not the score itself")
    if abs(one) > 0.012:
        raise NotYet(f"one look promises {one:+.2f} too much? It errs as often up as down: where is it on average?")
    if many < 0:
        raise NotYet(f"{many:g}: which is larger, the best score on the validation scans or what it is worth in truth?")
    luck = f"{many:.2f} is {many / 0.05:.1f} standard deviations of one score of 100 scans: is the luckiest of 300"
    if many < true["300 looks, 100 scans"] - 0.025:
        raise NotYet(f"{luck} not further off?")
    if many > true["300 looks, 100 scans"] + 0.05:
        raise NotYet(f"{luck} so far off?")
    if abs(large - many) < 0.03:
        raise NotYet("as much with sixteen times the scans? How far does the mean of a larger sample stray?")
    if large < many / 10:
        raise NotYet(f"{large:.3f} and {many:.2f}: do scores stray 16 times less with 16 times the scans?")
    if abs(large - true["300 looks, 1600 scans"]) > 0.012:
        raise NotYet(f"{large:.3f} for 1600 scans: by which root of sixteen does straying fall?")
    middle, last = (true[name] for name in list(LOOKS)[1:])
    return f"simulated: none, {middle:.2f} and {last:.3f}. A quarter for sixteen times the scans"


TRIALS = [
    {"state": "COMPLETE", "setting": {"lr": 0.01}},
    {"state": "PRUNED", "setting": {"lr": 0.1}},
    {"state": "RUNNING", "setting": {"lr": 0.003}},
    {"state": "FAIL", "setting": {"lr": 0.02}},
    {"state": "COMPLETE", "setting": {"lr": 0.004}},
    {"state": "RUNNING", "setting": {"lr": 0.006}},
]
COUNTS = {
    10: "ten more each morning, whatever is there: that is how her study grew",
    4: "you counted every row; those that never ended gave no score",
    8: "a pruned trial has been judged, too: it ended by itself",
    6: "a failed trial has told nothing about its setting: it does not count as done",
    5: "the settings that are tried again belong to the trials that are left: do not take them off once more",
    9: "nine left of ten? Both kinds of trial that ended count, and what is tried again is among those left",
}


def judge_resume(resume) -> str:
    """09.2: what a study that was killed still has to do."""
    again, left = pair(ask(resume, [dict(trial) for trial in TRIALS], 10), "what resume returns")
    left = number(left, "the number of trials left, which comes second,")
    if left != 7:
        raise NotYet(
            COUNTS.get(int(left), f"{left:g} left of 10? Go through the six rows: which have ended by themselves?")
        )
    settings = [again] if isinstance(again, str | dict) or not hasattr(again, "__iter__") else list(again)
    if not settings:
        raise NotYet("two rows still say RUNNING, and their process is dead: are their settings lost?")
    if any(not isinstance(setting, dict) or "lr" not in setting for setting in settings):
        raise NotYet("what is tried again should be a list of settings, such as {'lr': 0.003}, not of whole trials")
    rates = sorted(setting["lr"] for setting in settings)
    if 0.02 in rates:
        raise NotYet("the failed trial's setting is tried again as well: it failed by itself, and would fail again")
    if rates != [0.003, 0.006]:
        raise NotYet(f"tried again are the rates {rates}: which rows were in flight when the process died?")
    _, left = pair(ask(resume, [dict(TRIALS[0]) for _ in range(12)], 10), "what resume returns")
    if left != 0:
        raise NotYet(f"with twelve complete trials of ten, {left} are left: a search that is done should say 0")
    return "what ended counts, what was in flight is tried again, and calling twice does no harm"


def judge_deal(deal) -> str:
    """09.3: folds of patients."""
    rng = np.random.default_rng(0)
    patients = np.repeat(rng.permutation(1000)[:53], rng.integers(1, 6, 53))  # a patient's scans stand side by side
    parts = floats(ask(deal, patients.copy(), 5, 0), patients.shape, "the parts")
    if (parts != parts.round()).any() or parts.min() < 0 or parts.max() > 4:
        raise NotYet(f"five parts are numbered 0 to 4; yours run from {parts.min():g} to {parts.max():g}")
    torn = sum(len(set(parts[patients == patient])) > 1 for patient in np.unique(patients))
    if torn:
        raise NotYet(f"{torn} of 53 patients have scans in several parts: deal the patients, then look up the scans")
    counts = np.bincount([int(parts[patients == patient][0]) for patient in np.unique(patients)], minlength=5)
    if counts.max() - counts.min() > 1:
        raise NotYet(f"the parts have {counts.tolist()} patients; of 53, each should have ten or eleven")
    if not np.array_equal(parts, floats(ask(deal, patients.copy(), 5, 0), patients.shape)):
        raise NotYet("the same seed dealt two different ways: use np.random.default_rng(seed)")
    other = floats(ask(deal, patients.copy(), 5, 1), patients.shape)
    if np.array_equal(parts, other):
        raise NotYet("another seed deals the same: neighbours in the file often share a clinic. Shuffle the patients")
    if np.array_equal(parts[:, None] == parts, other[:, None] == other):
        raise NotYet("with another seed the parts change their numbers, and the same patients still sit together")
    return "no patient on both sides: the score is about people the model has not met"


LOSSES = np.array(
    [
        [0.86, 0.75, 0.68, 0.63],
        [1.15, 0.89, 0.81, 0.74],
        [1.03, 0.97, 0.93, 0.88],
        [0.93, 0.77, 0.68, 0.61],
        [1.24, 1.00, 0.95, 0.93],
        [0.82, 0.71, 0.68, 0.64],
        [0.89, 0.77, 0.49, 0.48],
        [0.81, 0.76, 0.64, 0.58],
    ]
)
ENDED = {  # what another rule would have ended
    1: "only the first two run to the end whatever they show",
    2: "the median moves from row to row, and is over the trials before that ran to the end",
    4: "does one go that lies exactly at the median, or below it? And the share is of all 32 epochs",
    5: "yours are held against the best one at epoch two, not against the median",
}


def replay(losses: np.ndarray) -> list[int]:
    """The trials that the rule of 09.4 ends after their second epoch."""
    ended: list[int] = []
    for trial in range(2, len(losses)):
        finished = [other for other in range(trial) if other not in ended]
        if losses[trial, 1] > np.median(losses[finished, 1]):
            ended.append(trial)
    return ended


def judge_pruner(pick, saved, lost) -> str:
    """09.4: what pruning would have saved, and what it would have cost."""
    choice(pick, ("prune", "let all run"), "pick")
    saved, lost = number(saved, "saved"), number(lost, "lost")
    ended = replay(LOSSES)
    kept = [trial for trial in range(len(LOSSES)) if trial not in ended]
    share, price = 2 * len(ended) / LOSSES.size, LOSSES[kept, -1].min() - LOSSES[:, -1].min()
    if abs(saved - share) > 0.005:
        if abs(saved - len(ended) / len(LOSSES)) < 0.005:
            raise NotYet(
                f"{saved:g} is the share of trials that are ended; half of their epochs were spent all the same"
            )
        if saved > 0.5:
            raise NotYet(f"saved is {saved:g}: a share of one is asked for, and of the epochs that are not run")
        if abs(16 * saved - round(16 * saved)) < 0.08 and (help := ENDED.get(round(16 * saved))):
            raise NotYet(f"{saved:g} of the epochs: your rule ends {round(16 * saved)} of the eight trials; {help}")
        raise NotYet(f"saved is {saved:g}: count the epochs that need not be run, out of 32")
    if abs(lost + price) < 0.002:
        raise NotYet(f"the size is right; lost is how much higher the best final loss is with pruning, not {lost:g}")
    if abs(lost - price) > 0.002:
        raise NotYet(
            f"lost is {lost:g}: which trial has the lowest last loss of all eight, and does it survive epoch two?"
        )
    if pick == "prune":
        raise NotYet(
            f"saved {share:.0%} of the epochs, lost {price:.2f} nats: what did the clinic say about more than 0.05?"
        )
    return "the winner was a slow starter: where the first epochs do not tell the last, the rule ends the wrong trials"


EXERCISES = {
    "09.1": Exercise(
        "The luck of the best",
        "predict",
        judge_optimism,
        (
            "One score of n scans strays by sqrt(0.25 / n). The luckiest of 300 lies almost three of these higher.",
            "None for one look; about 2.9 · 0.05 with a hundred scans; a quarter of that with sixteen times as many.",
        ),
    ),
    "09.2": Exercise(
        "The study that grew every morning",
        "repair",
        judge_resume,
        (
            "Which states mean that a trial ended by itself? Which mean that somebody pulled the plug?",
            "Tried again: the settings of RUNNING. Left: wanted less the COMPLETE and PRUNED ones, and never below 0.",
        ),
    ),
    "09.3": Exercise(
        "Deal patients, not scans",
        "write",
        judge_deal,
        (
            "np.unique(patients, return_inverse=True) gives the patients and, for each scan, its patient's place.",
            "Shuffle np.arange(patients) % parts with np.random.default_rng(seed), then index it by that place.",
        ),
    ),
    "09.4": Exercise(
        "A pruner on trial",
        "decide",
        judge_pruner,
        (
            "Go down the rows. The median at epoch two is over the trials before that ran to their end.",
            "Three trials are ended, six epochs of 32 saved; one of the three has the lowest last loss of all.",
        ),
    ),
}
