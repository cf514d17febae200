"""Exercises of lesson 00: functions that are learned, and where they break."""

from __future__ import annotations

import torch

from course_utils.exercises.core import Exercise, NotYet, ask

LESSON = "00_start_here"

BEHAVIOURS = ("holds far outside", "good inside only", "poor even inside")
RULES = {"a - 2 * b": "holds far outside", "a * b": "poor even inside", "max(a, b)": "good inside only"}


def judge_reach(guesses) -> str:
    """00.1: what one linear layer, taught on pairs between -1 and 1, makes of each rule."""
    if not isinstance(guesses, dict) or set(guesses) != set(RULES):
        raise NotYet(f"guesses should be a dictionary with one entry for each of {', '.join(RULES)}")
    unknown = [guess for guess in guesses.values() if guess not in BEHAVIOURS]
    if unknown:
        raise NotYet(f"{unknown[0]!r} is none of the three behaviours: {', '.join(BEHAVIOURS)}")
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


def judge_products(prepare, finish) -> str:
    """00.2: products of positive numbers by a linear layer, with another question and another answer."""
    pairs = torch.tensor([[0.5, 4.0], [2.0, 3.0], [30.0, 20.0], [7.0, 0.1]], dtype=torch.float64)
    inputs = ask(prepare, pairs)
    if not isinstance(inputs, torch.Tensor) or inputs.shape != pairs.shape:
        raise NotYet(f"prepare should return a tensor of the shape it got, {tuple(pairs.shape)}")
    if torch.equal(inputs, pairs):
        raise NotYet("prepare hands the pairs on unchanged: a plane over a and b is still no product")
    summed = inputs.sum(1)  # what a linear layer with weights 1 and 1 would say
    outputs = ask(finish, summed)
    if not isinstance(outputs, torch.Tensor) or outputs.shape != summed.shape:
        raise NotYet(f"finish should return a tensor of the shape it got, {tuple(summed.shape)}")
    wanted = pairs.prod(1)
    if torch.allclose(outputs, wanted.log(), rtol=1e-4):
        raise NotYet("that is the logarithm of the product: finish has to undo what prepare did")
    if not torch.allclose(outputs, wanted, rtol=1e-4):
        a, b = pairs[2].tolist()
        raise NotYet(
            f"for {a:.0f} × {b:.0f}, a layer that adds ends at {outputs[2]:.4g}: which function turns × into +?"
        )
    return "the structure now contains the truth: a sum of logarithms, and far outside it still holds"


def judge_dimmed(dim) -> str:
    """00.3: dimmed copies of a batch of scans, each with its own brightness."""
    scans = torch.rand(64, 1, 8, 8, generator=torch.Generator().manual_seed(0)) + 0.5
    answer = ask(dim, scans.clone(), 0.3, 0.9, torch.Generator().manual_seed(1))
    if not isinstance(answer, torch.Tensor) or answer.shape != scans.shape:
        raise NotYet(f"the copies should have the shape of the scans, {tuple(scans.shape)}")
    factors = (answer / scans).flatten(1)
    if (factors.std(1) > 1e-4).any():
        raise NotYet("within one scan the factor differs from pixel to pixel: that is noise, not a dimmer lamp")
    if factors.mean(1).std() < 1e-4:
        raise NotYet("every scan got the same factor: draw one for each scan, shape (N, 1, 1, 1)")
    low, high = factors.min().item(), factors.max().item()
    if low < 0.299 or high > 0.901:
        raise NotYet(f"the factors should lie between 0.3 and 0.9, and run from {low:.2f} to {high:.2f}")
    if factors.mean().sub(0.6).abs() > 0.08:
        raise NotYet(f"the mean factor is {factors.mean():.2f}; uniform between 0.3 and 0.9 it would be about 0.6")
    again = ask(dim, scans.clone(), 0.3, 0.9, torch.Generator().manual_seed(1))
    if not torch.equal(answer, again):
        raise NotYet("the same generator gave two different results: draw from the generator that is passed in")
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
    if not isinstance(decisions, dict) or set(decisions) != set(TASKS):
        raise NotYet(f"decisions should be a dictionary with one entry for each of {', '.join(TASKS)}")
    for task, wanted in TASKS.items():
        if decisions[task] not in ("learned", "written"):
            raise NotYet(f'{task}: say "learned" or "written", not {decisions[task]!r}')
        if decisions[task] != wanted:
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
