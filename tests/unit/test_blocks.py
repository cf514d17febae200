"""The blocks of lesson 07: shapes, the mathematics against PyTorch's own layers, and what each promises."""

import math

import pytest
import torch
from torch import nn

from course_utils import models
from course_utils.models import BLOCKS, Case, DepthConv, JointNet, SelfAttention, Skip, transformer_layer


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


@pytest.mark.parametrize("name", BLOCKS)
def test_a_block_keeps_the_shape_and_every_weight_learns(name):
    block = BLOCKS[name](16)
    x = torch.randn(3, 16, 6, 5).to(memory_format=torch.channels_last)
    out = block(x)
    assert out.shape == x.shape
    out.square().sum().backward()
    assert all(p.grad.abs().sum() > 0 for p in block.parameters())


@pytest.mark.parametrize("name", BLOCKS)
def test_a_block_treats_the_pictures_of_a_batch_apart(name):
    block = BLOCKS[name](8).eval()
    x = torch.randn(4, 8, 6, 6)
    assert torch.allclose(block(x)[1:2], block(x[1:2]), atol=1e-5)


@pytest.mark.parametrize("name", BLOCKS)
def test_the_skeleton_takes_each_block(name):
    model = models.build("block_net", block=name, widths=(8, 16), blocks=2, size=28)
    assert model(torch.randn(2, 1, 28, 28)).shape == (2, 4)


# --- depth ------------------------------------------------------------------------------------------------------------
def test_the_residual_block_is_that_of_the_small_resnet():
    ours, theirs = models.residual(8), models.ResidualBlock(8, 8)
    ours.load_state_dict(dict(zip(ours.state_dict(), theirs.state_dict().values(), strict=True)))
    x = torch.randn(4, 8, 7, 7)
    assert torch.allclose(ours(x), theirs(x), atol=1e-6)


def test_plain_and_residual_differ_by_the_input_alone():
    skip, bare = models.residual(8), models.plain(8)
    bare.load_state_dict(dict(zip(bare.state_dict(), skip.state_dict().values(), strict=True)))
    x = torch.randn(4, 8, 7, 7)
    change = bare[:-1](x)  # without the last ReLU
    assert torch.allclose(skip(x), torch.relu(x + change), atol=1e-6)


@pytest.mark.parametrize("order", ["pre", "post"])
def test_a_branch_without_gain_is_the_identity(order):
    x = torch.rand(2, 8, 5, 5)
    assert torch.equal(models.residual(8, order=order, gain=0.0)(x), x)
    silent = models.zero_last_gains(models.residual(8, order="post"))
    assert torch.equal(silent(x), x)
    assert silent[0].branch[1].weight.eq(1).all()  # only the last gain


def test_the_order_of_norm_and_activation():
    before, after = ([type(layer) for layer in models.two_convs(8, order=order)] for order in ("pre", "post"))
    assert before == [nn.BatchNorm2d, nn.ReLU, nn.Conv2d] * 2
    assert after == [nn.Conv2d, nn.BatchNorm2d, nn.ReLU, nn.Conv2d, nn.BatchNorm2d]
    assert models.two_convs(8, norm="none")[0].bias is not None


@pytest.mark.parametrize(("kind", "axes"), [("batch", (0, 2, 3)), ("layer", (1, 2, 3))])
def test_normalization_shares_the_mean_it_says(kind, axes):
    x = 3 + 2 * torch.randn(16, 8, 6, 6)
    out = models.normalization(kind, 8)(x)
    assert torch.allclose(out.mean(axes), torch.zeros(()), atol=1e-5)
    assert torch.allclose(out.var(axes, unbiased=False), torch.ones(()), atol=1e-3)


def test_group_normalization_shares_within_a_quarter_of_the_channels():
    out = models.normalization("group", 8)(3 + 2 * torch.randn(5, 8, 6, 6)).reshape(5, 4, -1)
    assert torch.allclose(out.mean(-1), torch.zeros(()), atol=1e-5)
    assert models.normalization("group", 6)(torch.randn(2, 6, 3, 3)).shape == (2, 6, 3, 3)


# --- other blocks -----------------------------------------------------------------------------------------------------
def test_a_bottleneck_has_the_weights_its_arithmetic_says():
    c, inner = 32, 8
    convs = c * inner + 9 * inner * inner + inner * c
    norms = 2 * (inner + inner + c)
    assert models.count_parameters(models.bottleneck(c)) == convs + norms


def test_inception_sees_as_far_as_its_widest_window():
    block = models.Inception(8).eval()
    x = torch.randn(9, 8, 11, 11, requires_grad=True)  # several, as ReLU hides a place in some
    block(x)[:, :, 5, 5].sum().backward()
    rows = x.grad.abs().sum((0, 1, 3)).nonzero().flatten()
    assert (rows.min().item(), rows.max().item()) == (3, 7)  # 5×5


def test_squeeze_and_excitation_scales_whole_channels_between_0_and_1():
    x = torch.rand(2, 8, 4, 4) + 0.5
    scale = models.SqueezeExcite(8)(x) / x
    assert torch.allclose(scale, scale[:, :, :1, :1].expand_as(scale))
    assert 0 < scale.min() and scale.max() < 1


# --- attention --------------------------------------------------------------------------------------------------------
def copied_attention(ours: SelfAttention, width: int, heads: int) -> nn.MultiheadAttention:
    theirs = nn.MultiheadAttention(width, heads, batch_first=True)
    with torch.no_grad():
        theirs.in_proj_weight.copy_(ours.ask.weight)
        theirs.in_proj_bias.copy_(ours.ask.bias)
        theirs.out_proj.load_state_dict(ours.out.state_dict())
    return theirs


@pytest.mark.parametrize(("width", "heads"), [(8, 1), (12, 3), (32, 4)])
def test_attention_is_that_of_pytorch(width, heads):
    ours = SelfAttention(width, heads)
    nn.init.normal_(ours.ask.bias)
    x = torch.randn(3, 7, width)
    expected, weights = copied_attention(ours, width, heads)(x, x, x)
    assert torch.allclose(ours(x), expected, atol=1e-5)
    assert torch.allclose(ours.weights_and_values(x)[0].mean(1), weights, atol=1e-6)


def test_the_encoder_layer_is_that_of_pytorch():
    ours = transformer_layer(16, heads=4, hidden=24)
    options = {"dropout": 0.0, "activation": "gelu", "batch_first": True, "norm_first": True}
    theirs = nn.TransformerEncoderLayer(16, 4, 24, **options)
    (norm1, ask), (norm2, first, _, second) = (skip.branch for skip in ours)
    theirs.self_attn = copied_attention(ask, 16, 4)
    copies = (theirs.norm1, theirs.norm2, theirs.linear1, theirs.linear2)
    for copy, source in zip(copies, (norm1, norm2, first, second), strict=True):
        copy.load_state_dict(source.state_dict())
    x = torch.randn(3, 9, 16)
    assert torch.allclose(ours(x), theirs(x), atol=1e-5)


def test_attention_does_not_know_the_order_of_its_tokens_and_a_picture_keeps_its_places():
    ours, x, order = SelfAttention(8, 2), torch.randn(2, 6, 8), torch.randperm(6)
    assert torch.allclose(ours(x[:, order]), ours(x)[:, order], atol=1e-6)
    picture = torch.randn(2, 8, 3, 5)
    assert torch.equal(models.AsTokens(nn.Identity())(picture), picture)


# --- the layer for this data ------------------------------------------------------------------------------------------
def test_depth_conv_starts_as_a_convolution_and_adds_a_slope_times_the_row():
    layer = DepthConv(4)
    x = torch.randn(2, 4, 5, 3)
    assert torch.equal(layer(x), layer.conv(x))
    nn.init.constant_(layer.slope, 2.0)
    added = (layer(x) - layer.conv(x))[0, 0, :, 0]
    assert torch.allclose(added, torch.tensor([-2.0, -1.0, 0.0, 1.0, 2.0]), atol=1e-6)


# --- starting weights, sizes ------------------------------------------------------------------------------------------
@pytest.mark.parametrize("layer", [nn.Linear(300, 200), nn.Conv2d(64, 32, 3)])
def test_initial_weights_have_the_spread_of_pytorchs(layer):
    models.initialize(layer, "he")
    ours = layer.weight.std().item()
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    assert ours == pytest.approx(layer.weight.std().item(), rel=0.03)
    models.initialize(layer, "xavier")
    ours = layer.weight.std().item()
    nn.init.xavier_normal_(layer.weight)
    assert ours == pytest.approx(layer.weight.std().item(), rel=0.03)
    models.initialize(layer, "gaussian", std=0.05)
    assert layer.weight.std().item() == pytest.approx(0.05, rel=0.03)
    assert layer.bias.eq(0).all()


def test_output_sizes_are_those_of_pytorch():
    for size in (7, 28, 32):
        for kernel, stride, padding, dilation in [(1, 1, 0, 1), (3, 1, 1, 1), (5, 2, 2, 1), (3, 3, 0, 2), (4, 4, 0, 1)]:
            layer = nn.Conv2d(1, 1, kernel, stride, padding, dilation)
            expected = layer(torch.zeros(1, 1, size, size)).shape[-1]
            assert models.conv_output_size(size, kernel, stride, padding, dilation) == expected
    assert models.conv_output_size(7, 2, 2) == nn.MaxPool2d(2)(torch.zeros(1, 1, 7, 7)).shape[-1]


# --- several inputs ---------------------------------------------------------------------------------------------------
def case(batch=3, length=6) -> Case:
    note = torch.randint(1, 20, (batch, length))
    note[0, 3:] = 0
    return Case(torch.randn(batch, 1, 32, 32), torch.randn(batch, 5), note)


@pytest.mark.parametrize("inputs", [("image",), ("row",), ("note",), ("row", "note"), ("image", "row", "note")])
def test_the_joint_network_takes_any_of_its_inputs_and_only_those(inputs):
    model = JointNet(inputs, columns=5, words=20).eval()
    full = case()
    logits = model(full)
    assert logits.shape == (3, 4)
    for part in Case._fields:
        other = full._replace(**{part: getattr(full, part).flip(0)})
        assert torch.allclose(model(other), logits) == (part not in inputs)


def test_padding_says_nothing():
    model = JointNet(("note",), columns=5, words=20).eval()
    short = case()
    longer = short._replace(note=nn.functional.pad(short.note, (0, 4)))
    assert torch.allclose(model(short), model(longer), atol=1e-6)
    nothing = short._replace(note=torch.zeros_like(short.note))
    assert torch.isfinite(model(nothing)).all()


def test_a_case_moves_as_a_whole():
    moved = case().to("meta", non_blocking=True)
    assert isinstance(moved, Case) and all(part.device.type == "meta" for part in moved)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: models.normalization("instance", 8), "batch, layer, group or none"),
        (lambda: models.Inception(6), "splits its channels in four"),
        (lambda: SelfAttention(10, 4), "cannot share"),
        (lambda: models.initialize(nn.Linear(2, 2), "lecun"), "gaussian, xavier or he"),
        (lambda: models.conv_output_size(4, 7), "does not fit"),
        (lambda: models.build("block_net", block="dense"), "unknown block 'dense'"),
        (lambda: models.build("block_net", blocks=(1, 2, 3)), "3 numbers of blocks for 2 widths"),
        (lambda: models.build("scan_rnn", kind="rnn"), "gru or lstm"),
        (lambda: models.build("patch_transformer", size=30), "do not tile"),
        (lambda: JointNet(("sound",), columns=1, words=4), "some of image, row, note"),
        (lambda: JointNet((), columns=1, words=4), "got none"),
    ],
)
def test_what_cannot_be_built_is_refused_in_words(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_a_gain_is_one_learned_number():
    block = Skip(nn.Identity(), gain=0.5)
    assert math.isclose(block(torch.ones(1)).item(), 1.5)
    assert [p.shape for p in block.parameters()] == [torch.Size([])]
