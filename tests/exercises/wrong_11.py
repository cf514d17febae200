"""Plausible mistakes in the exercises of lesson 11."""

PULL = 'guesses = {{"p = 0.01": "{}", "p = 0.5": "{}", "p = 0.99": "{}"}}'

WRONG = {
    "11.1": [
        PULL.format("cross-entropy", "cross-entropy", "cross-entropy"),
        PULL.format("focal", "expected cost", "smoothing"),
        PULL.format("focal", "cross-entropy", "focal"),
    ],
    "11.2": [
        "def thickness_loss(y_hat, y):\n    return F.huber_loss(y_hat, y.nan_to_num())",
        "def thickness_loss(y_hat, y):\n    return F.huber_loss(y_hat[~y.isnan()], y[~y.isnan()])",
        "def thickness_loss(y_hat, y):\n"
        "    return F.huber_loss(y_hat, torch.where(y.isnan(), y_hat, y), reduction='mean')",
        "def thickness_loss(y_hat, y):\n    return F.huber_loss(y_hat, y)",
        "def thickness_loss(y_hat, y):\n"
        "    return F.huber_loss(y_hat, y, reduction='none').nansum() / (~y.isnan()).sum().clamp(1)",
        "def thickness_loss(y_hat, y):\n"
        "    known = ~y.isnan()\n"
        "    loss = F.huber_loss(y_hat[known], y[known]) if known.any() else y_hat.sum() * 0\n"
        "    return torch.tensor(loss.item(), requires_grad=True)",
        "def thickness_loss(y_hat, y):\n    return F.huber_loss(y_hat, torch.where(y.isnan(), y.nanmean(), y))",
    ],
    "11.3": [
        "def decide(probs, weights, cost):\n    return (probs @ cost).argmin(axis=1)",
        "def decide(probs, weights, cost):\n    return (probs * weights @ cost).argmin(axis=1)",
        "def decide(probs, weights, cost):\n    return cost[(probs / weights).argmax(axis=1)].argmin(axis=1)",
        "def decide(probs, weights, cost):\n    return (probs / weights).argmax(axis=1)",
    ],
    "11.4": [
        'pick, gain = "A and B", 0.0',
        'pick, gain = "A and D", 0.1',
        'pick, gain = "B and C", 0.0',
        'pick, gain = "A and C", 0.15',
        'pick, gain = "A and C", 10',
    ],
}
