"""Plausible mistakes in the exercises of lesson 05."""

_LAZY = (
    "always the commonest, accuracy",
    "always the commonest, macro-F1",
    "evenly at random, accuracy",
    "at random with the class shares, accuracy",
)
_PAIRS = ("layer features, pixels", "first CNN, layer features", "small CNN, layer features", "wide CNN, small CNN")


def _named(variable: str, names: tuple[str, ...], *values: object) -> str:
    return f"{variable} = {dict(zip(names, values, strict=True))!r}"


def _interval(draw: str, ends: str = "[0.025, 0.975]") -> str:
    return (
        "def interval(right, patients, seed):\n"
        "    rng = np.random.default_rng(seed)\n"
        "    rows = [np.flatnonzero(patients == who) for who in np.unique(patients)]\n"
        f"    means = [{draw} for _ in range(1000)]\n"
        f"    return np.quantile(means, {ends})"
    )


def _f1(classes: str) -> str:
    return (
        f"def my_macro_f1(targets, preds):\n    return np.mean([2 * ((targets == k) & (preds == k)).sum()"
        f" / max((targets == k).sum() + (preds == k).sum(), 1) for k in {classes}])"
    )


_POOLED = "right[np.concatenate([rows[k] for k in rng.integers(0, len(rows), len(rows))])].mean()"
_A, _B, _OPEN = "a is better", "b is better", "open"

WRONG = {
    "05.1": [
        _named("guesses", _LAZY, 0.5, 0.667, 0.25, 0.365),
        _named("guesses", _LAZY, 0.5, 0.25, 0.25, 0.365),
        _named("guesses", _LAZY, 0.5, 0.167, 0.25, 0.25),
        _named("guesses", _LAZY, 50, 17, 25, 36),
    ],
    "05.2": [
        _interval("right[rng.integers(0, len(right), len(right))].mean()"),
        _interval("np.mean([right[rows[k]].mean() for k in rng.integers(0, len(rows), len(rows))])"),
        _interval(_POOLED, "[0.05, 0.95]"),
        _interval("right[np.isin(patients, rng.choice(np.unique(patients), len(rows)))].mean()"),
        _interval(_POOLED, "[0.975, 0.025]"),
        _interval(_POOLED, "[0.25, 0.975]"),
        _interval(_POOLED).replace("quantile", "percentile"),
        _interval(_POOLED).replace("(seed)", "(0)"),
        _interval("right[np.concatenate([rows[k] for k in rng.permutation(len(rows))])].mean()"),  # nobody twice
        # draws from the list of scans: who has more scans is drawn more often
        _interval(
            "right[np.concatenate([np.flatnonzero(patients == who) for who in rng.choice(patients, 50)])].mean()"
        ),
        _interval(_POOLED.replace("len(rows))])", "len(right))])")),  # as many patients as scans
    ],
    "05.3": [
        "def my_macro_f1(targets, preds):\n    return (targets == preds).mean()",
        "def my_macro_f1(targets, preds):\n"
        "    return np.mean([(preds[targets == k] == k).mean() for k in np.unique(targets)])",
        "def my_macro_f1(targets, preds):\n    return sum((targets == k).mean() * 2 * ((targets == k) & (preds == "
        "k)).sum()"
        " / ((targets == k).sum() + (preds == k).sum()) for k in np.union1d(targets, preds))",
        "def my_macro_f1(targets, preds):\n    return np.mean([2 * ((targets == k) & (preds == k)).sum()"
        " / ((targets == k).sum() + (preds == k).sum()) for k in np.unique(targets)])",
        _f1("np.unique(preds)"),
        _f1("range(4)"),
        "def my_macro_f1(targets, preds):\n    from sklearn.metrics import f1_score\n"
        "    return f1_score(targets, preds, average='macro')",
        _f1("np.union1d(targets, preds)").replace("2 *", "1 *"),
    ],
    "05.4": [
        _named("verdicts", _PAIRS, _A, _B, _A, _A) + "\ndifference = 16 / 600",
        _named("verdicts", _PAIRS, _A, _B, _OPEN, _A) + "\ndifference = 16 / 600",
        _named("verdicts", _PAIRS, _A, _A, _OPEN, _OPEN) + "\ndifference = 16 / 600",
        _named("verdicts", _PAIRS, _A, _B, _OPEN, _OPEN) + "\ndifference = 16 / 28",
        _named("verdicts", _PAIRS, _A, _B, _OPEN, _OPEN) + "\ndifference = (-0.006 + 0.061) / 2",
        _named("verdicts", _PAIRS, _A, _B, _OPEN, _OPEN) + "\ndifference = 2.67",
    ],
}
