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
    zeros, narrow, int8 = (number(guesses[name], name) for name in SIZES)
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
    if abs(int8 - 25) > 6:
        raise NotYet(f"bits: {int8:g} kB? A float takes four bytes, a whole number from -127 to 127 takes one")
    return "zeros save nothing unless the file is zipped; channels count on both sides; bits count as they are"


def lesson_loss(student, teacher, targets, temperature, alpha, *, square=True, over=1, swap=False):
    """Hinton's loss, and what is often made of it."""
    soft, wanted = (student / temperature).log_softmax(1), (teacher / temperature).log_softmax(1)
    first, second = (wanted, soft) if swap else (soft, wanted)
    distance = F.kl_div(first, second, reduction="batchmean", log_target=True) / over
    return alpha * (temperature**2 if square else 1) * distance + (1 - alpha) * F.cross_entropy(student, targets)


def judge_teacher(taught_loss) -> str:
    """13.2: what the student pays."""
    draw = torch.Generator().manual_seed(0)
    student, teacher = (2 * torch.randn(12, 4, generator=draw) for _ in range(2))
    student.requires_grad_()
    setup = (student, teacher, torch.randint(4, (12,), generator=draw), 3.0, 0.7)
    loss = ask(taught_loss, *setup)
    if not isinstance(loss, torch.Tensor) or loss.numel() != 1:
        raise NotYet("the loss should be a tensor of one number, or the student learns nothing")
    got = floats(loss, what="the loss").reshape(())
    right = floats(lesson_loss(*setup))
    if close(got, right):
        if not loss.requires_grad:
            raise NotYet("the number is right, but it has no gradient: do not detach the student")
        return "the same pull at every temperature, a distance for each scan, and the teacher is the one to be matched"
    hot = (student, teacher, setup[2], 1 / 3.0, 0.7)
    for value, help in (
        (
            lesson_loss(*setup, over=4, square=False),
            "two things: the mean runs over classes, too, and T² is missing",
        ),
        (
            lesson_loss(*setup, square=False),
            "dividing by T makes the gradient smaller by T²; what puts it back is missing",
        ),
        (
            lesson_loss(*setup, over=4),
            'the mean is over scans and classes; KL is a sum over classes ("batchmean")',
        ),
        (lesson_loss(*setup, swap=True), "the distance is taken the wrong way round: from the student to the teacher"),
        (lesson_loss(*setup[:4], 0.3), "alpha and 1 - alpha have changed places"),
        (lesson_loss(*hot), "the logits are multiplied by the temperature; a higher one should make answers softer"),
        (lesson_loss(*hot) - 0.7 * (1 / 9 - 9) * kl(hot), "the logits are multiplied by the temperature, not divided"),
    ):
        if close(got, floats(value)):
            raise NotYet(help)
    soft_label = lesson_loss(*setup) + 0.3 * (
        F.cross_entropy(student / 3, setup[2]) - F.cross_entropy(student, setup[2])
    )
    if close(got, floats(soft_label)):
        raise NotYet("the label's cross-entropy is softened, too; the temperature is for the teacher's part alone")
    raise NotYet(
        f"on twelve scans your loss is {float(got):.3f}: check alpha · T² · KL(teacher to student) + (1 - alpha) · CE"
    )


def kl(setup) -> torch.Tensor:
    """The bare distance of `lesson_loss`."""
    return lesson_loss(*setup[:4], 1.0, square=False)


def judge_quantise(quantise) -> str:
    """13.3: weights as w ≈ scale · q, one scale a channel."""
    rng = np.random.default_rng(0)
    weights = rng.standard_normal((5, 40)) * np.array([[0.02], [0.3], [1.0], [8.0], [0.0]])
    codes, scales = pair(ask(quantise, weights.copy()), "what quantise returns")
    codes = floats(codes, weights.shape, "the whole numbers")
    scales = floats(scales, what="the scales").reshape(-1)
    if (codes != codes.round()).any():
        raise NotYet(f"{codes[codes != codes.round()][0]:.2f} is no whole number: round what you divide")
    if np.abs(codes).max() > 127:
        raise NotYet(f"{np.abs(codes).max():.0f} does not fit into -127 to 127")
    if len(scales) == 1:
        raise NotYet("one scale for all: the channel with small weights is left with nothing but zeros. One a channel")
    if len(scales) != len(weights):
        raise NotYet(f"there are {len(weights)} channels and {len(scales)} scales: along which axis did you look?")
    error = np.abs(scales[:, None] * codes - weights).max(axis=1)
    best = np.abs(weights).max(axis=1) / 127
    if codes.max() < 100 or np.abs(codes[:4]).max(axis=1).min() < 126:
        raise NotYet(
            f"a channel's largest number is only {np.abs(codes[:4]).max(axis=1).min():.0f}: 127 steps are there to use"
        )
    if (error > best / 2 * 1.01 + 1e-12).any():
        steps = (error[:4] / best[:4]).max()
        raise NotYet(f"a weight is off by {steps:.2f} steps; rounding to the nearest is off by half a step at most")
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
    if abs(worst - interval.value) < 0.0003:
        raise NotYet(f"{worst:g} is the share seen on these thousand scans; others may be less kind. Take its interval")
    if abs(worst - 100 * interval.high) < 0.04:
        raise NotYet(f"{worst:g} is in per cent; give the share, between 0 and 1")
    if abs(worst - interval.low) < 0.0003:
        raise NotYet(f"{worst:.4f} is the lower end: the clinic fears the upper one")
    normal = interval.value + 1.96 * (interval.value * (1 - interval.value) / 1000) ** 0.5
    if abs(worst - normal) < 0.0003:
        raise NotYet(
            f"{worst:.4f} comes from a normal curve, too narrow so near to nought: Wilson's interval is sound there"
        )
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
            "Compare with the formula, sign by sign. F.kl_div wants *log*-probabilities of the student first.",
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
