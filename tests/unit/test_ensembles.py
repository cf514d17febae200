"""Ensembles against PyTorch's own averaging, NumPy's correlation and the mathematics."""

import copy

import numpy as np
import pytest
import torch
from scipy import special
from torch import nn
from torch.optim.swa_utils import AveragedModel, update_bn

from course_utils import ensembles as ens


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def small_model(seed):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten(), nn.Linear(12, 2))


def batches(n=5):
    torch.manual_seed(9)
    return [(2 + torch.randn(8, 1, 4, 4), torch.zeros(8, dtype=torch.long)) for _ in range(n)]


def test_average_probs_is_the_mean_of_softmaxes_and_not_the_softmax_of_the_mean(rng):
    logits = 3 * rng.normal(size=(4, 10, 3))
    probs = ens.average_probs(logits)
    np.testing.assert_allclose(probs, special.softmax(logits, axis=2).mean(0))
    assert np.abs(probs - special.softmax(logits.mean(0), axis=1)).max() > 0.01


def test_the_averages_log_loss_is_never_above_the_mean_of_theirs(rng):
    for _ in range(20):
        logits, targets = 4 * rng.normal(size=(3, 15, 4)), rng.integers(0, 4, 15)
        theirs = [-special.log_softmax(one, axis=1)[np.arange(15), targets].mean() for one in logits]
        assert -np.log(ens.average_probs(logits)[np.arange(15), targets]).mean() <= np.mean(theirs) + 1e-12


def test_nothing_cannot_be_averaged():
    with pytest.raises(ValueError, match="nothing to average"):
        ens.average_probs([])
    with pytest.raises(ValueError, match="one model at least"):
        ens.average_weights([])


def test_error_correlation_is_numpys(rng):
    targets, a, b = (rng.integers(0, 3, 200) for _ in range(3))
    b = np.where(rng.random(200) < 0.5, a, b)
    expected = np.corrcoef(a != targets, b != targets)[0, 1]
    assert ens.error_correlation(targets, a, b) == pytest.approx(expected)
    assert ens.error_correlation(targets, a, a) == pytest.approx(1)
    assert np.isnan(ens.error_correlation(targets, targets, a))


def test_average_weights_is_pytorchs():
    models = [small_model(seed) for seed in range(3)]
    theirs = AveragedModel(models[0], use_buffers=False)
    for model in models:
        theirs.update_parameters(model)
    ours = ens.average_weights(models)
    for mine, other in zip(ours.parameters(), theirs.module.parameters(), strict=True):
        torch.testing.assert_close(mine, other)
    assert not ours.training and models[0].training


def test_average_weights_with_shares_walks_from_one_model_to_the_other():
    a, b = small_model(0), small_model(1)
    for share in (0.0, 0.3, 1.0):
        between = ens.average_weights([a, b], [1 - share, share])
        torch.testing.assert_close(between[4].weight, torch.lerp(a[4].weight, b[4].weight, share))
    with pytest.raises(ValueError, match="3 shares for 2 models"):
        ens.average_weights([a, b], [1, 1, 1])


def test_refresh_batchnorm_is_pytorchs_and_leaves_the_rest_alone():
    ours, theirs = small_model(0), small_model(0)
    ours[1].momentum = 0.3
    weights = copy.deepcopy([p.data for p in ours.parameters()])
    loader = batches()
    ens.refresh_batchnorm(ours.eval(), loader)
    update_bn([images for images, _ in loader], theirs)
    torch.testing.assert_close(ours[1].running_mean, theirs[1].running_mean)
    torch.testing.assert_close(ours[1].running_var, theirs[1].running_var)
    assert ours[1].momentum == 0.3 and not ours.training
    assert all(torch.equal(before, now) for before, now in zip(weights, ours.parameters(), strict=True))


def test_a_cycle_falls_and_starts_again():
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.5)
    lr_scheduler = ens.cyclic_cosine(optimizer, 4)
    rates = []
    for _ in range(9):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        lr_scheduler.step()
    assert rates[0] == rates[4] == rates[8] == 0.5
    assert rates[:4] == sorted(rates[:4], reverse=True) and rates[3] < 0.2 * rates[0]
    with pytest.raises(ValueError, match="at least 1 step"):
        ens.cyclic_cosine(optimizer, 0)


def test_keep_every_keeps_copies():
    kept, model = [], small_model(0)
    on_epoch = ens.keep_every(2, kept)
    for epoch in range(1, 6):
        model[4].bias.data.fill_(epoch)
        on_epoch({"epoch": epoch}, model)
    assert [copy_[4].bias[0].item() for copy_ in kept] == [2, 4]
    assert model.training and not kept[0].training


def test_a_stacker_learns_whom_to_believe(rng):
    targets = rng.integers(0, 3, 600)
    knows = 2 * np.eye(3)[targets] + rng.normal(size=(600, 3))
    guesses = 4 * rng.normal(size=(600, 3))
    stacker = ens.fit_stacker([knows[:300], guesses[:300]], targets[:300])
    probs = ens.stacked_probs(stacker, [knows[300:], guesses[300:]])
    right = (probs.argmax(1) == targets[300:]).mean()
    averaged = (ens.average_probs([knows[300:], guesses[300:]]).argmax(1) == targets[300:]).mean()
    np.testing.assert_allclose(probs.sum(1), 1)
    assert right > averaged + 0.1
    weights = np.abs(stacker.coef_).sum(0)
    assert weights[:3].sum() > 3 * weights[3:].sum()


def test_a_class_the_stacker_never_saw_gets_no_probability(rng):
    logits, targets = rng.normal(size=(40, 3)), rng.choice([0, 2], 40)
    probs = ens.stacked_probs(ens.fit_stacker([logits], targets), [logits])
    assert probs.shape == (40, 3) and (probs[:, 1] == 0).all()


def test_log_probs_of_certain_answers_are_finite():
    assert np.isfinite(ens.log_probs([np.array([[1000.0, 0.0]])])).all()
