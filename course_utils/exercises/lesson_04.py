"""Exercises of lesson 04: losses in the head, a broken step, a gradient by hand, and a loss that is insured."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from course_utils.exercises.answers import close, entries, floats
from course_utils.exercises.core import Exercise, NotTried, NotYet, ask, choice, number

LESSON = "04_train_from_scratch"

# ── 04.1 ─────────────────────────────────────────────────────────────────────────────────────────────────────────────
SHARES = (0.47, 0.32, 0.13, 0.08)
LOSSES = {
    "untrained, four classes": math.log(4),
    "untrained, two classes": math.log(2),
    "true class gets 0.01": -math.log(0.01),
    "true class gets 1": 0.0,
    "always the class shares": -sum(p * math.log(p) for p in SHARES),
}


def judge_first_losses(guesses) -> str:
    """04.1: cross-entropies in nats that need no computer, or hardly one."""
    entries(guesses, LOSSES, "guesses")
    for name, wanted in LOSSES.items():
        said = number(guesses[name], name)
        if abs(said - wanted) <= 0.02:
            continue
        if said < 0:
            raise NotYet(f"{name}: logarithms of probabilities are negative, cross-entropies never: a minus is missing")
        for base, words in (2, "is in bits, with base two"), (10, "comes from the logarithm to base ten"):
            if abs(said - wanted / math.log(base)) < 0.02:
                raise NotYet(f"{name}: {said:g} {words}; the course counts in nats, with the natural logarithm")
        if abs(said - math.exp(-wanted)) < 0.005:
            raise NotYet(f"{name}: {said:g} is a probability, that of the true class; the loss is minus its logarithm")
        if name == "always the class shares":
            equal = "ln 4 is for four equal classes" if abs(said - math.log(4)) < 0.02 else f"not {said:g}"
            raise NotYet(f"{name}: {equal}; each class has a loss of its own: average the four, each with its share")
        raise NotYet(f"{name}: not {said:g}. Which probability has the true class? The loss is minus its logarithm")
    return "ln K is where a sound classifier starts, the class shares are the habit to beat: look at both first"


# ── 04.2 ─────────────────────────────────────────────────────────────────────────────────────────────────────────────
def _reference(weight, batches, lr: float) -> list[torch.Tensor]:
    """The weights of a linear model after each sound step of plain descent on the squared error."""
    weight, seen = weight.clone(), []
    for x, y in batches:
        slope = 2 * ((x @ weight.T).squeeze(1) - y) @ x / len(y)
        weight = weight - lr * slope[None]
        seen.append(weight)
    return seen


def _run(step, model: nn.Module, *rest) -> object:
    """What a step returns; one that works and returns nothing has been tried."""
    try:
        return ask(step, model, *rest)
    except NotTried:
        if model.weight.grad is None:
            raise
        raise NotYet("step works and returns nothing: the loss, as a number, should come back") from None


def judge_step(step) -> str:
    """04.2: a training step for one number a scan: shapes, clearing, and what it returns."""
    rng = torch.Generator().manual_seed(4)
    model = nn.Linear(3, 1, bias=False, dtype=torch.float64)
    model.weight.data = torch.randn(1, 3, generator=rng, dtype=torch.float64)
    batches = [(torch.randn(n, 3, generator=rng).double(), torch.randn(n, generator=rng).double()) for n in (8, 8, 1)]
    optimizer, start, after = torch.optim.SGD(model.parameters(), lr=0.1), model.weight.detach().clone(), []
    for x, y in batches:
        before = (model(x).squeeze(1) - y).square().mean().item()
        crossed = (model(x) - y).square().mean().item()  # (N, 1) - (N,) is a table N × N
        loss = _run(step, model, optimizer, x, y)
        after.append(model.weight.detach().clone())
        if isinstance(loss, torch.Tensor) and loss.requires_grad:
            raise NotYet("what comes back still carries its graph, and every batch stays in memory: return loss.item()")
        value = number(loss, "the loss that step returns")
        if not close(value, before, 1e-6) and close(value, crossed, 1e-6):
            shapes = f"model(inputs) is {tuple(model(x).shape)}, targets {tuple(y.shape)}"
            raise NotYet(f"{shapes}: which shape has their difference?")
        if torch.equal(after[-1], after[-2] if len(after) > 1 else start):
            raise NotYet("the weights do not move: are backward and step both there, in this order, nothing between?")
        if not close(value, before, 1e-6):
            times = f", {value / before:.3g} times as much" if value > 1.5 * before else ""
            raise NotYet(f"the mean squared error was {before:.4f} before the step, and yours says {value:.4f}{times}")
    sound = _reference(start, batches, 0.1)
    if not close(after[0], sound[0], 1e-8):
        raise NotYet("already the first step goes elsewhere than plain descent on the mean squared error would")
    if not close(after[1], sound[1], 1e-8):
        raise NotYet("the first step is right, the second follows an old batch, too: backward() adds to .grad")
    if not close(after[2], sound[2], 1e-8):
        raise NotYet("full batches work, a last batch of a single scan does not: look at its shapes")
    return "clear, forward, backward, step, and a number comes back: three bugs of which none had raised an error"


# ── 04.3 ─────────────────────────────────────────────────────────────────────────────────────────────────────────────
def _slip(values, name: str, x, w, b, y) -> str | None:
    """The slip in the slopes along the logits that gives these very values, in words."""
    logits, truth = x @ w.T + b, F.one_hot(y, len(b))
    slips = {
        "the truth is missing. Subtract one where each scan's true class stands": logits.softmax(1),
        "each scan lost a one for every class in y; only its own should": logits.softmax(1) - truth.amax(0),
        "softmax ran down the scans; the classes of one scan share its probability": logits.softmax(0) - truth,
        "the logits are x @ w.T alone; where are the biases b?": (logits - b).softmax(1) - truth,
    }
    along = (lambda delta: delta.T @ x / len(x)) if name == "weights" else (lambda delta: delta.mean(0))
    return next((sentence for sentence, delta in slips.items() if close(values, along(delta).numpy())), None)


def judge_gradient(gradient) -> str:
    """04.3: slopes of the mean cross-entropy along weights and biases of a linear layer, against autograd."""
    rng = torch.Generator().manual_seed(5)
    for size, inputs, classes, factor in ((7, 5, 4, 1.0), (1, 3, 2, 1.0), (6, 4, 3, 500.0)):
        x, w, b = (
            torch.randn(s, generator=rng, dtype=torch.float64) for s in ((size, inputs), (classes, inputs), (classes,))
        )
        w = (factor * w).requires_grad_()
        b.requires_grad_()
        y = torch.randint(classes - (factor > 1), (size,), generator=rng)  # a batch may lack the last class
        F.cross_entropy(x @ w.T + b, y).backward()
        w_grad, b_grad, w, b = w.grad, b.grad, w.detach(), b.detach()
        try:
            with torch.no_grad():  # the task is to do without autograd
                said = ask(gradient, x.clone(), w.clone(), b.clone(), y.clone())
        except NotYet as error:
            if "does not require grad" in str(error):
                raise NotYet("autograd is switched off here: write the slopes out, from section 3's facts") from None
            raise NotYet(f"{error}; x was {tuple(x.shape)}, w {tuple(w.shape)}, y {y.tolist()}") from None
        if not isinstance(said, tuple | list) or len(said) != 2:
            raise NotYet("two tensors should come back: the slopes along the weights, then those along the biases")
        if hasattr(said[0], "shape") and tuple(said[0].shape) == (inputs, classes) != (classes, inputs):
            raise NotYet(f"the slopes have the shape {(inputs, classes)}, the weights {(classes, inputs)}")
        if factor > 1 and not all(torch.as_tensor(part).isfinite().all() for part in said):
            raise NotYet("large logits give NaN: exp overflows. Subtract each row's largest, or use torch.softmax")
        for name, ours, theirs in zip(("weights", "biases"), said, (w_grad, b_grad), strict=True):
            values, right = floats(ours, tuple(theirs.shape), f"the slopes along the {name}"), theirs.numpy()
            if close(values, right, 1e-5):
                continue
            ratio = float((values * right).sum() / (right**2).sum())
            if ratio and close(values, ratio * right):
                if ratio < 0:
                    raise NotYet(f"{name}: the sign is turned: probability minus truth, not truth minus probability")
                off = f"{ratio:.3g} times too large" if ratio > 1 else f"{1 / ratio:.3g} times too small"
                raise NotYet(f"{name}: {off}. The loss is a mean over the {size} scans: divide by their number once")
            if slip := _slip(values, name, x, w, b, y):
                raise NotYet(f"{name}: {slip}")
            where = " where logits are in the thousands" if factor > 1 else ""
            raise NotYet(f"{name}: the largest difference from autograd is {np.abs(values - right).max():.3g}{where}")
    return "two facts gave the whole gradient: probability minus truth, then the slopes travel back through the product"


# ── 04.4 ─────────────────────────────────────────────────────────────────────────────────────────────────────────────
REPAIRED = np.array([262, 281, 288, 295, 301, 307, 316, 330, 340, 371, 410.0])
TYPED = np.where(np.isin(REPAIRED, (307, 410)), REPAIRED / 1000, REPAIRED)


def judge_insurance(chosen, moved) -> str:
    """04.4: how far two slips move the favourite of each loss, and which loss to take."""
    entries(moved, ("MSE", "MAE"), "moved")
    right = {"MSE": TYPED.mean() - REPAIRED.mean(), "MAE": float(np.median(TYPED) - np.median(REPAIRED))}
    said = {name: number(value, f'moved["{name}"]') for name, value in moved.items()}
    if close(said["MSE"], right["MAE"], 1e-2) and close(said["MAE"], right["MSE"], 1e-2):
        raise NotYet("the two are exchanged: squares are smallest at the mean, absolute errors at the median")
    for name, value in said.items():
        if abs(value + right[name]) < 0.6:
            raise NotYet(f"{name}: {value:g} µm would be upwards; the slips are small numbers and pull down")
        if abs(value - right[name]) > 0.6:
            where = "mean" if name == "MSE" else "median, the sixth of eleven in order,"
            raise NotYet(f"{name}: not {value:g} µm. Its favourite is the {where} of the targets: subtract the two")
    if choice(chosen, ("MSE", "MAE"), "chosen") != "MAE":
        moves = f"{said['MSE']:.0f} µm for MSE, {said['MAE']:.0f} for MAE"
        raise NotYet(f"you measured {moves}: which one is less easily led away?")
    return "a median moves by ranks, a mean by distances: an insurance against slips, and no reason to leave them in"


EXERCISES = {
    "04.1": Exercise(
        "Losses you can say beforehand",
        "predict",
        judge_first_losses,
        (
            "Cross-entropy is minus the natural logarithm of the probability of the true class. Untrained: one in K.",
            "ln 4, ln 2, -ln 0.01, -ln 1; and for the shares -(0.47 ln 0.47 + 0.32 ln 0.32 + 0.13 ln 0.13 + 0.08 "
            "ln 0.08).",
        ),
    ),
    "04.2": Exercise(
        "Three bugs, no error",
        "repair",
        judge_step,
        (
            "Print the shapes of model(inputs), of targets, and of their difference. Then count what each of the "
            "four lines does.",
            "optimizer.zero_grad(); loss = ((model(inputs).squeeze(1) - targets) ** 2).mean(); backward; step; "
            "return loss.item().",
        ),
        points=2,
    ),
    "04.3": Exercise(
        "A gradient by hand",
        "write",
        judge_gradient,
        (
            "Section 3 has two facts: one gives the slopes along the logits, (N, K), the other takes them on to w and "
            "b. Where does the mean over the scans come in?",
            "delta = torch.softmax(x @ w.T + b, 1); delta[torch.arange(len(y)), y] -= 1; delta /= len(y); "
            "return delta.T @ x, delta.sum(0).",
        ),
        points=2,
    ),
    "04.4": Exercise(
        "Which loss is insured?",
        "decide",
        judge_insurance,
        (
            "Which one number is closest to all in squares, which in plain distances? Section 2 names both. Compare "
            "each with itself, after minus before.",
            "typed.mean() - repaired.mean() and np.median(typed) - np.median(repaired); both are negative.",
        ),
        points=2,
    ),
}
