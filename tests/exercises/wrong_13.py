"""Plausible mistakes in the exercises of lesson 13."""

SIZES = (
    'guesses = {{"two fifths of the weights set to zero": {}, "half of the channels in every layer": {}, '
    '"eight bits a weight": {}}}'
)
TAUGHT = (
    "def taught_loss(student, teacher, targets, temperature, alpha):\n"
    "    said, wanted = (student {} temperature).log_softmax(1), (teacher {} temperature).softmax(1)\n"
    "    distance = F.kl_div(said, wanted{})\n"
    "    return {} * distance + (1 - alpha) * F.cross_entropy(student, targets)"
)
BATCH = ', reduction="batchmean"'

WRONG = {
    "13.1": [
        SIZES.format(60, 25, 25),
        SIZES.format(100, 50, 25),
        SIZES.format(100, 25, 12.5),
        SIZES.format(100_000, 25_000, 25_000),
        SIZES.format(1, 0.25, 0.25),
    ],
    "13.2": [
        TAUGHT.format("/", "/", "", "alpha"),
        TAUGHT.format("/", "/", BATCH, "alpha"),
        TAUGHT.format("/", "/", ', reduction="mean"', "alpha * temperature**2"),
        TAUGHT.format("*", "*", BATCH, "alpha * temperature**2"),
        TAUGHT.format("/", "/", BATCH, "alpha * temperature"),
        TAUGHT.format("/", "/", ', reduction="sum"', "alpha * temperature**2"),
        TAUGHT.format("/", "/", BATCH, "alpha * temperature**2").replace("(teacher / temperature)", "teacher"),
        TAUGHT.format("/", "/", BATCH, "alpha * 9"),
        TAUGHT.format("/", "/", BATCH, "temperature**2 * alpha").replace("= (student", "= (student.detach()"),
        "def taught_loss(student, teacher, targets, temperature, alpha):\n"
        "    said, wanted = (student / temperature).softmax(1), (teacher / temperature).log_softmax(1)\n"
        '    distance = F.kl_div(wanted, said, reduction="batchmean")\n'
        "    return alpha * temperature**2 * distance + (1 - alpha) * F.cross_entropy(student, targets)",
    ],
    "13.3": [
        "def quantise(weights):\n"
        "    scale = np.abs(weights).max() / 127\n"
        "    return (weights / scale).round(), np.full(len(weights), scale)",
        "def quantise(weights):\n"
        "    scales = np.maximum(np.abs(weights).max(axis=1), 1e-9) / 127\n"
        "    return weights / scales[:, None], scales",
        "def quantise(weights):\n"
        "    scales = np.maximum(np.abs(weights).max(axis=1), 1e-9) / 127\n"
        "    return np.trunc(weights / scales[:, None]), scales",
        "def quantise(weights):\n"
        "    scales = np.abs(weights).max(axis=1) / 127\n"
        "    return (weights / scales[:, None]).round(), scales",
        "def quantise(weights):\n"
        "    scales = np.maximum(np.abs(weights).max(axis=1), 1e-9) / 127\n"
        "    weights /= scales[:, None]\n"
        "    return weights.round(), scales",
        "def quantise(weights):\n"
        "    scales = np.maximum(np.abs(weights).max(axis=1), 1e-9) / 127\n"
        "    return (weights / scales[:, None]).round(), 1 / scales",
    ],
    "13.4": [
        'pick, worst = "zeros", 0.0038',
        'pick, worst = "narrow", 0.073',
        'pick, worst = "int8", 0.008',
        'pick, worst = "int8", 15.7',
        'pick, worst = "int8", 0.992',
        'pick, worst = "int8", 0.008 + 1.96 * (0.008 * 0.992 / 1000) ** 0.5',
    ],
}
