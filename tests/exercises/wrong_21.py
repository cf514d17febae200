"""Plausible mistakes in the exercises of lesson 21."""

FRAMES = 'guesses = {{"chest moves 10 mm/s": {}, "chest moves 25 mm/s": {}, "what decides": "{}"}}'
MARGIN = (
    "def margin(low, high, truth, share):\n"
    "    outside = np.sort({})\n"
    "    return outside[math.ceil((len(outside){}) * share) - 1]"
)

WRONG = {
    "21.1": [
        FRAMES.format(2, 2, "breaths a minute"),
        FRAMES.format(4, 10, "speed of the chest"),
        FRAMES.format(2, 5, "speed of the chest"),
        FRAMES.format(16, 40, "speed of the chest"),
        FRAMES.format(8, 8, "speed of the chest"),
    ],
    "21.2": [
        "def displacement(z, centre, wavelength):\n    return -np.unwrap(np.angle(z)) * wavelength / (4 * np.pi)",
        "def displacement(z, centre, wavelength):\n    return -np.angle(z - centre) * wavelength / (4 * np.pi)",
        "def displacement(z, centre, wavelength):\n"
        "    return -np.unwrap(np.angle(z - centre)) * wavelength / (2 * np.pi)",
        "def displacement(z, centre, wavelength):\n"
        "    return np.unwrap(np.angle(z - centre)) * wavelength / (4 * np.pi)",
        "def displacement(z, centre, wavelength):\n    return -np.unwrap(np.angle(z - centre)) * 5 / (4 * np.pi)",
    ],
    "21.3": [
        MARGIN.format("np.abs(np.maximum(low - truth, truth - high))", " + 1"),
        MARGIN.format("np.maximum(low - truth, truth - high)", ""),
        "def margin(low, high, truth, share):\n    return np.quantile(np.maximum(low - truth, truth - high), share)",
        MARGIN.format("np.abs(truth - (low + high) / 2)", " + 1"),
        MARGIN.format("np.maximum(low - truth, truth - high)", " + 1").replace("math.ceil", "int"),
        MARGIN.format("np.maximum(low - truth, truth - high)", " + 1").replace("math.ceil", "round"),
        MARGIN.format("np.maximum(low - truth, truth - high)", " + 1").replace(" - 1]", "]"),
        MARGIN.format("np.maximum(np.maximum(low - truth, truth - high), 0)", " + 1"),
        MARGIN.format("truth - high", " + 1"),
        MARGIN.format("np.maximum(low - truth, truth - high)", " + 1").replace("* share", "* 0.9"),
    ],
    "21.4": [
        "call_at, missed = 25, 2",
        "call_at, missed = 21, 0",
        "call_at, missed = 24, 2",
        "call_at, missed = 22.5, 1",
        "call_at, missed = 22, 0",
    ],
}
