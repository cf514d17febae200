"""Plausible mistakes in the exercises of lesson 15."""

WATCH = (
    'guesses = dict(zip(["uploads arrive cut in half", "an old, darker device comes into use", '
    '"a rebuilt bundle holds its mean in another unit", "doctors begin to call early DRUSEN healthy"], {}))'
)
INDEX = (
    "def stability(reference, week, bins):\n"
    "    cuts = {cuts}[1:-1]\n"
    "    counts = [np.bincount(np.searchsorted(cuts, x), minlength=bins) + {half} for x in (reference, week)]\n"
    "    p, q = (count / count.sum() for count in counts)\n"
    "    return ((q - p) * np.log(q / {under})).sum()"
)
QUANTILES = "np.quantile({}, np.linspace(0, 1, bins + 1))"
WORTH = (
    "def worth(values, patients):\n"
    "    codes = np.unique(patients, return_inverse=True)[1]\n"
    "    apart = values - values.mean()\n"
    "    effect = (np.bincount(codes, apart) ** 2).sum() / (apart**2).sum()\n"
    "    return {}"
)

WRONG = {
    "15.1": [
        WATCH.format(["inputs", "error rate", "golden scans", "labels"]),
        WATCH.format(["error rate", "labels", "golden scans", "inputs"]),
        WATCH.format(["error rate", "inputs", "error rate", "labels"]),
        WATCH.format(["error rate", "inputs", "golden scans", "golden scans"]),
    ],
    "15.2": [
        "def stability(reference, week, bins):\n    return float('inf')  # as the logarithm of an empty bin is",
        INDEX.format(cuts=QUANTILES.format("week"), half=0.5, under="p"),
        INDEX.format(cuts="np.linspace(reference.min(), reference.max(), bins + 1)", half=0.5, under="p"),
        INDEX.format(cuts=QUANTILES.format("reference"), half=1, under="p"),
        INDEX.format(cuts=QUANTILES.format("np.concatenate([reference, week])"), half=0.5, under="p"),
        INDEX.format(cuts=QUANTILES.format("week"), half=0, under="p"),
        INDEX.format(cuts=QUANTILES.format("reference"), half=0.5, under="p").replace("[1:-1]", ""),
        INDEX.format(cuts=QUANTILES.format("reference"), half=0.5, under="p").replace(":\n", ":\n    bins = 10\n", 1),
        INDEX.format(cuts=QUANTILES.format("reference"), half=0.5, under="p").replace(").sum()", ").mean()"),
        "def stability(reference, week, bins):\n"
        "    cuts = np.quantile(reference, np.linspace(0, 1, bins + 1))\n"
        "    counts = [np.histogram(x, cuts)[0] + 0.5 for x in (reference, week)]\n"
        "    p, q = (count / count.sum() for count in counts)\n"
        "    return ((q - p) * np.log(q / p)).sum()",
    ],
    "15.3": [
        WORTH.format("effect"),
        WORTH.format("len(values) * effect"),
        WORTH.format("len(values) / effect**0.5"),
        WORTH.format("round(len(values) / effect)"),
        WORTH.format("len(values) / effect").replace("apart) ** 2", "apart**2)"),
        WORTH.format("len(values) / effect").replace("(codes, apart)", "(codes, apart / np.bincount(codes)[codes])"),
        "def worth(values, patients):\n    return len(np.unique(patients))",
    ],
    "15.4": [
        'source, low, signed = "thumbs", 0.56, "no"',
        'source, low, signed = "unsure scans", 0.52, "no"',
        'source, low, signed = "random slice", 0.8005, "yes"',
        'source, low, signed = "random slice", 0.780, "yes"',
        'source, low, signed = "random slice", 0.920, "yes"',
        'source, low, signed = "random slice", 0.815, "yes"',
        'source, low, signed = "random slice", 0.767, "no"',
        'source, low, signed = "random slice", 78.0, "no"',
    ],
}
