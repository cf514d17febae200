"""Exercises of lesson 20: what is certain of several seeds, what to report, how far a trait goes, another exam."""

from __future__ import annotations

import numpy as np

from course_utils.exercises.answers import entries, floats
from course_utils.exercises.core import Exercise, NotYet, ask, choice, number
from course_utils.metrics import macro_recall, seed_interval

LESSON = "20_capstone_oct"

CERTAIN = {
    "the averaged probabilities have no larger log loss than the members' mean": "certain",
    "the averaged probabilities read no fewer scans right than the members' mean": "not certain",
    "the seed that is best on validation is above the seeds' mean on test": "not certain",
    "the seed that is best on test is not below the seeds' mean on test": "certain",
    "the interval by patient tells how far another seed would differ": "not certain",
}
WHY = (
    "the logarithm is concave, so Jensen's inequality holds for each scan: is there any case left?",
    "two members 0.9 sure of the right class and one 0.9 sure of a wrong one; now make it 0.55, 0.55 and 0.99",
    "validation chose it, in part for its luck there: does luck on some scans carry over to others?",
    "the largest of a few numbers and their mean: can it ever be the other way round?",
    "which was drawn anew for that interval: patients, or random starts?",
)


def judge_certain(guesses) -> str:
    """20.1: what holds for every network and every data set."""
    entries(guesses, CERTAIN, "guesses")
    for (name, wanted), why in zip(CERTAIN.items(), WHY, strict=True):
        if choice(guesses[name], ("certain", "not certain"), name) != wanted:
            raise NotYet(f'"{name}": {why}')
    return "what is certain of the best on test is certain of any luck: that is why it says nothing"


def judge_report(report) -> str:
    """20.2: a number that stands for the recipe, not for its luckiest seed."""
    rng = np.random.default_rng(0)
    for seeds in (5, 3):
        validation = np.sort(0.9 + 0.02 * rng.standard_normal(seeds))  # the last is the best here …
        test = np.roll(np.sort(0.88 + 0.02 * rng.standard_normal(seeds)), 2)  # … and another one there
        answer = ask(report, validation.copy(), test.copy())
        if isinstance(answer, int | float) or getattr(answer, "ndim", 1) == 0:
            value = number(answer, "what report returns")
            if abs(value - test.max()) < 1e-9:
                raise NotYet(
                    "that is the luckiest seed on test, and one number: how far would the next seed lie from it?"
                )
            raise NotYet("one number does not say how far another seed would differ: return mean, low and high")
        mean, low, high = floats(answer, (3,), "what report returns (mean, low, high)")
        wanted = seed_interval(test)
        for value, help in (
            (test.max(), "the first number is the best seed on test: chosen by the test set, it is the luckiest"),
            (test[validation.argmax()], "that is the seed which validation chose: one seed, and no word on the recipe"),
            (validation.mean(), "that is the mean on validation: every choice was made there"),
            (np.median(test), "that is the median; three or five seeds are too few to leave any out: take their mean"),
        ):
            if abs(mean - value) < 1e-9 and abs(mean - wanted.value) > 1e-9:
                raise NotYet(help)
        if abs(mean - wanted.value) > 1e-6:
            raise NotYet(f"the first number is {mean:.4f}: the mean of the {seeds} seeds' test scores is wanted")
        check_width(high - mean, mean - low, test, wanted)
    return f"the best of five looks {luck():.2f} standard deviations better than the recipe, on average, and is not"


def check_width(up: float, down: float, test: np.ndarray, wanted) -> None:
    """Raises NotYet when the interval is not Student's."""
    half, seeds = wanted.high - wanted.value, len(test)
    if abs(up - half) < 1e-6 and abs(down - half) < 1e-6:
        return
    spread = test.std(ddof=1)
    for value, help in (
        (
            1.96 * spread / seeds**0.5,
            f"1.96 is for many seeds; Student's t has {half / spread * seeds**0.5:.2f} for {seeds}",
        ),
        (spread, "one standard deviation to each side: that is where seeds lie, not where their mean may lie"),
        (spread / seeds**0.5, "one standard error to each side covers two cases in three; 95 % are wanted"),
        (
            half / spread * test.std() / seeds**0.5,
            "the spread was divided by all seeds; one less, since the mean is estimated",
        ),
        (half * seeds**0.5, "the root of the number of seeds is missing: the mean of several scatters less than one"),
    ):
        if abs(up - value) < 1e-6:
            raise NotYet(help)
    raise NotYet(
        f"your interval reaches {down:.4f} down and {up:.4f} up from the mean; Student's t gives {half:.4f} for {seeds}"
    )


def luck(seeds: int = 5) -> float:
    """By how many standard deviations the best of a few lies above their mean, on average."""
    return float(np.random.default_rng(0).standard_normal((20_000, seeds)).max(axis=1).mean())


def commonest(labels: np.ndarray) -> int:
    """The most frequent class; the lowest of equals."""
    return int(np.bincount(labels).argmax())


def judge_trait(trait_score) -> str:
    """20.3: how far one gets by knowing one trait and nothing else."""
    rng = np.random.default_rng(0)
    train_labels = rng.choice(4, 300, p=[0.2, 0.4, 0.3, 0.1])
    train = np.where(train_labels == 1, rng.choice([0, 1, 2], 300, p=[0.1, 0.2, 0.7]), rng.choice([0, 1, 2], 300))
    labels = rng.choice(4, 200, p=[0.1, 0.2, 0.4, 0.3])
    trait = np.where(labels == 1, rng.choice([0, 1, 2], 200, p=[0.1, 0.2, 0.7]), rng.choice([0, 1, 2, 3], 200))
    train[train_labels == 0] = np.where(rng.random((train_labels == 0).sum()) < 0.7, 0, train[train_labels == 0])
    got = number(ask(trait_score, train.copy(), train_labels.copy(), trait.copy(), labels.copy()), "the score")
    rule = {value: commonest(train_labels[train == value]) for value in np.unique(train)}
    preds = np.array([rule.get(value, commonest(train_labels)) for value in trait])
    own = {value: commonest(labels[trait == value]) for value in np.unique(trait)}
    for value, help in (
        (macro_recall(labels, preds), ""),
        (
            (labels == preds).mean(),
            "that is the share of scans; the card says macro recall, where every class counts alike",
        ),
        (
            macro_recall(labels, [own[v] for v in trait]),
            "the rule was read off the scans it is judged on: that flatters it",
        ),
        ((labels == [own[v] for v in trait]).mean(), "judged on its own scans, and by accuracy: two things to change"),
        (macro_recall(train_labels, [rule[v] for v in train]), "that is the score on the training scans"),
        (
            macro_recall(labels, [rule.get(v, 0) for v in trait]),
            "a width never met in training got class 0: guess the commonest",
        ),
    ):
        if abs(got - value) < 1e-6:
            if help:
                raise NotYet(help)
            return f"{got:.2f} with one trait, and 0.25 is a guess: a shortcut measured is a limit, not a surprise"
    raise NotYet(
        f"the score is {got:.3f}: each value's commonest class in training, then recall by class, then their mean"
    )


RECALL = np.array([0.96, 0.88, 0.82, 0.98])
FILE_MIX, THEIR_MIX = np.full(4, 0.25), np.array([0.34, 0.10, 0.08, 0.48])
FIGURES = ("mean recall of the classes", "accuracy on our mix", "accuracy at their mix")


def judge_beside(pick, ours, fair) -> str:
    """20.4: another mix of classes, another exam."""
    choice(pick, FIGURES, "pick")
    choice(fair, ("yes", "no"), "fair")
    ours = number(ours, "ours")
    if pick != FIGURES[2]:
        raise NotYet(
            f"{pick!r} is {RECALL.mean():.3f} for four equal classes; theirs are not equal, and accuracy counts scans"
        )
    if abs(ours - RECALL.mean()) < 0.0015:
        raise NotYet(f"{ours:.3f} weighs the classes alike; in their test set half of the scans are NORMAL")
    if abs(ours - 100 * RECALL @ THEIR_MIX) < 0.15:
        raise NotYet(f"{ours:g} is in per cent: give the share")
    if abs(ours - RECALL @ THEIR_MIX) > 0.0015:
        raise NotYet(
            f"ours is {ours:.3f}: each class's recall times its share in *their* test set, added up".replace("*", "")
        )
    if fair == "yes":
        raise NotYet(
            "the mix is mended. But were their scans chosen as clear examples, and did they train on such ones?"
        )
    return (
        f"the mix alone moves {RECALL.mean():.3f} to {ours:.3f}; how much the choice of clear scans adds, nobody knows"
    )


EXERCISES = {
    "20.1": Exercise(
        "What is certain?",
        "predict",
        judge_certain,
        (
            "Look for one counterexample to each; two members and one scan are often enough.",
            "Two of the five hold always: one by Jensen, one because a maximum is a maximum.",
        ),
    ),
    "20.2": Exercise(
        "The luckiest of five",
        "repair",
        judge_report,
        (
            "What would you tell somebody who trains the recipe once more? And who has chosen, validation or test?",
            "seed_interval(test), from course_utils.metrics, has the mean of the test scores and Student's interval.",
        ),
    ),
    "20.3": Exercise(
        "How far does the width go?",
        "write",
        judge_trait,
        (
            "Learn a table on the training scans: each value's commonest class. Judge it on the other scans.",
            "rule.get(value, commonest of all) for each scan; then each class's share right; then their mean.",
        ),
    ),
    "20.4": Exercise(
        "Beside a published number",
        "decide",
        judge_beside,
        (
            "Accuracy is the mean of the recalls, weighted by how frequent the classes are. In whose test set?",
            "(recall * their share).sum(); and read the table's last column again before you call it fair.",
        ),
    ),
}
