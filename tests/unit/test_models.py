"""Every network in the registry does what its name says: shapes, rebuild, cost, refusals."""

import pytest
import torch

from course_utils import models


@pytest.mark.parametrize("name", models.names())
@pytest.mark.parametrize(("channels", "classes", "size"), [(1, 4, 64), (3, 2, 28)])
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


@pytest.mark.parametrize("name", models.names())
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
        ({"name": "mlp", "classes": 1}, "classes >= 2"),
        ({"name": "first_cnn", "size": 8, "widths": (4, 4, 4, 4)}, "leave nothing"),
    ],
)
def test_bad_requests_are_refused_in_words(kwargs, words):
    with pytest.raises(ValueError, match=words):
        models.build(**kwargs)
