"""Exercises of lesson 15: who notices what, an index without holes, the worth of a week, an accuracy to sign for."""

from __future__ import annotations

import numpy as np

from course_utils.exercises.answers import entries
from course_utils.exercises.core import Exercise, NotYet, ask, choice, number

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
    calm, drifted = rng.gamma(2.0, 20.0, 150), rng.gamma(2.0, 20.0, 120) + 30  # nobody in the lowest bins
    for week in (calm, drifted):
        got = ask(stability, reference.copy(), week.copy(), 10)
        value = got.item() if hasattr(got, "item") and np.size(got) == 1 else got
        if isinstance(value, float) and not np.isfinite(value):
            raise NotYet(
                f"the index is {value} for a week that leaves bins empty: half a scan in each bin keeps it finite"
            )
        got = number(got, "the index")
        if abs(got - psi(reference, week, 10)) < 2e-3:
            continue
        low, high = reference.min(), reference.max()
        shared = np.concatenate([reference, week])
        for value, help in (
            (
                -psi(reference, week, 10),
                "the sign is turned round: both factors change theirs together, (q - p) · ln(q / p)",
            ),
            (
                psi(week, reference, 10),
                "the bins are cut by the week: then they move with the drift. Cut by the reference",
            ),
            (
                psi(reference, week, 10, edges=np.linspace(low, high, 11)[1:-1]),
                "bins of equal width: most hold next to nobody",
            ),
            (
                psi(reference, week, 10, edges=np.quantile(shared, np.linspace(0.1, 0.9, 9))),
                "the week took part in the cuts",
            ),
            (psi(reference, week, 10, half=1.0), "a whole scan was added to each bin; the lesson adds half of one"),
            (
                psi(reference, week, 10, half=0.0),
                "no half scan was added: a bin that stays empty would make it infinite",
            ),
            (psi(reference, week, 10) / np.log(2), "the logarithm is to the base of two; the natural one is meant"),
        ):
            if abs(got - value) < 2e-3:
                raise NotYet(help)
        raise NotYet(f"your index of a week is {got:.3f}: check cuts, half scans and shares, one by one")
    quiet, loud = psi(reference, calm, 10), psi(reference, drifted, 10)
    return f"calm {quiet:.2f}, drifted {loud:.2f}; from where on it should ring, only simulated quiet weeks can tell"


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
    if abs(got - n / effect) < 1e-3 * n:
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
        (n / (n / 60), "that divides by the scans a patient has: as if all scans of one patient were equal"),
    ):
        if abs(got - value) < 1e-3 * n:
            raise NotYet(help)
    raise NotYet(
        f"{n} scans of 60 patients: {got:.1f}? Take N / (Σ patients (Σ their deviations)² / Σ scans deviation²)"
    )


SOURCES = {"thumbs": (185, 300), "unsure scans": (228, 400), "random slice": (170, 200)}
EFFECT = 2.0


def low_end(right: int, n: float) -> float:
    """Lower end of the plain 95 % interval of a share."""
    share = right / n
    return share - 1.96 * (share * (1 - share) / n) ** 0.5


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
    honest = 0.85 - 1.96 * (0.85 * 0.15 * EFFECT / 200) ** 0.5
    if abs(low - honest) < 0.0012:
        if signed == "yes":
            raise NotYet(f"the interval begins at {low:.3f}: does that allow to sign for 0.80?")
        return "by scans one would have signed, by patients one would not: the same 170 of 200"
    if abs(low - low_end(170, 200)) < 0.0012:
        raise NotYet(
            f"{low:.3f} counts two hundred scans as independent; with a design effect of 2, how many are they worth?"
        )
    if abs(low - 0.85) < 0.001:
        raise NotYet("0.85 is the estimate itself: what would other patients have said?")
    if abs(low - (0.85 - 1.96 * EFFECT * (0.85 * 0.15 / 200) ** 0.5)) < 0.0012:
        raise NotYet(f"{low:.3f} doubles the width; the design effect doubles the variance")
    if abs(low - (0.85 - (0.85 * 0.15 * EFFECT / 200) ** 0.5)) < 0.0012:
        raise NotYet(f"{low:.3f} lies one standard error below; an interval of 95 % needs 1.96 of them")
    raise NotYet(f"low is {low:.3f}: share - 1.96 · sqrt(share · (1 - share) / worth), worth = scans / design effect")


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
