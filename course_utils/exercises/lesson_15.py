"""Exercises of lesson 15: who notices what, an index without holes, the worth of a week, an accuracy to sign for."""

from __future__ import annotations

import numpy as np

from course_utils.exercises.answers import entries
from course_utils.exercises.core import Exercise, NotYet, ask, choice, number
from course_utils.metrics import wilson_interval

LESSON = "15_monitor"

WATCHERS = ("error rate", "inputs", "golden scans", "labels")
FAULTS = {
    "uploads arrive cut in half": "error rate",
    "an old, darker device comes into use": "inputs",
    "a rebuilt bundle holds its mean in another unit": "golden scans",
    "doctors begin to call early DRUSEN healthy": "labels",
}
BLIND = {
    "error rate": "every one of these requests gets an answer, with status 200",
    "inputs": "the pictures that can be read look just as they did",
    "golden scans": "these compare a version with what was accepted, and neither has changed",
    "labels": "they will tell, four weeks late; something else can tell at once or in the same week",
}


def judge_watchers(guesses) -> str:
    """15.1: which of four watchers is the first that can notice."""
    entries(guesses, FAULTS, "guesses")
    for fault, first in FAULTS.items():
        guess = choice(guesses[fault], WATCHERS, fault)
        if guess != first:
            why = BLIND[guess]
            if fault == "uploads arrive cut in half" and guess == "inputs":
                why = "a scan that cannot be read never comes as far as the statistics of pictures"
            if fault == "an old, darker device comes into use" and guess == "error rate":
                why = "a wrong answer is an answer: its status is 200"
            raise NotYet(f"{fault}: {guess}? {why[0].upper()}{why[1:]}")
    return "four faults and four watchers: take any of them away, and one fault waits for a complaint"


def psi(reference, week, bins: int, *, half=0.5, edges=None) -> float:
    """The population stability index as the lesson has it; `edges` for other cuts."""
    edges = np.quantile(reference, np.linspace(0, 1, bins + 1)[1:-1]) if edges is None else edges
    counts = [np.bincount(np.searchsorted(edges, values), minlength=bins) + half for values in (reference, week)]
    p, q = (count / count.sum() for count in counts)
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(((q - p) * np.log(q / p)).sum())


def judge_psi(stability) -> str:
    """15.2: the index with bins that nobody fell into."""
    rng = np.random.default_rng(0)
    reference = rng.gamma(2.0, 20.0, 900)
    drifted = rng.gamma(2.0, 35.0, 120) + 30  # nobody in the lowest bins, and some beyond the reference's largest
    calm, darker = rng.gamma(2.0, 20.0, 150), rng.gamma(2.0, 4.0, 40)  # nobody in the highest bins
    for before, week, bins in ((reference, drifted, 10), (reference, calm, 10), (reference[:63], darker, 7)):
        place = np.searchsorted(np.sort(before), week)  # nobody where a cut may lie this way or that
        week = week[(place % (len(before) // bins) > 0) | (place == 0) | (place == len(before))]
        got = ask(stability, before.copy(), week.copy(), bins)
        value = got.item() if hasattr(got, "item") and np.size(got) == 1 else got
        if isinstance(value, float) and not np.isfinite(value):
            raise NotYet(f"the index is {value} for a week that leaves bins empty: an empty bin has to hold something")
        got = number(got, "the index")
        if abs(got - psi(before, week, bins)) > 2e-3:
            raise NotYet(_other_index(got, before, week, bins))
    quiet, loud = psi(reference, calm, 10), psi(reference, drifted, 10)
    return f"calm {quiet:.2f}, drifted {loud:.2f}; from where on it should ring, only simulated quiet weeks can tell"


def _other_index(got: float, before, week, bins: int) -> str:
    """What to say of another index."""
    even, right = np.linspace(0, 1, bins + 1), psi(before, week, bins)
    inside = week[(week >= before.min()) & (week <= before.max())]
    shared, wide = np.concatenate([before, week]), before.min() + np.ptp(before) * even[1:-1]
    for value, help in (
        (-right, "the sign is turned round: both factors change theirs together, (q - p) · ln(q / p)"),
        (psi(week, before, bins, half=0.0), "the bins are cut by the week, and nothing was added to them: two faults"),
        (psi(week, before, bins), "the bins are cut by the week: then they move with the drift. Cut by the reference"),
        (psi(before, week, bins, edges=wide), "bins of equal width: most hold next to nobody"),
        (psi(before, week, bins, edges=np.quantile(shared, even[1:-1])), "the week took part in the cuts"),
        (psi(before, inside, bins), "scans beyond the reference's smallest and largest number fell into no bin"),
        (psi(before, week, bins + 2, edges=np.quantile(before, even)), f"more cuts than {bins} bins have between them"),
        (psi(before, week, 10), f"that is the index of ten bins, and {bins} were asked for"),
        (psi(before, week, bins, half=1.0), "a whole scan was added to each bin; the lesson adds half of one"),
        *((right / np.log(b), f"the logarithm is to the base of {b}; the natural one is meant") for b in (2, 10)),
        (right / bins, "the mean over the bins was taken; the index is their sum"),
    ):
        if abs(got - value) < 2e-3:
            return help
    return f"your index of a week is {got:.3f}: check cuts, half scans on both sides and shares, one by one"


def judge_worth(worth) -> str:
    """15.3: how many independent scans a week is worth."""
    rng = np.random.default_rng(0)
    patients = np.repeat(rng.permutation(60), rng.integers(1, 9, 60))
    values = rng.standard_normal(60)[np.unique(patients, return_inverse=True)[1]] + rng.standard_normal(len(patients))
    values += 5.0  # not centred
    order = rng.permutation(len(values))
    values, patients, n = values[order], patients[order], len(values)
    apart = values - values.mean()
    per_patient = np.bincount(patients, apart)
    effect = (per_patient**2).sum() / (apart**2).sum()
    got = number(ask(worth, values.copy(), patients.copy()), "the worth")
    if abs(got - n / effect) < 1e-5 * n:
        alone = number(ask(worth, values[:9].copy(), np.arange(9)), "the worth")
        if abs(alone - 9) > 1e-3:
            raise NotYet(f"nine scans of nine patients are worth {alone:.2f} by your count; they should be worth nine")
        return f"{n} scans of 60 patients are worth {n / effect:.0f}: the number that belongs into every p-value"
    uncentred = (np.bincount(patients, values) ** 2).sum() / (values**2).sum()
    for value, help in (
        (effect, "that is the design effect; by it the number of scans has to be divided"),
        (n * effect, "scans of one patient repeat each other: are they worth more than their number, or less?"),
        (60.0, "that is the number of patients; their scans repeat each other only in part"),
        (n / np.sqrt(effect), "the design effect is of variances already: no root is needed"),
        (n / uncentred, "the mean was not taken off before the squares: a grey value of 5 is no agreement"),
        (n, "as if no two scans were one patient's: add up all deviations of hers, wherever they stand, then square"),
    ):
        if abs(got - value) < 2e-3 * n:
            raise NotYet(help)
    if got > 2 * n:
        raise NotYet(
            f"worth {got:.4g}, more than all {n}: a patient's *sum* counts, of deviations from the mean of *all*"
        )
    if abs(got - n / effect) < 1:
        raise NotYet(f"{got:g} is near and not right: no rounding, and the mean is that of all scans")
    raise NotYet(f"{n} scans of 60 patients: {got:.1f}? Go through the formula from the inside to the outside")


SOURCES = {"thumbs": (185, 300), "unsure scans": (228, 400), "random slice": (170, 200)}
EFFECT = 2.0


def low_end(right: int, n: int, effect: float = 1) -> float:
    """Lower end of the plain 95 % interval of a share of scans with a design effect."""
    share = right / n
    return share - 1.96 * (share * (1 - share) * effect / n) ** 0.5


def judge_signed(source, low, signed) -> str:
    """15.4: which of three figures says how good the model is, and how sure that is."""
    choice(source, tuple(SOURCES), "source")
    choice(signed, ("yes", "no"), "signed")
    low = number(low, "low")
    if source == "thumbs":
        raise NotYet(
            "who clicks a thumb? One in twenty of the content, one in four of the annoyed: no sample of the scans"
        )
    if source == "unsure scans":
        raise NotYet(
            "the unsure scans were chosen because errors should be there: they say where it fails, not how often"
        )
    honest, error = low_end(170, 200, EFFECT), (0.85 * 0.15 / 200) ** 0.5
    if abs(low - honest) < 0.0006:
        if signed == "yes":
            raise NotYet(f"the interval begins at {low:.3f}: does that allow to sign for 0.80?")
        return "by scans one would have signed, by patients one would not: the same 170 of 200"
    for value, help in (
        (low_end(170, 200), "counts two hundred scans as independent; with a design effect of 2, what are they worth?"),
        (0.85, "is the estimate itself: what would other patients have said?"),
        (0.85 - 1.96 * EFFECT * error, "doubles the width; the design effect doubles the variance"),
        (low_end(170, 200, 1 / EFFECT), "makes the scans worth more than two hundred; they repeat each other"),
        (0.85 - EFFECT**0.5 * error, "lies one standard error below; an interval of 95 % needs 1.96 of them"),
        (2 * 0.85 - honest, "is the upper end: what is the worst that may still be true?"),
        (wilson_interval(85, 100).low, "is Wilson's; that is a sound one, and here the plain interval was agreed"),
        (100 * honest, "is in per cent; give the share"),
    ):
        if abs(low - value) < 0.0006 * max(1, value):
            raise NotYet(f"{low:.3f} {help}")
    raise NotYet(f"low is {low:.3f}: the standard error of a share is sqrt(share · (1 - share) / n); what is n here?")


EXERCISES = {
    "15.1": Exercise(
        "Who notices first?",
        "predict",
        judge_watchers,
        (
            "Ask of each fault: do requests fail, do pictures change, does the model answer known scans otherwise?",
            "If none of the three: only the truth can tell, when it comes.",
        ),
    ),
    "15.2": Exercise(
        "An index with holes",
        "repair",
        judge_psi,
        (
            "Whose quantiles should cut the bins? And what does an empty bin do to the logarithm?",
            "np.searchsorted(inner quantiles of the reference, x), np.bincount + 0.5, shares, Σ (q - p) ln(q / p).",
        ),
    ),
    "15.3": Exercise(
        "What a week is worth",
        "write",
        judge_worth,
        (
            "Add up the deviations from the mean within each patient, then square: that is the formula's numerator.",
            "np.unique(patients, return_inverse=True)[1] gives codes for np.bincount(codes, weights=deviations).",
        ),
    ),
    "15.4": Exercise(
        "An accuracy to sign for",
        "decide",
        judge_signed,
        (
            "Two of the three sources chose their scans by what came out. And what are two hundred scans worth?",
            "random slice: worth = 200 / 2; low = 0.85 - 1.96 · sqrt(0.85 · 0.15 / worth).",
        ),
    ),
}
