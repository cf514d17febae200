"""Exercises of lesson 05: what a habit scores, an interval by patient, macro-F1 by hand, and verdicts that hold."""

from __future__ import annotations

import numpy as np

from course_utils.exercises.answers import close, entries, floats
from course_utils.exercises.core import Exercise, NotYet, ask, choice, number
from course_utils.metrics import bootstrap_interval, macro_f1

LESSON = "05_baseline"

# ── 05.1 ─────────────────────────────────────────────────────────────────────────────────────────────────────────────
SHARES = np.array([0.50, 0.30, 0.15, 0.05])
LAZY = {
    "always the commonest, accuracy": 0.50,
    "always the commonest, macro-F1": 2 * 0.5 / 1.5 / 4,
    "evenly at random, accuracy": 0.25,
    "at random with the class shares, accuracy": float(SHARES @ SHARES),
}


def judge_lazy(guesses) -> str:
    """05.1: scores of three rivals that never look at a scan."""
    entries(guesses, LAZY, "guesses")
    for name, wanted in LAZY.items():
        said = number(guesses[name], name)
        if abs(said - wanted) <= 0.006:
            continue
        if said > 1:
            raise NotYet(f"{name}: {said:g} cannot be a share; write 50 in a hundred as 0.5")
        if "macro" in name and abs(said - 4 * wanted) < 0.01:
            raise NotYet(f"{name}: {said:.2f} is the F1 of the class that is named; the other three count with 0")
        if "macro" in name and abs(said - 0.125) < 0.006:
            raise NotYet(f"{name}: that averages precision; for the class always named recall is 1, F1 sits between")
        if "macro" in name and abs(said - 0.25) < 0.006:
            raise NotYet(f"{name}: 0.25 is the macro recall. F1 also asks how many of the alarms are true")
        if "macro" in name:
            raise NotYet(f"{name}: not {said:g}. F1 of each class is 2 · hits / (targets + named), then the mean")
        if "shares" in name and abs(said - 0.5) < 0.01:
            raise NotYet(f"{name}: 0.50 is always naming the commonest; how often do two independent draws agree?")
        if "shares" in name and abs(said - 0.25) < 0.01:
            raise NotYet(f"{name}: 0.25 is an even die; a draw with the shares meets the common classes more often")
        raise NotYet(f"{name}: not {said:g}. Over the classes, add up: share named so, times share that is so")
    return "three rivals that see nothing, from 0.25 to 0.50: a score without its lazy rival is a number without a zero"


# ── 05.2 ─────────────────────────────────────────────────────────────────────────────────────────────────────────────
def judge_interval(interval) -> str:
    """05.2: a 95 % bootstrap interval of accuracy that draws whole patients."""
    rng = np.random.default_rng(11)
    sizes = rng.integers(1, 16, 50)
    patients = np.repeat([f"P{k:02d}" for k in range(50)], sizes)
    right = np.repeat(rng.random(50) < np.where(sizes > 7, 0.45, 0.85), sizes)  # a patient's scans are all alike
    order = rng.permutation(len(right))
    right, patients = right[order], patients[order]
    low, high = floats(ask(interval, right.copy(), patients.copy(), 0), (2,), "the interval").tolist()
    by_patient, by_scan = (bootstrap_interval(np.mean, right, groups=who, n=1000) for who in (patients, None))
    width, wanted = high - low, by_patient.high - by_patient.low
    if low > high:
        raise NotYet("the upper end comes first: return (low, high)")
    unweighted = np.mean([right[patients == who].mean() for who in np.unique(patients)])
    if not low < right.mean() < high or abs((low + high) / 2 - unweighted) < 0.3 * abs(unweighted - right.mean()):
        raise NotYet(
            f"the interval sits around {(low + high) / 2:.2f}, and the accuracy is {right.mean():.2f}: does a "
            f"patient with fifteen "
            "scans count as much as one with one? Pool the scans of the patients drawn, then take the mean"
        )
    if abs(width - (by_scan.high - by_scan.low)) < 0.15 * wanted:
        raise NotYet(f"{width:.2f} wide: that is an interval by scan, as if scans of one patient were independent")
    if 0.70 * wanted < width < 0.80 * wanted:
        raise NotYet(
            f"{width:.2f} wide, too narrow: a patient who is drawn twice counts twice (np.isin counts each once)"
        )
    if 0.80 * wanted <= width < 0.88 * wanted:
        raise NotYet(f"{width:.2f} wide, a little narrow: 95 % means that 2.5 % are cut off at each end, not 5 %")
    if not 0.88 * wanted < width < 1.14 * wanted:
        raise NotYet(
            f"{width:.2f} wide is not right: as many patients as there are, with replacement, a thousand times"
        )
    again = floats(ask(interval, right.copy(), patients.copy(), 0), (2,), "the interval")
    if not close(again, (low, high), 1e-9):
        raise NotYet("the same seed gave another interval: draw from np.random.default_rng(seed), made inside")
    return f"{width:.2f} wide, by scan it would have been {by_scan.high - by_scan.low:.2f}: relatives are no strangers"


# ── 05.3 ─────────────────────────────────────────────────────────────────────────────────────────────────────────────
def judge_macro_f1(my_macro_f1) -> str:
    """05.3: macro-F1 by hand against the package's, with classes that are absent or never named."""
    rng = np.random.default_rng(7)
    cases = [(rng.choice(4, n, p=(0.5, 0.3, 0.15, 0.05)), rng.integers(0, 4, n)) for n in (200, 37)]
    cases += [(np.array([0, 0, 1, 1, 0]), np.array([0, 2, 1, 0, 0])), (np.array([0, 0, 3, 3]), np.array([0, 0, 0, 0]))]
    for targets, preds in cases:
        said, right = number(ask(my_macro_f1, targets.copy(), preds.copy()), "macro-F1"), macro_f1(targets, preds)
        if close(said, right):
            continue
        seen = np.union1d(targets, preds)
        f1 = np.array(
            [2 * ((targets == k) & (preds == k)).sum() / ((targets == k).sum() + (preds == k).sum()) for k in seen]
        )
        support = np.array([(targets == k).mean() for k in seen])
        recalls = [(preds[targets == k] == k).mean() for k in np.unique(targets)]
        mistakes = {
            float(
                (targets == preds).mean()
            ): "that is accuracy, in which a class counts by its size; macro counts classes alike",
            float(
                f1 @ support
            ): "the classes were weighted by their size: macro means that DRUSEN counts as much as NORMAL",
            float(np.mean(recalls)): "that is the mean recall; F1 also looks at who was named wrongly",
            float(f1.sum() / 4): "a class that is neither true nor named has no F1: leave it out of the mean",
            float(
                f1.sum() / len(np.unique(targets))
            ): "divide by the classes that occur in targets or preds, each once",
            float(
                f1[np.isin(seen, targets)].mean()
            ): "a class that is named and never true gets F1 0, and counts in the mean",
        }
        for value, sentence in mistakes.items():
            if close(said, value):
                raise NotYet(sentence)
        raise NotYet(f"{len(targets)} scans: macro-F1 is {right:.3f}, not {said:.3f}. F1 of each class, then the mean")
    return "each class has one vote: that is why the habit, right on half of the scans, gets so little"


# ── 05.4 ─────────────────────────────────────────────────────────────────────────────────────────────────────────────
PAIRS = {  # only a right, only b right (of 600 scans), 95 % interval of the difference by patient
    "layer features, pixels": (140, 48, 0.087, 0.221),
    "first CNN, layer features": (51, 132, -0.207, -0.071),
    "small CNN, layer features": (64, 45, -0.022, 0.091),
    "wide CNN, small CNN": (22, 6, -0.006, 0.061),
}
VERDICTS = ("a is better", "b is better", "open")


def judge_verdicts(verdicts, difference) -> str:
    """05.4: which of four comparisons are settled, and by how much the last pair differs."""
    entries(verdicts, PAIRS, "verdicts")
    for name, (only_a, only_b, low, high) in PAIRS.items():
        said = choice(verdicts[name], VERDICTS, name)
        wanted = "open" if low < 0 < high else VERDICTS[int(high < 0)]
        if said != wanted and wanted == "open":
            raise NotYet(
                f"{name}: {only_a} to {only_b} looks clear, but scans of a patient fall together. Is 0 in the interval?"
            )
        if said != wanted:
            raise NotYet(
                f"{name}: the interval from {low} to {high} leaves 0 out. Whose side is it on? It is a minus b"
            )
    said, right = number(difference, "difference"), (22 - 6) / 600
    if abs(said + right) < 1e-3:
        raise NotYet("the sign is turned: accuracy of a (the wide CNN) minus that of b")
    if abs(said - (22 - 6) / (22 + 6)) < 1e-2:
        raise NotYet(f"{said:.2f} is a share of the 28 scans on which they differ; accuracy is counted over all 600")
    if abs(said - right) > 1e-3:
        raise NotYet(f"not {said:g}: what both get right or wrong cancels; count the others, over all 600 scans")
    return "McNemar would call the last pair settled (p < 0.01); by patient it is open, and that is a result"


EXERCISES = {
    "05.1": Exercise(
        "The zero of the scale",
        "predict",
        judge_lazy,
        (
            "For a guesser: how often is each class named, times how often it is true, added up. For F1: 2·TP / "
            "(targets + named).",
            "0.5 · 1; (2 · 0.5 / (0.5 + 1)) / 4; 4 · (0.25 · its share) added up; the sum of the squared shares.",
        ),
    ),
    "05.2": Exercise(
        "Relatives are no strangers",
        "repair",
        judge_interval,
        (
            "Draw names of patients, as many as there are, with replacement; then collect all rows of each name drawn.",
            "rows = [np.flatnonzero(patients == who) for who in np.unique(patients)]; in each round draw "
            "rng.integers(0, len(rows), "
            "len(rows)), np.concatenate those rows, take right[...].mean(); then np.quantile(means, [0.025, 0.975]).",
        ),
        points=2,
    ),
    "05.3": Exercise(
        "Macro-F1 by hand",
        "write",
        judge_macro_f1,
        (
            "For one class: hits are scans where target and prediction are both this class. Which classes take "
            "part in the mean?",
            "np.mean([2 * ((t == k) & (p == k)).sum() / ((t == k).sum() + (p == k).sum()) for k in np.union1d(t, p)])",
        ),
        points=2,
    ),
    "05.4": Exercise(
        "Settled, or open?",
        "decide",
        judge_verdicts,
        (
            "A comparison is settled when its interval, by patient, leaves 0 out. Counts of scans do not know "
            "about patients.",
            "Two are settled, one for a and one for b. The difference is (22 - 6) / 600.",
        ),
        points=2,
    ),
}
