"""Where a network looks: maps (B, H, W) over its pictures. Evidence for a suspicion, never a proof: see lesson 12.

`network` has `features`, whose last two parts pool, and a `head`; images (B, C, H, W) float32, normalised; `k` is the
class that is asked about, the same for all. Ask in evaluation mode. The weights and their gradients stay as they are.
"""

import torch
import torch.nn.functional as F


def grad_cam(network, images, k):
    """Where the last convolution speaks for class k: (B, H, W), 0 and up (Selvaraju et al., ICCV 2017)."""
    maps = network.features[:-2](images).detach().requires_grad_()  # (B, C, h, w)
    score = network.head(network.features[-2:](maps))[:, k].sum()
    slope = torch.autograd.grad(score, maps)[0].mean((2, 3), keepdim=True)  # (B, C, 1, 1): how much each map matters
    cam = F.relu((slope * maps).sum(1, keepdim=True))
    return F.interpolate(cam, images.shape[-2:], mode="bilinear")[:, 0].detach().cpu().numpy()


@torch.inference_mode()
def occlusion(network, images, k):
    """How far the probability of class k falls when a patch is covered: (B, H, W) (Zeiler & Fergus, ECCV 2014)."""
    size, base = images.shape[-1], network(images).softmax(1)[:, k]
    patch, fall, times = size // 8, torch.zeros_like(images[:, 0]), torch.zeros_like(images[0, 0])
    places = range(0, size - patch + 1, max(1, size // 12))
    for top, left in ((a, b) for a in places for b in places):
        covered, here = images.clone(), (..., slice(top, top + patch), slice(left, left + patch))
        covered[here] = images.mean((2, 3), keepdim=True)
        fall[here] += (base - network(covered).softmax(1)[:, k]).clamp(min=0)[:, None, None]
        times[here] += 1
    return (fall / times.clamp(min=1)).cpu().numpy()


def slope_times_input(network, images, k):
    """|gradient × input|: (B, H, W), the simplest of these maps, smoothed a little."""
    images = images.clone().requires_grad_()
    slope = torch.autograd.grad(network(images)[:, k].sum(), images)[0]
    return F.avg_pool2d((slope * images).abs().sum(1, keepdim=True), 5, 1, 2)[:, 0].detach().cpu().numpy()
