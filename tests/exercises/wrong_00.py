"""Plausible mistakes in the exercises of lesson 00."""

WRONG = {
    "00.1": [
        'guesses = {"a - 2 * b": "good inside only", "a * b": "poor even inside", "max(a, b)": "good inside only"}',
        'guesses = {"a - 2 * b": "holds far outside", "a * b": "good inside only", "max(a, b)": "good inside only"}',
        'guesses = {"a - 2 * b": "holds far outside", "a * b": "poor even inside", "max(a, b)": "holds far outside"}',
        'guesses = {"a - 2 * b": "holds far outside", "a * b": "poor even inside", "max(a, b)": "poor even inside"}',
    ],
    "00.2": [
        "def prepare(pairs):\n    return pairs\n\ndef finish(said):\n    return said",
        "def prepare(pairs):\n    return pairs.log()\n\ndef finish(said):\n    return said",
        "def prepare(pairs):\n    return pairs**2\n\ndef finish(said):\n    return said.sqrt()",
        "def prepare(pairs):\n    return pairs.prod(1)\n\ndef finish(said):\n    return said",
        "def prepare(pairs):\n"  # multiplies by itself, and leaves nothing to the layer
        "    return torch.stack([torch.zeros(len(pairs)), pairs.prod(1)], dim=1)\n\ndef finish(said):\n    return said",
        "def prepare(pairs):\n    return pairs.log2()\n\ndef finish(said):\n    return said.exp()",
        "def prepare(pairs):\n    return pairs.log_()\n\ndef finish(said):\n    return said.exp()",
    ],
    "00.3": [
        "def dim(scans, low, high, generator):\n    return scans * 0.6",
        "def dim(scans, low, high, generator):\n"
        "    return scans * (low + (high - low) * torch.rand(scans.shape, generator=generator))",
        "def dim(scans, low, high, generator):\n"
        "    return scans * (low + (high - low) * torch.rand(len(scans), 1, 1, 1))",
        "def dim(scans, low, high, generator):\n"
        "    return scans * torch.rand(len(scans), 1, 1, 1, generator=generator)",
        "def dim(scans, low, high, generator):\n"
        "    scans *= low + (high - low) * torch.rand(len(scans), 1, 1, 1, generator=generator)\n    return scans",
        "def dim(scans, low, high, generator):\n"
        "    generator = torch.Generator().manual_seed(0)\n"
        "    return scans * (low + (high - low) * torch.rand(len(scans), 1, 1, 1, generator=generator))",
    ],
    "00.4": [
        'decisions = dict.fromkeys(["value-added tax", "spam", "the shortest route", "a cat in a photo", '
        '"bread sold tomorrow"], "learned")',
        'decisions = dict.fromkeys(["value-added tax", "spam", "the shortest route", "a cat in a photo", '
        '"bread sold tomorrow"], "written")',
    ],
}
