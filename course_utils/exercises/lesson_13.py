"""Exercises of lesson 13: sizes of files, a lesson from a teacher, eight bits by channel, a model for the browser."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from course_utils.exercises.answers import close, entries, floats, pair
from course_utils.exercises.core import Exercise, NotYet, ask, choice, number
from course_utils.metrics import wilson_interval

LESSON = "13_export"

SIZES = {
    "two fifths of the weights set to zero": 100,
    "half of the channels in every layer": 25,
    "eight bits a weight": 25,
}


def judge_sizes(guesses) -> str:
    """13.1: a file of 100 kB, made smaller in three ways."""
    entries(guesses, SIZES, "guesses")
    zeros, narrow, int8 = sizes = [number(guesses[name], name) for name in SIZES]
    if max(sizes) > 110 or max(sizes) <= 1:
        raise NotYet(f"{max(sizes):g} kB for the largest of the three? The file had 100 kB; answer in kB, too")
    if abs(zeros - 60) < 2:
        raise NotYet("60 kB: how many bytes does the number 0.0 take in a file of floats?")
    if abs(zeros - 100) > 5:
        raise NotYet(f"zeros: {zeros:g} kB? The file lists every weight, one after the other")
    if abs(narrow - 50) < 3:
        raise NotYet("channels: 50 kB, as if each layer lost its outputs only. How many inputs has the next one left?")
    if abs(narrow - 25) > 4:
        raise NotYet(f"channels: {narrow:g} kB? A layer holds inputs × outputs × kernel weights: halve the first two")
    if abs(int8 - 12.5) < 2:
        raise NotYet(
            "bits: 12.5 kB would be four bits a weight. How many bits has the float that each of them replaces?"
        )
    if abs(int8 - 25) > 7:  # the lesson's own file, with scales and all, has 31
        raise NotYet(f"bits: {int8:g} kB? A float takes four bytes, a whole number from -127 to 127 takes one")
    return "zeros save nothing unless the file is zipped; channels count on both sides; bits count as they are"


def parts(student, teacher, targets, temperature):
    """KL from teacher to student at a temperature, and the label's cross-entropy: each a mean over the scans."""
    soft, wanted = (student / temperature).log_softmax(1), (teacher / temperature).softmax(1)
    return F.kl_div(soft, wanted, reduction="batchmean"), F.cross_entropy(student, targets)


def judge_teacher(taught_loss) -> str:
    """13.2: what the student pays."""
    draw = torch.Generator().manual_seed(0)
    student, teacher = (2 * torch.randn(12, 4, generator=draw) for _ in range(2))
    student.requires_grad_()
    targets = torch.randint(4, (12,), generator=draw)
    for T, alpha in ((3.0, 0.7), (2.0, 0.4)):
        loss = ask(taught_loss, student, teacher, targets, T, alpha)
        if not isinstance(loss, torch.Tensor) or loss.numel() != 1:
            raise NotYet("the loss should be a tensor of one number, or the student learns nothing")
        got = floats(loss, what="the loss").reshape(())
        kl, ce = parts(student, teacher, targets, T)
        right = alpha * T**2 * kl + (1 - alpha) * ce
        if not close(got, floats(right)):
            if T == 2:
                raise NotYet(
                    "right at T = 3 and alpha = 0.7, not at 2 and 0.4: is every number taken from the arguments?"
                )
            raise NotYet(_other_loss(got, student, teacher, targets, T, alpha))
        if not loss.requires_grad:
            raise NotYet("the number is right, but it has no gradient: do not detach the student")
        slopes = [torch.autograd.grad(x.reshape(()), student, retain_graph=True)[0] for x in (loss, right)]
        if not close(*map(floats, slopes)):
            raise NotYet("the number is right, but its gradient is not: both parts of the loss must reach the student")
    return "the same pull at every temperature, a distance for each scan, and the teacher is the one to be matched"


def _other_loss(got, student, teacher, targets, T, alpha) -> str:
    """What to say of another loss."""
    (kl, ce), hot = parts(student, teacher, targets, T), parts(student, teacher, targets, 1 / T)[0]
    back, label = parts(teacher, student, targets, T)[0], (1 - alpha) * ce
    hard = F.kl_div((student / T).log_softmax(1), teacher.softmax(1), reduction="batchmean")
    square, both = T**2, F.cross_entropy(student / T, targets)
    for value, help in (
        (alpha * kl / 4 + label, "two things: the mean runs over classes, too, and T² is missing"),
        (alpha * kl + label, "dividing by T makes the gradient smaller by T²; what puts it back is missing"),
        (
            alpha * T * kl + label,
            "T once puts back half of what the division took from the gradient: look at its power in the formula",
        ),
        (alpha * square * kl, "that is the teacher's part alone; the label has a part, too"),
        (alpha * square * kl / 4 + label, 'the mean is over scans and classes; KL is a sum over classes ("batchmean")'),
        (alpha * square * kl * 12 + label, "the distances of all scans are added up; a mean over the scans was meant"),
        (alpha * square * back + label, "the distance is taken the wrong way round: from the student to the teacher"),
        (alpha * square * hard + label, "the student is softened and the teacher is not: both are divided by T"),
        ((1 - alpha) * square * kl + alpha * ce, "alpha and 1 - alpha have changed places"),
        (square * (alpha * kl + label), "T² is on the label's part as well, and nothing was divided there"),
        (alpha * square * hot + label, "the logits are multiplied by the temperature, not divided"),
        (
            alpha * square * kl + (1 - alpha) * both,
            "the label's cross-entropy is softened, too; T is for the other part",
        ),
    ):
        if close(got, floats(value)):
            return help
    if got < 0:
        return f"a loss of {float(got):.3f}, and no distance is below zero: which argument does F.kl_div want as logs?"
    return f"on twelve scans your loss is {float(got):.3f}: compare the formula with yours, factor by factor"


def judge_quantise(quantise) -> str:
    """13.3: weights as w ≈ scale · q, one scale a channel."""
    rng = np.random.default_rng(0)
    weights = rng.standard_normal((5, 40)) * np.array([[0.02], [0.3], [1.0], [8.0], [0.0]])
    given = weights.copy()
    codes, scales = pair(ask(quantise, given), "what quantise returns")
    codes = floats(codes, weights.shape, "the whole numbers")
    scales = floats(scales, what="the scales").reshape(-1)
    if (codes != codes.round()).any():
        raise NotYet(f"{codes[codes != codes.round()][0]:.2f} is no whole number: round what you divide")
    if np.abs(codes).max() > 127:
        raise NotYet(f"{codes.flat[np.abs(codes).argmax()]:.0f} does not fit into -127 to 127")
    if np.ptp(scales) == 0:
        raise NotYet("one scale for all: the channel with small weights is left with nothing but zeros. One a channel")
    if len(scales) != len(weights):
        raise NotYet(f"there are {len(weights)} channels and {len(scales)} scales: along which axis did you look?")
    error, best = np.abs(scales[:, None] * codes - weights), np.abs(weights).max(axis=1, keepdims=True) / 127
    largest = np.abs(codes[:4]).max(axis=1)
    if largest.min() < 126:
        raise NotYet(
            f"the largest number of channel {largest.argmin()} is {largest.min():.0f}: 127 steps are there to use"
        )
    if (error > best / 2 * 1.01 + 1e-12).any():
        c, d = np.unravel_index((error / np.maximum(best, 1e-9)).argmax(), error.shape)
        apart = f"a weight of {weights[c, d]:.3g} comes back as {scales[c] * codes[c, d]:.3g}"
        raise NotYet(f"{apart}, more than half a step away; a step is its channel's largest weight / 127")
    if not np.array_equal(given, weights):
        raise NotYet(
            "codes and scales are right, but the weights that were handed in have changed: work on a new array"
        )
    return "each channel has its own steps: the loud one no longer coarsens the quiet ones, and zeros stay zeros"


CHANGED = {"zeros": 0, "narrow": 57, "int8": 8}  # of 1000 scans
KILOBYTES = {"original": 100, "zeros": 100, "narrow": 28, "int8": 31}


def judge_shelf(pick, worst) -> str:
    """13.4: small enough, and sure enough to decide alike."""
    choice(pick, tuple(CHANGED), "pick")
    worst = number(worst, "worst")
    if pick == "zeros":
        raise NotYet(
            f"zeros changes no decision, and takes {KILOBYTES['zeros']} kB: the browser allows half of the original"
        )
    interval = wilson_interval(CHANGED[pick], 1000)
    if pick == "narrow":
        raise NotYet(
            f"narrow is the smallest, but changes {interval.value:.1%} of the decisions: what did the clinic allow?"
        )
    if abs(worst - interval.high) < 0.00035:
        return f"{interval.high:.1%} of the decisions at most: that can be promised, not the {interval.value:.1%} seen"
    normal = interval.value + 1.96 * (interval.value * (1 - interval.value) / 1000) ** 0.5
    for value, help in (
        (interval.value, "is the share seen on these thousand scans; others may be less kind. Take its interval"),
        (100 * interval.high, "is in per cent; give the share, between 0 and 1"),
        (1000 * interval.high, "is a number of scans; give the share, between 0 and 1"),
        (interval.low, "is the lower end: the clinic fears the upper one"),
        (normal, "comes from a normal curve, too narrow so near to nought: Wilson's interval is sound there"),
        (1 - interval.value, "is about the decisions that stay as they are; the clinic asks for those that change"),
    ):
        if abs(worst / value - 1) < 0.03:
            raise NotYet(f"{worst:.4g} {help}")
    raise NotYet(f"worst is {worst:g}: the upper end of the 95 % Wilson interval of {CHANGED[pick]} in 1000")


EXERCISES = {
    "13.1": Exercise(
        "How large is the file?",
        "predict",
        judge_sizes,
        (
            "Ask of each way: how many numbers stand in the file, and how many bytes does each of them take?",
            "Zeros: as many numbers of as many bytes. Channels: half times half. Bits: a quarter of the bytes.",
        ),
    ),
    "13.2": Exercise(
        "What the student pays",
        "repair",
        judge_teacher,
        (
            "Two things are missing, both in the teacher's part: a factor, and the mean that the task speaks of.",
            'T**2 * F.kl_div(log_softmax(student / T), softmax(teacher / T), reduction="batchmean").',
        ),
    ),
    "13.3": Exercise(
        "Eight bits, by channel",
        "write",
        judge_quantise,
        (
            "The largest weight of a channel becomes 127 or -127. What about a channel of nothing but zeros?",
            "scales = abs(weights).max(axis=1) / 127, 1 in place of 0; codes = (weights / scales[:, None]).round().",
        ),
    ),
    "13.4": Exercise(
        "A model for the browser",
        "decide",
        judge_shelf,
        (
            "Strike out what is too large, then what changes too many decisions: by its interval, not by its count.",
            "wilson_interval(changed, 1000).high, from course_utils.metrics, for the one that is left.",
        ),
    ),
}
