"""Plausible mistakes in the exercises of lesson 03."""


def _shapes(*shapes: tuple[int, ...]) -> str:
    names = ("a batch of 32 colour scans", "a row one-hot encoded", "one note as token ids", "scans in the last batch")
    return f"guesses = {dict(zip(names, shapes, strict=True))!r}"


_DRAWN = "    names = np.random.default_rng({}).permutation(np.unique(patients))\n"

WRONG = {
    "03.1": [
        _shapes((32, 64, 64, 3), (9,), (32,), (8,)),
        _shapes((32, 3, 64, 64), (5,), (32,), (8,)),
        _shapes((32, 3, 64, 64), (9,), (11,), (8,)),
        _shapes((32, 3, 64, 64), (9,), (32,), (32,)),
    ],
    "03.2": [
        "def split(patients, share, seed):\n"
        "    order = np.random.default_rng(seed).permutation(len(patients))\n"
        "    cut = round(share * len(patients))\n"
        "    return order[cut:], order[:cut]",
        "def split(patients, share, seed):\n"
        + _DRAWN.format("seed")
        + "    aside = np.isin(patients, names[: round(share * len(names))])\n"
        "    return np.flatnonzero(aside), np.flatnonzero(~aside)",
        "def split(patients, share, seed):\n"
        + _DRAWN.format("seed")
        + "    cut = round(share * len(names))\n    return np.arange(len(names))[cut:], np.arange(len(names))[:cut]",
        "def split(patients, share, seed):\n"
        + _DRAWN.format("0")
        + "    aside = np.isin(patients, names[: round(share * len(names))])\n"
        "    return np.flatnonzero(~aside), np.flatnonzero(aside)",
    ],
    "03.3": [
        "def prepare(train, new):\n"
        "    return (new.fillna(new.mean()) - new.mean()) / new.std(), new.isna().astype(float)",
        "def prepare(train, new):\n    return (new.fillna(0) - train.mean()) / train.std(), new.isna().astype(float)",
        "def prepare(train, new):\n    return new.fillna(train.mean()), new.isna().astype(float)",
        "def prepare(train, new):\n"
        "    train = train.fillna(0)\n"
        "    return (new.fillna(train.mean()) - train.mean()) / train.std(), new.isna().astype(float)",
        "def prepare(train, new):\n"
        "    return (new.fillna(train.mean()) - train.mean()) / train.std(), new.notna().astype(float)",
    ],
    "03.4": [
        'first = "unsure (below 0.8)"\nfound = 2.5',
        'first = "sure (above 0.9)"\nfound = 50 * 0.40',
        'first = "sure (above 0.9)"\nfound = 30 * 0.40',
        'first = "sure (above 0.9)"\nfound = 50 * 0.02',
    ],
}
