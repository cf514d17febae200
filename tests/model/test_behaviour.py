"""What a trained model should and should not care about (Ribeiro et al. 2020, ACL: CheckList), on the phantom.

One small network, trained once for the file: long enough to have learned something, short enough for a test.
"""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from course_utils.data import Batches, load_dataset
from course_utils.metrics import softmax
from course_utils.recipes import PLAIN, REGULARISED, train_recipe
from course_utils.train import predict


@pytest.fixture(scope="module")
def data():
    return load_dataset("oct-phantom", n_train=1500, n_val=300, n_test=100)


@pytest.fixture(scope="module")
def model(data):
    recipe = replace(REGULARISED, epochs=6, warmup_steps=20, ema=None)
    return train_recipe(recipe, data, seed=0)[0].eval()


def probs(model, data, images):
    x = (images.float().div(255) - data.mean) / data.std
    with torch.inference_mode():
        return softmax(model(x).numpy())


def test_it_learned_something(model, data):
    logits, targets = predict(model, Batches(data.val, 256, mean=data.mean, std=data.std))
    majority = np.bincount(targets).max() / len(targets)
    assert (logits.argmax(1) == targets).mean() > majority + 0.15


def test_a_mirrored_eye_is_the_same_disease(model, data):
    """Invariance: left and right eyes mirror each other, so a horizontal flip may hardly move a prediction."""
    images = data.val.images
    a, b = probs(model, data, images), probs(model, data, images.flip(-1))
    assert (a.argmax(1) == b.argmax(1)).mean() > 0.85
    assert np.abs(a - b).mean() < 0.08


def test_a_little_brightness_is_not_a_disease(model, data):
    images = data.val.images
    brighter = (images.float() * 1.05 + 4).clamp(0, 255)
    same = probs(model, data, images).argmax(1) == probs(model, data, brighter).argmax(1)
    assert same.mean() > 0.85


def test_upside_down_is_noticed(model, data):
    """Direction: anatomy has an up and a down; a network that does not mind a vertical flip has not seen the layers."""
    images = data.val.images
    upright, flipped = probs(model, data, images), probs(model, data, images.flip(-2))
    labels = data.val.labels.numpy()
    assert (upright.argmax(1) == labels).mean() > (flipped.argmax(1) == labels).mean() + 0.1


def test_order_and_company_do_not_matter(model, data):
    """A scan's prediction must not depend on the batch it comes in (a model left in training mode fails this)."""
    images = data.val.images[:32]
    together = probs(model, data, images)
    alone = np.concatenate([probs(model, data, images[i : i + 1]) for i in range(32)])
    assert np.allclose(together, alone, atol=1e-4)


def test_a_blank_scan_is_not_confident(model, data):
    """Nothing on the picture: a network may not be surer of a disease than it is of nearly all real scans."""
    blank = torch.full((1, data.channels, data.size, data.size), 22, dtype=torch.uint8)
    sure = probs(model, data, data.val.images).max(1)
    assert probs(model, data, blank).max() < np.quantile(sure, 0.95)


def test_same_seed_same_model_another_seed_another(data):
    small = replace(PLAIN, epochs=1)
    first, again, other = (train_recipe(small, data, seed=s)[0].head.weight.detach() for s in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_shuffled_labels_teach_nothing(data):
    """A pipeline that scores well on random labels leaks them somewhere.

    Both sets are shuffled: after training on shuffled labels alone a network still sorts scans by some real difference,
    and with two common classes it can score above the majority by luck, without any leak.
    """
    generator = torch.Generator().manual_seed(0)
    shuffled = copy.copy(data)
    for name in ("train", "val"):
        part = getattr(data, name).subset(np.arange(len(getattr(data, name))))
        part.labels = part.labels[torch.randperm(len(part), generator=generator)]
        setattr(shuffled, name, part)
    model, _ = train_recipe(replace(PLAIN, epochs=3), shuffled, seed=0)
    logits, targets = predict(model, Batches(shuffled.val, 256, mean=data.mean, std=data.std))
    majority = np.bincount(targets).max() / len(targets)
    assert (logits.argmax(1) == targets).mean() < majority + 0.06
