"""Exercises of lesson 10: what frozen means, pseudo-labels of every class, and when a loan is worth it."""

from __future__ import annotations

import copy
import math
from functools import wraps

import numpy as np
import torch
from torch import nn

from course_utils.exercises.answers import entries, floats
from course_utils.exercises.core import Exercise, NotTried, NotYet, ask, choice, number
from course_utils.metrics import seed_interval

LESSON = "10_learn_more_from_data"

WHAT = (
    "weights of the frozen convolution",
    "gain of the frozen normalisation",
    "running mean of the frozen normalisation",
    "weights of the new head",
    "what the old head answers on the stages",
)
MOVES = {name: place > 1 for place, name in enumerate(WHAT)}
REASONS = {
    WHAT[0]: "no gradient reaches a weight with requires_grad off, and no optimizer moves it",
    WHAT[1]: "the gain is a parameter like any other weight: what did requires_grad_(False) do to it?",
    WHAT[2]: "no gradient moves it: it is measured, whenever the layer is in training mode. In which mode is it here?",
    WHAT[3]: "the head is not frozen: it has a gradient, and the optimizer takes a step",
    WHAT[4]: "in evaluation mode the stages normalise by the running statistics. Are these still the old ones?",
}


def judge_frozen(guesses) -> str:
    """10.1: one step after `requires_grad_(False)` and `model.train()`."""
    entries(guesses, WHAT, "guesses")
    for name in WHAT:
        if choice(guesses[name], ("changes", "stays"), name) != ("changes" if MOVES[name] else "stays"):
            raise NotYet(f"{name}: {REASONS[name]}")
    return "not one weight moved, and the lender's service is another one: freeze the mode as well as the weights"


def small_model() -> nn.Sequential:
    """Three stages with normalisation, and a head."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        stages = [nn.Sequential(nn.Linear(5, 5), nn.BatchNorm1d(5), nn.ReLU()) for _ in range(3)]
        return nn.Sequential(*stages, nn.Linear(5, 3))


def judge_prepare(prepare) -> str:
    """10.2: frozen parts stay still through an epoch, whatever mode the model was in."""
    model = small_model()
    model[2].eval()  # so that even model.train() alone does something
    quiet = wraps(prepare)(lambda *parts: (prepare(*parts), "done")[1])  # it returns nothing
    for epoch in range(2):
        state = modes(model)
        ask(quiet if callable(prepare) else prepare, model, [model[0], model[1]])
        if epoch == 0 and modes(model) == state:
            raise NotTried
        before = copy.deepcopy(model.state_dict())
        if not any(weight.requires_grad for weight in model[3].parameters()):
            raise NotYet("the head has no gradient either: nothing would be learned. Freeze the frozen parts only")
        images = torch.randn(16, 5, generator=torch.Generator().manual_seed(epoch)) + 3
        model(images).square().mean().backward()
        with torch.no_grad():
            for weight in model.parameters():
                if weight.grad is not None and weight.requires_grad:
                    weight -= 0.1 * weight.grad
        check_still(before, model, epoch)
        model.eval()  # as `evaluate` leaves it at the end of an epoch
    return "training mode for all, then evaluation mode for what is frozen, before every epoch: nothing moves in secret"


def modes(model: nn.Module) -> list[bool]:
    """What `prepare` can set: who is in training mode, and who has a gradient."""
    return [part.training for part in model.modules()] + [weight.requires_grad for weight in model.parameters()]


def check_still(before: dict, model: nn.Module, epoch: int) -> None:
    """Raises NotYet when one of the first two stages has moved, or the third has not."""
    after = model.state_dict()
    when = "in the first epoch" if epoch == 0 else "in the second epoch, after evaluate had called model.eval()"
    still = {name: torch.equal(before[name], after[name]) for name in after}
    if still["0.0.weight"] and still["0.1.running_mean"] and not (still["1.0.weight"] and still["1.1.running_mean"]):
        raise NotYet(f"of two frozen stages the first stands still, the second has moved {when}: is it forgotten?")
    if not still["0.0.weight"]:
        raise NotYet(f"a frozen weight has moved {when}: requires_grad_(False) is missing, with its underscore")
    if not still["0.1.running_mean"]:
        raise NotYet(f"no frozen weight moved, but a frozen stage's running mean did, {when}: in which mode was it?")
    if still["2.0.weight"]:
        raise NotYet(f"the last stage, which should learn, has not moved {when}")
    if still["2.1.running_mean"]:
        raise NotYet(f"the stage that learns is in evaluation mode {when}: who puts it back into training mode?")


def judge_surest(surest) -> str:
    """10.3: of each class that the teacher names, the surest scans."""
    rng = np.random.default_rng(0)
    probs = rng.dirichlet([6, 2, 1, 0.7], 200)
    probs[:, 3] *= 0.2  # the last class is named, but never with confidence
    probs /= probs.sum(axis=1, keepdims=True)
    probs = np.concatenate([probs, [[0.1, 0.2, 0.3, 0.4], [0.46, 0.02, 0.1, 0.42]]])  # the last is called class 0
    kept = ask(surest, probs.copy(), 0.3)
    kept = floats(kept, (len(probs),), "the result (True for a scan that is kept)") != 0
    named, sure = probs.argmax(axis=1), probs.max(axis=1)
    for k in np.unique(named):
        rows = named == k
        wanted, got = math.ceil(0.3 * rows.sum()), int(kept[rows].sum())
        if got == wanted:
            if sure[rows & kept].min() < sure[rows & ~kept].max(initial=0):
                raise NotYet(
                    f"class {k}: as many as there should be, but not the surest. In which order are they sorted?"
                )
            continue
        if kept.sum() == math.ceil(0.3 * len(probs)) and sure[kept].min() > sure[~kept].max():
            raise NotYet("the surest of all scans, whatever their class: the rare class is left out, as in the lesson")
        if got == int(0.3 * rows.sum()):
            raise NotYet(f"class {k} is named {rows.sum()} times and keeps {got}: rounded down, a rare one has none")
        raise NotYet(f"the teacher calls {rows.sum()} scans class {k}: {wanted} of these should be kept, and {got} are")
    empty = floats(ask(surest, np.array([[0.9, 0.1, 0.0], [0.8, 0.2, 0.0]]), 0.5), (2,), "the result") != 0
    if empty.tolist() != [True, False]:
        raise NotYet(
            f"two scans, both called class 0, and half to keep: yours keeps {int(empty.sum())}. "
            "Does a class that is never named, or an even number, upset the count?"
        )
    return "every class has its share. Whether these labels are right is another question: look at the rare class first"


SCORES = {
    50: {"scratch": [0.31, 0.36, 0.28, 0.33], "longer": [0.33, 0.37, 0.28, 0.34], "loan": [0.40, 0.42, 0.36, 0.41]},
    200: {"scratch": [0.45, 0.49, 0.44, 0.47], "longer": [0.53, 0.55, 0.52, 0.55], "loan": [0.54, 0.55, 0.51, 0.56]},
}


def judge_loan(fifty, two_hundred, gain) -> str:
    """10.4: a loan against the rival that costs only a night."""
    options = ("borrow", "train longer")
    choice(fifty, options, "fifty")
    choice(two_hundred, options, "two_hundred")
    gain = number(gain, "gain")
    scores = {count: {way: np.array(values) for way, values in ways.items()} for count, ways in SCORES.items()}
    over = {count: seed_interval(ways["loan"] - ways["longer"]) for count, ways in scores.items()}
    if two_hundred == "borrow":
        raise NotYet(f"at 200 labels the loan is {over[200]:.3f} above longer training: does that leave out 0?")
    if fifty == "train longer":
        raise NotYet(
            f"longer training gains {np.mean(scores[50]['longer'] - scores[50]['scratch']):.3f} at 50 labels. The loan?"
        )
    if abs(gain - np.mean(scores[50]["loan"] - scores[50]["scratch"])) < 0.0008:
        raise NotYet(f"{gain:.4f} is the gain over training from scratch: part of it is time, which needs no loan")
    if abs(gain - over[200].value) < 0.0008:
        raise NotYet(f"{gain:.4f} is the gain at two hundred labels; it is the loan at fifty that has to be defended")
    if min(abs(gain - over[50].low), abs(gain - over[50].high)) < 0.0008:
        raise NotYet(f"{gain:.4f} is one end of the interval; asked for is the mean gain")
    if abs(gain - over[50].value) > 0.0008:
        raise NotYet(f"gain is {gain:.4f}: the mean over the seeds of loan less its free rival, at fifty labels")
    return f"{over[50]:.3f} beyond what patience gives: few labels need a loan, more labels need a night"


EXERCISES = {
    "10.1": Exercise(
        "Frozen, and yet it moves",
        "predict",
        judge_frozen,
        (
            "Batch normalisation holds two kinds of numbers: some learn by gradient, others are measured.",
            "Running statistics are measured in training mode, frozen or not, and used in evaluation mode.",
        ),
    ),
    "10.2": Exercise(
        "Still means still",
        "repair",
        judge_prepare,
        (
            "Two things make a part move: gradients, and training mode. And which call comes last?",
            "model.train() first; then, for each frozen part, part.requires_grad_(False) and part.eval().",
        ),
    ),
    "10.3": Exercise(
        "Pseudo-labels for every class",
        "write",
        judge_surest,
        (
            "Go class by class: which rows does the teacher give this class, and how sure is it of each?",
            "rows = np.flatnonzero(probs.argmax(1) == k); keep the ceil(share * n) largest probs[rows, k].",
        ),
    ),
    "10.4": Exercise(
        "A loan or a night?",
        "decide",
        judge_loan,
        (
            "The honest rival is not training from scratch, but what you would do with the same time and no loan.",
            "At each label count take loan less longer, seed by seed, with its interval. Borrow where it lies above 0.",
        ),
    ),
}
