"""Maps of where a network looks, on networks small enough to know the answer."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from course_utils import explain
from course_utils.models import build

MAPS = [explain.grad_cam, explain.occlusion, explain.slope_times_input]


class Halves(nn.Module):
    """Two maps, the left half of the image and the right; class 0 likes the first, class 1 the second."""

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(Split(), nn.AvgPool2d(1), Mean())
        self.head = nn.Linear(2, 2, bias=False)
        with torch.no_grad():
            self.head.weight.copy_(torch.tensor([[8.0, -1.0], [-1.0, 8.0]]))

    def forward(self, x):
        return self.head(self.features(x))


class Split(nn.Module):
    def forward(self, x):
        left = torch.arange(x.shape[-1]) < x.shape[-1] // 2
        return torch.cat([x * left, x * ~left], dim=1)


class Mean(nn.Module):
    def forward(self, x):
        return x.mean((2, 3))


@pytest.fixture
def lit() -> torch.Tensor:
    """One dark image with a bright square at the top left."""
    image = torch.zeros(1, 1, 16, 16)
    image[..., 2:6, 2:6] = 1
    return image


def test_grad_cam_weighs_each_map_by_its_mean_slope():
    images = torch.rand(3, 1, 16, 16)
    slope = torch.tensor([8.0, -1.0]) / 256  # d score / d map is the weight over the number of places
    expected = F.relu((slope[:, None, None] * Split()(images)).sum(1))
    assert np.allclose(explain.grad_cam(Halves(), images, 0), expected, atol=1e-7)
    assert expected[..., 8:].max() == 0 < expected[..., :8].min()


@pytest.mark.parametrize("make", MAPS)
def test_the_map_is_warmest_where_the_answer_comes_from(make, lit):
    heat = make(Halves().eval(), lit, 0)[0]
    top, left = np.unravel_index(heat.argmax(), heat.shape)
    assert 1 <= top <= 6 and 1 <= left <= 6
    assert heat.min() >= 0


def test_grad_cam_of_the_other_class_lies_on_the_other_side():
    heat = explain.grad_cam(Halves(), torch.rand(1, 1, 16, 16), 1)[0]
    assert heat[:, 8:].sum() > 0 == heat[:, :8].sum()


@pytest.mark.parametrize("make", MAPS)
def test_maps_have_the_pictures_shape_and_leave_the_network_alone(make):
    model = build("small_cnn", size=28, widths=(4, 8, 8, 8)).eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    heat = make(model, torch.randn(2, 1, 28, 28), 3)
    assert heat.shape == (2, 28, 28) and np.isfinite(heat).all()
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert all(weight.grad is None for weight in model.parameters())
