"""One network, two questions: the class of a scan and the thickness of its centre, weighed in seven ways.

The lesson `11_objectives_and_ensembles` shows the functions below and runs a slice of the settings.
"""

import sys
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.studies.objectives import EPOCHS, SCANS, learn_and_unseen, phantom
from benchmarks.study import Study
from course_utils import metrics, models, objectives, train
from course_utils.data import Augment, Batches, CourseData, ScanDataset, augment
from course_utils.env import set_seed
from course_utils.models import build
from course_utils.objectives import TwoHeads, UncertaintyWeights, masked_huber, robust_scale
from course_utils.train import adamw_cosine

THINNEST_UM = 10  # no retina is thinner: what says so was written down in millimetres


@dataclass(frozen=True)
class Joint:
    """How two losses become one: their weights, the unit of the thickness, and how its errors are counted."""

    classes: float = 1.0
    thickness: float = 1.0
    standard: bool = True  # thickness in standard units, by median and quartiles; else in micrometres
    huber: bool = True  # else squared errors
    learned: bool = False  # weights learned from the tasks' uncertainty, on top of the fixed ones


def thicknesses(scans: ScanDataset) -> Tensor:
    """Central thickness in µm, float32 (N,), as the table has it: NaN where it is missing, slips of unit included."""
    return torch.tensor(scans.meta["central_thickness_um"].to_numpy(np.float32))


def thickness_loss(y_hat: Tensor, y: Tensor, joint: Joint) -> Tensor:
    """Huber's loss or the mean square, over the scans whose thickness is known."""
    if joint.huber:
        return masked_huber(y_hat, y)
    known = ~y.isnan()
    return F.mse_loss(y_hat[known], y[known])


def train_joint(data: CourseData, learn: ScanDataset, joint: Joint, *, seed: int, epochs: int, device="cpu"):
    """Train class and thickness together. The batches carry row numbers, by which every target is looked up."""
    set_seed(seed)
    network = build("small_cnn", in_channels=data.channels, classes=len(data.classes), size=data.size)
    model, weigh = TwoHeads(network).to(device).train(), UncertaintyWeights(2).to(device)
    rows = ScanDataset(learn.images, torch.arange(len(learn)), learn.classes)
    scale = {"mean": data.mean, "std": data.std, "device": device}
    loader = Batches(rows, 64, shuffle=True, augment=Augment(), seed=seed, drop_last=len(rows) >= 64, **scale)
    thickness, (centre, spread) = thicknesses(learn), robust_scale(thicknesses(learn))
    labels, y = learn.labels.to(device), ((thickness - centre) / spread if joint.standard else thickness).to(device)
    optimizer, lr_scheduler = adamw_cosine(nn.ModuleList([model, weigh]), loader, epochs)
    for _ in range(epochs):
        for images, row in loader:
            logits, y_hat = model.both(images)
            parts = joint.classes * F.cross_entropy(logits, labels[row])
            parts = parts, joint.thickness * thickness_loss(y_hat, y[row], joint)
            loss = weigh(*parts) if joint.learned else sum(parts)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            lr_scheduler.step()
    model.scale = (centre, spread) if joint.standard else (0.0, 1.0)
    return model.eval()


@torch.inference_mode()
def judge_joint(model: TwoHeads, data: CourseData, scans: ScanDataset, device="cpu") -> dict[str, float]:
    """Scores of the class, and of the thickness in µm where it is known and no slip of unit."""
    batches = Batches(scans, 256, mean=data.mean, std=data.std, device=device)
    logits, y_hat = (torch.cat(parts).cpu().numpy() for parts in zip(*(model.both(images) for images, _ in batches)))
    centre, spread = model.scale
    targets, y = scans.labels.numpy(), thicknesses(scans).numpy()
    known = y > THINNEST_UM
    errors = metrics.regression_metrics(y[known], centre + spread * y_hat[known])
    preds = logits.argmax(1)
    scores = {"accuracy": metrics.accuracy(targets, preds), "macro_f1": metrics.macro_f1(targets, preds)}
    return scores | {"mae_um": errors["mae"], "r2": errors["r2"]}


WAYS = {
    "class alone": Joint(thickness=0.0),
    "thickness alone": Joint(classes=0.0),
    "raw micrometres": Joint(standard=False, huber=False),
    "raw, learned weights": Joint(standard=False, huber=False, learned=True),
    "standard units, squared": Joint(huber=False),
    "standard units": Joint(),
    "learned weights": Joint(learned=True),
}


def measure(joint: Joint, seed: int) -> dict[str, float]:
    """One training and its scores on unseen patients."""
    learn, unseen = learn_and_unseen(phantom(), SCANS, seed)
    model = train_joint(phantom(), learn, joint, seed=100 * seed + 1, epochs=EPOCHS)
    return judge_joint(model, phantom(), unseen)


STUDY = Study(
    name="joint",
    question="Can one network learn class and thickness together, and what must be done about their scales?",
    settings=WAYS,
    seeds=range(5),
    measure=measure,
    data=lambda: phantom().fingerprint,
    modules=[sys.modules[__name__], augment, models, objectives, train],
    small=("standard units", 0),
    columns={
        "accuracy": "share read right of the scans of all other training patients, which the network never saw",
        "macro_f1": "macro-F1 on those scans",
        "mae_um": "mean absolute error of the central thickness on those of them where it is known, in micrometres",
        "r2": "share of the thickness's variance explained there; a head that was never trained is far below nought",
    },
)
