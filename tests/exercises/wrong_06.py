"""Plausible mistakes in the exercises of lesson 06."""

_RUNS = (
    "480 weights, true labels",
    "71,588 weights, true labels",
    "71,588 weights, shuffled labels",
    "71,588 weights, optimizer.step() forgotten",
)
_POOR, _BEHIND, _HABIT, _FLAT = (
    "both curves stay poor",
    "training perfect, validation behind",
    "training perfect, validation at the habit",
    "flat at ln 4",
)


def _pictures(*pictures: str) -> str:
    return f"guesses = {dict(zip(_RUNS, pictures, strict=True))!r}"


def _stop(*lines: str) -> str:
    head = (
        "def stop(losses, patience):\n    best, best_epoch = float('inf'), 0\n    for epoch, loss in "
        "enumerate(losses, 1):\n"
    )
    return head + "".join(f"        {line}\n" for line in lines) + "    return best_epoch, len(losses)"


_NEW_BEST = "if loss < best: best, best_epoch = loss, epoch"
_OUT = "if epoch - best_epoch >= patience: return best_epoch, epoch"

WRONG = {
    "06.1": [
        _pictures(_POOR, _BEHIND, _POOR, _FLAT),
        _pictures(_POOR, _BEHIND, _BEHIND, _FLAT),
        _pictures(_BEHIND, _BEHIND, _HABIT, _FLAT),
        _pictures(_POOR, _BEHIND, _HABIT, _POOR),
        _pictures(_FLAT, _BEHIND, _HABIT, _FLAT),
    ],
    "06.2": [
        _stop(_NEW_BEST, "if epoch - best_epoch > patience: return best_epoch, epoch"),
        _stop("if loss <= best: best, best_epoch = loss, epoch", _OUT),
        "def stop(losses, patience):\n    best = int(np.argmin(losses)) + 1\n    return best, min(best + "
        "patience, len(losses))",
        _stop(_NEW_BEST, "if epoch - best_epoch >= patience: return best_epoch - 1, epoch - 1"),
        _stop("best_epoch = epoch if loss < best else best_epoch", "best = loss", _OUT),
        _stop(_NEW_BEST, _OUT).replace("return best_epoch, len(losses)", "return best_epoch, best_epoch"),
        _stop(_NEW_BEST, _OUT).replace("    return best_epoch, len(losses)", "    pass"),
        _stop(_NEW_BEST, _OUT.replace("best_epoch, epoch", "epoch, best_epoch")),
        _stop(_NEW_BEST, _OUT).replace("float('inf')", "0"),
    ],
    "06.3": [
        "def conv_cost(c_in, c_out, kernel, side):\n    n = c_in * c_out * kernel**2\n    return n, n * side**2",
        "def conv_cost(c_in, c_out, kernel, side):\n"
        "    n = c_in * c_out * kernel**2\n    return n + c_out, 2 * n * side**2",
        "def conv_cost(c_in, c_out, kernel, side):\n"
        "    n = c_in * c_out * kernel**2 + c_out\n    return n, n * side**2",
        "def conv_cost(c_in, c_out, kernel, side):\n    n = c_in * c_out * kernel**2\n    return n * side**2, n * "
        "side**2",
        "def conv_cost(c_in, c_out, kernel, side):\n    n = c_in * c_out * kernel**2\n    return n + c_in, n * side**2",
        "def conv_cost(c_in, c_out, kernel, side):\n"
        "    n = c_in * c_out * kernel**2\n    return n + c_out, n * (side - kernel + 1) ** 2",
    ],
    "06.4": [
        'at_8000 = 0.700 + (0.150 / 2250) * 5500\nchosen = "labels"',
        'at_8000 = 0.85\nchosen = "labels"',
        'at_8000 = 0.700\nchosen = "wider network"',
        'at_8000 = 0.776\nchosen = "wider network"',
        'at_8000 = 0.700 + 0.150 * np.log(8000 / 2500)\nchosen = "labels"',
        'at_8000 = 77.6\nchosen = "labels"',
        'at_8000 = 0.150 * np.log10(8000 / 2500)\nchosen = "labels"',
    ],
}
