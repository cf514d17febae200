"""Plausible mistakes in the exercises of lesson 02."""

_FOUND = (
    'key = __import__("course_utils.exercises.detective", fromlist=["x"])\n'
    "found = {fault: set(ids) for fault, ids in key.guilty(key._case().key).items()}\n"
)

_KAPPA = (
    "def kappa(a, b):\n"
    "    chance = sum((a == k).mean() * (b == k).mean() for k in {})\n"
    "    kappa = ((a == b).mean() - chance) / (1 - chance)\n"
    "    return {}"
)

WRONG = {
    "02.1": [
        "def kappa(a, b):\n    return (a == b).mean()",
        "def kappa(a, b):\n    chance = 1 / len(np.union1d(a, b))\n    return ((a == b).mean() - chance) / (1 - "
        "chance)",
        "def kappa(a, b):\n"
        "    chance = sum(((a == k).mean() / 2 + (b == k).mean() / 2) ** 2 for k in np.union1d(a, b))\n"
        "    return ((a == b).mean() - chance) / (1 - chance)",
        "def kappa(a, b):\n"
        "    return (a == b).mean() - sum((a == k).mean() * (b == k).mean() for k in np.union1d(a, b))",
        _KAPPA.format("np.union1d(a, b)", "max(0, kappa)"),  # worse than chance is below zero
        _KAPPA.format("range(len(np.unique(a)))", "kappa"),  # ids need not be 0, 1, 2, …
    ],
    "02.2": [
        "def copies(images):\n    return pd.Series([str(image) for image in images]).duplicated(keep=False)",
        "def copies(images):\n    return pd.Series([image.tobytes() for image in images]).duplicated()",
        "def copies(images):\n    return pd.Series(images.mean((1, 2))).duplicated(keep=False) & (images.max() < 0)",
        "def copies(images):\n    return pd.Series([bytes(sorted(i.ravel())) for i in images]).duplicated(keep=False)",
        "def copies(images):\n    return [any((one == other).all() for other in images) for one in images]",
    ],
    "02.3": [
        'chosen = "two specialists and a panel"\nminutes = 40',
        'chosen = "one specialist"\nminutes = 27',
        'chosen = "two trained readers and a referee"\nminutes = 2.3 / 0.053',
        'chosen = "two trained readers and a referee"\nminutes = 1.3 / 0.053 / 60',
        'chosen = "two trained readers and a referee"\nminutes = 3 / 0.053',
        'chosen = "two trained readers and a referee"\nminutes = 1 / 0.053',
    ],
    "02.4": [
        _FOUND + 'found["marker"] |= set(table["scan_id"][:400])',
        _FOUND + 'found["exact copy"] = set(list(found["exact copy"])[::2])',
        _FOUND + 'found["near copy"] |= found["exact copy"]',
        _FOUND + 'found["wrong label"] = set()',
        _FOUND + 'found["unit slip"] = {3, 17}',
        "found = {}\nfound['unit slip'] = 5",
    ],
}
