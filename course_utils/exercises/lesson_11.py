"""Exercises of lesson 11: pulls of losses, a thickness that is missing, weights taken back, a pair of networks."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import torch
import torch.nn.functional as F

from course_utils.exercises.answers import close, entries, floats
from course_utils.exercises.core import Exercise, NotYet, ask, choice, number
from course_utils.tracking import TRIAGE

LESSON = "11_objectives_and_ensembles"

LOSSES = ("cross-entropy", "focal", "smoothing", "expected cost")
PLACES = {"p = 0.01": 0.01, "p = 0.5": 0.5, "p = 0.99": 0.99}


def pulls(p: float) -> dict[str, float]:
    """Size of each loss's slope by the logit, two classes: focal gamma 2, smoothing 0.1, a mistake costs one."""
    focal = p * (1 - p) * (2 * (1 - p) * math.log(p) - (1 - p) ** 2 / p)
    return dict(zip(LOSSES, (1 - p, abs(focal), abs(p - 0.95), p * (1 - p)), strict=True))


def judge_pulls(guesses) -> str:
    """11.1: which loss pulls hardest at a scan that is surely wrong, undecided, surely right."""
    entries(guesses, PLACES, "guesses")
    for place, p in PLACES.items():
        guess, strength = choice(guesses[place], LOSSES, place), pulls(p)
        hardest = max(strength, key=strength.get)
        if guess == hardest:
            continue
        why = {
            "p = 0.01": "one of the four pulls a little harder than cross-entropy at hopeless scans",
            "p = 0.5": "cross-entropy pulls by 1 - p; which of the others can reach that here?",
            "p = 0.99": "three let go of a scan that is right; one thinks it too sure by now, and pulls back",
        }[place]
        raise NotYet(
            f"{place}: {guess} pulls with {strength[guess]:.3f} there, another with {strength[hardest]:.3f}: {why}"
        )
    return "and weakest of all at the hopeless scan is the expected cost: whoever is surely wrong is left in peace"


def judge_masked(thickness_loss) -> str:
    """11.2: Huber's loss where the thickness is known."""
    draw = torch.Generator().manual_seed(0)
    for missing in ([1, 4, 5], [], list(range(8))):
        y = 2 * torch.randn(8, generator=draw)
        y[missing] = torch.nan
        y_hat = torch.randn(8, generator=draw, requires_grad=True)
        loss = ask(thickness_loss, y_hat, y.clone())
        if not isinstance(loss, torch.Tensor) or loss.numel() != 1:
            raise NotYet("the loss should be a tensor of one number, or it has no gradient")
        known = ~y.isnan()
        check_loss(loss.detach().reshape(()), y_hat.detach(), y, known)
        slope = torch.autograd.grad(loss.sum(), y_hat, allow_unused=True)[0] if loss.requires_grad else None
        if not loss.requires_grad or (slope is None and known.any()):
            raise NotYet(f"with {int(known.sum())} of 8 known no gradient gets to y_hat: keep the loss connected to it")
        if slope is not None and slope.isnan().any():
            raise NotYet("the loss is right, its gradient NaN: take the missing rows out before the loss, not after")
        if slope is not None and slope[~known].abs().sum() > 0:
            raise NotYet("a scan without a thickness pulls at the network")
    return "missing rows count nowhere: not in the sum, not in the number, not in the gradient"


def check_loss(loss, y_hat, y, known) -> None:
    """Raises NotYet with the mistake that this number looks like."""
    if loss.isnan():
        where = "when no thickness is known" if not known.any() else "with three of eight missing"
        raise NotYet(f"the loss is NaN {where}, and with it every weight after the next step")
    if not known.any():
        if loss != 0:
            raise NotYet(f"with no thickness known the loss should be 0, and is {float(loss):.3f}")
        return
    wanted = F.huber_loss(y_hat[known], y[known])
    filled = F.huber_loss(y_hat, y.nan_to_num())
    if close(loss, wanted):
        return
    if close(loss, filled):
        raise NotYet("a missing thickness is taken for 0: the network is taught that unmeasured eyes are average")
    if close(loss, wanted * known.float().mean()):
        raise NotYet("the sum is right, but it is divided by all scans, those without a thickness too")
    if close(loss, wanted * known.sum()):
        raise NotYet("that is the sum; the mean over the scans with a thickness is asked for")
    if close(loss, F.mse_loss(y_hat[known], y[known])):
        raise NotYet("squared errors: one slip of unit would outpull all others. Huber's loss is wanted")
    ratio = float(loss / wanted)
    raise NotYet(
        f"{ratio:.2f} times Huber's loss over the {int(known.sum())} scans that are known: which rows count, and how?"
    )


COST = np.array(TRIAGE.cost, dtype=float)  # (classes, decisions): clinic visits


def judge_unbent(decide) -> str:
    """11.3: the class weights taken back, then the cheapest decision."""
    rng = np.random.default_rng(0)
    weights = np.array([1.0, 4.0, 2.5, 0.3])
    probs = rng.dirichlet(np.ones(4), 400)
    got = floats(ask(decide, probs.copy(), weights.copy(), COST.copy()), (400,), "the decisions")
    if (got != got.round()).any() or got.min() < 0 or got.max() > 2:
        raise NotYet(f"decisions are columns of the price list, 0 to 2; yours run from {got.min():g} to {got.max():g}")
    honest = (probs / weights) @ COST
    for decisions, help in (
        (honest.argmin(1), ""),
        (
            (probs @ COST).argmin(1),
            "the probabilities are used as they are: class 1 still looks four times too frequent",
        ),
        ((probs * weights @ COST).argmin(1), "the weights are multiplied in once more: training has already done that"),
        (honest.argmax(1), "those are the dearest decisions: which end of the expected cost is wanted?"),
        (
            COST[(probs / weights).argmax(1)].argmin(1),
            "only the likeliest class is asked: an unlikely CNV costs twenty visits",
        ),
        (
            (probs / weights).argmax(1).clip(max=2),
            "those are classes; the price list turns probabilities into decisions",
        ),
    ):
        if (got == decisions).all():
            if help:
                raise NotYet(help)
            return "divide by what training multiplied in: honest probabilities first, prices in the decision"
    share = (got == honest.argmin(1)).mean()
    raise NotYet(f"{share:.0%} of 400 decisions are the cheapest: Σ over the classes of honest probability × price")


SICK = np.array([1, 1, 1, 1, 1, 0, 0, 0, 0, 0])
SAID = {
    "A": [0.40, 0.80, 0.90, 0.85, 0.75, 0.95, 0.20, 0.10, 0.25, 0.15],
    "B": [0.10, 0.70, 0.85, 0.80, 0.70, 0.90, 0.30, 0.20, 0.35, 0.25],
    "C": [0.75, 0.45, 0.70, 0.80, 0.65, 0.40, 0.60, 0.55, 0.20, 0.30],
    "D": [0.95, 0.85, 0.05, 0.10, 0.80, 0.20, 0.15, 0.95, 0.92, 0.30],
}


def right(*names: str) -> float:
    """Share of scans that the average of these networks reads right."""
    return float(((np.mean([SAID[name] for name in names], axis=0) > 0.5) == SICK).mean())


def judge_pair(pick, gain) -> str:
    """11.4: two of four networks."""
    pairs = {f"{a} and {b}": right(a, b) - max(right(a), right(b)) for a, b in combinations(SAID, 2)}
    gain = number(gain, "gain")
    pick = " and ".join(sorted(pick.split(" and "))) if isinstance(pick, str) else pick  # "C and A" is a pair, too
    choice(pick, tuple(pairs), "pick")
    a, b = pick.split(" and ")
    if pick == "A and B":
        raise NotYet("A and B are the two best alone, and wrong on the same scans: together they mend nothing")
    if "D" in pick:
        raise NotYet(
            f"D errs elsewhere because it errs so often and so surely: with {pick} {right(a, b):.0%} are read right"
        )
    if pick != "A and C":
        raise NotYet(f"{pick} read {right(a, b):.0%} right together; another pair reads more")
    if abs(gain - pairs[pick]) < 0.001:
        return "low correlation pays among near equals: D's errors are the most unlike A's, and worth nothing"
    if abs(gain - (right(a, b) - (right(a) + right(b)) / 2)) < 0.001:
        raise NotYet(f"{gain:.2f} is over the mean of the two; the rival is the better one, which costs half as much")
    if abs(gain) >= 0.9:
        raise NotYet(f"{gain:g}: two shares of one are to be compared, neither scans nor per cent")
    raise NotYet(f"gain is {gain:.2f}: the pair's share of right scans less that of its better member")


EXERCISES = {
    "11.1": Exercise(
        "Who pulls hardest?",
        "predict",
        judge_pulls,
        (
            "Look at the figure of pulls in section 2: at its left edge, in the middle, and at its right edge.",
            "Hopeless: focal loss, a little. Undecided: 1 - p is the largest. Sure: only smoothing has not let go.",
        ),
    ),
    "11.2": Exercise(
        "No thickness, no pull",
        "repair",
        judge_masked,
        (
            "Take the rows that have a value first, and only then call a loss. What if there is none?",
            "known = ~y.isnan(); F.huber_loss(y_hat[known], y[known]), and y_hat.sum() * 0 when none is known.",
        ),
    ),
    "11.3": Exercise(
        "The weights taken back",
        "write",
        judge_unbent,
        (
            "A class that weighed four times as much in training looks about four times as frequent to the network.",
            "(probs / weights) @ cost is, but for a factor a scan, the expected cost; take argmin over the decisions.",
        ),
    ),
    "11.4": Exercise(
        "Two networks' time",
        "decide",
        judge_pair,
        (
            "Average the two columns, count the scans on the right side of 0.5, and do so for all six pairs.",
            "Two of the three good ones are wrong on the same two scans; the third errs elsewhere, and mildly.",
        ),
    ),
}
