"""Exercises of lesson 07: sizes beforehand, a mended residual block, attention by hand, a block for a small device."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from course_utils.exercises.answers import close, entries, floats
from course_utils.exercises.core import Exercise, NotTried, NotYet, ask, choice, number
from course_utils.metrics import seed_interval

LESSON = "07_architecture"

# ── 07.1 ─────────────────────────────────────────────────────────────────────────────────────────────────────────────
LAYERS = {  # size, kernel, stride, padding, dilation
    "size 32, kernel 5, stride 2": (32, 5, 2, 0, 1),
    "size 64, kernel 3, padding 1": (64, 3, 1, 1, 1),
    "size 33, kernel 3, stride 2, padding 1": (33, 3, 2, 1, 1),
    "size 28, kernel 3, dilation 2": (28, 3, 1, 0, 2),
    "size 27, pooling 2, stride 2": (27, 2, 2, 0, 1),
}


def judge_sizes(guesses) -> str:
    """07.1: the side of the map that five layers leave."""
    entries(guesses, LAYERS, "guesses")
    for name, (size, kernel, stride, padding, dilation) in LAYERS.items():
        room = size + 2 * padding - dilation * (kernel - 1) - 1
        said, right = number(guesses[name], name), room // stride + 1
        if said == right:
            continue
        if said == room / stride + 1 or said == -(-room // stride) + 1:
            raise NotYet(f"{name}: {said:g} lets the last window hang over the edge; only windows that fit whole count")
        if said == room // stride:
            both = ", and is the padding on both sides" if padding else ""
            raise NotYet(f"{name}: {said:g} is too few: is the first window counted, the one before any step{both}?")
        if stride > 1 and said == room + 1:
            raise NotYet(f"{name}: {said:g} is for a window that steps by 1; this one steps by {stride}")
        if dilation > 1 and said == size - kernel + 1:
            raise NotYet(f"{name}: with its holes, the window spans {dilation * (kernel - 1) + 1} pixels")
        if padding and said == (size - kernel) // stride + 1:
            raise NotYet(f"{name}: {said:g} leaves the padding out: the map grows by {padding} on each side first")
        raise NotYet(f"{name}: not {said:g}. Lay the window at the left edge, and step by {stride}")
    return "the floor is where sizes get lost, and where a network written for 32 pixels refuses 28"


# ── 07.2 ─────────────────────────────────────────────────────────────────────────────────────────────────────────────
def _forward(block: nn.Module, x: torch.Tensor, case: str) -> torch.Tensor:
    """What a block makes of x; the stub was recognised before, so nothing means a forgotten `return`."""
    try:
        answer = ask(block, x)
    except (NotTried, NotYet) as error:
        raise NotYet(f"{case}: {str(error).replace('your function', 'forward')}") from None
    if not isinstance(answer, torch.Tensor):
        raise NotYet(f"{case}: forward should return a tensor, and returns {type(answer).__name__}")
    return answer


def judge_residual(block_class) -> str:
    """07.2: a residual block that may change channels and size, with `branch` and `shortcut`."""
    if isinstance(block_class, type) and not {"__init__", "forward"} & set(vars(block_class)):
        raise NotTried
    if isinstance(block_class, nn.Module):
        raise NotYet("this is a block already built: pass the class, Residual, without brackets")
    for c_in, c_out, stride in ((4, 4, 1), (4, 8, 2), (4, 8, 1), (4, 4, 2)):
        block = ask(block_class, c_in, c_out, stride)
        parts = [getattr(block, part, None) for part in ("branch", "shortcut")]
        if not all(isinstance(part, nn.Module) for part in (block, *parts)):
            raise NotYet("the block should be an nn.Module with two modules of its own, self.branch and self.shortcut")
        block.eval()
        x = torch.randn(2, c_in, 9, 9, generator=torch.Generator().manual_seed(1))
        case = f"{c_in} → {c_out} channels, stride {stride}"
        with torch.no_grad():
            change, kept = _forward(block.branch, x, case), _forward(block.shortcut, x, case)
            linear = close(change + block.branch(-x), 2 * block.branch(0 * x), 1e-5)
        side = (9 - 1) // stride + 1
        for name, part in (("the branch", change), ("the shortcut", kept)):
            if part.shape != (2, c_out, side, side):
                raise NotYet(f"{case}: {name} gives {tuple(part.shape)} where {(2, c_out, side, side)} is wanted")
        if (c_in, stride) == (c_out, 1) and not torch.equal(kept, x):
            raise NotYet(f"{case}: nothing changes shape, so the shortcut should hand x on (nn.Identity())")
        if any(part.kernel_size != (1, 1) for part in block.shortcut.modules() if isinstance(part, nn.Conv2d)):
            raise NotYet(f"{case}: the shortcut's window is larger than 1 × 1; it should carry x, not look around")
        if linear or (change >= 0).all():
            wrong = "no ReLU stands between its convolutions" if linear else "it ends with a ReLU and can only add"
            raise NotYet(f"{case}: the branch was right as it stood; now {wrong}")
        out = _forward(block, x, case).detach()
        if close(out, F.relu(change + kept), 1e-5):
            continue
        slips = {
            "ReLU comes before the sum, so the branch can only add and never correct downwards": F.relu(change) + kept,
            "the sum is right, and the ReLU after it is missing: post-activation ends with one": change + kept,
            "that is a plain block; the shortcut is built and never added": F.relu(change),
        }
        found = [sentence for sentence, slip in slips.items() if close(out, slip, 1e-5)]
        raise NotYet(f"{case}: {(*found, 'the output is not ReLU(branch(x) + shortcut(x))')[0]}")
    return "where the shape changes, a 1×1 convolution carries x across; elsewhere the shortcut costs nothing"


# ── 07.3 ─────────────────────────────────────────────────────────────────────────────────────────────────────────────
def judge_attention(attend) -> str:
    """07.3: scaled dot-product attention against PyTorch's."""
    rng = torch.Generator().manual_seed(3)
    for batch, length, width in ((2, 7, 5), (1, 4, 4), (3, 1, 8)):
        q, k, v = (2 * torch.randn(batch, length, width, generator=rng, dtype=torch.float64) for _ in range(3))
        right = F.scaled_dot_product_attention(q, k, v).numpy()
        if "scaled_dot_product_attention" in getattr(getattr(attend, "__code__", None), "co_names", ()):
            raise NotYet("that is the judge himself; the three lines that he does are yours to write")
        said = floats(ask(attend, q.clone(), k.clone(), v.clone()), right.shape, "the result of attend")
        if close(said, right, 1e-5):
            continue
        plain = q @ k.transpose(1, 2)
        scaled = plain / width**0.5
        mistakes = {
            "the scores are not divided by √d: the wider the tokens, the harder the softmax": plain.softmax(-1),
            "divided by d, not by its root: the answers grow too even": (plain / width).softmax(-1),
            "multiplied by √d, not divided: the softmax becomes too hard": (plain * width**0.5).softmax(-1),
            "the queries ask the queries, and the keys stay unread": (q @ q.transpose(1, 2) / width**0.5).softmax(-1),
            "divided by the root of the number of tokens, not of the width": (plain / length**0.5).softmax(-1),
            "the softmax runs along the wrong axis: for each asking token the weights sum to one": scaled.softmax(1),
            "the softmax is missing: weights are positive and sum to one for each token": scaled,
            "queries and keys are exchanged: a token asks with its own query": scaled.transpose(1, 2).softmax(-1),
            "the softmax runs along the batch, as if scans listened to each other": scaled.softmax(0),
        }
        for sentence, weights in mistakes.items():
            if close(said, weights @ v, 1e-5):
                raise NotYet(sentence)
        lowest, highest = v.amin(1, keepdim=True).numpy(), v.amax(1, keepdim=True).numpy()
        if np.maximum(said - highest, lowest - said).max() > 1e-6:
            raise NotYet("some answers lie beyond all values v: positive weights that sum to one cannot do that")
        raise NotYet(f"{length} tokens, width {width}: {np.abs(said - right).max():.3g} away from PyTorch's, at worst")
    return "every token asks all tokens and takes home a mean: no place is known to it, so position must be given"


# ── 07.4 ─────────────────────────────────────────────────────────────────────────────────────────────────────────────
MACRO_F1 = {  # seeds 0 to 3: the same seed means the same patients
    "residual": (0.62, 0.55, 0.60, 0.57),
    "inception": (0.60, 0.54, 0.57, 0.56),
    "bottleneck": (0.48, 0.42, 0.47, 0.40),
}
WEIGHTS = {"residual": 61044, "inception": 15252, "bottleneck": 8916}
FITS = 20_000


def judge_block(chosen, interval) -> str:
    """07.4: the best block that fits a device, and the paired interval of what it costs."""
    best = max((name for name in WEIGHTS if WEIGHTS[name] <= FITS), key=lambda name: np.mean(MACRO_F1[name]))
    if choice(chosen, tuple(WEIGHTS), "chosen") != best:
        if WEIGHTS[chosen] > FITS:
            raise NotYet(f"the {chosen} block has {WEIGHTS[chosen]:,} weights, and {FITS:,} fit")
        raise NotYet(f"the {chosen} block fits, but so does a better one")
    low, high = _ends(interval)
    first, second = (np.array(MACRO_F1[name]) for name in (best, "residual"))
    gap, right = first - second, seed_interval(first - second)
    if close((low, high), right[1:], 6e-4):
        return "a little is lost, surely; unpaired, the patients' luck would have drowned the difference"
    if close((-high, -low), right[1:], 6e-4):
        raise NotYet("the sign is turned: the chosen block less the residual one")
    spread = gap.std(ddof=1) / 2  # of the mean of four
    unpaired = (first.var(ddof=1) / 4 + second.var(ddof=1) / 4) ** 0.5
    widths = {
        1.96 * spread: "1.96 belongs to many seeds; with four, Student's t has 3 degrees of freedom and is wider",
        3.182 * 2 * spread: "that is the spread of single seeds; the mean of four is steadier by the root of four",
        3.182 * gap.std() / 2: "the deviation of a sample divides by n - 1: np.std needs ddof=1",
        2.776 * spread: "four differences leave 3 degrees of freedom, not 4",
        3.182 * unpaired: "the two columns were treated as strangers: take the difference seed by seed first",
        2.447 * unpaired: "the two columns were treated as strangers: the difference comes first, seed by seed",
    }
    if abs((low + high) / 2 - gap.mean()) > 1e-3:
        raise NotYet(f"the middle should be the mean difference, seed by seed, and yours is {(low + high) / 2:.4f}")
    nearest = min(widths, key=lambda width: abs((high - low) / 2 - width))
    if abs((high - low) / 2 - nearest) < 4e-4:
        raise NotYet(widths[nearest])
    raise NotYet(f"the middle is right; {(high - low) / 2:.4f} to each side is not t · s / √n with n = 4")


def _ends(interval: Any) -> tuple[float, float]:
    """Low and high out of two numbers, or of the three of an `Interval`, which begin with the middle."""
    values = floats(interval, None, "the interval").ravel()
    if len(values) not in (2, 3):
        raise NotYet(f"the interval should be two numbers, (low, high), and has {len(values)}")
    if values[-2] > values[-1]:
        raise NotYet(f"low comes before high, and {values[-2]:.4f} is above {values[-1]:.4f}")
    return float(values[-2]), float(values[-1])


EXERCISES = {
    "07.1": Exercise(
        "How often does the window fit?",
        "predict",
        judge_sizes,
        (
            "Padding on both sides, less the span of the window, over the stride, rounded down, plus one.",
            "(size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1",
        ),
    ),
    "07.2": Exercise(
        "A shortcut that fits",
        "repair",
        judge_residual,
        (
            "Where must the ReLU stand so that the branch may also subtract? And what is x + F(x) when shapes differ?",
            "self.shortcut is nn.Identity() where nothing changes, else nn.Conv2d(c_in, c_out, 1, stride=stride); "
            "forward returns F.relu(self.branch(x) + self.shortcut(x)).",
        ),
        points=2,
    ),
    "07.3": Exercise(
        "Attention by hand",
        "write",
        judge_attention,
        (
            "Scores are (B, T, T): the query of each token with the keys of all. Which axis must sum to one?",
            "(q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5).softmax(-1) @ v",
        ),
        points=2,
    ),
    "07.4": Exercise(
        "A block for a small device",
        "decide",
        judge_block,
        (
            "First who fits, then who scores best among those. The interval is of the four differences, seed by seed.",
            "gap = table['inception'] - table['residual']; gap.mean() ± 3.182 * gap.std() / 2, or "
            "seed_interval(gap)[1:].",
        ),
        points=2,
    ),
}
