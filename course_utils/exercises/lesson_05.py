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
    ends = (floats(ask(interval, right.copy(), patients.copy(), seed), (2,), "the interval") for seed in (0, 0, 1))
    first, again, other = ends
    by_patient, by_scan = (bootstrap_interval(np.mean, right, groups=who, n=4000) for who in (patients, None))
    low, high = ((first + other) / 2).tolist()  # of two seeds, which halves the noise
    width, wanted, centre = high - low, by_patient.high - by_patient.low, (low + high) / 2
    if width < 0:
        raise NotYet("the upper end comes first: return (low, high)")
    if not close(again, first, 1e-9):
        raise NotYet("the same seed gave another interval: draw from np.random.default_rng(seed), made inside")
    if width < 1e-9:
        raise NotYet(f"each draw gave {low:.2f}: draw with replacement, from one generator made before the loop")
    if high < right.mean():
        raise NotYet(f"all below the accuracy, {right.mean():.2f}: np.quantile takes shares, np.percentile per cent")
    off = np.abs([low - by_patient.low, high - by_patient.high])
    if off.min() < 0.02 and off.max() > 0.06:
        raise NotYet(f"the {('lower', 'upper')[off.argmax()]} end is off, the other right: which quantiles are these?")
    unweighted = np.mean([right[patients == who].mean() for who in np.unique(patients)])
    sits = f"the interval sits around {centre:.2f}, and the accuracy is {right.mean():.2f}"
    if low > right.mean() or abs(centre - unweighted) < 0.3 * abs(unweighted - right.mean()):
        alike = "does a patient with fifteen scans count as much as one with one?"
        raise NotYet(f"{sits}: {alike} Pool all scans of the patients drawn, wherever they stand, then take the mean")
    if abs(centre - (by_patient.low + by_patient.high) / 2) > 0.018:
        raise NotYet(f"{sits}: is each patient as likely to be drawn as any other? In `patients` some stand often")
    if abs(width - (by_scan.high - by_scan.low)) < 0.15 * wanted:
        raise NotYet(f"{width:.2f} wide, as if by scan: draw whole patients, and as many as there are patients")
    if 0.70 * wanted < width < 0.80 * wanted:
        raise NotYet(f"{width:.2f} wide, too narrow: a patient drawn twice counts twice (np.isin counts each once)")
    if 0.80 * wanted <= width < 0.92 * wanted:
        raise NotYet(f"{width:.2f} wide, a little narrow: 95 % of a thousand draws lie within, 2.5 % off at each end")
    if not 0.92 * wanted < width < 1.12 * wanted:
        raise NotYet(f"{width:.2f} wide is not right: as many patients as there are, with replacement, 1000 times")
    if close(other, first, 1e-9):
        raise NotYet("seeds 0 and 1 gave the same interval: draw from the seed that comes in")
    return f"{width:.2f} wide, by scan it would have been {by_scan.high - by_scan.low:.2f}: relatives are no strangers"


# ── 05.3 ─────────────────────────────────────────────────────────────────────────────────────────────────────────────
def _f1_slips(targets, preds) -> list[tuple[float, str]]:
    """What common slips make of macro-F1, and a sentence to each; the first that fits is meant."""
    seen = np.union1d(targets, preds)
    true, named = targets == seen[:, None], preds == seen[:, None]  # (classes, scans)
    hits, truly, so_called = (true & named).sum(1), true.sum(1), named.sum(1)
    f1 = 2 * hits / (truly + so_called)
    return [
        ((targets == preds).mean(), "that is accuracy, where a class counts by its size; macro counts classes alike"),
        ((hits / truly.clip(1))[truly > 0].mean(), "that is the mean recall; F1 also looks at who was named wrongly"),
        ((hits / so_called.clip(1)).mean(), "that is the mean precision; F1 also looks at who was missed"),
        (f1.sum() / 4, "a class that is neither true nor named has no F1: leave it out of the mean"),
        (f1[truly > 0].mean(), "a class that is named and never true gets F1 0, and counts in the mean"),
        (f1[so_called > 0].mean(), "a class that is true and never named gets F1 0, and counts in the mean"),
        (f1[hits > 0].mean(), "a class without a single hit gets F1 0, and counts in the mean"),
        (f1.mean() / 2, "half of what it should be: two kinds of scans stand below the line, so the formula has a 2"),
        (f1.mean() * 100, "a score between 0 and 1 is wanted, not per cent"),
        (f1.sum(), "the scores of the classes were added up, and not divided by the number of classes"),
        (f1 @ true.mean(1), "the classes were weighted by size: macro means that DRUSEN counts as much as NORMAL"),
    ]


def judge_macro_f1(my_macro_f1) -> str:
    """05.3: macro-F1 by hand against the package's, with classes that are absent or never named."""
    rng = np.random.default_rng(7)
    cases = [(rng.choice(4, n, p=(0.5, 0.3, 0.15, 0.05)), rng.integers(0, 4, n)) for n in (200, 37)]
    cases += [(np.array([0, 0, 1, 1, 0]), np.array([0, 2, 1, 0, 0])), (np.array([0, 0, 3, 3]), np.array([0, 0, 0, 0]))]
    wrong = []
    if {"f1_score", "macro_f1"} & set(getattr(getattr(my_macro_f1, "__code__", None), "co_names", ())):
        raise NotYet("somebody else's macro-F1 is called there; this one is to be written by hand, a class at a time")
    for targets, preds in cases:
        said, right = number(ask(my_macro_f1, targets.copy(), preds.copy()), "macro-F1"), macro_f1(targets, preds)
        if close(said, right):
            continue
        for value, sentence in _f1_slips(targets, preds):
            if close(said, value):
                raise NotYet(sentence)
        wrong.append((targets, preds, said, right))
    if wrong:
        targets, preds, said, right = wrong[-1]  # the smallest case, which can be done on paper
        shown = f"targets {targets.tolist()}, preds {preds.tolist()}" if len(preds) < 9 else f"{len(targets)} scans"
        raise NotYet(f"{shown}: macro-F1 is {right:.3f}, not {said:.3f}. F1 of each class, then the mean")
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
            clear = f"{name}: {only_a} to {only_b} looks clear"
            raise NotYet(f"{clear}, but scans of a patient fall together. Is 0 in the interval?")
        if said != wanted:
            raise NotYet(f"{name}: from {low} to {high} leaves 0 out. Whose side is it on? It is a minus b")
    said, right = number(difference, "difference"), (22 - 6) / 600
    if abs(said + right) < 1e-3:
        raise NotYet("the sign is turned: accuracy of a (the wide CNN) minus that of b")
    if abs(said - (22 - 6) / (22 + 6)) < 1e-2:
        raise NotYet(f"{said:.2f} is a share of the 28 scans on which they differ; accuracy is counted over all 600")
    if abs(said - (low + high) / 2) < 2e-4:
        raise NotYet(f"{said:g} is the middle of the interval, which need not be the difference: count the scans")
    if abs(said - 100 * right) < 0.1 or abs(said - 600 * right) < 0.1:
        raise NotYet(f"{said:g} is in per cent, or a count of scans; as a share, accuracies lie between 0 and 1")
    if abs(said - right) > 5e-4:
        raise NotYet(f"not {said:g}: what both get right or wrong cancels; count the others, over all 600 scans")
    return "McNemar would call the last pair settled (p < 0.01); by patient it is open, and that is a result"


EXERCISES = {
    "05.1": Exercise(
        "The zero of the scale",
        "predict",
        judge_lazy,
        (
            "How often is a class named, and how often is it true when it is named? For F1 do it class by class, with "
            "the formula of exercise 3.",
            "0.5 · 1; (2 · 0.5 / (0.5 + 1)) / 4; 4 · (0.25 · its share) added up; the sum of the squared shares.",
        ),
    ),
    "05.2": Exercise(
        "Relatives are no strangers",
        "repair",
        judge_interval,
        (
            "Who is drawn, a scan or a patient? And what comes along with a patient, as often as he is drawn?",
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
            "Low above 0: a is better; high below 0: b is; else open. The difference is (22 - 6) / 600.",
        ),
        points=2,
    ),
}
