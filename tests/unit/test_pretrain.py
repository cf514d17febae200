"""Transfer, pre-training without labels and pseudo-labels, against loops written out and promises kept to the bit."""

import copy
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from course_utils import pretrain as pre
from course_utils.data import Augment, Batches, ScanDataset
from course_utils.models import build

SIZE = 32


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def network(classes=4):
    return build("small_cnn", size=SIZE, classes=classes, widths=(4, 6, 8))


def scans(n=24, classes=4, seed=0):
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (n, 1, SIZE, SIZE), generator=generator, dtype=torch.uint8)
    return ScanDataset(images, torch.arange(n) % classes, tuple("abcd"[:classes]), groups=np.arange(n) // 2)


def weights(part):
    return {name: value.clone() for name, value in part.state_dict().items()}


def same(one, other):
    return all(torch.equal(one[name], other[name]) for name in one)


# --- transfer --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("hidden", [0, 5])
def test_a_fresh_head_leaves_the_stages_and_the_original_alone(hidden):
    model = network()
    before = weights(model)
    twin = pre.with_head(model, 3, hidden)
    assert twin.eval()(torch.randn(2, 1, SIZE, SIZE)).shape == (2, 3)
    assert same(weights(model.features), weights(twin.features)) and same(before, weights(model))
    assert next(twin.features.parameters()) is not next(model.features.parameters())


def test_making_a_head_does_not_disturb_batch_normalisation():
    model = network().train()
    before = weights(model.features)
    pre.with_head(model, 2)
    assert same(before, weights(model.features)) and model.training


def test_stages_run_from_the_first_layer_to_the_head_and_hold_every_weight():
    for name in ("small_cnn", "small_resnet", "mlp"):
        model = build(name, size=SIZE)
        parts = pre.stages(model)
        assert parts[-1] is model.head
        assert sum(p.numel() for part in parts for p in part.parameters()) == sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize(
    ("tuning", "expected"),
    [
        (pre.Tuning(), [4, 4, 4]),
        (pre.Tuning(trainable=1), [1, 1, 1]),
        (pre.Tuning(gradual=True), [1, 3, 4]),
        (pre.Tuning(gradual=True, trainable=2), [1, 2, 2]),
    ],
)
def test_how_many_stages_learn(tuning, expected):
    assert [tuning.learning(progress, 4) for progress in (0.0, 0.5, 0.99)] == expected


def tuned(tuning, steps=6, **options):
    """The network before and after fine-tuning, as weights."""
    model = network()
    before = [weights(part) for part in pre.stages(model)]
    pre.fine_tune(model, Batches(scans(), 8, shuffle=True), tuning, steps=steps, **options)
    return before, [weights(part) for part in pre.stages(model)], model


def test_frozen_stages_do_not_change_by_a_bit_statistics_included():
    before, after, model = tuned(pre.Tuning(trainable=1))
    assert [same(*pair) for pair in zip(before, after, strict=True)] == [True, True, True, False]
    assert all(p.requires_grad for p in model.parameters()) and not model.training


def test_moving_statistics_change_a_frozen_stage_though_no_weight_does():
    before, after, _ = tuned(pre.Tuning(trainable=1, statistics="moving"))
    changed = {name.split(".")[-1] for name in before[0] if not torch.equal(before[0][name], after[0][name])}
    assert changed == {"running_mean", "running_var", "num_batches_tracked"}


def test_gradual_unfreezing_reaches_the_first_stage_in_the_last_share_only():
    before, after, _ = tuned(pre.Tuning(gradual=True), steps=4)
    assert not any(same(*pair) for pair in zip(before, after, strict=True))
    before, after, _ = tuned(pre.Tuning(gradual=True, trainable=3), steps=4)
    assert [same(*pair) for pair in zip(before, after, strict=True)] == [True, False, False, False]


def test_slower_stages_move_less():
    def moved(slower):
        before, after, _ = tuned(pre.Tuning(slower=slower), steps=1, weight_decay=0.0)
        return [max((a[n] - b[n]).abs().max().item() for n in a if "weight" in n) for a, b in zip(after, before)]

    lr = 4e-3  # Adam's first step is its learning rate, whatever the gradient
    assert moved(0.5) == pytest.approx([lr / 8, lr / 4, lr / 2, lr], rel=0.02)
    assert moved(1.0) == pytest.approx([lr] * 4, rel=0.02)


def test_fine_tuning_is_adamw_written_out():
    model = network()
    twin = copy.deepcopy(model)
    steps, lr = 5, 1e-3
    loader = Batches(scans(), 8, shuffle=True, seed=3)
    pre.fine_tune(model, loader, steps=steps, lr=lr)
    optimizer = torch.optim.AdamW(twin.parameters(), lr=lr, weight_decay=5e-3)
    batches = [batch for epoch in range(2) for batch in Batches(scans(), 8, shuffle=True, seed=3)._pass(epoch)]
    twin.train()
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = lr * min(1, 10 * (step + 1) / steps) * (1 + math.cos(math.pi * step / steps)) / 2
        optimizer.zero_grad()
        F.cross_entropy(twin(batches[step][0]), batches[step][1]).backward()
        optimizer.step()
    assert same(weights(model), weights(twin))


@pytest.mark.parametrize("options", [{"statistics": "still"}, {"trainable": 0}, {"slower": 0.0}])
def test_impossible_tunings_are_refused(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        pre.Tuning(**options)


def test_fine_tuning_refuses_no_steps_and_an_empty_loader():
    with pytest.raises(ValueError, match="steps"):
        pre.fine_tune(network(), Batches(scans(), 8), steps=0)
    with pytest.raises(ValueError, match="no batch"):
        pre.fine_tune(network(), [], steps=1)


# --- without labels --------------------------------------------------------------------------------------------------
def slow_nt_xent(z, temperature):
    """The paper's formula, view by view, in double precision."""
    rows = z.double().numpy()
    half, total = len(rows) // 2, 0.0
    cosine = [[a @ b / np.linalg.norm(a) / np.linalg.norm(b) for b in rows] for a in rows]
    for i in range(len(rows)):
        partner = (i + half) % len(rows)
        others = sum(math.exp(cosine[i][k] / temperature) for k in range(len(rows)) if k != i)
        total -= math.log(math.exp(cosine[i][partner] / temperature) / others)
    return total / len(rows)


@pytest.mark.parametrize("temperature", [0.1, 0.5, 1.0])
@pytest.mark.parametrize("shape", [(2, 3), (8, 5), (14, 2)])
def test_nt_xent_is_the_papers_formula(shape, temperature):
    z = torch.randn(shape)
    partners = torch.arange(shape[0]).roll(shape[0] // 2)
    loss, logits = pre.nt_xent(z, partners, temperature)
    assert loss.item() == pytest.approx(slow_nt_xent(z, temperature), rel=1e-4)
    assert torch.isneginf(logits.diagonal()).all() and logits.shape == (shape[0], shape[0])


def test_nt_xent_ignores_length_and_falls_when_partners_come_closer():
    z, partners = torch.randn(12, 4), torch.arange(12).roll(6)
    loss, _ = pre.nt_xent(z, partners)
    longer, _ = pre.nt_xent(z * torch.rand(12, 1).add(0.5), partners)
    torch.testing.assert_close(loss, longer)
    closer, _ = pre.nt_xent(z + z[partners], partners)
    assert closer < loss


def test_nt_xent_has_a_finite_gradient_for_every_view():
    z = torch.randn(6, 3, requires_grad=True)
    pre.nt_xent(z, torch.arange(6).roll(3))[0].backward()
    assert torch.isfinite(z.grad).all() and (z.grad.abs().sum(1) > 0).all()


def test_two_views_are_of_one_scan_differ_and_name_each_other():
    images = torch.rand(5, 1, SIZE, SIZE)
    views, partners = pre.TwoViews(Augment.geometric())(images, torch.zeros(5), 4, torch.Generator().manual_seed(1))
    assert views.shape == (10, 1, SIZE, SIZE)
    assert torch.equal(partners[partners], torch.arange(10)) and not (partners == torch.arange(10)).any()
    assert not torch.equal(views[:5], views[5:])
    still = Augment(flip=0, shift=0, rotate=0, scale=0, contrast=0, brightness=0, noise=0, gamma=0)
    views, partners = pre.TwoViews(still)(images, torch.zeros(5), 4)
    torch.testing.assert_close(views, views[partners])


def test_slip_is_the_shift_written_out_pixel_by_pixel():
    images = torch.rand(40, 2, 9, 11)
    slips = (-3, 0, 2)
    slipped, answers = pre.Slip(slips)(images, torch.zeros(40), 4, torch.Generator().manual_seed(2))
    assert set(answers.tolist()) == {0, 1, 2}
    for before, after, answer in zip(images, slipped, answers, strict=True):
        moved = (before != after).any(0).any(0).nonzero()[:, 0].tolist()
        slip = slips[answer]
        if slip == 0:
            assert moved == []
            continue
        assert moved == list(range(moved[0], moved[-1] + 1)) and 0.2 * 11 - 1 <= len(moved) <= 0.5 * 11 + 1
        for row in range(9):
            source = abs(row - slip)
            source = source if source < 9 else 16 - source
            assert torch.equal(after[:, row, moved], before[:, source, moved])


@pytest.mark.parametrize("question", [pre.Slip(), pre.TwoViews(Augment())])
def test_questions_never_read_the_labels_and_repeat_with_the_generator(question):
    images = torch.rand(6, 1, SIZE, SIZE)
    one, other = (
        question(images, labels, 4, torch.Generator().manual_seed(4)) for labels in (torch.zeros(6), torch.ones(6))
    )
    assert torch.equal(one[0], other[0]) and torch.equal(one[1], other[1])


def test_pre_training_learns_its_question_and_returns_an_epoch_a_row():
    part = scans(64)
    part.images[:] = torch.arange(SIZE, dtype=torch.uint8)[:, None] * 8  # layers, and nothing else
    model = pre.with_head(network(), 3)
    history = pre.pretrain_on(model, Batches(part, 32, shuffle=True, mix=pre.Slip()), 12, lr=1e-2)
    assert history.index.tolist() == list(range(1, 13)) and list(history) == ["loss", "accuracy"]
    assert history["loss"].iloc[-1] < history["loss"].iloc[0]
    assert history["accuracy"].iloc[-1] > 0.6


def test_contrast_counts_the_views_that_find_their_partner():
    model = nn.Flatten()
    images = torch.randn(4, 1, 3, 3).repeat(2, 1, 1, 1)
    loss, logits = pre.contrast(model, images, torch.arange(8).roll(4))
    assert (logits.argmax(1) == torch.arange(8).roll(4)).all()
    assert loss.item() == pytest.approx(slow_nt_xent(images.flatten(1), 0.2), rel=1e-4)


# --- pseudo-labels ---------------------------------------------------------------------------------------------------
def test_pseudo_labels_are_the_models_where_it_is_sure():
    part = scans(5)
    probs = np.array([[0.9, 0.1, 0, 0], [0.5, 0.5, 0, 0], [0, 0, 0.05, 0.95], [0.3, 0.3, 0.3, 0.1], [0.1, 0.8, 0.1, 0]])
    with np.errstate(divide="ignore"):
        logits = np.maximum(np.log(probs), -50)
    chosen = pre.pseudo_labelled(part, logits, 0.8 - 1e-6)
    assert chosen.labels.tolist() == [0, 3, 1] and chosen.labels.dtype == torch.int64
    assert torch.equal(chosen.images, part.images[[0, 2, 4]])
    assert part.labels.tolist() == [0, 1, 2, 3, 0]
    assert len(pre.pseudo_labelled(part, logits, 0.8 - 1e-6, temperature=2.0)) < 3


def test_nobody_sure_is_refused():
    with pytest.raises(ValueError, match="0.99"):
        pre.pseudo_labelled(scans(3), np.zeros((3, 4)), 0.99)


def test_joined_keeps_order_and_refuses_other_classes():
    both = pre.joined(scans(3), scans(4, seed=1))
    assert len(both) == 7 and torch.equal(both.images[3:], scans(4, seed=1).images)
    with pytest.raises(ValueError, match="classes"):
        pre.joined(scans(3), scans(4, classes=2))


# --- the other hospital ----------------------------------------------------------------------------------------------
def test_the_screening_programme_is_other_people_and_repeats():
    part = pre.screening_programme(60, seed=0, size=32, channels=3)
    assert part.images.shape == (60, 3, 32, 32) and part.images.dtype == torch.uint8
    assert 0.3 < part.labels.float().mean() < 0.7 and part.classes == ("no referral", "referral")
    assert torch.equal(part.images[:20], pre.screening_programme(20, seed=0, size=32, channels=3).images)
    assert not torch.equal(part.images, pre.screening_programme(60, seed=1, size=32, channels=3).images)
    assert pre.screening_programme(3, size=16).images.shape == (3, 1, 16, 16)
