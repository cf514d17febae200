"""What a network is made of, by hand: losses, a dense network with its gradients, optimizers, and a check-up.

Tensors only, written to be read; the tests hold each part against PyTorch, whose own versions the later lessons use.
`checkup` takes any training loop apart and looks for the faults that raise no error.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import pandas as pd
import torch
from torch import Tensor, nn

Layers = list[tuple[Tensor, Tensor]]  # of each layer its weights (out, in) and biases (out,)


# --- losses ----------------------------------------------------------------------------------------------------------
def softmax(logits: Tensor) -> Tensor:
    """Probabilities (B, K) from logits (B, K): exp(z_k) / Σ exp(z_j), without overflow at any size of logit."""
    exps = (logits - logits.amax(1, keepdim=True)).exp()  # the largest becomes exp(0) = 1
    return exps / exps.sum(1, keepdim=True)


def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean of −log p(target) in nats; logits (B, K), targets int64 (B,). Raises ValueError for other shapes."""
    if logits.ndim != 2 or targets.shape != logits.shape[:1]:
        raise ValueError(f"logits {tuple(logits.shape)}, targets {tuple(targets.shape)}: must be (B, K) and (B,)")
    top = logits.amax(1, keepdim=True)  # (B, 1)
    log_total = top + (logits - top).exp().sum(1, keepdim=True).log()  # (B, 1)
    return (log_total - logits.gather(1, targets[:, None])).mean()


def errors(y_hat: Tensor, y: Tensor) -> Tensor:
    """y_hat − y, both of one shape. Raises ValueError otherwise: (B, 1) − (B,) would silently be (B, B)."""
    if y_hat.shape != y.shape:
        raise ValueError(f"predictions {tuple(y_hat.shape)} and targets {tuple(y.shape)} must have the same shape")
    return y_hat - y


def mse(y_hat: Tensor, y: Tensor) -> Tensor:
    """Mean squared error, in the target's unit squared."""
    return (errors(y_hat, y) ** 2).mean()


def mae(y_hat: Tensor, y: Tensor) -> Tensor:
    """Mean absolute error, in the target's unit."""
    return errors(y_hat, y).abs().mean()


def huber(y_hat: Tensor, y: Tensor, delta: float = 1.0) -> Tensor:
    """Half the squared error up to `delta`, a straight line of slope `delta` beyond (Huber, 1964)."""
    size = errors(y_hat, y).abs()
    return torch.where(size <= delta, 0.5 * size**2, delta * (size - 0.5 * delta)).mean()


# --- a dense network -------------------------------------------------------------------------------------------------
def init_mlp(widths: Sequence[int], generator: torch.Generator, dtype: torch.dtype = torch.float32) -> Layers:
    """Normal weights of variance 2 / inputs (He et al., ICCV 2015), a hundredth of that before the logits; biases 0."""
    layers = []
    for n_in, n_out in zip(widths, widths[1:]):
        options = {"dtype": dtype, "device": generator.device}
        weights = torch.randn(n_out, n_in, generator=generator, **options) * (2 / n_in) ** 0.5
        layers.append((weights, torch.zeros(n_out, **options)))
    layers[-1][0].mul_(0.1)  # small logits: at the start no class is preferred
    return layers


def mlp_forward(layers: Layers, x: Tensor) -> tuple[Tensor, list[Tensor]]:
    """Logits (B, K) of inputs x (B, D), and what went into each layer, which the way back needs."""
    inputs = []
    for depth, (weights, biases) in enumerate(layers, start=1):
        inputs.append(x)
        x = x @ weights.T + biases  # (B, out)
        if depth < len(layers):
            x = x.clamp(min=0)  # ReLU
    return x, inputs


def mlp_backward(layers: Layers, inputs: list[Tensor], logits: Tensor, targets: Tensor) -> Layers:
    """The gradient of `cross_entropy` with respect to each layer's weights and biases, by the chain rule.

    `logits` and `inputs` as `mlp_forward` returned them (Rumelhart, Hinton and Williams, Nature, 1986).
    """
    delta = softmax(logits)  # (B, K), the loss's slope along each logit: probability minus truth
    delta[torch.arange(len(targets)), targets] -= 1
    delta = delta / len(targets)
    gradients = []
    for (weights, _), x in zip(reversed(layers), reversed(inputs)):
        gradients.append((delta.T @ x, delta.sum(0)))  # (out, in), (out,)
        delta = (delta @ weights) * (x > 0)  # (B, in): back through the weights, then through ReLU
    return gradients[::-1]


# --- the loop --------------------------------------------------------------------------------------------------------
def plain_step(model: nn.Module, optimizer, loss_fn: Callable, inputs: Tensor, targets: Tensor) -> float:
    """One step of training: the four lines that every loop has. Returns the loss before the step."""
    optimizer.zero_grad()
    loss = loss_fn(model(inputs), targets)
    loss.backward()
    optimizer.step()
    return loss.item()


def train_plainly(
    model: nn.Module, optimizer, inputs: Tensor, targets: Tensor, *, epochs: int, seed: int = 0,
    loss_fn: Callable = nn.functional.cross_entropy, step: Callable[..., float] = plain_step,
) -> list[float]:  # fmt: skip
    """Epochs in batches of 64, in an order that only the seed decides; returns the loss before each step."""
    order, losses = torch.Generator(inputs.device).manual_seed(seed), []
    model.train()
    for _ in range(epochs):
        for rows in torch.randperm(len(inputs), generator=order, device=inputs.device).split(64):
            losses.append(step(model, optimizer, loss_fn, inputs[rows], targets[rows]))
    return losses


# --- optimizers ------------------------------------------------------------------------------------------------------
class Optimizer:
    """Moves parameters by their `.grad`; a subclass says in `update` how. The interface is that of torch.optim."""

    def __init__(self, params: Iterable[Tensor], lr: float):
        if not lr > 0:
            raise ValueError(f"the learning rate is {lr}; it must be above 0")
        self.params, self.lr = list(params), lr
        self.memories = [{} for _ in self.params]  # what an optimizer remembers of each parameter's past

    def zero_grad(self) -> None:
        """Forget the gradients, so that the next `backward` starts from nothing."""
        for p in self.params:
            p.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Move every parameter that has a gradient."""
        for p, memory in zip(self.params, self.memories):
            if p.grad is not None:
                self.update(p, p.grad, memory)

    def update(self, p: Tensor, grad: Tensor, memory: dict) -> None:
        raise NotImplementedError


class SGD(Optimizer):
    """Gradient descent; with `momentum` the steps gather speed (Polyak, 1964)."""

    def __init__(self, params: Iterable[Tensor], lr: float, momentum: float = 0.0):
        super().__init__(params, lr)
        self.momentum = momentum

    def update(self, p, grad, memory):
        memory["velocity"] = grad + self.momentum * memory.get("velocity", 0)
        p -= self.lr * memory["velocity"]


class RMSProp(Optimizer):
    """Each weight's step divided by the recent size of its gradient (Tieleman and Hinton, 2012)."""

    def __init__(self, params: Iterable[Tensor], lr: float, alpha: float = 0.99, eps: float = 1e-8):
        super().__init__(params, lr)
        self.alpha, self.eps = alpha, eps

    def update(self, p, grad, memory):
        memory["square"] = self.alpha * memory.get("square", 0) + (1 - self.alpha) * grad**2
        p -= self.lr * grad / (memory["square"].sqrt() + self.eps)


class Adam(Optimizer):
    """Momentum and division by size, both corrected for having started at zero (Kingma and Ba, ICLR 2015)."""

    def __init__(self, params: Iterable[Tensor], lr: float, betas: tuple[float, float] = (0.9, 0.999), eps=1e-8):
        super().__init__(params, lr)
        self.betas, self.eps = betas, eps

    def update(self, p, grad, memory):
        slow, slower = self.betas
        steps = memory["steps"] = memory.get("steps", 0) + 1
        memory["mean"] = slow * memory.get("mean", 0) + (1 - slow) * grad
        memory["square"] = slower * memory.get("square", 0) + (1 - slower) * grad**2
        mean, square = memory["mean"] / (1 - slow**steps), memory["square"] / (1 - slower**steps)
        p -= self.lr * mean / (square.sqrt() + self.eps)


class AdamW(Adam):
    """Adam on weights that also shrink a little at each step (Loshchilov and Hutter, ICLR 2019)."""

    def __init__(self, params: Iterable[Tensor], lr: float, weight_decay: float = 0.01, **options):
        super().__init__(params, lr, **options)
        self.weight_decay = weight_decay

    def update(self, p, grad, memory):
        p *= 1 - self.lr * self.weight_decay
        super().update(p, grad, memory)


# --- the check-up ----------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Loop:
    """A training loop taken apart: raw samples → inputs, a fresh network, outputs and targets → loss, one step."""

    prepare: Callable[[Tensor], Tensor]
    build: Callable[[], nn.Module]
    loss_fn: Callable[[Tensor, Tensor], Tensor]
    step: Callable[..., float] = plain_step


def prepared_alone(loop: Loop, raw: Tensor, targets: Tensor) -> float:
    """How much the inputs of some samples change when the other samples are left out."""
    half = len(raw) // 2
    return (loop.prepare(raw)[:half] - loop.prepare(raw[:half])).abs().max().item()


def answered_alone(loop: Loop, raw: Tensor, targets: Tensor) -> float:
    """How much the first sample's output listens to the other samples of its batch, in evaluation mode."""
    inputs = loop.prepare(raw).clone().requires_grad_()
    loop.build().eval()(inputs)[0].sum().backward()
    return inputs.grad[1:].abs().max().item()


def knows_its_target(loop: Loop, raw: Tensor, targets: Tensor) -> float:
    """How much the loss changes, relatively, when every sample is given the next one's target."""
    outputs = torch.randn_like(loop.build().eval()(loop.prepare(raw)))
    right, wrong = loop.loss_fn(outputs, targets), loop.loss_fn(outputs, targets.roll(1, 0))
    return ((right - wrong).abs() / right.abs()).item()


def first_loss(loop: Loop, raw: Tensor, targets: Tensor) -> float:
    """The loss of the untrained network."""
    with torch.no_grad():
        return loop.loss_fn(loop.build()(loop.prepare(raw)), targets).item()


def faintest_gradient(loop: Loop, raw: Tensor, targets: Tensor) -> float:
    """The smallest gradient among the weight matrices, relative to the largest (norms)."""
    model = loop.build()
    loop.loss_fn(model(loop.prepare(raw)), targets).backward()
    norms = [0.0 if p.grad is None else p.grad.norm().item() for p in model.parameters() if p.ndim > 1]
    return min(norms) / max(*norms, 1e-30)


def stale_gradient(loop: Loop, raw: Tensor, targets: Tensor) -> float:
    """How far the gradient that a second step used is from that of its own batch, relatively (without clipping)."""
    model, inputs, half = loop.build(), loop.prepare(raw), len(raw) // 2
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    loop.step(model, optimizer, loop.loss_fn, inputs[:half], targets[:half])
    fresh = copy.deepcopy(model)
    fresh.zero_grad()
    torch.manual_seed(0)  # the same dropout for both
    loop.loss_fn(fresh(inputs[half:]), targets[half:]).backward()
    torch.manual_seed(0)
    loop.step(model, optimizer, loop.loss_fn, inputs[half:], targets[half:])
    used, own = (torch.cat([p.grad.flatten() for p in m.parameters() if p.grad is not None]) for m in (model, fresh))
    return ((used - own).norm() / own.norm()).item()


def batch_by_heart(loop: Loop, raw: Tensor, targets: Tensor, steps: int = 150) -> float:
    """The loss on this one batch after many steps on it, relative to the loss before."""
    model, inputs = loop.build(), loop.prepare(raw)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    losses = [loop.step(model, optimizer, loop.loss_fn, inputs, targets) for _ in range(steps)]
    return losses[-1] / losses[0]


def checkup(loop: Loop, raw: Tensor, targets: Tensor, *, guess_loss: float) -> pd.DataFrame:
    """Seven questions to a training loop, one row each: found, wanted (in words), passed.

    raw (B, …) and targets (B, …): one small batch, with at least two different targets; guess_loss: what an untrained
    network should lose, ln K nats for K classes. Leaves the CPU's random state as it was; ValueError for under 4
    samples.
    """
    if len(raw) < 4 or len(raw) != len(targets):
        raise ValueError(f"{len(raw)} samples and {len(targets)} targets: pass as many of each, and at least 4")
    questions = [
        (prepared_alone, "0", lambda found: found < 1e-4),
        (answered_alone, "0", lambda found: found == 0),
        (knows_its_target, "above 0.0001", lambda found: found > 1e-4),
        (first_loss, f"near {guess_loss:.2f}", lambda found: abs(found - guess_loss) < 0.3 * guess_loss),
        (faintest_gradient, "above 0.00001", lambda found: found > 1e-5),
        (stale_gradient, "0", lambda found: found < 1e-3),
        (batch_by_heart, "below 0.1", lambda found: found < 0.1),
    ]
    rows = {}
    with torch.random.fork_rng(devices=[]):
        for question, wanted, passes in questions:
            torch.manual_seed(0)
            found = question(loop, raw, targets)
            rows[question.__name__] = {"found": found, "wanted": wanted, "passed": bool(passes(found))}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("question")
