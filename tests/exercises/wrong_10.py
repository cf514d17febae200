"""Plausible mistakes in the exercises of lesson 10."""

MOVED = (
    'guesses = dict.fromkeys(guesses, "changes") | {{"weights of the frozen convolution": "stays", '
    '"gain of the frozen normalisation": "{}", "running mean of the frozen normalisation": "{}", '
    '"what the old head answers on the stages": "{}"}}'
)
EMPTY = (
    'guesses = dict.fromkeys(["weights of the frozen convolution", "gain of the frozen normalisation", '
    '"running mean of the frozen normalisation", "weights of the new head", '
    '"what the old head answers on the stages"], "changes")\n'
)
CLASSWISE = (
    "def surest(probs, share):\n"
    "    kept = np.zeros(len(probs), dtype=bool)\n"
    "    for k in range(probs.shape[1]):\n"
    "        rows = np.flatnonzero(probs.argmax(axis=1) == k)\n"
    "        kept[rows[np.argsort({sign}probs[rows, k])][:{count}]] = True\n"
    "    return kept"
)

WRONG = {
    "10.1": [
        EMPTY,
        EMPTY + MOVED.format("changes", "changes", "changes"),
        EMPTY + MOVED.format("stays", "stays", "changes"),
        EMPTY + MOVED.format("stays", "changes", "stays"),
    ],
    "10.2": [
        "def prepare(model, frozen):\n    model.train()\n    for part in frozen:\n        part.requires_grad_(False)",
        "def prepare(model, frozen):\n    model.train()\n    for part in frozen:\n        part.eval()",
        "def prepare(model, frozen):\n    model.eval()\n    for part in frozen:\n        part.requires_grad_(False)",
        "def prepare(model, frozen):\n    model.eval()\n    model.requires_grad_(False)",
        "def prepare(model, frozen):\n    model.train()\n    frozen[0].requires_grad_(False).eval()",
    ],
    "10.3": [
        "def surest(probs, share):\n"
        "    sure = probs.max(axis=1)\n"
        "    return sure >= np.sort(sure)[-math.ceil(share * len(probs))]",
        CLASSWISE.format(sign="-", count="int(share * len(rows))"),
        CLASSWISE.format(sign="", count="math.ceil(share * len(rows))"),
        "def surest(probs, share):\n    return probs.max(axis=1) > 0.9",
        CLASSWISE.format(sign="-", count="int(share * len(rows)) + 1"),
        "def surest(probs, share):\n"
        "    kept, named = np.zeros(len(probs), dtype=bool), probs.argmax(axis=1)\n"
        "    for k in np.unique(named):\n"
        "        column = np.sort(probs[named == k, k])\n"
        "        kept |= probs[:, k] >= column[-math.ceil(share * len(column))]\n"
        "    return kept",
    ],
    "10.4": [
        'fifty, two_hundred, gain = "borrow", "borrow", 0.0675',
        'fifty, two_hundred, gain = "borrow", "train longer", (scores[50, "loan"] - scores[50, "scratch"]).mean()',
        'fifty, two_hundred, gain = "train longer", "train longer", 0.01',
        'fifty, two_hundred, gain = "borrow", "train longer", scores[50, "loan"].mean()',
        'fifty, two_hundred, gain = "borrow", "train longer", '
        'seed_interval(scores[50, "loan"] - scores[50, "longer"]).low',
    ],
}
