"""Plausible mistakes in the exercises of lesson 12."""

EFFECTS = (
    'guesses = {{"the most probable class of a scan": "{}", "the accuracy": "stays", '
    '"the largest probability of a scan": "{}", "the log loss": "{}", "the cheapest decision for a scan": "{}"}}'
)
BINS = (
    "def calibration_error(confidence, right, bins):\n"
    "    where = np.ceil(confidence * bins).astype(int) - 1\n"
    "    rows = [where == b for b in range(bins){filled}]\n"
    "    gaps = np.array([right[r].mean() - confidence[r].mean() for r in rows])\n"
    "    sizes = np.array([r.mean() for r in rows])\n"
    "    return {result}"
)
FILLED = " if (where == b).any()"
DRAW = (
    "def resample(patients, rng):\n"
    "    names = np.unique(patients)\n"
    "    drawn = {}\n"
    "    return np.concatenate([np.flatnonzero(patients == name) for name in drawn])"
)

WRONG = {
    "12.1": [
        EFFECTS.format("either way", "falls", "either way", "either way"),
        EFFECTS.format("stays", "rises", "either way", "either way"),
        EFFECTS.format("stays", "falls", "falls", "either way"),
        EFFECTS.format("stays", "falls", "either way", "stays"),
    ],
    "12.2": [
        "def calibration_error(confidence, right, bins):\n    return float('nan')  # as the mean of an empty bin is",
        BINS.format(filled=FILLED, result="np.abs(gaps).mean()"),
        BINS.format(filled=FILLED, result="(sizes * gaps).sum()"),
        BINS.format(filled=FILLED, result="abs((sizes * gaps).sum())"),
        BINS.format(filled=FILLED, result="abs(gaps).sum() / bins"),
        BINS.format(filled=FILLED, result="100 * (sizes * abs(gaps)).sum()"),
        BINS.format(filled=FILLED, result="(sizes * abs(gaps)).sum()").replace(
            "    where", "    bins = 10\n    where", 1
        ),
    ],
    "12.3": [
        "def resample(patients, rng):\n    return rng.integers(0, len(patients), len(patients))",
        "def resample(patients, rng):\n"
        "    names = np.unique(patients)\n"
        "    return np.flatnonzero(np.isin(patients, rng.choice(names, len(names))))",
        DRAW.format("rng.permutation(names)"),
        DRAW.format("rng.choice(patients, len(names))"),
        DRAW.format("names[rng.integers(0, len(names) - 1, len(names))]"),
        DRAW.format("np.random.default_rng(0).choice(names, len(names))"),
        DRAW.format("np.random.choice(names, len(names))"),
        DRAW.format("[rng.choice(names), *rng.integers(0, len(names), len(names) - 1)]"),
        "def resample(patients, rng):\n    return np.isin(patients, rng.choice(np.unique(patients), 40))",
        "def resample(patients, rng):\n    return rng.choice(patients, len(patients))",
    ],
    "12.4": [
        'pick, asked, bill = "cheapest or a person", 6, 35.0',
        'pick, asked, bill = "most probable", 2, 275.0',
        'pick, asked, bill = "cheapest or a person", 2, 0.3167',
    ],
}
