"""Every network in the registry does what its name says: shapes, rebuild, cost, refusals."""

import hashlib

import pytest
import torch

from course_utils import models

PICTURES = [name for name in models.names() if not name.startswith(("series_", "table_"))]


@pytest.mark.parametrize("name", PICTURES)
@pytest.mark.parametrize(("channels", "classes", "size"), [(1, 4, 64), (3, 2, 28), (1, 1, 32)])
def test_shapes_and_rebuild(name, channels, classes, size):
    torch.manual_seed(0)
    model = models.build(name, in_channels=channels, classes=classes, size=size).eval()
    x = torch.randn(3, channels, size, size)
    logits, features = model(x), model.embed(x)
    assert logits.shape == (3, classes)
    assert features.ndim == 2
    assert torch.allclose(model.head(features), logits)
    twin = models.build(**model.config).eval()
    twin.load_state_dict(model.state_dict())
    assert torch.equal(twin(x), logits)


@pytest.mark.parametrize("name", PICTURES)
def test_every_weight_gets_a_gradient(name):
    model = models.build(name, size=32)
    model(torch.randn(4, 1, 32, 32)).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())


def test_small_cnn_is_as_small_as_the_lessons_say():
    assert 20_000 < models.count_parameters(models.build("small_cnn")) < 30_000


def test_residual_block_is_the_identity_when_its_branch_is_silent():
    block = models.ResidualBlock(8, 8).eval()
    torch.nn.init.zeros_(block.second[1].weight)
    x = torch.rand(2, 8, 5, 5)
    assert torch.equal(block(x), x)


def test_dropout_only_speaks_in_training():
    model = models.build("small_cnn", dropout=0.5, size=32)
    x = torch.randn(8, 1, 32, 32)
    assert not torch.equal(model.train()(x), model(x))
    model.eval()
    assert torch.equal(model(x), model(x))


def test_flops_of_a_linear_layer_are_counted_by_hand():
    model = models.build("logistic", size=16, classes=4)
    table = models.cost_table({"logistic": model}, size=16)
    assert table.loc["logistic", "parameters"] == 16 * 16 * 4 + 4
    assert table.loc["logistic", "MFLOPs"] == pytest.approx(2 * 16 * 16 * 4 / 1e6)
    assert model.training  # counting does not change the mode


@pytest.mark.parametrize(
    ("kwargs", "words"),
    [
        ({"name": "resnet50"}, "choose one of"),
        ({"name": "mlp", "depth": 3}, "cannot be built"),
        ({"name": "mlp", "classes": 0}, "classes >= 1"),
        ({"name": "first_cnn", "size": 8, "widths": (4, 4, 4, 4)}, "leave nothing"),
    ],
)
def test_bad_requests_are_refused_in_words(kwargs, words):
    with pytest.raises(ValueError, match=words):
        models.build(**kwargs)


# Written down when the module became a package: keys of the weights (a hash) and logits of one picture after seed 0.
AS_EVER = {
    "first_cnn": ("ecf3d2eb8a", [-0.1769, -0.03358, -0.07168, -0.09316]),
    "logistic": ("9eda9de068", [0.15326, 0.19343, 0.0007, -0.28581]),
    "mlp": ("d00d21cd75", [-0.02628, -0.01034, 0.16171, 0.05656]),
    "small_cnn": ("ba1276cea8", [0.1157, -0.08912, -0.02766, 0.0469]),
    "small_resnet": ("332cbcc701", [0.09362, 0.08794, -0.00811, -0.06239]),
}


@pytest.mark.parametrize("name", AS_EVER)
def test_networks_of_the_first_lessons_stay_as_they_were(name):
    """Kept models and bundles are loaded by these keys, and lessons show numbers that these weights make."""
    torch.manual_seed(0)
    model = models.build(name, size=32).eval()
    x = torch.linspace(-1, 1, 2 * 32 * 32).reshape(2, 1, 32, 32)
    keys, logits = AS_EVER[name]
    assert hashlib.sha256(" ".join(model.state_dict()).encode()).hexdigest()[:10] == keys
    assert torch.allclose(model(x)[1], torch.tensor(logits), atol=1e-4)


def test_training_memory_of_a_dense_layer_is_its_input_and_what_relu_keeps():
    model = torch.nn.Sequential(torch.nn.Linear(10, 20), torch.nn.ReLU(), torch.nn.Linear(20, 5))
    assert models.training_memory(model, torch.zeros(3, 10)) == 4 * 3 * (10 + 20)


def test_measuring_memory_leaves_the_model_as_it_was():
    model = models.build("small_cnn", size=32).eval()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    one, two = (models.training_memory(model, torch.randn(n, 1, 32, 32)) for n in (1, 2))
    assert not model.training
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert 1.8 < two / one < 2.1


@pytest.mark.parametrize(("kind", "gates"), [("gru", 3), ("lstm", 4)])
def test_flops_of_a_recurrent_network_are_counted_too(kind, gates):
    model = models.build("scan_rnn", kind=kind, hidden=8, size=16)
    products = 16 * gates * 8 * (16 + 8) + 2 * 8 * 4  # a step a column, then the head
    assert models.count_flops(model, torch.zeros(1, 1, 16, 16)) == 2 * products
