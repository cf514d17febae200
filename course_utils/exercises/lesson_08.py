"""Exercises of lesson 08: dropout counted, a big batch in small pieces, a grey square, a choice of cures."""

from __future__ import annotations

from functools import wraps

import numpy as np
import torch
from torch import nn

from course_utils.exercises.answers import close, entries, floats
from course_utils.exercises.core import Exercise, NotTried, NotYet, ask, choice, number
from course_utils.metrics import seed_interval

LESSON = "08_regularize"

RATE = 0.9
DROPPED = ("a survivor", "the mean in training", "any activation in evaluation")


def judge_dropout(guesses) -> str:
    """08.1: activations that are all one, behind heavy dropout."""
    entries(guesses, DROPPED, "guesses")
    survivor, mean, evaluation = (number(guesses[name], name) for name in DROPPED)
    if abs(survivor - 1) < 1e-6:
        raise NotYet("survivors left at 1 would make the mean smaller than in evaluation: what is done about it?")
    if abs(survivor - 1 / RATE) < 0.02:
        raise NotYet(f"{survivor:.2f} is one over the share that goes. By which share are the survivors divided?")
    if abs(survivor - 1 / (1 - RATE)) > 0.05:
        raise NotYet(f"a survivor of {survivor:g}: one activation in ten is left, and ten must still add up to ten")
    if abs(mean - 1) > 0.02:
        raise NotYet(f"a mean of {mean:g}: nine tenths are nought and one tenth is {survivor:g}. What is their mean?")
    if abs(evaluation - 1) > 0.02:
        raise NotYet(f"{evaluation:g} in evaluation: what does dropout do after model.eval()?")
    return "the mean stays, the grain does not: one activation in ten speaks ten times as loud, and only in training"


def gradients(model, images, targets) -> np.ndarray:
    """All gradients of the mean loss of one big batch, flat."""
    twin = nn.Linear(model.in_features, model.out_features)
    twin.load_state_dict(model.state_dict())
    nn.functional.cross_entropy(twin(images), targets).backward()
    return torch.cat([weight.grad.flatten() for weight in twin.parameters()]).numpy()


def judge_accumulate(accumulate) -> str:
    """08.2: the gradient of a big batch out of small ones, the last of them shorter."""
    draw = torch.Generator().manual_seed(0)
    images, targets = torch.randn(10, 6, generator=draw), torch.randint(3, (10,), generator=draw)
    model = nn.Linear(6, 3)
    with torch.no_grad():
        for weight in model.parameters():
            weight.copy_(torch.randn(weight.shape, generator=draw))
            weight.grad = torch.ones_like(weight)  # left over from the step before
    wanted = gradients(model, images, targets)
    before = model.weight.detach().clone()
    card = watched(model)
    got = accumulated(accumulate, model, images, targets)
    if not torch.equal(before, model.weight):
        raise NotYet("the weights have moved: only the gradient is wanted here, the step comes after it")
    if card["most"] > 4:
        raise NotYet(f"at one moment {card['most']} scans lie on the card, and it holds 4: what makes room again?")
    if card["seen"] < 10:
        raise NotYet(f"the model is shown {card['seen']} of the 10 scans: where are the others left out?")
    if close(got, wanted):
        return "gradients add up in proportion to the batches' sizes: no scan counts more for being in the short one"
    pieces = [gradients(model, images[start : start + 4], targets[start : start + 4]) for start in (0, 4, 8)]
    for guess, help in (
        (wanted + 1, "the gradient of the step before is still in there: what has to happen before the first batch?"),
        (sum(pieces), "that is the plain sum over the three batches: like a learning rate three times as large"),
        (sum(pieces) / 3, "each small batch counts a third, but the last has two scans and the others four"),
        (0.4 * sum(pieces), "each small batch counts four tenths, the last one, too: how many scans are in it?"),
        (10 * wanted, "that is the gradient of the sum of ten losses: ten times as long as that of their mean"),
        (pieces[2], "only the last small batch is left in .grad: the gradient is set to zero too often"),
    ):
        if any(close(got, share * guess + old) for share in (1, 0.2) for old in (0, 1)):
            raise NotYet(help)
    ratio = np.linalg.norm(got) / np.linalg.norm(wanted)
    raise NotYet(f"ten scans in batches of four: your gradient is {ratio:.2f} times as long as that of the big batch")


def watched(model) -> dict[str, int]:
    """Counts the scans a model is shown, and the most that lie on the card at once: each until its backward pass."""
    card = {"now": 0, "most": 0, "seen": 0}

    def arrive(_, __, output):
        card["now"], card["seen"] = card["now"] + len(output), card["seen"] + len(output)
        card["most"] = max(card["most"], card["now"])
        if output.requires_grad:
            output.register_hook(lambda gradient: card.update(now=card["now"] - len(gradient)))

    model.register_forward_hook(arrive)
    return card


def accumulated(accumulate, model, images, targets) -> np.ndarray:
    """What the learner's function leaves in .grad."""
    quiet = wraps(accumulate)(lambda *rest: (accumulate(*rest), "done")[1])  # it need not return anything
    ask(quiet if callable(accumulate) else accumulate, model, nn.functional.cross_entropy, images, targets, 4)
    if any(weight.grad is None for weight in model.parameters()):
        raise NotYet("after your function some .grad is None: which call fills it, and which empties it?")
    got = torch.cat([weight.grad.flatten() for weight in model.parameters()]).numpy()
    if (got == 1).all():
        raise NotTried  # a function that returns nothing can only be told from the stub by what it did
    return floats(got, what="the gradient")


def judge_cutout(cutout) -> str:
    """08.3: one grey square a scan, inside the picture, each in a place of its own."""
    scans = torch.rand(2000, 1, 9, 12, generator=torch.Generator().manual_seed(0)) * 0.4
    given = scans.clone()
    first, again = (torch.Generator().manual_seed(1) for _ in range(2))
    covered = ask(cutout, given, 4, 0.5, first)
    if not isinstance(covered, torch.Tensor) or covered.shape != scans.shape:
        raise NotYet(f"the copies should be a tensor of the shape of the scans, {tuple(scans.shape)}")
    if not torch.equal(given, scans):
        raise NotYet("the scans that were passed in have changed: cover a copy, or the archive fills up with squares")
    changed = (covered != scans)[:, 0]
    area = changed.flatten(1).sum(1)
    rows, columns = changed.any(2), changed.any(1)
    if not changed.any() or not close(covered[:, 0][changed], np.full(int(changed.sum()), 0.5)):
        raise NotYet("no pixel is covered, or some in another grey than was asked for")
    if (area != 16).any() or (rows.sum(1) != 4).any() or (columns.sum(1) != 4).any():
        raise NotYet(f"a square of side 4 covers 16 pixels; yours cover {int(area.min())} to {int(area.max())}")
    tops, lefts = rows.int().argmax(1), columns.int().argmax(1)
    if len(tops.unique()) == 1 or len(lefts.unique()) == 1:
        raise NotYet("every scan is covered in the same row or column: draw a place for each scan")
    if int(tops.max()) < 5 or int(lefts.max()) < 8 or tops.min() or lefts.min():
        raise NotYet(
            f"in scans of 9 × 12 pixels a square of side 4 can begin in rows 0 to 5 and columns 0 to 8; yours begin in "
            f"rows {int(tops.min())} to {int(tops.max())} and columns {int(lefts.min())} to {int(lefts.max())}"
        )
    for what, counts in (("row", tops.bincount()), ("column", lefts.bincount())):
        if counts.max() > 1.8 * counts.min():  # evenly drawn, 2000 scans come nowhere near that
            often, seldom = (f"{counts[i]} in {what} {i}" for i in (int(counts.argmax()), int(counts.argmin())))
            raise NotYet(f"of 2000 squares {often} begin and {seldom}: every place should be equally likely")
    if (places := len((9 * tops + lefts).unique())) < 54:
        raise NotYet(f"only {places} of the 54 places occur: the column should not follow from the row")
    if not torch.equal(covered, ask(cutout, scans.clone(), 4, 0.5, again)):
        raise NotYet("the same generator gave two different results: draw from the generator that is passed in")
    if torch.equal(covered, ask(cutout, scans.clone(), 4, 0.5, again)):
        raise NotYet("a second batch is covered in the very same places: draw from the generator, and do not reseed it")
    return "every place can be covered, edges included: and of drusen, which are small, all there is may be hidden"


# Macro-F1 of five seeds; each seed has its own patients and its own start.
SCORES = {
    "nothing": [0.412, 0.538, 0.471, 0.593, 0.446],
    "strong": [0.489, 0.512, 0.633, 0.571, 0.519],
    "mild": [0.458, 0.557, 0.520, 0.634, 0.491],
}


def judge_cures(pick, low) -> str:
    """08.4: a large gain that comes and goes, or a small one that every seed shows."""
    choice(pick, ("strong", "mild"), "pick")
    low = number(low, "low")
    base = np.array(SCORES["nothing"])
    gains = {name: np.array(SCORES[name]) - base for name in ("strong", "mild")}
    if pick == "strong":
        raise NotYet(
            f"strong gains {gains['strong'].mean():.3f} on average, but {(gains['strong'] < 0).sum()} seeds lose. "
            "How low does the interval of its differences reach?"
        )
    interval = seed_interval(gains["mild"])
    spread = np.sqrt(sum(np.var(SCORES[name], ddof=1) / 5 for name in ("nothing", "mild")))
    if abs(low - interval.low) < 0.0006:
        return "a small gain in every seed is evidence; a larger one that comes and goes is a reason for more seeds"
    for value, name in (
        (seed_interval(gains["strong"]).low, "where the interval of the other cure begins"),
        (interval.value, "the mean gain; asked for is the lower end of its interval"),
        (interval.high, "the upper end of the interval"),
        (-interval.high, "the interval of nothing less mild: which way round is a gain?"),
        (100 * interval.low, "per cent; the table holds shares of one"),
        (gains["mild"].min(), "the smallest of the five gains; with other seeds it could be smaller still"),
    ):
        if abs(low - value) < 0.0006:
            raise NotYet(f"{low:.3f} is {name}")
    if low < interval.value - 1.5 * spread:
        raise NotYet(f"{low:.3f}: from the scores, not their differences? Seed by seed the hard patients cancel out")
    reach = (interval.value - low) / (gains["mild"].std(ddof=1) / 5**0.5)  # 1.96 for many seeds, 2.78 for five
    if 0.9 < reach < 7:
        raise NotYet(f"yours lies {reach:.2f} standard errors (n - 1) below the mean gain: how many belong to five?")
    raise NotYet(f"{low:.3f} is not it: take the five differences to nothing, their mean and their 95 % t interval")


EXERCISES = {
    "08.1": Exercise(
        "Nine activations in ten",
        "predict",
        judge_dropout,
        (
            "The mean must be the same in training and in evaluation. Which value of a survivor does that?",
            "What survives is divided by 1 - p. In evaluation nothing goes, and nothing is divided.",
        ),
    ),
    "08.2": Exercise(
        "A big batch in small pieces",
        "repair",
        judge_accumulate,
        (
            "Look at three things: .grad at the start, .grad after each batch, and how much each batch counts.",
            "Zero once, before the loop. Then (loss * len(part) / len(images)).backward(): gradients add up.",
        ),
    ),
    "08.3": Exercise(
        "Cutout",
        "write",
        judge_cutout,
        (
            "Draw a top row and a left column for each scan: from how many places can a square of this side begin?",
            "torch.randint(H - side + 1, (N,), generator=generator) draws the rows. Loop over a clone of the scans.",
        ),
    ),
    "08.4": Exercise(
        "Which cure would you take?",
        "decide",
        judge_cures,
        (
            "The seeds differ much more than the cures do. How does the lesson compare two columns of such a table?",
            "Subtract seed by seed, then seed_interval(differences).low, from course_utils.metrics.",
        ),
    ),
}
