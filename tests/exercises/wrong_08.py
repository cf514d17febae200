"""Plausible mistakes in the exercises of lesson 08."""

GUESS = '{{"a survivor": {}, "the mean in training": {}, "any activation in evaluation": {}}}'
PIECES = (
    "def accumulate(model, loss_fn, images, targets, size):\n"
    "    {zero}\n"
    "    for part in torch.arange(len(images)).split(size):\n"
    "        {again}\n"
    "        ({share} * loss_fn(model(images[part]), targets[part])).backward()"
)
SQUARE = (
    "def cutout(images, side, grey, generator):\n"
    "    covered = {copy}\n"
    "    for scan in covered:\n"
    "        top, left = (int(torch.randint(n - side{more}, (), generator=generator)) for n in scan.shape[1:])\n"
    "        scan[:, top:top + side, left:left + side] = grey\n"
    "    return covered"
)

WRONG = {
    "08.1": [
        "guesses = " + GUESS.format(1, 0.1, 1),
        "guesses = " + GUESS.format(1.11, 0.11, 1),
        "guesses = " + GUESS.format(10, 0.1, 1),
        "guesses = " + GUESS.format(10, 1, 10),
    ],
    "08.2": [
        PIECES.format(zero="pass", again="model.zero_grad()", share="1"),
        PIECES.format(zero="model.zero_grad()", again="pass", share="1"),
        PIECES.format(zero="model.zero_grad()", again="pass", share="1 / 3"),
        PIECES.format(zero="pass", again="pass", share="len(part) / len(images)"),
        PIECES.format(zero="model.zero_grad()", again="pass", share="size / len(images)"),
        PIECES.format(zero="model.zero_grad(); size = len(images)", again="pass", share="1"),
        PIECES.format(zero="model.zero_grad()", again="if len(part) < size: break", share="size / len(images)"),
    ],
    "08.3": [
        SQUARE.format(copy="images", more=" + 1"),
        SQUARE.format(copy="images.clone()", more=""),
        "def cutout(images, side, grey, generator):\n"
        "    covered = images.clone()\n"
        "    top, left = (int(torch.randint(n - side + 1, (), generator=generator)) for n in images.shape[2:])\n"
        "    covered[:, :, top:top + side, left:left + side] = grey\n"
        "    return covered",
        "def cutout(images, side, grey, generator):\n"
        "    covered = images.clone()\n"
        "    for scan in covered:\n"
        "        top, left = (int(torch.randint(n, (), generator=generator)) for n in scan.shape[1:])\n"
        "        scan[:, top:top + side, left:left + side] = grey\n"
        "    return covered",
        SQUARE.format(copy="images.clone()", more=" + 3").replace("int(torch", "min(n - side, torch"),
        SQUARE.format(copy="images.clone(); generator.manual_seed(0)", more=" + 1"),
        "def cutout(images, side, grey, generator):\n"
        "    covered = images.clone()\n"
        "    for scan, u in zip(covered, torch.rand(len(images), generator=generator)):\n"
        "        top, left = (int(u * (n - side + 1)) for n in scan.shape[1:])\n"
        "        scan[:, top:top + side, left:left + side] = grey\n"
        "    return covered",
    ],
    "08.4": [
        'pick, low = "strong", seed_interval(scores["strong"] - scores["nothing"]).low',
        'pick, low = "mild", (scores["mild"] - scores["nothing"]).mean()',
        'pick, low = "mild", 0.04 - 2.3 * scores.std().max() * (2 / 5) ** 0.5',
        'pick, low = "mild", seed_interval(scores["strong"] - scores["nothing"]).low',
        'pick, low = "mild", (scores["mild"] - scores["nothing"]).min()',
        'pick, low = "mild", 0.04 - 2.776 * (scores["mild"] - scores["nothing"]).std(ddof=0) / 5**0.5',
    ],
}
