"""Networks that read signals: shapes, rebuild, gradients, what they ignore, and their ONNX files."""

import pytest
import torch

from course_utils import models
from course_utils.artifacts import export_onnx, parity

NAMES = [name for name in models.names() if name.startswith("series_")]
EXPORTED = [name for name in NAMES if name not in ("series_gru", "series_lstm")]


def make(name, **changes):
    torch.manual_seed(0)
    return models.build(name, **{"in_channels": 6, "classes": 1, "size": 600, **changes})


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("channels", "classes", "size"), [(6, 1, 600), (2, 3, 200)])
def test_shapes_and_rebuild(name, channels, classes, size):
    model = make(name, in_channels=channels, classes=classes, size=size).eval()
    x = torch.randn(3, channels, size)
    outputs, features = model(x), model.embed(x)
    assert outputs.shape == (3, classes) and features.ndim == 2
    assert torch.allclose(model.head(features), outputs)
    twin = models.build(**model.config).eval()
    twin.load_state_dict(model.state_dict())
    assert torch.equal(twin(x), outputs)


@pytest.mark.parametrize("name", NAMES)
def test_budgets_are_alike_and_every_weight_learns(name):
    model = make(name)
    assert 40_000 <= models.count_parameters(model) <= 75_000
    x = torch.randn(4, 6, 600)
    parts = model.both(x) if name == "series_resnet" else [model(x)]
    sum(part.square().sum() for part in parts).backward()
    assert all(weight.grad is not None and weight.grad.abs().sum() > 0 for weight in model.parameters())


def test_both_heads_answer_at_their_own_rate():
    model, x = make("series_resnet", classes=3).eval(), torch.randn(2, 6, 600)
    outputs, waveform = model.both(x)
    assert waveform.shape == (2, 150)
    assert torch.equal(outputs, model(x))


def test_a_block_is_the_identity_when_its_branch_is_silent():
    block, x = models.SeriesBlock(8, 5, dilation=3), torch.randn(2, 8, 50)
    torch.nn.init.zeros_(block.branch[-1].weight)
    torch.nn.init.zeros_(block.branch[-1].bias)
    assert torch.equal(block(x), x)


def test_dilation_looks_further():
    """The gradient of one output step reaches exactly as far as two dilated kernels do."""
    block = models.SeriesBlock(4, kernel=3, dilation=4).eval()
    x = torch.randn(1, 4, 61, requires_grad=True)
    block(x)[0, :, 30].sum().backward()
    reached = x.grad.abs().sum((0, 1)).nonzero()[:, 0]
    assert (reached.min(), reached.max()) == (30 - 8, 30 + 8)


def test_a_recurrent_reader_sees_both_directions():
    """With mean and maximum over time, an impulse moves the states before it as well as those after it."""
    model = make("series_gru").eval()
    still, moved = torch.zeros(1, 6, 600), torch.zeros(1, 6, 600)
    moved[0, 0, 300] = 5
    stem, reader = model.features[0], model.features[1]
    with torch.no_grad():
        change = (reader.rnn(stem(moved).transpose(1, 2))[0] - reader.rnn(stem(still).transpose(1, 2))[0]).abs().sum(2)
    place = 300 // 8
    assert change[0, place - 4] > 0 and change[0, place + 4] > 0


def test_the_dense_network_minds_when_and_the_pooled_one_does_not():
    x = torch.zeros(2, 6, 600)
    x[0, :, 200:220], x[1, :, 360:380] = 1, 1
    for name, minds in (("series_cnn", False), ("series_mlp", True)):
        with torch.no_grad():
            first, second = make(name).eval()(x)
        assert (abs(first - second).item() > 1e-4) == minds


@pytest.mark.parametrize("name", EXPORTED)
def test_the_onnx_file_answers_the_same(name, tmp_path):
    model, x = make(name, classes=3).eval(), torch.randn(5, 6, 600)
    assert parity(model, export_onnx(model, tmp_path / "model.onnx", x), x)["max_difference"] < 1e-4
