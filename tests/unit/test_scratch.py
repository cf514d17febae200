"""The hand-written parts against PyTorch on random inputs, and the check-up against loops with known faults."""

import copy
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from course_utils import scratch

K = 4


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def logits_and_targets(n=17, spread=3.0):
    return torch.randn(n, K, dtype=torch.float64) * spread, torch.randint(0, K, (n,))


# --- losses ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("spread", [0.0, 1.0, 5000.0])
def test_softmax_and_cross_entropy_are_pytorchs(spread):
    logits, targets = logits_and_targets(spread=spread)
    torch.testing.assert_close(scratch.softmax(logits), logits.softmax(1), atol=1e-12, rtol=0)
    torch.testing.assert_close(scratch.cross_entropy(logits, targets), F.cross_entropy(logits, targets))


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (scratch.mse, F.mse_loss),
        (scratch.mae, F.l1_loss),
        (scratch.huber, F.huber_loss),
        (lambda a, b: scratch.huber(a, b, 0.3), lambda a, b: F.huber_loss(a, b, delta=0.3)),
    ],
    ids=["mse", "mae", "huber", "huber 0.3"],
)
def test_losses_for_numbers_are_pytorchs_and_so_are_their_slopes(ours, theirs):
    y = 2 * torch.randn(50, dtype=torch.float64)
    a, b = (torch.randn(50, dtype=torch.float64).requires_grad_() for _ in range(2))
    b.data.copy_(a.data)
    ours(a, y).backward()
    theirs(b, y).backward()
    torch.testing.assert_close(ours(a, y), theirs(b, y))
    torch.testing.assert_close(a.grad, b.grad)


@pytest.mark.parametrize("loss_fn", [scratch.mse, scratch.mae, scratch.huber])
def test_losses_for_numbers_refuse_to_broadcast(loss_fn):
    with pytest.raises(ValueError, match=r"\(5, 1\) and targets \(5,\)"):
        loss_fn(torch.randn(5, 1), torch.randn(5))


@pytest.mark.parametrize("shape", [(5, 1), (4,)])
def test_cross_entropy_refuses_other_shapes(shape):
    with pytest.raises(ValueError, match="must be"):
        scratch.cross_entropy(torch.randn(5, K), torch.zeros(shape, dtype=torch.int64))


# --- the network -----------------------------------------------------------------------------------------------------
def network(widths, seed=0, dtype=torch.float64):
    return scratch.init_mlp(widths, torch.Generator().manual_seed(seed), dtype)


def as_module(layers):
    """The same network in torch.nn."""
    parts = []
    for weights, biases in layers:
        linear = nn.Linear(*weights.shape[::-1], dtype=weights.dtype)
        linear.weight.data, linear.bias.data = weights.clone(), biases.clone()
        parts += [linear, nn.ReLU()]
    return nn.Sequential(*parts[:-1])


@pytest.mark.parametrize("widths", [(7, K), (7, 9, K), (7, 9, 6, 5, K)])
def test_forward_and_backward_are_pytorchs(widths):
    layers, (x, targets) = network(widths), (torch.randn(13, 7, dtype=torch.float64), torch.randint(0, K, (13,)))
    layers = [(w, b + 0.1 * torch.randn_like(b)) for w, b in layers]
    module = as_module(layers)
    logits, inputs = scratch.mlp_forward(layers, x)
    torch.testing.assert_close(logits, module(x))
    assert [tuple(i.shape) for i in inputs] == [(13, width) for width in widths[:-1]]
    F.cross_entropy(module(x), targets).backward()
    expected = [p.grad for p in module.parameters()]
    found = [g for pair in scratch.mlp_backward(layers, inputs, logits, targets) for g in pair]
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-12, rtol=1e-9)


def test_backward_leaves_what_it_was_given():
    layers, x = network((7, 6, K)), torch.randn(5, 7, dtype=torch.float64)
    logits, inputs = scratch.mlp_forward(layers, x)
    before = copy.deepcopy((layers, logits, inputs))
    scratch.mlp_backward(layers, inputs, logits, torch.tensor([0, 1, 2, 3, 0]))
    torch.testing.assert_close((layers, logits, inputs), before, atol=0, rtol=0)


def test_the_start_keeps_the_scale_and_prefers_no_class():
    layers, x = network((400, 400, 400, K), seed=5), torch.randn(500, 400, dtype=torch.float64)
    logits, inputs = scratch.mlp_forward(layers, x)
    assert [i.square().mean().item() for i in inputs] == pytest.approx([1, 1, 1], rel=0.25)
    assert scratch.cross_entropy(logits, torch.arange(500) % K).item() == pytest.approx(1.386, abs=0.05)


def test_the_start_depends_on_the_generator_alone():
    state = torch.get_rng_state()
    first, again, other = network((5, 3), 1), network((5, 3), 1), network((5, 3), 2)
    assert torch.equal(first[0][0], again[0][0]) and not torch.equal(first[0][0], other[0][0])
    assert torch.equal(torch.get_rng_state(), state)


# --- the loop --------------------------------------------------------------------------------------------------------
def test_the_loop_sees_every_sample_once_an_epoch_in_an_order_of_the_seed():
    seen = []

    def spy(model, optimizer, loss_fn, inputs, targets):
        seen.append(inputs[:, 0].long().tolist())
        return float(len(targets))

    data = torch.arange(150.0)[:, None], torch.zeros(150)
    model = nn.Linear(1, 1).eval()
    losses = scratch.train_plainly(model, None, *data, epochs=2, seed=3, step=spy)
    first, *_ = epochs = [sum(seen[:3], []), sum(seen[3:], [])]
    assert losses == [64.0, 64.0, 22.0] * 2 and model.training
    assert all(sorted(epoch) == list(range(150)) for epoch in epochs) and epochs[0] != epochs[1]
    seen.clear()
    torch.rand(5)
    scratch.train_plainly(model, None, *data, epochs=1, seed=3, step=spy)
    assert sum(seen, []) == first
    scratch.train_plainly(model, None, *data, epochs=1, seed=4, step=spy)
    assert sum(seen[3:], []) != first


def test_a_plain_step_forgets_old_gradients_and_returns_the_loss_before():
    model, x, targets = as_module(network((6, 8, K))), torch.randn(9, 6, dtype=torch.float64), torch.arange(9) % K
    before = F.cross_entropy(model(x), targets).item()
    for p in model.parameters():
        p.grad = torch.full_like(p, 1e6)
    twin = as_module(network((6, 8, K)))
    assert scratch.plain_step(model, scratch.SGD(model.parameters(), 0.1), F.cross_entropy, x, targets) == before
    F.cross_entropy(twin(x), targets).backward()
    for ours, theirs in zip(model.parameters(), twin.parameters()):
        torch.testing.assert_close(ours, theirs - 0.1 * theirs.grad)


# --- optimizers ------------------------------------------------------------------------------------------------------
PAIRS = {
    "SGD": (lambda p: scratch.SGD(p, 0.05), lambda p: torch.optim.SGD(p, 0.05)),
    "momentum": (lambda p: scratch.SGD(p, 0.02, 0.9), lambda p: torch.optim.SGD(p, 0.02, momentum=0.9)),
    "RMSProp": (lambda p: scratch.RMSProp(p, 0.01, 0.9), lambda p: torch.optim.RMSprop(p, 0.01, alpha=0.9)),
    "Adam": (lambda p: scratch.Adam(p, 0.01), lambda p: torch.optim.Adam(p, 0.01)),
    "Adam, other betas": (
        lambda p: scratch.Adam(p, 0.01, betas=(0.5, 0.7), eps=1e-3),
        lambda p: torch.optim.Adam(p, 0.01, betas=(0.5, 0.7), eps=1e-3),
    ),
    "AdamW": (
        lambda p: scratch.AdamW(p, 0.01, weight_decay=0.2),
        lambda p: torch.optim.AdamW(p, 0.01, weight_decay=0.2),
    ),
}


@pytest.mark.parametrize("pair", PAIRS.values(), ids=PAIRS)
def test_optimizers_are_pytorchs_over_many_steps(pair):
    x, targets = torch.randn(30, 6, dtype=torch.float64), torch.randint(0, K, (30,))
    models = [as_module(network((6, 8, K), seed=3)) for _ in pair]
    optimizers = [make(model.parameters()) for make, model in zip(pair, models)]
    for _ in range(300):
        for model, optimizer in zip(models, optimizers):
            scratch.plain_step(model, optimizer, F.cross_entropy, x, targets)
    start = as_module(network((6, 8, K), seed=3)).state_dict()
    ours, theirs = (model.state_dict() for model in models)
    for name in theirs:
        torch.testing.assert_close(ours[name], theirs[name], atol=1e-6, rtol=0)
        assert not torch.allclose(theirs[name], start[name], atol=1e-3), "nothing moved: nothing was tested"


def test_a_parameter_without_gradient_stays():
    still, moved = (torch.ones(2, requires_grad=True) for _ in range(2))
    optimizer = scratch.AdamW([still, moved], 0.1)
    (moved**2).sum().backward()
    optimizer.step()
    assert torch.equal(still, torch.ones(2)) and (moved < 1).all()
    optimizer.zero_grad()
    assert moved.grad is None


@pytest.mark.parametrize("lr", [0, -0.1, float("nan")])
def test_an_impossible_learning_rate_is_refused(lr):
    with pytest.raises(ValueError, match="above 0"):
        scratch.Adam([torch.ones(1, requires_grad=True)], lr)


# --- the check-up ----------------------------------------------------------------------------------------------------
RAW, TARGETS = torch.randn(32, 20, generator=torch.Generator().manual_seed(1)), torch.arange(32) % K


def dense(*extra):
    layers = scratch.init_mlp((20, 24, 24, K), torch.Generator().manual_seed(0), torch.float32)
    return nn.Sequential(*as_module(layers), *extra)


SOUND = scratch.Loop(lambda raw: raw, dense, F.cross_entropy)


def failed(loop, guess_loss=1.386):
    table = scratch.checkup(loop, RAW, TARGETS, guess_loss=guess_loss)
    return set(table.index[~table["passed"]])


def forgetful_step(model, optimizer, loss_fn, inputs, targets):
    loss = loss_fn(model(inputs), targets)
    loss.backward()
    optimizer.step()
    return loss.item()


def big_start():
    model = dense()
    model[-1].weight.data *= 100
    return model


def frozen_first_layer():
    model = dense()
    model[0].weight.requires_grad_(False)
    return model


class Mixing(nn.Module):
    def forward(self, x):
        return x - 0.5 * x.mean(0)


FAULTS = {
    "own statistics": (replace(SOUND, prepare=lambda raw: (raw - raw.mean(0)) / raw.std(0)), {"prepared_alone"}),
    "samples mixed": (replace(SOUND, build=lambda: dense(Mixing())), {"answered_alone"}),
    "forgotten zero_grad": (replace(SOUND, step=forgetful_step), {"stale_gradient"}),
    "softmax twice": (replace(SOUND, build=lambda: dense(nn.Softmax(1))), {"batch_by_heart"}),
    "bad start": (replace(SOUND, build=big_start), {"first_loss"}),
    "frozen layer": (replace(SOUND, build=frozen_first_layer), {"faintest_gradient"}),
}


@pytest.mark.parametrize(("loop", "expected"), FAULTS.values(), ids=FAULTS)
def test_each_fault_fails_its_question(loop, expected):
    assert expected <= failed(loop)


def test_broadcasting_is_found():
    y = torch.randn(32, generator=torch.Generator().manual_seed(2))
    column = scratch.Loop(lambda raw: raw, lambda: nn.Sequential(nn.Linear(20, 1)), lambda a, b: ((a - b) ** 2).mean())
    found = scratch.checkup(column, RAW, y, guess_loss=1.0)
    assert not found["passed"]["knows_its_target"] and not found["passed"]["batch_by_heart"]
    flat = replace(column, loss_fn=lambda a, b: ((a[:, 0] - b) ** 2).mean())
    assert scratch.checkup(flat, RAW, y, guess_loss=1.0)["passed"]["knows_its_target"]


@pytest.mark.parametrize(
    "extra", [(), (nn.Dropout(0.2),), (nn.BatchNorm1d(K),)], ids=["plain", "dropout", "batch norm"]
)
def test_a_sound_loop_passes(extra):
    allowed = {"first_loss", "batch_by_heart"} if extra else set()  # both put something after the logits
    assert failed(replace(SOUND, build=lambda: dense(*extra))) <= allowed


def test_the_checkup_leaves_the_random_state():
    state = torch.get_rng_state()
    scratch.checkup(SOUND, RAW, TARGETS, guess_loss=1.386)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(("raw", "targets"), [(RAW[:3], TARGETS[:3]), (RAW, TARGETS[:-1])])
def test_too_few_samples_are_refused(raw, targets):
    with pytest.raises(ValueError, match="at least 4"):
        scratch.checkup(SOUND, raw, targets, guess_loss=1.386)
