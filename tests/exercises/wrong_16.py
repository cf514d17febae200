"""Plausible mistakes in the exercises of lesson 16."""

DEALT = (
    'guesses = dict(zip(["sampler: scans each process gets", "sampler: scans that come twice", '
    '"in order: scans of the busiest worker", "in order: answers when the shares are joined"], {}))'
)
JOINED = "def joined(counts, sums, squares):\n    n = counts.sum()\n    mean = {}\n    return mean, {}"

WRONG = {
    "16.1": [
        DEALT.format([12.5, 4, 13, 100]),
        DEALT.format([13, 0, 13, 100]),
        DEALT.format([13, 4, 13, 104]),
        DEALT.format([13, 4, 12, 100]),
    ],
    "16.2": [
        "def share_of_loss(losses, joined, world):\n    return losses.mean()",
        "def share_of_loss(losses, joined, world):\n    return losses.sum() / joined",
        "def share_of_loss(losses, joined, world):\n    return losses.sum()",
        "def share_of_loss(losses, joined, world):\n    return losses.mean() * world",
        "def share_of_loss(losses, joined, world):\n    return losses.sum() / (joined * world)",
        "def share_of_loss(losses, joined, world):\n    return losses.sum() * 3 / 12",
        "def share_of_loss(losses, joined, world):\n    return losses.sum() * 3 / joined",
        "def share_of_loss(losses, joined, world):\n"
        "    return torch.tensor(float(losses.sum().detach()), requires_grad=True)",
    ],
    "16.3": [
        JOINED.format("(sums / counts[:, None]).mean(axis=0)", "squares.sum(axis=0) / n - mean**2"),
        JOINED.format("sums.sum(axis=0) / n", "squares.sum(axis=0) / n"),
        JOINED.format("sums.sum(axis=0) / n", "(squares.sum(axis=0) - n * mean**2) / (n - 1)"),
        JOINED.format(
            "sums.sum(axis=0) / n", "(squares / counts[:, None] - (sums / counts[:, None]) ** 2).mean(axis=0)"
        ),
        "def joined(counts, sums, squares):\n"
        "    mean = sums.sum(axis=0) / counts.sum()\n"
        "    return squares.sum(axis=0) / counts.sum() - mean**2, mean",
    ],
    "16.4": [
        'pick, night = "office cable", 0.75',
        'pick, night = "in one machine", 0.82',
        'pick, night = "office cable", 113',
        'pick, night = "between machines", 72_000 * (0.3 / 8 + 7 * (50e6 / 12.5e9 + 2e-5)) / 3600',
        'pick, night = "between machines", 72_000 * (0.3 / 8 + 14 * 50e6 / 12.5e9) / 3600',
        'pick, night = "between machines", 72_000 * (0.3 / 8 + 14 * (400e6 / 12.5e9 + 2e-5)) / 3600',
        'pick, night = "between machines", 1.9',
        'pick, night = "between machines", 6752',
    ],
}
