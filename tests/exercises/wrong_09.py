"""Plausible mistakes in the exercises of lesson 09."""

LUCK = 'guesses = {{"1 look, 100 scans": {}, "300 looks, 100 scans": {}, "300 looks, 1600 scans": {}}}'

WRONG = {
    "09.1": [
        LUCK.format(0.5, 0.64, 0.54),
        LUCK.format(0.05, 0.14, 0.035),
        LUCK.format(0, 0.05, 0.01),
        LUCK.format(0, 0.14, 0.14),
        LUCK.format(0, 0.14, 0.009),
        LUCK.format(0, 14, 3.6),
        LUCK.format(0, -0.14, -0.036),
        LUCK.format(0, 0.1, 0.025),
    ],
    "09.2": [
        "def resume(trials, wanted):\n    return [], wanted",
        "def resume(trials, wanted):\n    return [], wanted - len(trials)",
        "def resume(trials, wanted):\n"
        "    return [], wanted - sum(trial['state'] in ('COMPLETE', 'PRUNED') for trial in trials)",
        "def resume(trials, wanted):\n"
        "    again = [trial['setting'] for trial in trials if trial['state'] == 'RUNNING']\n"
        "    return again, wanted - sum(trial['state'] in ('COMPLETE', 'PRUNED') for trial in trials)",
        "def resume(trials, wanted):\n"
        "    again = [trial['setting'] for trial in trials if trial['state'] == 'RUNNING']\n"
        "    return again, wanted - sum(trial['state'] == 'COMPLETE' for trial in trials)",
        "def resume(trials, wanted):\n"
        "    again = [trial['setting'] for trial in trials if trial['state'] == 'RUNNING']\n"
        "    return again, wanted - sum(trial['state'] in ('COMPLETE', 'PRUNED') for trial in trials) + len(again)",
    ],
    "09.3": [
        "def deal(patients, parts, seed):\n"
        "    return np.random.default_rng(seed).permutation(np.arange(len(patients)) % parts)",
        "def deal(patients, parts, seed):\n    return np.unique(patients, return_inverse=True)[1] % parts",
        "def deal(patients, parts, seed):\n"
        "    names, place = np.unique(patients, return_inverse=True)\n"
        "    return np.random.default_rng(seed).integers(0, parts, len(names))[place]",
        "def deal(patients, parts, seed):\n"
        "    names, place = np.unique(patients, return_inverse=True)\n"
        "    return np.random.default_rng(seed).permutation(np.arange(len(names)) % parts)[place] + 1",
        "def deal(patients, parts, seed):\n    return (np.unique(patients, return_inverse=True)[1] + seed) % parts",
    ],
    "09.4": [
        'pick, saved, lost = "let all run", 3 / 8, 0.10',
        'pick, saved, lost = "prune", 6 / 32, 0.10',
        'pick, saved, lost = "prune", 6 / 32, 0.0',
        'pick, saved, lost = "let all run", 10 / 32, 0.15',
        'pick, saved, lost = "prune", 4 / 32, 0.0',  # the ended ones in the median; or the median of all eight
        'pick, saved, lost = "let all run", 8 / 32, 0.13',  # at the median as well as above it
        'pick, saved, lost = "let all run", 18.75, 0.10',
    ],
}
