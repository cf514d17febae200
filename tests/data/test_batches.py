"""Batches from memory: right numbers, right shapes, and every epoch repeatable; augmentation does what it says."""

import warnings
from dataclasses import asdict, fields

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from course_utils.data import Augment, Batches, CutMix, DataError, MixUp, ScanDataset, make_loader
from course_utils.data.augment import _centres

GEOMETRY = ("flip", "vflip", "shift", "rotate", "scale")
OFF = {field.name: 0 for field in fields(Augment)}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def scans(n: int = 150, size: int = 16, channels: int = 1) -> ScanDataset:
    images = torch.randint(0, 256, (n, channels, size, size), dtype=torch.uint8, generator=generator())
    return ScanDataset(images, np.arange(n) % 4, ("a", "b", "c", "d"))


def picture(n: int = 4, size: int = 64) -> torch.Tensor:
    """Smooth pictures without symmetry, (n, 1, size, size) in [0, 1]."""
    coarse = torch.rand(n, 1, 6, 6, generator=generator(3))
    return F.interpolate(coarse, (size, size), mode="bicubic", align_corners=False).clamp(0.05, 0.95)


def only(**options) -> Augment:
    return Augment(**(OFF | options))


# --- the data set ----------------------------------------------------------------------------------------------------
def test_an_item_is_a_float_image_and_an_int_label():
    dataset = scans()
    image, label = dataset[5]
    assert image.dtype == torch.float32 and image.shape == (1, 16, 16) and 0 <= image.min() and image.max() <= 1
    assert type(label) is int and label == 1
    assert torch.equal((image * 255).round().byte(), dataset.images[5])


def test_subset_takes_indices_and_masks():
    dataset = scans()
    assert dataset.subset([4, 2]).labels.tolist() == [0, 2]
    assert len(dataset.subset(dataset.labels.numpy() == 3)) == 37
    assert len(dataset.head(10)) == 10 and len(dataset.head(1000)) == 150


@pytest.mark.parametrize("images", [torch.zeros(3, 1, 8, 8), torch.zeros(3, 8, 8, dtype=torch.uint8)])
def test_a_dataset_of_the_wrong_kind_is_refused(images):
    with pytest.raises(DataError, match="uint8"):
        ScanDataset(images, [0, 1, 0], ("a", "b"))


def test_parts_of_different_length_are_refused():
    with pytest.raises(DataError, match="2 labels for 3 images"):
        ScanDataset(torch.zeros(3, 1, 8, 8, dtype=torch.uint8), [0, 1], ("a", "b"))


# --- batches ---------------------------------------------------------------------------------------------------------
def test_plain_batches_are_the_normalised_scans_in_order():
    dataset = scans()
    batches = list(Batches(dataset, 64, mean=0.5, std=0.25))
    assert [len(targets) for _, targets in batches] == [64, 64, 22]
    images = torch.cat([images for images, _ in batches])
    assert torch.allclose(images, (dataset.images / 255 - 0.5) / 0.25, atol=1e-6)
    assert torch.equal(torch.cat([targets for _, targets in batches]), dataset.labels)


@pytest.mark.parametrize(("drop_last", "count"), [(False, 3), (True, 2)])
def test_length_is_the_number_of_batches(drop_last, count):
    batches = Batches(scans(), 64, drop_last=drop_last)
    assert len(batches) == len(list(batches)) == count


def test_the_data_set_is_left_as_it_was():
    dataset = scans()
    before = dataset.images.clone()
    list(Batches(dataset, 64, shuffle=True, augment=Augment(), mix=MixUp(0.4)))
    assert torch.equal(dataset.images, before)


def test_colour_is_normalised_channel_by_channel():
    dataset = scans(channels=3)
    mean, std = (0.1, 0.2, 0.3), (0.5, 0.6, 0.7)
    images, _ = next(iter(Batches(dataset, 8, mean=mean, std=std)))
    expected = (dataset.images[:8] / 255 - torch.tensor(mean).view(1, 3, 1, 1)) / torch.tensor(std).view(1, 3, 1, 1)
    assert torch.allclose(images, expected, atol=1e-6)


def test_every_scan_comes_once_in_a_shuffled_epoch():
    dataset = ScanDataset(scans(200).images, np.arange(200), tuple(map(str, range(200))))
    targets = torch.cat([targets for _, targets in Batches(dataset, 64, shuffle=True)])
    assert not torch.equal(targets, dataset.labels) and torch.equal(targets.sort().values, dataset.labels)


def test_an_epoch_depends_only_on_seed_and_number():
    """What a resumed training sees is what the unbroken one would have seen, bit for bit."""

    def epoch(batches: Batches) -> torch.Tensor:
        return torch.cat([images for images, _ in batches])

    options = {"shuffle": True, "augment": Augment(), "mix": CutMix()}
    unbroken = Batches(scans(), 64, seed=5, **options)
    seen = [epoch(unbroken) for _ in range(3)]
    resumed = Batches(scans(), 64, seed=5, **options)
    resumed.set_epoch(2)
    assert torch.equal(epoch(resumed), seen[2])
    assert not torch.equal(seen[0], seen[1])
    assert not torch.equal(epoch(Batches(scans(), 64, seed=6, **options)), seen[0])


def test_an_epoch_cut_short_does_not_move_the_next():
    broken, whole = (Batches(scans(), 64, shuffle=True, augment=Augment()) for _ in range(2))
    next(iter(broken))
    list(whole)
    assert torch.equal(next(iter(broken))[0], next(iter(whole))[0])


def test_augmentation_does_not_change_the_order():
    plain, varied = (Batches(scans(), 64, shuffle=True, augment=augment) for augment in (None, Augment()))
    assert torch.equal(next(iter(plain))[1], next(iter(varied))[1])


def test_sample_weights_draw_in_proportion():
    dataset = scans(4000)
    weights = torch.tensor([0.0, 1.0, 1.0, 2.0])[dataset.labels]
    targets = torch.cat([targets for _, targets in Batches(dataset, 500, sample_weights=weights)])
    assert torch.bincount(targets, minlength=4) / 4000 == pytest.approx([0, 0.25, 0.25, 0.5], abs=0.03)


@pytest.mark.parametrize("weights", [[1.0, 2.0], [-1.0] * 150, [float("nan")] * 150, [0.0] * 150])
def test_weights_that_cannot_be_drawn_from_are_refused(weights):
    with pytest.raises(ValueError, match="sample_weights must be 150"):
        Batches(scans(), sample_weights=weights)


def test_an_empty_data_set_is_refused():
    with pytest.raises(ValueError, match="0 scans"):
        Batches(scans().subset([]))


# --- augmentation ----------------------------------------------------------------------------------------------------
def test_everything_off_changes_nothing():
    images = picture()
    assert torch.equal(only()(images, generator()), images)


def test_a_certain_flip_is_the_mirror_image():
    images = picture()
    assert torch.allclose(only(flip=1)(images, generator()), images.flip(3), atol=1e-5)
    assert torch.allclose(only(vflip=1)(images, generator()), images.flip(2), atol=1e-5)


def test_half_of_the_scans_are_flipped():
    images = picture(1).expand(2000, -1, -1, -1)[:, :, :8, :8]
    flipped = only(flip=0.5)(images, generator())
    assert ((flipped - images).abs().amax((1, 2, 3)) > 1e-3).float().mean() == pytest.approx(0.5, abs=0.04)


def test_geometry_is_pytorchs_affine_transform():
    """Our grid, written in place for speed, against `F.affine_grid` of the same matrix."""
    images = picture(6)
    augment = Augment.geometric()
    draws = torch.rand(11, 6, generator=generator(1))
    ours = augment(images, generator(1))
    spread = 2 * draws - 1
    sign = torch.where(draws[0] < 0.5, -1.0, 1.0)
    angle, zoom_x, zoom_y = spread[2] * torch.pi * 8 / 180, 1 + 0.12 * spread[3], 1 + 0.12 * spread[4]
    matrix = torch.zeros(6, 2, 3)
    matrix[:, 0] = torch.stack([sign * angle.cos() * zoom_x, -sign * angle.sin() * zoom_x, spread[5] * 10 / 64], 1)
    matrix[:, 1] = torch.stack([angle.sin() * zoom_y, angle.cos() * zoom_y, spread[6] * 10 / 64], 1)
    grid = F.affine_grid(matrix, images.shape, align_corners=False)
    assert torch.allclose(ours, F.grid_sample(images, grid, padding_mode="reflection", align_corners=False), atol=1e-4)


@pytest.mark.parametrize("size", [28, 64])
def test_a_shift_is_at_most_what_it_says(size):
    """The centre of mass of a dot moves by up to `shift` pixels of a 64-pixel scan, in proportion on others."""
    images = torch.zeros(500, 1, size, size)
    images[:, :, size // 2, size // 2] = 1
    moved = only(shift=5)(images, generator())
    where = (_centres(size, moved.device) * moved.sum((1, 2))).sum(1) * 32  # in 64ths of the side
    offset = where - _centres(size, moved.device)[size // 2] * 32
    assert 4.0 < offset.abs().max() <= 5.01


def test_no_black_border_comes_in():
    images = torch.full((50, 1, 64, 64), 0.7)
    moved = Augment.geometric()(images, generator())
    assert torch.allclose(moved, images, atol=1e-4)


def test_light_keeps_its_bounds():
    images = picture(1).expand(2000, -1, -1, -1)
    mean = images.mean((1, 2, 3))
    brighter = only(brightness=0.125)(images, generator()).mean((1, 2, 3)) - mean
    assert 0.12 < brighter.max() <= 0.1251 and -0.1251 <= brighter.min() < -0.12
    gain = only(contrast=0.25)(images, generator()).std((1, 2, 3)) / images.std((1, 2, 3))
    assert 1.24 < gain.max() <= 1.251 and 0.749 <= gain.min() < 0.76
    noisy = only(noise=0.06)(images, generator()) - images
    assert noisy.std((1, 2, 3)).max() == pytest.approx(0.06, rel=0.05)
    power = only(gamma=0.3)(images, generator())[:, 0, 20, 20].log() / images[:, 0, 20, 20].log()
    assert 1.29 < power.max() <= 1.301 and 0.699 <= power.min() < 0.71


def test_switching_one_variation_off_leaves_the_others():
    images = picture()
    both, shift_only = only(shift=5, brightness=0.1), only(shift=5)
    difference = both(images, generator()) - shift_only(images, generator())
    assert torch.allclose(difference, difference.mean((1, 2, 3), keepdim=True).expand_as(difference), atol=1e-5)


def test_geometric_and_photometric_are_the_halves_of_the_default():
    geometric, photometric = asdict(Augment.geometric()), asdict(Augment.photometric())
    for name, value in asdict(Augment()).items():
        on, off = (geometric, photometric) if name in GEOMETRY else (photometric, geometric)
        assert on[name] == value and off[name] == 0


@pytest.mark.parametrize(
    "options", [{"flip": 1.5}, {"noise": -0.1}, {"scale": 1.0}, {"gamma": 1}, {"shift": float("nan")}]
)
def test_impossible_settings_are_refused(options):
    with pytest.raises(ValueError, match=f"Augment\\({next(iter(options))}="):
        Augment(**options)


# --- mixing ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("mix", [MixUp(0.4), CutMix(1.0)])
def test_soft_targets_sum_to_one_and_match_the_pixels(mix):
    """Scans of class k are flat pictures of grey k: the mixed mean must be the mixed label's."""
    targets = torch.arange(64) % 4
    images = targets.float().view(-1, 1, 1, 1).expand(-1, 1, 32, 32)
    mixed, soft = mix(images, targets, 4, generator())
    assert soft.shape == (64, 4) and torch.allclose(soft.sum(1), torch.ones(64))
    assert torch.allclose(mixed.mean((1, 2, 3)), soft @ torch.arange(4.0), atol=1e-4)
    assert (soft.max(1).values < 0.999).any()


def test_cutmix_pastes_one_rectangle():
    images = torch.arange(2.0).view(2, 1, 1, 1).expand(2, 1, 32, 32)
    mixed, _ = CutMix()(images, torch.tensor([0, 1]), 2, generator(4))
    pasted = mixed != images
    for mask in pasted[:, 0]:
        rows, columns = mask.any(1), mask.any(0)
        assert torch.equal(mask, rows[:, None] & columns[None, :])


@pytest.mark.parametrize("mix", [MixUp, CutMix])
@pytest.mark.parametrize("alpha", [0, -1, float("nan")])
def test_an_impossible_alpha_is_refused(mix, alpha):
    with pytest.raises(ValueError, match="alpha must be above 0"):
        mix(alpha)


def test_batches_with_mix_give_soft_targets():
    images, targets = next(iter(Batches(scans(), 64, mix=MixUp(0.2))))
    assert images.shape == (64, 1, 16, 16) and targets.shape == (64, 4) and targets.dtype == torch.float32


# --- the classic route -----------------------------------------------------------------------------------------------
def test_the_loader_without_augmentation_gives_the_same_batches():
    dataset = scans()
    ours, theirs = Batches(dataset, 64, mean=0.4, std=0.3), make_loader(dataset, 64, mean=0.4, std=0.3)
    for (images, targets), (their_images, their_targets) in zip(ours, theirs, strict=True):
        assert torch.allclose(images, their_images, atol=1e-6) and torch.equal(targets, their_targets)


def test_the_two_routes_vary_scans_alike():
    """Mean and spread over many variations of one scan agree between `Batches` and `DataLoader` + `transforms.v2`."""
    torch.manual_seed(0)
    image = (picture(1)[0] * 255).byte()
    dataset = ScanDataset(image.expand(600, -1, -1, -1), np.zeros(600), ("a",))
    ours = torch.cat([images for images, _ in Batches(dataset, 200, augment=Augment())])
    theirs = torch.cat([images for images, _ in make_loader(dataset, 200, augment=Augment())])
    assert float(ours.mean()) == pytest.approx(float(theirs.mean()), abs=0.08)
    assert float(ours.std(0).mean()) == pytest.approx(float(theirs.std(0).mean()), rel=0.15)


def test_the_loader_repeats_with_its_seed():
    first, again = (make_loader(scans(), 64, shuffle=True, seed=1) for _ in range(2))
    assert torch.equal(next(iter(first))[1], next(iter(again))[1])


def test_workers_give_the_same_scans():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch advises on the number of workers
        plain, worked = (torch.cat([y for _, y in make_loader(scans(), 64, workers=n)]) for n in (0, 1))
    assert torch.equal(plain, worked)


def test_the_loader_draws_by_weight():
    dataset = scans(2000)
    weights = (dataset.labels == 2).float()
    targets = torch.cat([targets for _, targets in make_loader(dataset, 500, sample_weights=weights)])
    assert (targets == 2).all()


# --- devices ---------------------------------------------------------------------------------------------------------
@pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no CUDA device")
def test_batches_live_on_the_gpu_and_repeat():
    options = {"shuffle": True, "augment": Augment(), "mix": CutMix(), "device": "cuda"}
    first, again = (list(Batches(scans(size=64), 64, **options)) for _ in range(2))
    for (images, targets), (images_again, targets_again) in zip(first, again, strict=True):
        assert images.device.type == targets.device.type == "cuda"
        assert torch.equal(images, images_again) and torch.equal(targets, targets_again)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no CUDA device")
def test_geometry_is_the_same_on_the_gpu():
    images = picture(8)
    assert torch.allclose(
        Augment.geometric()(images, generator()), Augment.geometric()(images.cuda(), generator()).cpu(), atol=1e-3
    )
