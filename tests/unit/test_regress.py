"""The loop for numbers: equal to a loop by hand, keeps the best weights, and says what it refuses."""

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from course_utils import regress


def make_loader(n=70, seed=0, batch_size=16):
    """Batches of a line with noise; the last one is short."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 3, generator=generator)
    y = x @ torch.tensor([1.0, -2.0, 0.5]) + 0.1 * torch.randn(n, generator=generator)
    return list(zip(x.split(batch_size), y.split(batch_size)))


def make_model(outputs=1):
    torch.manual_seed(3)
    return nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, outputs))


def run(model, epochs=4, lr=1e-2, train=None, **kwargs):
    optimizer = torch.optim.SGD(model.parameters(), lr=lr)
    val = make_loader(40, seed=1)
    train = make_loader() if train is None else train
    return regress.fit_numbers(model, train, val, optimizer=optimizer, epochs=epochs, progress=False, **kwargs)


def test_equals_a_loop_by_hand():
    model = make_model()
    twin = copy.deepcopy(model)
    history = run(model, loss_fn=nn.HuberLoss(delta=0.5), max_grad_norm=1.0)
    optimizer = torch.optim.SGD(twin.parameters(), lr=1e-2)
    for epoch in range(4):
        total, seen = 0.0, 0
        for x, y in make_loader():
            optimizer.zero_grad()
            loss = F.huber_loss(twin(x).squeeze(1), y, delta=0.5)
            loss.backward()
            nn.utils.clip_grad_norm_(twin.parameters(), 1.0)
            optimizer.step()
            total, seen = total + loss.item() * len(y), seen + len(y)
        with torch.no_grad():
            x, y = (torch.cat(part) for part in zip(*make_loader(40, seed=1)))
            mae = (twin(x)[:, 0] - y).abs().mean().item()
        assert history["train_loss"][epoch] == pytest.approx(total / seen, rel=1e-6)
        assert history["val_mae"][epoch] == pytest.approx(mae, rel=1e-6)
    assert history["val_mae"].is_monotonic_decreasing
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), twin.parameters()))


def test_the_best_weights_stay_in_the_model():
    model, seen = make_model(), {}

    def spoil_later(row, judged):
        seen[row["epoch"]] = copy.deepcopy(judged.state_dict())
        if row["epoch"] == 2:
            with torch.no_grad():
                judged[2].bias.add_(30)

    history = run(model, on_epoch=spoil_later, epochs=3, lr=1e-4)
    best = int(history.loc[history["val_mae"].idxmin(), "epoch"])
    assert best == 2 and history["val_mae"].iloc[-1] > 5
    assert torch.equal(model[0].weight, seen[2]["0.weight"]) and torch.equal(model[2].bias, seen[2]["2.bias"])


def test_one_column_never_broadcasts_against_the_targets():
    x, y = make_loader(16)[0]
    loss, outputs = regress.plain_objective(nn.MSELoss())(make_model(), x, y)
    assert outputs.shape == (16, 1)
    assert loss.item() == pytest.approx((outputs[:, 0] - y).square().mean().item())


def test_the_middle_of_several_outputs_is_the_answer():
    def spread(outputs, y):
        assert outputs.shape[1] == 3 and y.ndim == 1
        return (outputs - y[:, None]).abs().mean()

    model = make_model(outputs=3)
    history = run(model, loss_fn=spread)
    outputs, targets = regress.predict_numbers(model, make_loader(40, seed=1))
    assert outputs.shape == (40, 3) and outputs.dtype == targets.dtype == np.float32
    assert np.abs(outputs[:, 1] - targets).mean() == pytest.approx(history["val_mae"].min(), rel=1e-5)


def test_an_objective_sees_whatever_the_training_loader_gives():
    def joint(model, x, y):
        assert y.shape[1] == 2
        outputs = model(x)
        return F.mse_loss(outputs[:, 0], y[:, 0]) + 0 * y[:, 1].sum(), outputs

    plain, wide = make_model(), make_model()
    both = [(x, torch.stack([y, y + 5], dim=1)) for x, y in make_loader()]
    assert run(wide, train=both, objective=joint, loss_fn=nn.MSELoss())["val_mae"].tolist() == pytest.approx(
        run(plain, loss_fn=nn.MSELoss())["val_mae"].tolist()
    )


def test_predicting_leaves_the_mode_alone_and_uses_evaluation():
    model = nn.Sequential(nn.Dropout(0.9), make_model()).train()
    first, second = (regress.predict_numbers(model, make_loader())[0] for _ in range(2))
    assert model.training and np.array_equal(first, second)


@pytest.mark.parametrize("kind", ["training", "validation"])
def test_a_loss_that_is_not_finite_stops_the_run(kind):
    def broken(outputs, y):
        bad = outputs.requires_grad == (kind == "training")
        return outputs.mean() * (float("nan") if bad else 1.0)

    with pytest.raises(FloatingPointError, match=f"the {kind}"):
        run(make_model(), loss_fn=broken)


def test_impossible_requests_are_refused():
    with pytest.raises(ValueError, match="at least 1, got 0"):
        run(make_model(), epochs=0)
    with pytest.raises(ValueError, match="gave no batch"):
        run(make_model(), train=[])
    with pytest.raises(ValueError, match="gave no batch"):
        regress.predict_numbers(make_model(), [])
