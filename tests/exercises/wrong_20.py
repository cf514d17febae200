"""Plausible mistakes in the exercises of lesson 20."""

NAMES = (
    "guesses = dict(zip(["
    '"the averaged probabilities have no larger log loss than the members\' mean", '
    '"the averaged probabilities read no fewer scans right than the members\' mean", '
    '"the seed that is best on validation is above the seeds\' mean on test", '
    '"the seed that is best on test is not below the seeds\' mean on test", '
    '"the interval by patient tells how far another seed would differ"], '
    '["certain" if letter == "y" else "not certain" for letter in "{}"]))'
)
TRAIT = (
    "def trait_score(train_trait, train_labels, trait, labels):\n"
    "    rule = {{v: np.bincount({y}[{x} == v]).argmax() for v in np.unique({x})}}\n"
    "    preds = np.array([rule.get(v, {other}) for v in trait])\n"
    "    return {result}"
)
MACRO = "np.mean([(preds[labels == k] == k).mean() for k in np.unique(labels)])"
STUDENT = (
    "import scipy.stats\n"
    "def report(validation, test):\n"
    "    n, mean = len(test), {}\n"
    "    half = {} / n**0.5\n"
    "    return mean, mean - half, mean + half"
)
LEARNED = {"y": "train_labels", "x": "train_trait", "other": "np.bincount(train_labels).argmax()"}

WRONG = {
    "20.1": [NAMES.format("nnnyn"), NAMES.format("yynyn"), NAMES.format("ynyyn"), NAMES.format("ynnyy")],
    "20.2": [
        "def report(validation, test):\n    return max(test)",
        "def report(validation, test):\n    x = test[validation.argmax()]\n    return x, x - 0.02, x + 0.02",
        "def report(validation, test):\n"
        "    half = 1.96 * test.std(ddof=1) / len(test) ** 0.5\n"
        "    return test.mean(), test.mean() - half, test.mean() + half",
        "def report(validation, test):\n"
        "    return test.mean(), test.mean() - test.std(ddof=1), test.mean() + test.std(ddof=1)",
        "def report(validation, test):\n    return seed_interval(validation)",
        STUDENT.format("np.median(test)", "scipy.stats.t.ppf(0.975, n - 1) * test.std(ddof=1)"),
        STUDENT.format("test.mean()", "scipy.stats.t.ppf(0.975, n - 1) * test.std()"),
        STUDENT.format("test.mean()", "scipy.stats.t.ppf(0.95, n - 1) * test.std(ddof=1)"),
        STUDENT.format("test.mean()", "2.776 * test.std(ddof=1)"),
        "def report(validation, test):\n    mean, low, high = seed_interval(test)\n    return mean, high, low",
    ],
    "20.3": [
        TRAIT.format(**LEARNED | {"other": "0"}, result=MACRO),
        TRAIT.format(**LEARNED, result="(preds == labels).mean()"),
        TRAIT.format(**LEARNED | {"other": "np.bincount(labels).argmax()"}, result=MACRO),
        TRAIT.format(**LEARNED, result="sum((preds[labels == k] == k).mean() for k in np.unique(labels)) / 4"),
        TRAIT.format(**LEARNED, result="100 * " + MACRO),
        TRAIT.format(**LEARNED, result=MACRO.replace("labels == k", "(labels == k) & np.isin(trait, train_trait)")),
        "def trait_score(train_trait, train_labels, trait, labels):\n"
        "    rule = dict(zip(train_trait, train_labels))\n"
        "    preds = np.array([rule.get(v, np.bincount(train_labels).argmax()) for v in trait])\n"
        f"    return {MACRO}",
        TRAIT.format(y="labels", x="trait", other="0", result=MACRO),
        TRAIT.format(y="labels", x="trait", other="0", result="(preds == labels).mean()"),
    ],
    "20.4": [
        'pick, ours, fair = "mean recall of the classes", 0.91, "no"',
        'pick, ours, fair = "accuracy at their mix", 0.91, "no"',
        'pick, ours, fair = "accuracy at their mix", 0.9504, "yes"',
    ],
}
