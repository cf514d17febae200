"""Exercises of lesson 02: agreement beyond chance, copies, whom to pay for labels; the fourth is in `detective`."""

from __future__ import annotations

import numpy as np

from course_utils.exercises.answers import close, flags
from course_utils.exercises.core import Exercise, NotYet, ask, choice, number
from course_utils.exercises.detective import judge_detective
from course_utils.metrics import cohens_kappa

LESSON = "02_explore_the_data"


# ── 02.1 ─────────────────────────────────────────────────────────────────────────────────────────────────────────────
def judge_kappa(kappa) -> str:
    """02.1: Cohen's kappa of two readers against the package's."""
    rng = np.random.default_rng(2)
    for size, classes, alike in ((60, 2, 0.7), (200, 4, 0.7), (30, 4, 0)):
        a = rng.choice(classes, size, p=np.arange(classes, 0, -1) / sum(range(classes + 1)))
        b = np.where(rng.random(size) < alike, a, rng.integers(0, classes, size))
        if not alike:  # readers who contradict each other, and two classes that neither of them names
            a, b = np.where(a > 1, 3, 0), np.where(a > 1, 0, 3 * (b > 1))
        said, right = number(ask(kappa, a.copy(), b.copy()), "kappa"), cohens_kappa(a, b)
        if close(said, right):
            continue
        if right < 0 <= said:
            raise NotYet(f"two readers who agree less often than by chance have a kappa below 0; yours is {said:.2f}")
        same, shares = float((a == b).mean()), [np.bincount(who, minlength=classes) / size for who in (a, b)]
        by_chance = float(shares[0] @ shares[1])
        pooled = float(((shares[0] + shares[1]) ** 2).sum() / 4)
        if close(said, same):
            raise NotYet(f"{said:.2f} is plain agreement: two readers who always say NORMAL would get a 1 from you")
        if close(said, same - by_chance):
            raise NotYet("chance is taken out, but full agreement must still give 1: of what is the rest a share?")
        if close(said, (same - 1 / classes) / (1 - 1 / classes)):
            raise NotYet(
                f"chance is not one in {classes} when one class is common: use how often each reader says each class"
            )
        if close(said, (same - pooled) / (1 - pooled)):
            raise NotYet(
                "both readers share one set of habits in your answer: multiply the two readers' own shares, class "
                "by class"
            )
        raise NotYet(
            f"these readers name the classes {', '.join(map(str, np.union1d(a, b)))}, agree on {same:.2f}, by chance "
            f"on {by_chance:.2f}; your kappa is {said:.3f}: which share is it?"
        )
    return "zero is chance and one is full agreement, whatever the classes' shares: that is why kappa can be compared"


# ── 02.2 ─────────────────────────────────────────────────────────────────────────────────────────────────────────────
def judge_copies(copies) -> str:
    """02.2: byte-for-byte copies among scans, both twins flagged."""
    images = np.random.default_rng(4).integers(0, 200, (12, 64, 64), dtype=np.uint8)
    images[7] = images[2]  # a pair
    images[5] = images[9] = images[0]  # three of a kind
    images[10] = images[3]
    images[10, 30, 30] += 1  # not a copy: one pixel in the middle differs
    images[11] = images[4][::-1]  # not a copy: the same pixels, upside down
    wanted = np.isin(np.arange(12), (0, 2, 5, 7, 9))
    said = flags(ask(copies, images.copy()), 12, "the result of copies")
    if said.all():
        raise NotYet("all 12 scans are accused: is each compared with itself, or is one fingerprint the same for all?")
    if said[[3, 10]].any():
        raise NotYet(
            "two scans that differ in one pixel near the middle count as copies: does your fingerprint see every "
            "pixel? (Print str(image).)"
        )
    if said[[4, 11]].any():
        raise NotYet("a scan and its upside-down twin count as copies: their pixels are the same, their order is not")
    missed, accused = int((wanted & ~said).sum()), int((said & ~wanted).sum())
    if np.array_equal(said, np.isin(np.arange(12), (5, 7, 9))):
        raise NotYet("the first scan of each set goes free: nobody knows which one is the original, so flag them all")
    if missed or accused:
        raise NotYet(f"of 12 scans 5 have a twin; yours misses {missed} of them and accuses {accused} others")
    return "every byte counts, and every member of a set is a suspect: which one is the original, no picture says"


# ── 02.3 ─────────────────────────────────────────────────────────────────────────────────────────────────────────────
SCANS, BUDGET_HOURS = 3000, 120
PLANS = {  # minutes a scan for everybody, share on which readers differ, minutes for each of those, wrong labels left
    "one trained reader": (1.0, 0.0, 0.0, 0.099),
    "one specialist": (2.0, 0.0, 0.0, 0.062),
    "two trained readers and a referee": (2.0, 0.15, 2.0, 0.046),
    "two specialists and a panel": (4.0, 0.10, 10.0, 0.011),
}


def judge_readers(chosen, minutes) -> str:
    """02.3: the best labels within the budget, and what each removed wrong label costs."""
    cost = {name: all_ + share * extra for name, (all_, share, extra, _) in PLANS.items()}  # minutes a scan
    hours = {name: SCANS * each / 60 for name, each in cost.items()}
    best = min((name for name in PLANS if hours[name] <= BUDGET_HOURS), key=lambda name: PLANS[name][3])
    if choice(chosen, tuple(PLANS), "chosen") != best:
        if hours[chosen] > BUDGET_HOURS:
            raise NotYet(f"{chosen} takes {hours[chosen]:.0f} hours for {SCANS} scans, and {BUDGET_HOURS} are paid for")
        raise NotYet(
            f"{chosen} fits, and leaves {PLANS[chosen][3]:.1%} wrong: how long does a referee take, who reads "
            f"only some scans?"
        )
    removed = SCANS * (PLANS["one trained reader"][3] - PLANS[best][3])
    extra = SCANS * (cost[best] - cost["one trained reader"])  # minutes
    said, right = number(minutes, "minutes"), extra / removed
    if abs(said - right) < 0.5:  # whole minutes will do
        return "each label repaired costs less than with one specialist: disagreement says where an hour is worth most"
    if abs(said - SCANS * cost[best] / removed) < 0.5:
        raise NotYet(
            "the whole reading was charged; one trained reader would have been paid anyway, so count only what "
            "comes on top"
        )
    if abs(said * 60 - right) < 0.5:
        raise NotYet(f"{said:.2f} looks like hours: the question is about minutes")
    if abs(said - SCANS * (PLANS[best][0] + PLANS[best][2] - 1) / removed) < 0.5:
        raise NotYet("the referee reads only the scans on which the two differ, 15 in 100, and you pay for all of them")
    if abs(said - SCANS * (PLANS[best][0] - 1) / removed) < 0.05:
        raise NotYet(f"{said:.4g} pays the two readers, and nobody yet for settling what they differ on")
    raise NotYet(
        f"{said:.4g} does not follow: divide the minutes that come on top, over all scans, by the number of wrong "
        f"labels that go"
    )


EXERCISES = {
    "02.1": Exercise(
        "Agreement beyond chance",
        "write",
        judge_kappa,
        (
            "How often would they agree if each drew from a hat with that reader's own shares of the classes?",
            "same = (a == b).mean(); by_chance = the sum over classes of (share in a) * (share in b); "
            "kappa = (same - by_chance) / (1 - by_chance).",
        ),
        points=2,
    ),
    "02.2": Exercise(
        "The copy finder that finds too much and too little",
        "repair",
        judge_copies,
        (
            "Two faults. What does str() do with a large array? And who is in `seen` when the first scan of a "
            "pair comes by?",
            "Use image.tobytes() as the fingerprint, count each in a first pass, and flag those counted twice or more.",
        ),
        points=2,
    ),
    "02.3": Exercise(
        "Whom do you pay?",
        "decide",
        judge_readers,
        (
            "Minutes a scan are those of everybody's reading plus the share that goes to the referee times the "
            "referee's minutes.",
            "Hours are scans * minutes / 60. For the best plan below 120 hours: (its minutes - 1) / (0.099 - its "
            "wrong labels).",
        ),
        points=2,
    ),
    "02.4": Exercise(
        "The data detective",
        "write",
        judge_detective,
        (
            "Every test stands in lesson 02: thickness below 10, robust z-scores, one grey in a corner, bytes, "
            "grain, changing eyes.",
            "Take the lesson's cells for unit slip, outlier, marker, exact, near and changing; images here have "
            "no channel axis, "
            "so images[:, None] gives (N, 1, 64, 64).",
        ),
        points=4,
    ),
}
