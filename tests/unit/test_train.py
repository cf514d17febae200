"""The loop: equal to a bare one, sample-weighted, resumable bit for bit, and clear about what it refuses."""

import copy
import multiprocessing
import os
import signal

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from course_utils import train
from course_utils.models import build


def make_set(n=70, seed=0):
    g = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, 3, (n,), generator=g)
    images = torch.randn(n, 1, 16, 16, generator=g) * 0.5 + labels[:, None, None, None] * 0.7
    return TensorDataset(images, labels)


class Loader:
    """A loader whose order depends on (seed, epoch) alone, as the course's `Batches` does."""

    def __init__(self, dataset, batch_size=16, shuffle=True):
        self.tensors, self.batch_size, self.shuffle, self.epoch = dataset.tensors, batch_size, shuffle, 0

    def set_epoch(self, epoch):
        self.epoch = epoch

    def __len__(self):
        return -(-len(self.tensors[0]) // self.batch_size)

    def __iter__(self):
        n = len(self.tensors[0])
        order = (
            torch.randperm(n, generator=torch.Generator().manual_seed(self.epoch)) if self.shuffle else torch.arange(n)
        )
        for part in order.split(self.batch_size):
            yield tuple(t[part] for t in self.tensors)


def make_model(dropout=0.2):
    torch.manual_seed(3)
    return build("small_cnn", classes=3, size=16, widths=(4, 8), dropout=dropout)


def run(model, epochs=4, checkpoint=None, **kwargs):
    loader = Loader(make_set())
    optimizer, scheduler = train.adamw_cosine(model, loader, 4, lr=1e-2)
    torch.manual_seed(11)
    return train.fit(
        model, loader, Loader(make_set(40, seed=1), shuffle=False), loss_fn=nn.CrossEntropyLoss(), optimizer=optimizer,
        lr_scheduler=scheduler, epochs=epochs, progress=False, checkpoint=checkpoint, **kwargs,
    )  # fmt: skip


def weights(model):
    return [v.clone() for v in model.state_dict().values()]


def same(a, b):
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def test_one_epoch_equals_the_bare_loop():
    ours, bare = make_model(0.0), make_model(0.0)
    loss_fn, loader = nn.CrossEntropyLoss(), Loader(make_set())
    train.train_one_epoch(ours, loader, loss_fn, torch.optim.SGD(ours.parameters(), lr=0.1))
    optimizer = torch.optim.SGD(bare.parameters(), lr=0.1)
    bare.train()
    for x, y in loader:
        optimizer.zero_grad()
        loss_fn(bare(x), y).backward()
        optimizer.step()
    assert same(weights(ours), weights(bare))


def test_averages_count_samples_not_batches():
    """70 samples in batches of 32, 32, 6: the ragged batch must not count as much as a full one."""
    model, dataset, loss_fn = make_model(), make_set(70), nn.CrossEntropyLoss()
    whole = train.evaluate(model, DataLoader(dataset, 70), loss_fn)
    parts = train.evaluate(model, DataLoader(dataset, 32), loss_fn)
    assert parts == pytest.approx(whole, rel=1e-5)
    frozen = torch.optim.SGD(model.parameters(), lr=0.0)
    model = build("logistic", classes=3, size=16)
    seen = train.train_one_epoch(model, DataLoader(dataset, 32), loss_fn, frozen)
    assert seen == pytest.approx(
        {k: train.evaluate(model, DataLoader(dataset, 70), loss_fn)[k] for k in seen}, rel=1e-5
    )


def test_accumulation_equals_the_big_batch():
    small, big = build("mlp", classes=3, size=16), build("mlp", classes=3, size=16)
    big.load_state_dict(small.state_dict())
    loss_fn, dataset = nn.CrossEntropyLoss(), make_set(70)
    train.train_one_epoch(
        small, DataLoader(dataset, 8), loss_fn, torch.optim.SGD(small.parameters(), lr=0.1), accumulate=4
    )
    train.train_one_epoch(big, DataLoader(dataset, 32), loss_fn, torch.optim.SGD(big.parameters(), lr=0.1))
    for a, b in zip(small.parameters(), big.parameters(), strict=True):
        assert torch.allclose(a, b, atol=1e-6)


def test_clipping_bounds_the_step():
    model = make_model(0.0)
    before = weights(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    one_batch = DataLoader(make_set(16), 16)
    train.train_one_epoch(model, one_batch, nn.CrossEntropyLoss(), optimizer, max_grad_norm=1e-3)
    named = [k for k, _ in model.named_parameters()]
    moved = dict(zip(model.state_dict(), zip(before, weights(model), strict=True), strict=True))
    step = torch.cat([(moved[k][1] - moved[k][0]).flatten() for k in named]).norm()
    assert step == pytest.approx(1e-3, rel=1e-2)


def test_same_seed_twice_is_equal_bit_for_bit():
    a, b = make_model(), make_model()
    first, second = run(a), run(b)
    assert same(weights(a), weights(b))
    assert first.drop(columns="seconds").equals(second.drop(columns="seconds"))


@pytest.mark.parametrize(
    "kwargs", [{}, {"ema": 0.9}, {"patience": 3}, {"ema": 0.9, "patience": 2, "monitor": "val_macro_f1"}]
)
def test_resumed_run_equals_the_unbroken_one(tmp_path, kwargs):
    whole = make_model()
    history = run(whole, **kwargs)
    path = tmp_path / "fit.pt"
    run(make_model(), epochs=2, checkpoint=path, **kwargs)
    torch.manual_seed(99)  # the interruption: another process, another random state
    resumed = make_model()
    again = run(resumed, checkpoint=path, **kwargs)
    assert same(weights(whole), weights(resumed))
    assert again.drop(columns="seconds").equals(history.drop(columns="seconds"))


def fit_until_killed(path):
    torch.set_num_threads(1)

    def die(row, _model):
        if row["epoch"] == 3:
            os.kill(os.getpid(), signal.SIGKILL)

    run(make_model(), checkpoint=path, on_epoch=die)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
def test_a_killed_fit_goes_on_where_it_stopped(tmp_path):
    torch.set_num_threads(1)
    path = tmp_path / "fit.pt"
    child = multiprocessing.get_context("spawn").Process(target=fit_until_killed, args=(path,))
    child.start()
    child.join(120)
    assert child.exitcode == -signal.SIGKILL
    seen = []
    resumed, whole = make_model(), make_model()
    run(resumed, checkpoint=path, on_epoch=lambda row, _: seen.append(row["epoch"]))
    assert seen == [3, 4]  # the third epoch had not been saved when the process died
    run(whole)
    assert same(weights(resumed), weights(whole))


def test_checkpoint_of_another_model_is_refused(tmp_path):
    path = tmp_path / "fit.pt"
    run(make_model(), epochs=1, checkpoint=path)
    torch.manual_seed(0)
    other = build("mlp", classes=3, size=16)
    with pytest.raises(ValueError, match="cannot resume"):
        run(other, checkpoint=path)
    path.write_bytes(b"not a checkpoint")
    with pytest.raises(ValueError, match="cannot resume"):
        run(make_model(), checkpoint=path)


def test_checkpoints_never_unpickle_code(tmp_path):
    class Trap:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "sprung"),))

    torch.save({"model": Trap()}, tmp_path / "fit.pt")
    with pytest.raises(Exception, match="weights_only|Unsupported|Weights only"):
        run(make_model(), checkpoint=tmp_path / "fit.pt")
    assert not (tmp_path / "sprung").exists()


def test_early_stopping_restores_the_best_weights():
    model = make_model()
    kept = {}
    history = run(model, patience=1, on_epoch=lambda row, m: kept.update({row["epoch"]: copy.deepcopy(m.state_dict())}))
    best = history.loc[history.val_loss.idxmin(), "epoch"]
    assert same(weights(model), list(kept[best].values()))


def test_early_stopping_waits_exactly_its_patience():
    stopper = train.EarlyStopping(2)
    model = nn.Linear(1, 1)
    answers = [stopper.update({"val_loss": loss}, model) for loss in (3.0, 2.0, 2.5, 1.9, 2.0, 1.95)]
    assert answers == [False, False, False, False, False, True]
    rising = train.EarlyStopping(1, monitor="val_accuracy")
    assert [rising.update({"val_accuracy": a}, model) for a in (0.5, 0.6, 0.6)] == [False, False, True]


def test_ema_follows_the_formula():
    model = nn.Linear(1, 1, bias=False)
    nn.init.ones_(model.weight)
    ema = train.EMA(model, decay=0.5)
    expected = 1.0
    for step in range(6):
        nn.init.constant_(model.weight, float(step))
        ema.update(model)
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * step
    assert ema.model.weight.item() == pytest.approx(expected, rel=1e-6)


def test_schedule_warms_up_and_comes_down():
    model, loader = make_model(), Loader(make_set(160))
    optimizer, scheduler = train.adamw_cosine(model, loader, 20, lr=1.0, warmup_steps=10)
    rates = []
    for _ in range(20 * len(loader)):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    assert rates[0] == pytest.approx(0.1, rel=1e-2)
    assert np.argmax(rates) == 9
    assert rates[-1] < 0.02
    assert np.all(np.diff(rates[10:]) < 0)


def test_soft_targets_are_scored_by_their_larger_part():
    assert train.hard_labels(torch.tensor([[0.3, 0.7], [0.9, 0.1]])).tolist() == [1, 0]


@pytest.mark.parametrize(
    ("kwargs", "words"),
    [
        ({"epochs": 0}, "epochs"),
        ({"patience": 0}, "patience"),
        ({"monitor": "val_auc"}, "monitor"),
        ({"ema": 1.5}, "EMA"),
        ({"accumulate": 0}, "accumulate"),
    ],
)
def test_impossible_settings_are_refused(kwargs, words):
    with pytest.raises(ValueError, match=words):
        run(make_model(), **kwargs)


def test_empty_loaders_and_exploding_losses_are_named():
    model = make_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e30)
    with pytest.raises(ValueError, match="no batch"):
        train.train_one_epoch(model, [], nn.CrossEntropyLoss(), optimizer)
    with pytest.raises(ValueError, match="no batch"):
        train.predict(model, [])
    with pytest.raises(FloatingPointError, match="learning rate"):
        for _ in range(3):
            train.train_one_epoch(model, Loader(make_set()), nn.CrossEntropyLoss(), optimizer)
