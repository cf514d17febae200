"""Plausible mistakes in the exercises of lesson 07."""

_LAYERS = (
    "size 32, kernel 5, stride 2",
    "size 64, kernel 3, padding 1",
    "size 33, kernel 3, stride 2, padding 1",
    "size 28, kernel 3, dilation 2",
    "size 27, pooling 2, stride 2",
)


def _sizes(*sizes: float) -> str:
    return f"guesses = {dict(zip(_LAYERS, sizes, strict=True))!r}"


def _residual(shortcut: str, out: str) -> str:
    return (
        "class Residual(nn.Module):\n"
        "    def __init__(self, c_in, c_out, stride):\n"
        "        super().__init__()\n"
        "        self.branch = nn.Sequential(nn.Conv2d(c_in, c_out, 3, stride=stride, padding=1), nn.ReLU(),\n"
        "                                    nn.Conv2d(c_out, c_out, 3, padding=1))\n"
        f"        self.shortcut = {shortcut}\n"
        f"    def forward(self, x):\n        return {out}"
    )


_RIGHT = "nn.Identity() if (c_in, stride) == (c_out, 1) else nn.Conv2d(c_in, c_out, 1, stride=stride)"
_SUM = "F.relu(self.branch(x) + self.shortcut(x))"
_GAP = "\ngap = table['inception'] - table['residual']\n"

WRONG = {
    "07.1": [
        _sizes(15, 64, 17, 24, 14),  # rounded up
        _sizes(13, 63, 16, 23, 12),  # the first window forgotten
        _sizes(14, 64, 17, 26, 13),
        _sizes(14, 62, 17, 24, 13),
    ],
    "07.2": [
        _residual("nn.Identity()", "F.relu(self.branch(x) + self.shortcut(x))"),
        _residual(_RIGHT, "F.relu(self.branch(x)) + self.shortcut(x)"),
        _residual(_RIGHT, "self.branch(x) + self.shortcut(x)"),
        _residual(_RIGHT, "F.relu(self.branch(x))"),
        _residual("nn.Conv2d(c_in, c_out, 1, stride=stride)", _SUM),
        _residual(_RIGHT.replace("1, stride", "3, padding=1, stride"), _SUM),
        _residual(_RIGHT, _SUM).replace("3, padding=1))", "3, padding=1), nn.ReLU())"),  # can only add
        _residual(_RIGHT, _SUM).replace(" nn.ReLU(),", ""),  # a single convolution
        _residual(_RIGHT, _SUM).replace("return ", ""),
    ],
    "07.3": [
        "def attend(q, k, v):\n    return (q @ k.transpose(1, 2)).softmax(-1) @ v",
        "def attend(q, k, v):\n    return (q @ k.transpose(1, 2) / q.shape[1] ** 0.5).softmax(-1) @ v",
        "def attend(q, k, v):\n    return (q @ k.transpose(1, 2) / q.shape[-1] ** 0.5).softmax(1) @ v",
        "def attend(q, k, v):\n    return (q @ k.transpose(1, 2) / q.shape[-1]).softmax(-1) @ v",
        "def attend(q, k, v):\n    return (q @ k.transpose(1, 2) / q.shape[-1] ** 0.5).softmax(-1) @ k",
        "def attend(q, k, v):\n    return F.scaled_dot_product_attention(q, k, v)",
    ],
    "07.4": [
        'chosen = "residual"\ninterval = (0, 0)',
        'chosen = "bottleneck"\ninterval = (-0.18, -0.10)',
        'chosen = "inception"'
        + _GAP
        + "half = 1.96 * gap.std() / 2\ninterval = (gap.mean() - half, gap.mean() + half)",
        'chosen = "inception"' + _GAP + "interval = tuple(-end for end in seed_interval(gap)[:0:-1])",
        'chosen = "inception"'
        + _GAP
        + "half = 2.776 * gap.std() / 2\ninterval = (gap.mean() - half, gap.mean() + half)",
        'chosen = "inception"' + _GAP + "half = 3.182 * gap.std(ddof=0) / 2\n"
        "interval = (gap.mean() - half, gap.mean() + half)",
        'chosen = "inception"' + _GAP + "interval = seed_interval(gap)[:0:-1]",
        'chosen = "inception"\nspread = (table[["inception", "residual"]].var() / 4).sum() ** 0.5\n'
        "interval = (-0.0175 - 3.182 * spread, -0.0175 + 3.182 * spread)",
    ],
}
