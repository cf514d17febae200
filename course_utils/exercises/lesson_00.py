"""Exercises of lesson 00: functions that are learned, and where they break."""

from __future__ import annotations

import torch

from course_utils.exercises.answers import entries
from course_utils.exercises.core import Exercise, NotYet, ask, choice

LESSON = "00_start_here"

BEHAVIOURS = ("holds far outside", "good inside only", "poor even inside")
RULES = {"a - 2 * b": "holds far outside", "a * b": "poor even inside", "max(a, b)": "good inside only"}


def judge_reach(guesses) -> str:
    """00.1: what one linear layer, taught on pairs between -1 and 1, makes of each rule."""
    for rule, guess in entries(guesses, RULES, "guesses").items():
        choice(guess, BEHAVIOURS, rule)
    if guesses["a - 2 * b"] != "holds far outside":
        raise NotYet(
            "a - 2 * b is itself a weighted sum: which three numbers would make nn.Linear(2, 1) exactly that rule?"
        )
    if guesses["a * b"] != "poor even inside":
        raise NotYet(
            "a * b: the lesson measured the skill of a linear layer on products inside its examples. What was it?"
        )
    if guesses["max(a, b)"] == "holds far outside":
        raise NotYet(
            "max(a, b) has a kink along a = b, and a plane has none: it can follow roughly, but ever further out?"
        )
    if guesses["max(a, b)"] == "poor even inside":
        raise NotYet(
            "max(a, b) is half of a + b, plus half of the distance between them: the first half is a plane. Run it"
        )
    return "only the rule that the structure contains holds everywhere; the kink of max is out of a plane's reach"


def tensor(answer, shape: torch.Size, what: str) -> torch.Tensor:
    """The answer in float64 if it is a tensor of this shape; NotYet in words otherwise."""
    if not isinstance(answer, torch.Tensor) or answer.shape != shape:
        is_ = tuple(answer.shape) if isinstance(answer, torch.Tensor) else f"a {type(answer).__name__}"
        raise NotYet(f"{what} should be a tensor of the shape {tuple(shape)}, and is {is_}")
    return answer.detach().double()


def judge_products(prepare, finish) -> str:
    """00.2: products of positive numbers by a layer that adds, with another question and another answer."""
    pairs = torch.tensor([[0.5, 4.0], [2.0, 3.0], [30.0, 20.0], [7.0, 0.1]])
    handed = pairs.clone()
    inputs = tensor(ask(prepare, handed), pairs.shape, "what prepare returns")
    if not torch.equal(handed, pairs):
        raise NotYet("prepare writes into the pairs it was handed: return new ones, the next reading needs the old")
    if torch.equal(inputs, pairs.double()):
        raise NotYet("prepare hands the pairs on unchanged: a plane over a and b is still no product")
    mixed = ask(prepare, torch.stack([pairs[:, 0], pairs[:, 1].flip(0)], dim=1))  # each a beside another b
    if not torch.allclose(mixed.double(), torch.stack([inputs[:, 0], inputs[:, 1].flip(0)], dim=1)):
        raise NotYet("prepare gives a number another value beside another partner: joining the two is the layer's work")
    outputs = tensor(ask(finish, inputs.sum(1)), pairs.shape[:1], "what finish returns")
    wanted = pairs.double().prod(1)
    if torch.allclose(outputs, wanted.log(), rtol=1e-4):
        raise NotYet("that is the logarithm of the product: finish has to undo what prepare did")
    if not torch.allclose(outputs, wanted, rtol=1e-4):
        a, b = pairs[2].tolist()
        back = float(ask(finish, inputs[:, 0])[2])
        if abs(back / a - 1) > 1e-3:
            raise NotYet(f"finish does not undo prepare: {a:.0f} goes in and comes back as {back:.4g}")
        raise NotYet(
            f"for {a:.0f} × {b:.0f}, a layer that adds ends at {outputs[2]:.4g}: which function turns × into +?"
        )
    return "the structure now contains the truth: a sum of logarithms, and far outside it still holds"


def judge_dimmed(dim) -> str:
    """00.3: dimmed copies of a batch of scans, each with its own brightness."""
    scans = torch.rand(64, 1, 8, 8, generator=torch.Generator().manual_seed(0)) + 0.5
    handed = scans.clone()
    answer = tensor(ask(dim, handed, 0.3, 0.9, torch.Generator().manual_seed(1)), scans.shape, "the copies")
    if not torch.equal(handed, scans):
        raise NotYet("the scans that were handed in are dim now, too: copies were asked for, and no scan lost")
    factors = (answer / scans).flatten(1)
    if (factors.std(1) > 1e-4).any():
        least, most = factors[factors.std(1).argmax()].aminmax()
        raise NotYet(
            f"within one scan the factor runs from {least:.2f} to {most:.2f}: a dimmer lamp is one number for all "
            f"its pixels, and nothing is cut or rounded afterwards"
        )
    if factors.mean(1).std() < 1e-4:
        raise NotYet("every scan got the same factor: draw one for each scan, shape (N, 1, 1, 1)")
    low, high = factors.min().item(), factors.max().item()
    if low < 0.299 or high > 0.901:
        raise NotYet(f"the factors should lie between 0.3 and 0.9, and run from {low:.2f} to {high:.2f}")
    if factors.mean().sub(0.6).abs() > 0.08:
        raise NotYet(f"the mean factor is {factors.mean():.2f}; uniform between 0.3 and 0.9 it would be about 0.6")
    again, other = (ask(dim, scans.clone(), 0.3, 0.9, torch.Generator().manual_seed(seed)) for seed in (1, 2))
    if not torch.equal(answer, again.double()):
        raise NotYet("the same generator gave two different results: draw from the generator that is passed in")
    if torch.equal(answer, other.double()):
        raise NotYet("two different generators gave the same factors: who passes one in wants to choose the chance")
    return "one factor a scan, drawn from the generator: a run that can be repeated"


TASKS = {
    "value-added tax": "written",
    "spam": "learned",
    "the shortest route": "written",
    "a cat in a photo": "learned",
    "bread sold tomorrow": "learned",
}
WHY = {
    "value-added tax": "the rule stands in a law: nothing is left to learn, and one wrong cent would be illegal",
    "spam": "nobody can write the rule down, it changes every week, and examples come with every click on 'junk'",
    "the shortest route": "an algorithm proves its answer the best one; a learned function would only resemble it",
    "a cat in a photo": "you know a cat when you see one, and cannot say which pixels tell you",
    "bread sold tomorrow": "weather, weekday and holidays matter, by amounts that only past sales can tell",
}


def judge_learned_or_written(decisions) -> str:
    """00.4: which functions are worth learning."""
    entries(decisions, TASKS, "decisions")
    for task, wanted in TASKS.items():
        if choice(decisions[task], ("learned", "written"), task) != wanted:
            raise NotYet(f"{task}: {WHY[task]}")
    return "write what is known, learn what can only be shown"


EXERCISES = {
    "00.1": Exercise(
        "How far does a linear layer reach?",
        "predict",
        judge_reach,
        (
            "The layer w₁·a + w₂·b + c is a plane. Which of the three rules is a plane, and which is close to one?",
            "Exactly a plane: holds everywhere. Close to one inside the examples: good there only. A saddle: hopeless.",
        ),
    ),
    "00.2": Exercise(
        "Multiplication, mended",
        "repair",
        judge_products,
        (
            "What has to happen to two positive numbers so that adding does the work of multiplying?",
            "prepare takes the logarithm; finish takes the exponential of what the layer says.",
        ),
        points=2,
    ),
    "00.3": Exercise(
        "A lamp that dims",
        "write",
        judge_dimmed,
        (
            "One number for each scan: draw a tensor of shape (N, 1, 1, 1) and let broadcasting do the rest.",
            "low + (high - low) * torch.rand(…, generator=generator) is uniform between low and high.",
        ),
        points=2,
    ),
    "00.4": Exercise(
        "Learned or written?",
        "decide",
        judge_learned_or_written,
        (
            "Ask of each: could you type the rule? Must the answer be exact? Are there examples?",
            "Two of the five have exact rules that somebody has already written down.",
        ),
    ),
}
