"""Exercises of lesson 12: what a temperature moves, a calibration error mended, patients drawn, a dearer colleague."""

from __future__ import annotations

import numpy as np

from course_utils.exercises.answers import entries, floats
from course_utils.exercises.core import Exercise, NotYet, ask, choice, number
from course_utils.tracking import TRIAGE

LESSON = "12_evaluate"

EFFECTS = {
    "the most probable class of a scan": "stays",
    "the accuracy": "stays",
    "the largest probability of a scan": "falls",
    "the log loss": "either way",
    "the cheapest decision for a scan": "either way",
}
REASONS = {
    "the most probable class of a scan": "all logits of a scan are divided by the same number: can their order change?",
    "the accuracy": "it looks at the most probable class of each scan and at nothing else",
    "the largest probability of a scan": "above one, the logits move closer together. What does softmax make of that?",
    "the log loss": "an over-confident model gains by modesty, a modest one loses. Do you know which one this is?",
    "the cheapest decision for a scan": "prices weigh probabilities: a class that gets a larger one may tip the scale",
}


def judge_temperature(guesses) -> str:
    """12.1: what a temperature of two does."""
    entries(guesses, EFFECTS, "guesses")
    for name, wanted in EFFECTS.items():
        if choice(guesses[name], ("stays", "falls", "rises", "either way"), name) != wanted:
            raise NotYet(f"{name}: {REASONS[name]}")
    return "the answer stays and the decision may not: whoever decides by cost has to care about calibration"


def calibration(confidence, right, bins: int, *, weighted=True, signed=False, power=1) -> float:
    """The expected calibration error and its usual distortions."""
    where = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    rows = [where == b for b in np.unique(where)]
    gaps = np.array([right[inside].mean() - confidence[inside].mean() for inside in rows])
    gaps = gaps if signed else np.abs(gaps) ** power
    return float(np.average(gaps, weights=[inside.sum() for inside in rows] if weighted else None))


def judge_calibration(calibration_error) -> str:
    """12.2: every scan counts once, and gaps do not cancel."""
    rng = np.random.default_rng(0)
    confidence = 0.3 + 0.7 * rng.beta(4, 1.3, 300)  # nobody below 0.3: some bins are empty
    wave = 0.3 * np.sin(25 * confidence)  # too modest and too sure by turns, or no cut would matter
    right = rng.random(300) < confidence + wave
    got = ask(calibration_error, confidence.copy(), right.copy(), 10)
    value = got.item() if hasattr(got, "item") and np.size(got) == 1 else got
    if isinstance(value, float) and np.isnan(value):
        raise NotYet("the result is NaN: in the lowest bins there is no scan, and the mean of nothing is NaN")
    got = number(got, "the calibration error")
    wanted, plain = calibration(confidence, right, 10), calibration(confidence, right, 10, weighted=False)
    signed = calibration(confidence, right, 10, signed=True)
    filled = len(np.unique(np.ceil(confidence * 10)))
    if abs(got - wanted) < 1e-6:
        again = number(ask(calibration_error, confidence[:200], right[:200], 7), "the calibration error")
        if abs(again - calibration(confidence[:200], right[:200], 7)) > 1e-6:
            raise NotYet("right for 300 scans in ten bins, not for 200 in seven: do both numbers follow the arguments?")
        return "a bin of three scans no longer speaks as loud as one of a hundred"
    for value, help in (
        (plain, "every bin counts alike, the one of three scans like the fullest"),
        (plain * filled / 10, "every bin counts alike, and the empty ones take part as if they were perfect"),
        (wanted * 300 / 10, "the gaps are weighted by the scans and then divided by the number of bins, not of scans"),
        (signed, "too sure here and too modest there cancel: take each gap's size"),
        (abs(signed), "the size is taken of the sum; take it bin by bin, before adding"),
        (calibration(confidence, right, 10, power=2), "the gaps are squared: the error is the mean of their sizes"),
        (100 * wanted, "that is in per cent; shares lie between 0 and 1, and so does the gap of two shares"),
    ):
        if abs(got - value) < 1e-6:
            raise NotYet(help)
    raise NotYet(
        f"got {got:.4f} for 300 scans: the size of each bin's gap, and a bin counts as often as it holds scans"
    )


def judge_resample(resample) -> str:
    """12.3: one bootstrap resample of whole patients."""
    names = np.random.default_rng(1).permutation(500)[:40]
    patients = np.random.default_rng(0).permutation(np.repeat(names, np.arange(40) % 6 + 1))
    draws = [_drawn(resample, patients, names, seed) for seed in range(40)]
    if max(times.max() for times in draws) == 1:
        raise NotYet("every patient comes exactly once, each time: without replacement every resample is the same")
    if len({times.tobytes() for times in draws}) == 1:
        raise NotYet("forty generators with different seeds, and one resample: does rng draw, or one of your own?")
    if (_drawn(resample, patients, names, 0) != draws[0]).any():
        raise NotYet("the same seed twice, and two resamples: does rng draw? Nobody could repeat your interval")
    total, scans = np.sum(draws, axis=0), np.array([(patients == name).sum() for name in names])  # (40,)
    if not total.all():
        raise NotYet(f"patient {names[total.argmin()]} did not come once in forty resamples: can everybody be drawn?")
    if abs((total * scans).sum() / total.sum() - scans.mean()) > 0.3:  # seven standard errors
        raise NotYet("patients with many scans are drawn more often: each should have the same chance")
    return "a patient is in or out with all of her scans: the interval now knows how many people it is about"


def _drawn(resample, patients, names, seed: int) -> np.ndarray:
    """How often each patient came: int (patients,)."""
    answer = ask(resample, patients.copy(), np.random.default_rng(seed))
    if str(getattr(answer, "dtype", "")).endswith("bool"):
        raise NotYet("True and False cannot say twice: return row numbers, in which a row may come again")
    rows = floats(answer, what="the resample")
    if rows.ndim != 1 or not len(rows) or not np.isin(rows, np.arange(len(patients))).all():
        raise NotYet(f"the result should be row numbers, from 0 to {len(patients) - 1}, in one dimension")
    counts = np.bincount(rows.astype(int), minlength=len(patients))
    drawn = [counts[patients == name] for name in names]
    if any(len(set(times)) > 1 for times in drawn):
        raise NotYet("some patients come with a part of their scans: draw patients, then take all rows of each")
    times = np.array([times[0] for times in drawn])
    if (n := times.sum()) != len(names):
        lost = "a patient drawn twice must come twice" if times.max() == 1 and n > 15 else "draw as many as there are"
        lost = "were the names drawn from `patients`? They are any whole numbers" if n <= 15 else lost
        raise NotYet(f"of {len(names)} patients {n} came, counting again who came again: {lost}")
    return times


COST = np.array(TRIAGE.cost, dtype=float)  # (classes, decisions): clinic visits
REVIEW = 1.4
TRUTH = np.array([0, 0, 1, 1, 2, 2, 3, 3, 3, 3, 3, 3])
PROBS = np.array(
    [
        [0.85, 0.05, 0.05, 0.05],
        [0.10, 0.02, 0.03, 0.85],
        [0.05, 0.80, 0.05, 0.10],
        [0.10, 0.40, 0.05, 0.45],
        [0.02, 0.03, 0.60, 0.35],
        [0.02, 0.02, 0.36, 0.60],
        [0.01, 0.01, 0.03, 0.95],
        [0.01, 0.00, 0.02, 0.97],
        [0.02, 0.02, 0.06, 0.90],
        [0.01, 0.03, 0.26, 0.70],
        [0.01, 0.01, 0.08, 0.90],
        [0.12, 0.05, 0.03, 0.80],
    ]
)
RULES = ("most probable", "cheapest", "cheapest or a person")


def bills(review: float) -> dict[str, float]:
    """Visits for a hundred scans by each of the three rules."""
    own = COST[TRUTH, COST[PROBS.argmax(1)].argmin(1)]
    asked = np.column_stack([COST, np.full(4, review)])
    rows = (own, COST[TRUTH, (PROBS @ COST).argmin(1)], asked[TRUTH, (PROBS @ asked).argmin(1)])
    return {rule: float(100 * row.mean()) for rule, row in zip(RULES, rows, strict=True)}


def judge_bill(pick, asked, bill) -> str:
    """12.4: three rules when asking a person costs twice as much."""
    choice(pick, RULES, "pick")
    asked, bill = number(asked, "asked"), number(bill, "bill")
    true, before = bills(REVIEW), bills(REVIEW / 2)
    expected = {price: np.column_stack([PROBS @ COST, np.full(12, price)]).argmin(1) for price in (REVIEW, REVIEW / 2)}
    handed = {price: int((decisions == 3).sum()) for price, decisions in expected.items()}
    best = min(true, key=true.get)
    if asked == handed[REVIEW / 2]:
        raise NotYet(f"{asked:g} scans were handed over at the old price of {REVIEW / 2}: now a look costs {REVIEW}")
    if asked != handed[REVIEW]:
        raise NotYet(
            f"asked is {asked:g}: count the scans whose cheapest decision of the model's own costs more than a look"
        )
    if abs(bill - true[pick] / 100) < 0.006 or abs(bill - true[pick] * 0.12) < 0.06:
        raise NotYet(f"a bill of {bill:g} is not for a hundred scans: twelve are in the table")
    if abs(bill - before[RULES[2]]) < 0.06 and abs(bill - true[pick]) > 0.06:
        raise NotYet(f"{bill:.1f} is the bill at the old price of a look")
    if pick != best:
        raise NotYet(f"{pick!r} costs {true[pick]:.1f} visits a hundred; another of the three rules costs less")
    if abs(bill - true[best]) > 0.5:  # whole visits will do
        raise NotYet(f"a bill of {bill:g}: look up, for each scan, what its decision costs given the truth; mean × 100")
    return f"at 0.7 a look paid for {handed[REVIEW / 2]} scans, now for {handed[REVIEW]}: those that may be dangerous"


EXERCISES = {
    "12.1": Exercise(
        "Colder or warmer",
        "predict",
        judge_temperature,
        (
            "Dividing keeps the order of the logits and brings them closer together. What looks at the order only?",
            "Order: class, accuracy. Size: the largest probability falls. The other two depend on model and prices.",
        ),
    ),
    "12.2": Exercise(
        "An error of the calibration error",
        "repair",
        judge_calibration,
        (
            "Which bins are empty, how many scans are in the others, and do gaps of opposite sign cancel?",
            "Over the bins that hold any: abs(share right - mean confidence) × scans of the bin; divide by all scans.",
        ),
    ),
    "12.3": Exercise(
        "Draw patients",
        "write",
        judge_resample,
        (
            "What goes into the hat, scans or patients? And how do you get from a patient's number to all of her rows?",
            "names = np.unique(patients), rng.choice(names, len(names)), np.flatnonzero(patients == name) for each.",
        ),
    ),
    "12.4": Exercise(
        "A dearer colleague",
        "decide",
        judge_bill,
        (
            "Give the price list a fourth column with the price of a look, the same for every truth.",
            "(probs @ prices).argmin(axis=1) decides; prices[truth, decisions] is the bill, scan by scan.",
        ),
    ),
}
