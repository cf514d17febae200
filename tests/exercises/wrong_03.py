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
        _shapes((32, 3, 64, 64), (12,), (32,), (8,)),  # the lesson's row
        _shapes((32, 3, 64, 64), (9,), (1, 32), (8,)),
        _shapes((3, 32, 64, 64), (9,), (32,), (8,)),
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
        "def split(patients, share, seed):\n"  # with replacement: fewer patients than wanted
        "    names = np.unique(patients)\n"
        "    names = np.random.default_rng(seed).choice(names, round(share * len(names)))\n"
        "    aside = np.isin(patients, names)\n"
        "    return np.flatnonzero(~aside), np.flatnonzero(aside)",
        "def split(patients, share, seed):\n"
        + _DRAWN.format("seed")
        + "    cut = round(share * len(names))\n    return names[cut:], names[:cut]",
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
        "def prepare(train, new):\n"
        "    return new.isna().astype(float), (new.fillna(train.mean()) - train.mean()) / train.std()",
        "def prepare(train, new):\n"
        "    return (new.fillna(train.mean()) - train.mean()) / train.var(), new.isna().astype(float)",
    ],
    "03.4": [
        'first = "unsure (below 0.8)"\nfound = 2.5',
        'first = "sure (above 0.9)"\nfound = 50 * 0.40',
        'first = "sure (above 0.9)"\nfound = 30 * 0.40',
        'first = "sure (above 0.9)"\nfound = 50 * (bands["scans"] * bands["wrong labels in 100"]).sum() / 100 / 3980',
        'first = "sure (above 0.9)"\nfound = round(30 * 0.40 + 20 * 0.22)',
        'first = "sure (above 0.9)"\nfound = (30 * 0.40 + 20 * 0.22) / 50',
    ],
}
