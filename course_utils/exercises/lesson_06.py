"""Exercises of lesson 06: four curves, when to stop, what a convolution costs, and labels or a bigger network."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from course_utils.exercises.answers import entries, floats
from course_utils.exercises.core import Exercise, NotTried, NotYet, ask, choice, number

LESSON = "06_overfit"

# ── 06.1 ─────────────────────────────────────────────────────────────────────────────────────────────────────────────
PICTURES = (
    "both curves stay poor",
    "training perfect, validation behind",
    "training perfect, validation at the habit",
    "flat at ln 4",
)
RUNS = {
    "480 weights, true labels": "both curves stay poor",
    "71,588 weights, true labels": "training perfect, validation behind",
    "71,588 weights, shuffled labels": "training perfect, validation at the habit",
    "71,588 weights, optimizer.step() forgotten": "flat at ln 4",
}


def judge_curves(guesses) -> str:
    """06.1: which pair of curves four trainings of forty epochs give."""
    entries(guesses, RUNS, "guesses")
    for name, wanted in RUNS.items():
        said = choice(guesses[name], PICTURES, name)
        if said == wanted:
            continue
        if said == "flat at ln 4":
            raise NotYet(f"{name}: flat means that nothing moves, and here a step follows each batch")
        if "shuffled" in name and said == "training perfect, validation behind":
            raise NotYet(f"{name}: nothing about a scan tells its label now, so what is left for new scans?")
        if "shuffled" in name:
            raise NotYet(f"{name}: no rule can be learned, but 400 scans fit into 71,588 weights. Lesson 06 tried it")
        if "480" in name:
            raise NotYet(f"{name}: a dozen filters for four hundred scans: can they be known by heart?")
        if "forgotten" in name:
            raise NotYet(f"{name}: gradients are computed and nobody walks: which loss has an untrained network?")
        raise NotYet(f"{name}: forty rounds, a hundred and eighty weights a scan: will it stop at the rules?")
    return "two curves tell four stories apart, and only one of the four is about size"


# ── 06.2 ─────────────────────────────────────────────────────────────────────────────────────────────────────────────
def _stopped(losses: list[float], patience: int) -> tuple[int, int]:
    """The epoch with the lowest loss so far and the last epoch trained, both counted from 1."""
    best, best_epoch = float("inf"), 0
    for epoch, loss in enumerate(losses, start=1):
        if loss < best:
            best, best_epoch = loss, epoch
        if epoch - best_epoch >= patience:
            return best_epoch, epoch
    return best_epoch, len(losses)


CURVES = (
    ([1.2, 1.0, 0.9, 0.95, 1.1, 1.3, 1.2, 1.1, 0.7], 3),  # would fall again, later
    ([1.2, 1.0, 0.9, 0.8], 2),  # never stops
    ([1.0, 0.9, 0.95, 0.85, 0.9, 0.8, 0.9, 0.9], 2),  # bad epochs, but never two in a row
    ([0.9, 0.9, 0.9, 0.9], 2),  # as good as before is no progress
    ([0.5, 0.8, 0.7, 0.6, 0.55, 0.52], 3),  # getting better again is not beating the best
    ([1.0, 0.8, 0.9, 0.85], 5),  # the losses run out before the patience does
)


def judge_patience(stop) -> str:
    """06.2: early stopping on six curves of validation losses."""
    for losses, patience in CURVES:
        right, case = _stopped(losses, patience), f"{losses}, patience {patience}"
        try:
            said = ask(stop, list(losses), patience)
        except NotTried:
            if losses is CURVES[0][0]:
                raise
            raise NotYet(f"{case}: nothing comes back when the losses run out before the patience") from None
        best, last = floats(said, (2,), "the pair of epochs, best and last,").tolist()
        if (best, last) == right:
            continue
        if (last, best) == right:
            raise NotYet(f"{case}: the best epoch is asked for first, then the last")
        if (best + 1, last + 1) == right or (best + 1, last) == right:
            raise NotYet(f"{case}: epochs are counted from 1, like the rows of `fit`'s history")
        if best == 1 + int(np.argmin(losses)) and best > right[1]:
            raise NotYet(
                f"{case}: you chose epoch {best:g}; training had stopped before, and nobody knew it would come"
            )
        if losses[0] == losses[-1] and last != right[1]:
            raise NotYet(f"{case}: a loss equal to the best is no progress, yet you stop only in epoch {last:g}")
        if best == right[0] and last == right[1] + 1:
            raise NotYet(f"{case}: one epoch too late; stop in the epoch in which the patience is used up")
        if best != _stopped(losses[: max(int(last), 1)], len(losses) + 1)[0]:
            raise NotYet(f"{case}: up to epoch {last:g}, the lowest loss is not that of epoch {best:g}")
        if last < right[1]:
            raise NotYet(f"{case}: epoch {last:g} is too early. How many epochs have passed since the best one?")
        if last > len(losses):
            raise NotYet(f"{case}: epoch {last:g} was never trained: with the last loss training ends")
        raise NotYet(f"{case}: still running in epoch {last:g}; compare with the best loss so far, not with the last")
    return "the best epoch's network is kept, the last one's thrown away: store weights whenever the best moves"


# ── 06.3 ─────────────────────────────────────────────────────────────────────────────────────────────────────────────
def judge_cost(conv_cost) -> str:
    """06.3: weights and multiply-adds of a convolution that keeps the size of the map."""
    for c_in, c_out, kernel, side in ((1, 16, 5, 32), (16, 32, 3, 32), (32, 64, 3, 16), (64, 4, 1, 8)):
        said = ask(conv_cost, c_in, c_out, kernel, side)
        weights, operations = floats(said, (2,), "the pair of weights and multiply-adds").tolist()
        conv = nn.Conv2d(c_in, c_out, kernel, padding=kernel // 2)
        right = sum(p.numel() for p in conv.parameters())
        products = conv.weight.numel() * conv(torch.zeros(1, c_in, side, side))[0, 0].numel()
        case = f"{c_in} → {c_out} channels, kernel {kernel}, map {side} × {side}"
        if (operations, weights) == (right, products):
            raise NotYet(f"{case}: the weights are asked for first, then the multiply-adds")
        if weights != right:
            biases = weights - conv.weight.numel()
            if biases in (0, 1, c_in, c_in * c_out):
                raise NotYet(f"{case}: {biases:g} of your weights are biases. Who has one: each input, pair or output?")
            if weights == c_in * c_out * kernel + c_out:
                raise NotYet(f"{case}: the window has {kernel} × {kernel} places, and you counted {kernel}")
            if side**2 <= weights / (c_in * c_out * kernel):
                raise NotYet(f"{case}: every place uses the same weights; the size of the map does not multiply them")
            raise NotYet(f"{case}: {weights:g} is not the number of weights: every output listens to all inputs")
        if operations == products:
            continue
        if operations == 2 * products:
            raise NotYet(f"{case}: twice too many. A multiplication with its addition is asked for as one, not as two")
        if operations == conv.weight.numel() * side:
            raise NotYet(f"{case}: the map has {side} × {side} places, and you counted {side}")
        if operations == conv.weight.numel() * (side - kernel + 1) ** 2:
            raise NotYet(f"{case}: {operations:g} is for a map that shrinks by the kernel; this one keeps its size")
        if operations == right * side**2:
            raise NotYet(f"{case}: a bias is added and multiplies nothing, so it counts among the weights only")
        raise NotYet(f"{case}: not {operations:g}: each weight but the biases works once at each place of the map")
    return "weights do not know the size of the map, operations do: one fills the file, the other takes the time"


# ── 06.4 ─────────────────────────────────────────────────────────────────────────────────────────────────────────────
CURVE = {250: 0.550, 800: 0.622, 2500: 0.700}
WIDER, GOAL, MORE = 0.708, 0.75, 8000


def judge_purchase(chosen, at_8000) -> str:
    """06.4: a learning curve read on its logarithmic axis, and what to buy."""
    (first, low), *_, (last, high) = CURVE.items()
    per_ten = (high - low) / np.log10(last / first)
    fitted = np.polyfit(np.log(list(CURVE)), list(CURVE.values()), 1)
    said, right = number(at_8000, "at_8000"), high + per_ten * np.log10(MORE / last)
    if said > 2:
        raise NotYet(f"accuracies are shares between 0 and 1 here, and {said:g} is none")
    if said > 0.9:
        raise NotYet(f"{said:.2f} is steeper than the curve, which is straight in the logarithm of scans, not in scans")
    if not min(right, np.polyval(fitted, np.log(MORE))) - 0.006 < said < right + 0.006:
        if abs(said - (high + per_ten)) < 0.005:
            raise NotYet(f"{said:.3f} would be ten times 2,500 scans; 8,000 are little more than three times as many")
        if abs(said - (high + per_ten * np.log(MORE / last))) < 0.01:
            raise NotYet("a slope a factor of ten goes with log10; you mixed it with the natural logarithm")
        if abs(said + high - right) < 0.01:
            raise NotYet(f"{said:.3f} is the gain alone: from which accuracy does it start?")
        if abs(said - high) < 0.02:
            raise NotYet(f"{said:.3f} takes the curve for flat; it still climbs, by {per_ten:.2f} for a factor of ten")
        raise NotYet(f"not {said:.3f}: a factor of ten brings {per_ten:.2f}; which part of that is 2,500 to 8,000?")
    if choice(chosen, ("labels", "wider network"), "chosen") != "labels":
        raise NotYet(f"you read {said:.2f} at 8,000 scans, the wider network has {WIDER}: which one reaches {GOAL}?")
    return "the curve defends it, as far as a straight line goes: buy a part first, and see whether it still climbs"


EXERCISES = {
    "06.1": Exercise(
        "Four trainings, four pictures",
        "predict",
        judge_curves,
        (
            "Ask of each: can it know 400 scans by heart? Is there a rule to learn? Does anything move at all?",
            "The toy underfits, the CNN overfits, the parrot learns nonsense by heart, and without a step the "
            "loss stays at ln K.",
        ),
    ),
    "06.2": Exercise(
        "When to stop",
        "write",
        judge_patience,
        (
            "Walk through the losses with the best so far and its epoch in hand. How many epochs have passed since?",
            "if loss < best: best, best_epoch = loss, epoch; if epoch - best_epoch >= patience: return "
            "best_epoch, epoch. After the "
            "loop: return best_epoch, len(losses).",
        ),
        points=2,
    ),
    "06.3": Exercise(
        "The price of a convolution",
        "repair",
        judge_cost,
        (
            "One output number listens to a window of kernel × kernel places in every input channel. How many "
            "such numbers are there?",
            "products = c_in * c_out * kernel**2; return products + c_out, products * side**2.",
        ),
        points=2,
    ),
    "06.4": Exercise(
        "More labels, or a wider network?",
        "decide",
        judge_purchase,
        (
            "On which axis is the curve straight? From 250 to 2,500 is one step there: how long is that to 8,000?",
            "0.700 + 0.150 * log10(8000 / 2500); then compare it with 0.708, and both with 0.75.",
        ),
        points=2,
    ),
}
