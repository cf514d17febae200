"""Plausible mistakes in the exercises of lesson 01."""


def _guesses(*decisions: str) -> str:
    names = ("Anna", "Bela", "Carla", "Deniz", "Deniz, CNV sent home costs 10")
    return f"guesses = {dict(zip(names, decisions, strict=True))!r}"


WRONG = {
    "01.1": [
        _guesses(*["discharge"] * 5),  # the likeliest class
        _guesses("routine", "routine", "discharge", "routine", "discharge"),
        _guesses("urgent", "discharge", "discharge", "routine", "discharge"),
        _guesses("urgent", "routine", "discharge", "routine", "routine"),  # as if the price had not changed
    ],
    "01.2": [
        "def on_top(thickness, acuity):\n    return (thickness > 300) | (acuity > 0.5)",
        "def on_top(thickness, acuity):\n    return (thickness > 300) | thickness.isna() | (acuity > 0.5)",
        "def on_top(thickness, acuity):\n"
        "    um = thickness.where(~(thickness < 10), thickness * 1000)\n"
        "    return (um > 300) | um.isna() | (acuity > 0.5) | acuity.isna()",
        "def on_top(thickness, acuity):\n"
        "    um = thickness.where(~(thickness < 10), thickness * 1000)\n"
        "    return ((um > 300) & (acuity > 0.5)) | um.isna()",
        "def on_top(thickness, acuity):\n"
        "    thickness[thickness < 10] *= 1000\n"
        "    return (thickness > 300) | thickness.isna() | (acuity > 0.5)",
        "def on_top(thickness, acuity):\n"
        "    acuity.fillna(0, inplace=True)\n"
        "    um = thickness.where(~(thickness < 10), thickness * 1000)\n"
        "    return (um > 300) | um.isna() | (acuity > 0.5)",
        "def on_top(thickness, acuity):\n    return (thickness * 1000 > 300) | thickness.isna() | (acuity > 0.5)",
    ],
    "01.3": [
        "def precision_at(recall, false_alarm, share):\n    return recall / (recall + false_alarm)",
        "def precision_at(recall, false_alarm, share):\n    return recall * share",
        "def precision_at(recall, false_alarm, share):\n    return recall * share / (recall * share + false_alarm)",
        "def precision_at(recall, false_alarm, share):\n"  # silence is not only a recall of 0
        "    return recall and recall * share / (recall * share + false_alarm * (1 - share))",
        "def precision_at(recall, false_alarm, share):\n"
        "    return false_alarm and recall * share / (recall * share + false_alarm * (1 - share))",
        "def precision_at(recall, false_alarm, share):\n"
        "    return 100 * recall * share / (recall * share + false_alarm * (1 - share))",
    ],
    "01.4": [
        'chosen = "network A"\nsaved = 0',
        'chosen = "a person reads every scan"\nsaved = 0',
        'cost = np.array(TRIAGE.cost)\nchosen = "network B"\n'
        "saved = 1000 * (0.7 - ((counts[chosen] * cost).sum(1) / counts[chosen].sum(1)).mean())",
        'chosen = "network B"\nsaved = 0.7 - (counts[chosen] * np.array(TRIAGE.cost)).sum() / 200',
        'chosen = "network B"\nsaved = 1000 * ((counts[chosen] * np.array(TRIAGE.cost)).sum() / 200 - 0.7)',
        'chosen = "network B"\nsaved = 200 * 0.7 - (counts[chosen] * np.array(TRIAGE.cost)).sum()',
        'chosen = "network B"\nsaved = 1000 * (counts[chosen] * np.array(TRIAGE.cost)).sum() / 200',
    ],
}
