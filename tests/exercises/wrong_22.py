"""Plausible mistakes in the exercises of lesson 22."""

COLUMNS = (
    'guesses = dict(zip(["the number of the row", "a column with the same value everywhere", '
    '"the patient\'s name, two rows each", "a measurement, missing in one row of ten", '
    '"a measurement that predicts the target almost perfectly", "visits in the year after the measurements"], {}))'
)
FILL = (
    "def fill(train, other):\n"
    "    both = np.concatenate([train, other])\n"
    "    return tuple(np.hstack([np.where(np.isnan(x), {}, x), np.isnan(x)]) for x in (train, other))"
)
DAYS = "import math\ndef by_time(days, share):\n    there = np.unique(days)\n    return np.isin({}, there[: {}])"

WRONG = {
    "22.1": [
        COLUMNS.format(["use", "drop", "group by", "use", "ask", "drop"]),
        COLUMNS.format(["drop", "drop", "drop", "use", "ask", "drop"]),
        COLUMNS.format(["drop", "drop", "group by", "drop", "ask", "drop"]),
        COLUMNS.format(["drop", "drop", "group by", "use", "use", "drop"]),
        COLUMNS.format(["drop", "drop", "group by", "use", "ask", "use"]),
    ],
    "22.2": [
        "def fill(train, other):\n"
        "    medians = np.nanmedian(train, axis=0)\n"
        "    return tuple(np.where(np.isnan(x), medians, x) for x in (train, other))",
        FILL.format("np.nanmedian(both, axis=0)"),
        FILL.format("np.nanmedian(x, axis=0)"),
        FILL.format("np.nanmean(train, axis=0)"),
        FILL.format("0"),
        "from sklearn.impute import SimpleImputer\n"
        "def fill(train, other):\n"
        "    model = SimpleImputer(strategy='median', add_indicator=True).fit(train)\n"
        "    return model.transform(train), model.transform(other)",
        FILL.format("np.nanmedian(train, axis=0)").replace("np.isnan(x)])", "~np.isnan(x)])"),
        FILL.format("np.nanmedian(train, axis=0)").replace("x), np.isnan(x)])", "x), np.zeros(x.shape)])"),
    ],
    "22.3": [
        "def by_time(days, share):\n    return np.arange(len(days)) < share * len(days)",
        "def by_time(days, share):\n"
        "    rows = np.argsort(days, kind='stable')\n"
        "    return np.isin(np.arange(len(days)), rows[: int(share * len(days))])",
        "def by_time(days, share):\n    return days <= np.quantile(days, share)",
        "def by_time(days, share):\n"
        "    there = np.random.default_rng(0).permutation(np.unique(days))\n"
        "    return np.isin(days, there[: int(share * len(there))])",
        DAYS.format("days", "int(0.7 * len(there))"),
        DAYS.format("days", "math.ceil(share * len(there))"),
        DAYS.format("np.sort(days)", "int(share * len(there))"),
    ],
    "22.4": [
        'pick, low = "dozen", 0.757',
        'pick, low = "forty", 0.835',
        'pick, low = "four hundred", 0.9',
        'pick, low = "four hundred", 0.9 - 1.96 * (0.09 / 400) ** 0.5',
        'pick, low = "four hundred", 0.87',
        'pick, low = "four hundred", 86.7',
        'pick, low = "four hundred", 0.926',
    ],
}
