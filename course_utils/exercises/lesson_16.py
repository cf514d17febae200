"""Exercises of lesson 16: who gets which scans, unequal shards, normalisation over workers, the right cable."""

from __future__ import annotations

import numpy as np
import torch

from course_utils.exercises.answers import close, entries, floats, pair
from course_utils.exercises.core import Exercise, NotYet, ask, choice, number

LESSON = "16_scale_out"

DEALT = {
    "sampler: scans each process gets": 13,
    "sampler: scans that come twice": 4,
    "in order: scans of the busiest worker": 13,
    "in order: answers when the shares are joined": 100,
}


def judge_dealt(guesses) -> str:
    """16.1: a hundred scans for eight processes, dealt for training and cut in order for answers."""
    entries(guesses, DEALT, "guesses")
    each, twice, busiest, joined = (number(guesses[name], name) for name in DEALT)
    if each != 13:
        more = "all must take equally many steps, so nobody may have fewer" if 12 <= each < 13 else "100 / 8 is 12.5"
        raise NotYet(f"the sampler gives each {each:g}? {more[0].upper()}{more[1:]}")
    if twice != 4:
        raise NotYet(f"{twice:g} twice? Eight times thirteen places have to be filled, with a hundred scans")
    if joined != 100:
        raise NotYet(f"{joined:g} answers for a hundred scans: in order nobody comes twice and nobody is left out")
    if busiest != 13:
        raise NotYet(
            f"the busiest has {busiest:g}? A hundred cannot be cut into eight equal parts; by how much do they differ?"
        )
    return "filled up so that all step together, or cut in order so that all answers fit: two jobs, two ways to split"


def averaged(losses, weights: torch.Tensor) -> np.ndarray:
    """What the engine makes of the processes' losses: the plain mean of their gradients."""
    wanted = {"retain_graph": True, "allow_unused": True}
    found = [torch.autograd.grad(loss.sum(), weights, **wanted)[0] if loss.requires_grad else None for loss in losses]
    if any(gradient is None for gradient in found):
        raise NotYet("the loss has no gradient any more: keep to operations on the tensor")
    return torch.stack(found).mean(0).numpy()


def judge_shards(share_of_loss) -> str:
    """16.2: an engine that averages plainly, and shards of unequal size."""
    for sizes in ((7, 3, 2), (5, 1, 1, 1)):  # the second finds out numbers of the first that were written in
        scans, world, cut = sum(sizes), len(sizes), ", ".join(map(str, sizes))
        draw = torch.Generator().manual_seed(0)
        weights = torch.randn(3, generator=draw, requires_grad=True)
        losses = (torch.randn(scans, 3, generator=draw) @ weights - torch.randn(scans, generator=draw)).square()
        shards = losses.split(sizes)
        said = [ask(share_of_loss, shard.clone(), scans, world) for shard in shards]
        if not all(isinstance(loss, torch.Tensor) and loss.numel() == 1 for loss in said):
            raise NotYet("the loss of a process should be a tensor of one number: the engine calls backward() on it")
        got, wanted = averaged(said, weights), averaged([losses.mean()], weights)
        plain = averaged([shard.mean() for shard in shards], weights)
        if close(got, wanted):
            continue
        for value, help in (
            (plain, f"a mean of means: with shards of {cut}, does a scan of the last count like one of the first?"),
            (wanted / world, f"each scan counts alike, but the engine still divides: the step is 1/{world} as long"),
            (wanted * scans / world, "plain sums, averaged by the engine: nobody has divided by the number of scans"),
            (plain * world, "that undoes the engine's average and leaves a sum of means: the shards still count alike"),
            (wanted / world**2, f"divided by {world} once more, though the engine divides by {world} itself"),
        ):
            if close(got, value):
                raise NotYet(help)
        ratio = np.linalg.norm(got) / np.linalg.norm(wanted)
        raise NotYet(f"with shards of {cut} scans the gradient is {ratio:.2f} times as long as the joined batch's")
    return "each scan counts once, wherever it is: what the engine divides by the processes is put back beforehand"


def judge_normal(joined) -> str:
    """16.3: mean and variance of the joined batch, from three numbers a worker."""
    rng = np.random.default_rng(0)
    shards = [rng.standard_normal((n, 4)) * [1, 2, 3, 0.5] + [0, 5, -2, 1] for n in (9, 4, 2)]
    counts = np.array([len(shard) for shard in shards])
    sums, squares = np.array([s.sum(0) for s in shards]), np.array([(s**2).sum(0) for s in shards])
    mean, variance = pair(ask(joined, counts.copy(), sums.copy(), squares.copy()), "what joined returns")
    mean, variance = floats(mean, (4,), "the mean"), floats(variance, (4,), "the variance")
    whole = np.concatenate(shards)
    if not close(mean, whole.mean(0)):
        if close(mean, np.mean([s.mean(0) for s in shards], axis=0)):
            raise NotYet("that is the mean of the workers' means: the shard of two counts as much as that of nine")
        if close(mean, whole.sum(0)):
            raise NotYet("those are the sums over all workers; the mean divides them by the number of all scans")
        if close(mean, whole.var(0)):
            raise NotYet("the first of your two is the variance; the mean comes first")
        raise NotYet(
            f"the first channel's mean is {mean[0]:.3f}: the sum of the sums, divided by the sum of the counts"
        )
    for value, help in (
        ((whole**2).mean(0), "those are mean squares: the square of the mean has to be taken off"),
        (whole.var(0, ddof=1), "divided by one less than the scans; batch normalisation divides by the scans"),
        (
            np.mean([s.var(0) for s in shards], axis=0),
            "the workers' variances averaged: the shift between workers is lost",
        ),
        (np.average([s.var(0) for s in shards], axis=0, weights=counts), "the shift of the workers' means is left out"),
        (whole.std(0), "those are standard deviations; the variance is their square"),
        (
            whole.mean(0) ** 2 - (whole**2).mean(0),
            "the sign is turned round: mean of the squares less square of the mean",
        ),
    ):
        if close(variance, value):
            raise NotYet(help)
    if not close(variance, whole.var(0)):
        raise NotYet(f"the first channel's variance is {variance[0]:.3f}: mean of the squares less square of the mean")
    return "three numbers a channel cross the cable, not the scans: that is all SyncBatchNorm adds to the talk"


LINKS = {"office cable": (0.125e9, 1e-3), "between machines": (12.5e9, 2e-5), "in one machine": (200e9, 5e-6)}
COMPUTE, BYTES, STEPS, WORKERS = 0.3, 400e6, 72_000, 8


def hours(bandwidth: float, latency: float, size: float = BYTES / WORKERS, hops: int = 2 * (WORKERS - 1)) -> float:
    """Hours of the training by the lesson's cost model."""
    return STEPS * (COMPUTE / WORKERS + hops * (size / bandwidth + latency)) / 3600


def judge_cable(pick, night) -> str:
    """16.4: the cheapest link that is quick enough."""
    choice(pick, tuple(LINKS), "pick")
    night = number(night, "night")
    true = {name: hours(*link) for name, link in LINKS.items()}
    if abs(night - 0.75) < 0.01:
        raise NotYet("0.75 h is six hours over eight: the exchange of gradients is left out")
    if pick == "office cable":
        raise NotYet(f"over the office cable eight take {true[pick]:.0f} hours, where one takes six")
    if abs(night - hours(*LINKS[pick], hops=WORKERS - 1)) < 0.02:
        raise NotYet(f"{night:.2f} h counts seven hops; sums go round once, and the results once more")
    if abs(night - hours(*LINKS[pick], size=BYTES)) < 0.02:
        raise NotYet(f"{night:.2f} h moves {WORKERS} times too much: is it one slice a hop, and bytes, not bits?")
    if pick == "in one machine":
        raise NotYet(f"{true[pick]:.2f} h in one machine is quick enough, and so is a cheaper way: what was the limit?")
    for unit, many in {"minutes": 60, "seconds": 3600}.items():
        if abs(night / many - true[pick]) < 0.05:
            raise NotYet(f"{night:.0f} are {unit}; hours are asked for")
    if abs(night - true[pick] * 3600 / STEPS) < 0.001:
        raise NotYet(f"{night:.3f} is one step in seconds; a night has {STEPS} of them")
    if night in (round(true[pick]), round(true[pick], 1)):
        raise NotYet(f"{night:g} h is too round to tell whether every part of a step was counted: give two decimals")
    if abs(night - hours(LINKS[pick][0], 0.0)) < 0.001:
        raise NotYet(f"{night:.3f} h lets the first byte arrive at once: every hop waits for the latency, too")
    if abs(night - true[pick]) > 0.0051:  # two decimals are enough
        raise NotYet(
            f"{night:.2f} h: a step is {COMPUTE} / 8 s of compute and 14 hops of a slice; times {STEPS}, over 3600"
        )
    return f"eight workers, {6 / true[pick]:.1f} times as fast: more than half of each step is talk, and it will do"


EXERCISES = {
    "16.1": Exercise(
        "A hundred scans for eight",
        "predict",
        judge_dealt,
        (
            "In training all wait for all: what if 100 is no multiple of 8? And who waits in answering?",
            "The sampler rounds up and fills the places with scans that come twice; a split in order differs by one.",
        ),
    ),
    "16.2": Exercise(
        "Unequal shards",
        "repair",
        judge_shards,
        (
            "Write down what the engine does: it adds the processes' gradients and divides by their number.",
            "losses.sum() / joined would do if the engine only added; it also divides by world, so multiply by it.",
        ),
    ),
    "16.3": Exercise(
        "Normalised over all workers",
        "write",
        judge_normal,
        (
            "Sums may be added over workers; means and variances may not.",
            "n = counts.sum(); mean = sums.sum(0) / n; variance = squares.sum(0) / n - mean**2.",
        ),
    ),
    "16.4": Exercise(
        "The cheapest cable that will do",
        "decide",
        judge_cable,
        (
            "For each link: compute / n + 2 (n - 1) · (bytes / n / bandwidth + latency), as in section 1.",
            "Times 72 000 steps, over 3600, for n = 8; then the first link from the top that stays below two hours.",
        ),
    ),
}
