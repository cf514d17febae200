"""Regularisers against PyTorch, torchvision and the papers' formulas."""

from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torchvision.ops import StochasticDepth as TorchvisionStochasticDepth

from course_utils import regularize as reg


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def small_model(dropout=0.0):
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 12), nn.ReLU(), nn.Dropout(dropout), nn.Linear(12, 3))


def batch(n=9):
    return torch.randn(n, 1, 4, 4), torch.randint(0, 3, (n,))


@pytest.mark.parametrize("p", [0.0, 0.2, 0.7])
@pytest.mark.parametrize("shape", [(32, 5), (32, 4, 3, 3)])
def test_stochastic_depth_is_torchvisions(p, shape):
    x = torch.randn(shape)
    torch.manual_seed(4)
    ours = reg.StochasticDepth(p)(x)
    torch.manual_seed(4)
    theirs = TorchvisionStochasticDepth(p, mode="row")(x)
    torch.testing.assert_close(ours, theirs)


def test_stochastic_depth_keeps_or_drops_whole_pictures_and_the_mean():
    x = torch.ones(4000, 2, 3)
    out = reg.StochasticDepth(0.25)(x)
    assert out.unique().tolist() == pytest.approx([0, 4 / 3])
    assert (out.flatten(1).std(1) == 0).all()
    assert out.mean().item() == pytest.approx(1, abs=0.04)


def test_stochastic_depth_rests_in_evaluation():
    x = torch.randn(8, 3)
    assert torch.equal(reg.StochasticDepth(0.9).eval()(x), x)


@pytest.mark.parametrize("p", [-0.1, 1.0, 2])
def test_stochastic_depth_refuses_impossible_shares(p):
    with pytest.raises(ValueError, match="below 1"):
        reg.StochasticDepth(p)


def test_depth_rates_rise_linearly():
    assert reg.depth_rates(4, 0.5) == pytest.approx([0.125, 0.25, 0.375, 0.5])


def test_penalties_count_matrices_only():
    model = small_model()
    matrices = [model[1].weight, model[4].weight]
    assert reg.l1_penalty(model).item() == pytest.approx(sum(w.abs().sum().item() for w in matrices), rel=1e-6)
    assert reg.l2_penalty(model).item() == pytest.approx(sum(w.square().sum().item() for w in matrices) / 2, rel=1e-6)


def test_penalty_gradients_are_sign_and_weight():
    model = small_model()
    weight = model[1].weight
    (by_l1,) = torch.autograd.grad(reg.l1_penalty(model), weight)
    (by_l2,) = torch.autograd.grad(reg.l2_penalty(model), weight)
    torch.testing.assert_close(by_l1, weight.sign())
    torch.testing.assert_close(by_l2, weight)


def test_l2_in_the_loss_is_what_adams_weight_decay_does():
    images, targets = batch()
    ends = []
    for decay in (0.0, 0.1):
        torch.manual_seed(1)
        model = small_model()
        matrices = list(reg.weight_matrices(model))
        optimizer = torch.optim.Adam(matrices, lr=1e-2, weight_decay=decay)
        for _ in range(5):
            optimizer.zero_grad()
            penalty = 0.0 if decay else 0.1 * reg.l2_penalty(model)
            (F.cross_entropy(model(images), targets) + penalty).backward()
            optimizer.step()
        ends.append(torch.cat([w.flatten() for w in matrices]))
    torch.testing.assert_close(*ends, rtol=1e-4, atol=1e-6)


def test_symmetric_kl_is_the_sum_of_pytorchs_two():
    a, b = torch.randn(6, 4), torch.randn(6, 4)
    log_a, log_b = a.log_softmax(1), b.log_softmax(1)
    expected = F.kl_div(log_a, log_b, reduction="batchmean", log_target=True)
    expected = expected + F.kl_div(log_b, log_a, reduction="batchmean", log_target=True)
    torch.testing.assert_close(reg.symmetric_kl(a, b), expected)
    assert reg.symmetric_kl(a, a).item() == 0


def test_r_drop_is_half_the_papers_loss():
    model, (images, targets) = small_model(0.5), batch()
    torch.manual_seed(2)
    loss, logits = reg.r_drop(model, images, targets, loss_fn=nn.CrossEntropyLoss(), alpha=0.7)
    torch.manual_seed(2)
    first, second = model(torch.cat([images, images])).chunk(2)
    likelihood = F.cross_entropy(first, targets) + F.cross_entropy(second, targets)
    kl = sum(
        F.kl_div(q.log_softmax(1), p.log_softmax(1), reduction="batchmean", log_target=True)
        for p, q in [(first, second), (second, first)]
    )
    torch.testing.assert_close(loss, (likelihood + 2 * 0.7 * kl / 2) / 2)
    torch.testing.assert_close(logits, first)
    assert not torch.equal(first, second)


def test_r_drop_without_dropout_is_the_plain_loss():
    model, (images, targets) = small_model(), batch()
    loss, logits = reg.r_drop(model, images, targets, loss_fn=nn.CrossEntropyLoss(), alpha=5.0)
    torch.testing.assert_close(loss, F.cross_entropy(model(images), targets))
    torch.testing.assert_close(logits, model(images))


def test_r3f_without_noise_is_the_plain_loss_and_noise_costs():
    model, (images, targets) = small_model(), batch()
    plain = F.cross_entropy(model(images), targets)
    quiet, logits = reg.r3f(model, images, targets, loss_fn=nn.CrossEntropyLoss(), sigma=0.0)
    loud, _ = reg.r3f(model, images, targets, loss_fn=nn.CrossEntropyLoss(), sigma=1.0)
    torch.testing.assert_close(quiet, plain)
    torch.testing.assert_close(logits, model(images))
    assert loud.item() > plain.item()


@pytest.mark.parametrize("objective", [reg.r_drop, reg.r3f])
def test_objectives_take_soft_targets_and_reach_every_weight(objective):
    model, (images, targets) = small_model(0.3), batch()
    soft = 0.8 * F.one_hot(targets, 3) + 0.2 / 3
    loss, logits = partial(objective, loss_fn=nn.CrossEntropyLoss())(model, images, soft)
    loss.backward()
    assert logits.shape == (9, 3) and loss.ndim == 0
    assert all(weight.grad is not None and weight.grad.abs().sum() > 0 for weight in model.parameters())
