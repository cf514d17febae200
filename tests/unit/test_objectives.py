"""Objectives against PyTorch, SciPy, scikit-learn and plain enumeration."""

from itertools import combinations, product

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy import special
from sklearn.metrics import f1_score

from course_utils import objectives as obj
from course_utils.metrics import macro_f1
from course_utils.models import build


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def batch(n=7, k=4):
    return torch.randn(n, k, dtype=torch.float64, requires_grad=True), torch.randint(0, k, (n,))


def gradient(loss, of):
    return torch.autograd.grad(loss, of, retain_graph=True)[0]


# --- one target ------------------------------------------------------------------------------------------------------
def test_focal_loss_without_focus_is_cross_entropy():
    logits, targets = batch()
    ours, theirs = obj.focal_loss(logits, targets, 0.0), F.cross_entropy(logits, targets)
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(gradient(ours, logits), gradient(theirs, logits))


@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_focal_loss_is_the_papers(gamma):
    logits, targets = batch()
    p = special.softmax(logits.detach().numpy(), axis=1)[np.arange(7), targets]
    assert obj.focal_loss(logits, targets, gamma).item() == pytest.approx(-((1 - p) ** gamma * np.log(p)).mean())


def test_focal_loss_of_certain_answers_is_finite_and_a_negative_focus_refused():
    logits = torch.tensor([[60.0, 0.0], [60.0, 0.0]], requires_grad=True)
    loss = obj.focal_loss(logits, torch.tensor([0, 1]))
    assert torch.isfinite(loss) and torch.isfinite(gradient(loss, logits)).all()
    with pytest.raises(ValueError, match="at least 0, got -1"):
        obj.focal_loss(logits, torch.tensor([0, 1]), -1)


def test_expected_cost_is_the_sum_over_all_answers():
    logits, targets = batch(5, 3)
    cost = torch.rand(3, 3, dtype=torch.float64)
    p = special.softmax(logits.detach().numpy(), axis=1)
    by_hand = np.mean([sum(p[i, j] * cost[t, j].item() for j in range(3)) for i, t in enumerate(targets.tolist())])
    assert obj.expected_cost_loss(logits, targets, cost).item() == pytest.approx(by_hand)


def test_expected_cost_of_all_mistakes_alike_is_the_expected_error():
    logits, targets = batch()
    error = 1 - logits.softmax(1)[torch.arange(7), targets].mean()
    loss = obj.expected_cost_loss(logits, targets, 1 - torch.eye(4, dtype=torch.float64))
    torch.testing.assert_close(loss, error)


def test_expected_cost_wants_a_column_for_each_answer():
    with pytest.raises(ValueError, match="each of 4 answers"):
        obj.expected_cost_loss(*batch(), torch.ones(4, 3))


def test_priced_cross_entropy_is_the_sum_of_both_and_does_not_let_go_of_the_surely_wrong():
    logits, targets = batch()
    cost = torch.rand(4, 4, dtype=torch.float64)
    both = F.cross_entropy(logits, targets) + obj.expected_cost_loss(logits, targets, cost)
    torch.testing.assert_close(obj.priced_cross_entropy(logits, targets, cost), both)
    lost, price = torch.tensor([[20.0, 0.0]], requires_grad=True), torch.tensor([[0.0, 1.0], [1.0, 0.0]])
    let_go = gradient(obj.expected_cost_loss(lost, torch.tensor([1]), price), lost)
    held = gradient(obj.priced_cross_entropy(lost, torch.tensor([1]), price), lost)
    assert let_go.abs().max() < 1e-6 and held.abs().max() > 0.99


# --- two targets -----------------------------------------------------------------------------------------------------
def test_two_heads_share_features_and_keep_the_class_head():
    network = build("small_cnn", size=16).eval()
    model = obj.TwoHeads(network).eval()
    images = torch.randn(3, 1, 16, 16)
    logits, number = model.both(images)
    assert logits.shape == (3, 4) and number.shape == (3,)
    torch.testing.assert_close(logits, model(images))
    torch.testing.assert_close(logits, network(images))
    number.sum().backward()
    assert network.features[0][0].weight.grad.abs().sum() > 0 and network.head.weight.grad is None


def test_robust_scale_of_normal_numbers_is_mean_and_standard_deviation_whatever_a_few_absurd_ones_say():
    values = 280 + 50 * torch.randn(20000)
    assert obj.robust_scale(values) == pytest.approx((280, 50), rel=0.03)
    spoiled = values.clone()
    spoiled[:200], spoiled[200:2000] = 0.28, float("nan")  # millimetres, missing
    assert obj.robust_scale(spoiled) == pytest.approx((280, 50), rel=0.04)
    assert spoiled[~spoiled.isnan()].std() > 56  # the plain one is moved


@pytest.mark.parametrize("values", [[1.0], [float("nan"), 3.0], [2.0, 2.0, 2.0]])
def test_robust_scale_refuses_what_has_none(values):
    with pytest.raises(ValueError, match="not missing|no spread"):
        obj.robust_scale(torch.tensor(values))


def test_masked_huber_is_pytorchs_on_the_known_rows_and_sends_no_gradient_to_the_others():
    y_hat, y = torch.randn(6, requires_grad=True), 3 * torch.randn(6)
    y[[1, 4]] = float("nan")
    known = [0, 2, 3, 5]
    loss = obj.masked_huber(y_hat, y, delta=0.7)
    torch.testing.assert_close(loss, F.huber_loss(y_hat[known], y[known], delta=0.7))
    slope = gradient(loss, y_hat)
    assert slope[[1, 4]].tolist() == [0, 0] and (slope[known] != 0).all()


def test_masked_huber_of_a_batch_without_values_is_nought_and_can_be_learned_from():
    y_hat = torch.randn(3, requires_grad=True)
    loss = obj.masked_huber(y_hat, torch.full((3,), float("nan")))
    loss.backward()
    assert loss.item() == 0 and y_hat.grad.tolist() == [0, 0, 0]


def test_one_absurd_value_pulls_no_harder_than_another_large_error():
    y_hat = torch.zeros(2, requires_grad=True)
    slope = gradient(obj.masked_huber(y_hat, torch.tensor([5.0, 5000.0])), y_hat)
    assert slope[0] == slope[1]


def test_uncertainty_weights_end_where_every_loss_counts_alike():
    losses = torch.tensor([0.7, 2500.0])
    weigh = obj.UncertaintyWeights(2)
    assert weigh(*losses).item() == pytest.approx(2500.7)
    weigh.log_variance.data = (2 * losses).log()
    (slope,) = torch.autograd.grad(weigh(*losses), weigh.log_variance)
    torch.testing.assert_close(slope, torch.zeros(2), atol=1e-6, rtol=0)
    torch.testing.assert_close(torch.exp(-weigh.log_variance) * losses, torch.tensor([0.5, 0.5]))


# --- a score without a gradient --------------------------------------------------------------------------------------
def expected_reward(logits, reward):
    """Σ over all answers to all scans of probability × reward(answers), by brute force."""
    p = logits.softmax(1)
    total = 0.0
    for answers in product(range(logits.shape[1]), repeat=len(logits)):
        chance = torch.stack([p[i, a] for i, a in enumerate(answers)]).prod()
        total = total + chance * reward(torch.tensor(answers))
    return total


def estimator_mean(logits, reward, samples, advantage):
    """The mean of the estimator's gradient over everything that could be drawn, by brute force."""
    n, k = logits.shape
    p = logits.detach().softmax(1)
    mean = torch.zeros_like(logits)
    for flat in product(range(k), repeat=n * samples):
        answers = torch.tensor(flat).reshape(samples, n)
        chance = p[torch.arange(n), answers].prod()
        rewards = torch.stack([reward(a) for a in answers])  # (S,) or (S, n)
        mean += chance * gradient(obj.reinforce_loss(logits, answers, advantage(rewards)), logits)
    return mean


PRICES = torch.tensor([[0.0, 8.0, 20.0], [1.5, 0.0, 3.0], [2.0, 1.0, 0.0]], dtype=torch.float64)


@pytest.mark.parametrize("advantage", [lambda r: r, lambda r: r + 10, obj.leave_one_out])
def test_reinforce_is_right_on_average_for_prices_of_single_scans(advantage):
    logits, targets = torch.randn(2, 3, dtype=torch.float64, requires_grad=True), torch.tensor([0, 2])
    exact = gradient(obj.expected_cost_loss(logits, targets, PRICES), logits)
    mean = estimator_mean(logits, lambda a: -PRICES[targets, a], 2, advantage)
    torch.testing.assert_close(mean, exact)


@pytest.mark.parametrize("advantage", [lambda r: r, lambda r: r - 0.3, obj.leave_one_out])
def test_reinforce_is_right_on_average_for_the_macro_f1_of_a_batch(advantage):
    logits, targets = torch.randn(3, 2, dtype=torch.float64, requires_grad=True), torch.tensor([0, 1, 1])

    def reward(answers):
        return torch.tensor(macro_f1(targets, answers), dtype=torch.float64)

    exact = gradient(-expected_reward(logits, reward), logits)
    torch.testing.assert_close(estimator_mean(logits, reward, 2, advantage), exact)


def test_a_baseline_makes_the_gradient_calmer():
    logits = torch.randn(8, 3, dtype=torch.float64, requires_grad=True)
    targets, spread = torch.tensor([0, 0, 0, 0, 1, 1, 2, 2]), {}  # dear mistakes: rewards far from nought
    for name, advantage in (("none", lambda r: r), ("others", obj.leave_one_out), ("far off", lambda r: r + 100)):
        found = []
        for _ in range(200):
            answers = obj.sample_answers(logits, 8)
            found.append(gradient(obj.reinforce_loss(logits, answers, advantage(-PRICES[targets, answers])), logits))
        spread[name] = torch.stack(found).var(0).sum().item()
    assert spread["others"] < 0.7 * spread["none"] and spread["none"] < 0.1 * spread["far off"]


def test_sampled_answers_come_as_often_as_they_are_probable():
    logits = torch.tensor([[0.0, 1.0, -1.0], [3.0, 0.0, 0.0]])
    answers = obj.sample_answers(logits, 20000, torch.Generator().manual_seed(1))
    assert answers.shape == (20000, 2)
    shares = F.one_hot(answers, 3).double().mean(0)
    torch.testing.assert_close(shares, logits.softmax(1).double(), atol=0.015, rtol=0)


def test_leave_one_out_is_the_plain_loop():
    rewards = torch.randn(5, 3)
    for s in range(5):
        others = torch.cat([rewards[:s], rewards[s + 1 :]])
        torch.testing.assert_close(obj.leave_one_out(rewards)[s], rewards[s] - others.mean(0))
    with pytest.raises(ValueError, match="at least two"):
        obj.leave_one_out(rewards[:1])


def test_reinforce_refuses_advantages_of_another_shape():
    logits, _ = batch(4, 3)
    with pytest.raises(ValueError, match=r"must have shape \(5,\) or \(5, 4\)"):
        obj.reinforce_loss(logits, obj.sample_answers(logits, 5), torch.ones(4))


def test_sampled_macro_f1_is_scikit_learns():
    targets = torch.tensor([0, 0, 3, 2, 3, 3, 0])
    answers = torch.randint(0, 5, (50, 7))
    answers[0] = targets
    ours = obj.sampled_macro_f1(answers, targets, 5)
    theirs = [f1_score(targets, a, average="macro", zero_division=0) for a in answers]
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)
    assert ours[0] == 1


# --- an order --------------------------------------------------------------------------------------------------------
def test_ranking_loss_is_the_plain_loop_over_pairs():
    scores, grades = torch.randn(9), torch.tensor([0, 0, 1, 2, 2, 1, 0, 2, 1.0])
    unequal = [(i, j) for i, j in combinations(range(9), 2) if grades[i] != grades[j]]
    pairs = [(i, j) if grades[i] > grades[j] else (j, i) for i, j in unequal]
    by_hand = torch.stack([torch.log1p(torch.exp(scores[low] - scores[high])) for high, low in pairs]).mean()
    torch.testing.assert_close(obj.ranking_loss(scores, grades), by_hand)


def test_the_right_order_costs_less_than_the_wrong_one_and_no_order_is_refused():
    grades = torch.tensor([3.0, 2.0, 1.0])
    assert obj.ranking_loss(grades, grades) < obj.ranking_loss(-grades, grades)
    with pytest.raises(ValueError, match="no pair"):
        obj.ranking_loss(torch.randn(4), torch.ones(4))
