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
    "one scan, two members who give the truth 0.9 and 0.5: minus the log of the mean, and the mean of the minus logs?",
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
        test = np.roll(np.sort(0.88 + 0.02 * rng.standard_normal(seeds)), 1)  # … and the second best there
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
            if abs(mean - value) < 1e-6 < abs(mean - wanted.value):
                raise NotYet(help)
        if abs(mean - wanted.value) > 1e-6:
            raise NotYet(f"the first number is {mean:.4f}: the mean of the {seeds} seeds' test scores is wanted")
        if not low < mean < high:
            raise NotYet(
                f"mean {mean:.4f}, low {low:.4f}, high {high:.4f}: low and high are the ends, the mean between"
            )
        check_width(high - mean, mean - low, test, wanted)
    return f"the best of five looks {luck():.2f} standard deviations better than the recipe, on average, and is not"


def check_width(up: float, down: float, test: np.ndarray, wanted) -> None:
    """Raises NotYet when the interval is not Student's."""
    half, seeds = wanted.high - wanted.value, len(test)
    if abs(up - half) < 1e-3 * half and abs(down - half) < 1e-3 * half:  # a factor out of a table will do
        return
    error = test.std(ddof=1) / seeds**0.5  # of the mean
    for value, help in (
        (1.96 * error, f"1.96 is for many seeds; Student's t has {half / error:.2f} for {seeds}"),
        (error * seeds**0.5, "one standard deviation to each side: where seeds lie, not where their mean may lie"),
        (error, "one standard error to each side covers two cases in three; 95 % are wanted"),
        (half * (1 - 1 / seeds) ** 0.5, "the spread was divided by all seeds; one less, since the mean is estimated"),
        (half * seeds**0.5, "the root of the number of seeds is missing: the mean of several scatters less than one"),
    ):
        if abs(up - value) < 1e-3 * half:
            raise NotYet(help)
    raise NotYet(
        f"your interval reaches {down / error:.2f} standard errors down and {up / error:.2f} up; for {seeds} seeds and "
        f"95 %, that is 2.5 % left out at each end, Student's t has {half / error:.2f}"
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

    def traits(labels: np.ndarray, values: int) -> np.ndarray:  # most of classes 0, 1 and 3 have a value of their own
        usual, other = np.array([0, 1, -1, 2])[labels], rng.choice(values, len(labels))
        return np.where((labels != 2) & (rng.random(len(labels)) < 0.6), usual, other)

    # Sorted, so that no first or last scan of a value is of its commonest class by chance. The other scans have nobody
    # of class 0, another commonest class, and a value that nobody had in training.
    train_labels = np.sort(rng.choice(4, 400, p=[0.2, 0.4, 0.3, 0.1]))
    labels = rng.choice(4, 200, p=[0, 0.3, 0.4, 0.3])
    train, trait = traits(train_labels, 3), traits(labels, 4)
    got = number(ask(trait_score, train.copy(), train_labels.copy(), trait.copy(), labels.copy()), "the score")

    def answered(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return np.array([commonest(y[x == value] if (x == value).any() else y) for value in trait])

    def by_class(hit: np.ndarray) -> float:
        return float(np.mean([hit[labels == k].mean() for k in np.unique(labels)]))

    met, own = trait < 3, answered(trait, labels) == labels
    right, guessed = answered(train, train_labels) == labels, labels == commonest(labels)
    again = [commonest(train_labels[train == value]) for value in train]
    recall = by_class(right)
    if abs(got - recall) < 1e-6:
        return f"{got:.2f} with one trait, and {1 / 3:.2f} is a guess: a shortcut measured is a limit, not a surprise"
    for value, help in (
        (right.mean(), "that is the share of scans; the card says macro recall, where every class counts alike"),
        (by_class(own), "the rule was read off the scans it is judged on: that flatters it"),
        (own.mean(), "judged on its own scans, and by accuracy: two things to change"),
        (macro_recall(train_labels, again), "that is the score on the training scans"),
        (np.mean([right[met & (labels == k)].mean() for k in (1, 2, 3)]), "scans of an unmet value count, too"),
        (
            by_class(np.where(met, right, guessed)),
            f"is class {commonest(labels)}, for unmet values, the commonest in training?",
        ),
        (by_class(right & met), "values never met in training are answered wrongly: take the commonest class of all"),
        (recall * 3 / 4, "nobody of class 0 is in labels: average over the classes that occur there"),
        (recall * 100, "that is in per cent: give the share"),
    ):
        if abs(got - value) < 1e-6:
            raise NotYet(help)
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
        raise NotYet(f"ours is {ours:.3f}: each class's recall times its share in their test set, added up")
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
            "(recall * their share).sum(); and read again whose scans were picked for showing their class well.",
        ),
    ),
}
