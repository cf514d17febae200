"""Plausible mistakes in the exercises of lesson 04."""

_NAMES = (
    "untrained, four classes",
    "untrained, two classes",
    "true class gets 0.01",
    "true class gets 1",
    "always the class shares",
)


def _losses(*values: float) -> str:
    return f"guesses = {dict(zip(_NAMES, values, strict=True))!r}"


def _step(*lines: str) -> str:
    return "def step(model, optimizer, inputs, targets):\n    " + "\n    ".join(lines)


_LOSS = "loss = ((model(inputs).squeeze(1) - targets) ** 2).mean()"

_GRADIENT = "def gradient(x, w, b, y):\n    delta = torch.softmax(x @ w.T + b, dim=1)\n"
_TRUTH = "    delta[torch.arange(len(y)), y] -= 1\n"

WRONG = {
    "04.1": [
        _losses(2, 1, 6.64, 0, 1.73),  # bits
        _losses(0.25, 0.5, 0.01, 1, 0.5),  # probabilities
        _losses(1.39, 0.69, -4.61, 0, 1.18),
        _losses(1.39, 0.69, 4.61, 0, 1.39),
        _losses(1.39, 0.69, 4.61, 1, 1.19),
        _losses(1.39, 0.69, 4.61, 0, 0.755),  # the commonest class alone
    ],
    "04.2": [
        _step(
            "optimizer.zero_grad()",
            "loss = ((model(inputs) - targets) ** 2).mean()",
            "loss.backward()",
            "optimizer.step()",
            "return loss.item()",
        ),
        _step(_LOSS, "loss.backward()", "optimizer.step()", "return loss.item()"),
        _step("optimizer.zero_grad()", _LOSS, "loss.backward()", "optimizer.step()", "return loss"),
        _step("optimizer.zero_grad()", _LOSS, "loss.backward()", "return loss.item()"),
        _step("optimizer.zero_grad()", _LOSS, "loss.backward()", "optimizer.step()"),
        _step(
            "optimizer.zero_grad()",
            _LOSS + " * len(targets)",
            "loss.backward()",
            "optimizer.step()",
            "return loss.item()",
        ),
    ],
    "04.3": [
        _GRADIENT + _TRUTH + "    return delta.T @ x, delta.sum(0)",
        _GRADIENT + "    delta /= len(y)\n    return delta.T @ x, delta.sum(0)",
        _GRADIENT + _TRUTH + "    delta /= len(y)\n    return x.T @ delta, delta.sum(0)",
        _GRADIENT + _TRUTH + "    delta /= len(y)\n    return delta.T @ x, delta.mean(0)",
        "def gradient(x, w, b, y):\n    z = (x @ w.T + b).exp()\n    delta = z / z.sum(1, keepdim=True)\n"
        + _TRUTH
        + "    delta /= len(y)\n    return delta.T @ x, delta.sum(0)",
        _GRADIENT.replace("dim=1", "dim=0") + _TRUTH + "    delta /= len(y)\n    return delta.T @ x, delta.sum(0)",
        _GRADIENT + "    delta[:, y] -= 1\n    delta /= len(y)\n    return delta.T @ x, delta.sum(0)",
        # the classes of this batch taken for all classes
        _GRADIENT + "    delta = (delta - F.one_hot(y)) / len(y)\n    return delta.T @ x, delta.sum(0)",
        "def gradient(x, w, b, y):\n    w.requires_grad_()\n    b.requires_grad_()\n"
        "    F.cross_entropy(x @ w.T + b, y).backward()\n    return w.grad, b.grad",
    ],
    "04.4": [
        'moved = {"MSE": -12.0, "MAE": -65.1}\nchosen = "MSE"',
        'moved = {"MSE": 65.1, "MAE": 12}\nchosen = "MAE"',
        'moved = {"MSE": -65.1, "MAE": -12}\nchosen = "MSE"',
        'moved = {"MSE": typed.mean(), "MAE": np.median(typed)}\nchosen = "MAE"',
    ],
}
