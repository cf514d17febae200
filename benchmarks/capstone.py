"""What the capstone's recipe scores on the official test split, by seed, and the mean. Nothing is chosen on it.

    python -m benchmarks.capstone --dataset PATH_OR_NAME [--seeds 3]

The recipe is lesson 20's, with nothing to tune: the number of epochs follows from the size of the data. The test set is
opened once, when all seeds are trained, and the opening is recorded as always.
"""

import argparse
import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import torch

from course_utils import metrics
from course_utils.data import Batches, CourseData, ScanDataset, load_dataset
from course_utils.recipes import REGULARISED, Recipe, train_recipe
from course_utils.train import predict

MEGAPIXELS = 95  # lesson 20's fast profile
SCORES = ["accuracy", "macro_recall", "roc_auc", "log_loss"]


def capstone_recipe(data: CourseData, megapixels: float = MEGAPIXELS) -> Recipe:
    """The regularised recipe for any set: as many epochs as show about `megapixels`, a deeper network, more steps."""
    epochs = int(np.clip(1e6 * megapixels / (len(data.train) * data.size**2), 2, 40))
    deeper = {"widths": (16, 32, 64, 128)}  # one stage more: a wider view
    return replace(REGULARISED, model_options=deeper, epochs=epochs, batch_size=32, warmup_steps=40)


def neutral(model: torch.nn.Module, labels: torch.Tensor) -> torch.nn.Module:
    """Take the class frequencies of `labels` out of the model: its probabilities are for classes equally frequent."""
    counts = torch.bincount(labels, minlength=model.head.out_features).clamp(min=1)
    with torch.no_grad():
        model.head.bias -= (counts / counts.sum()).log().to(model.head.bias)
    return model


def scores(model: torch.nn.Module, data: CourseData, part: ScanDataset, device="cpu") -> dict[str, float]:
    """The scores of one model on one split; its probabilities get a temperature fitted to the validation scans."""
    scale = {"mean": data.mean, "std": data.std, "device": device}
    temperature = metrics.fit_temperature(*predict(model, Batches(data.val, 256, **scale), device))
    logits, targets = predict(model, Batches(part, 256, **scale), device)
    found = metrics.classification_metrics(targets, metrics.softmax(logits, temperature))
    return {name: found[name] for name in SCORES}


def run(dataset: str = "oct-phantom", seeds: int = 3, device: str = "cpu") -> pd.DataFrame:
    """One row a seed and split (validation, test): accuracy, macro_recall, roc_auc, log_loss."""
    data = load_dataset(dataset)
    recipe = capstone_recipe(data)
    models = [neutral(train_recipe(recipe, data, seed=s, device=device)[0], data.train.labels) for s in range(seeds)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a benchmark opens it again by its nature; the record keeps count
        test = data.open_test("benchmarks.capstone: the final score, nothing is chosen on it")
    rows = [
        {"data": data.name, "epochs": recipe.epochs, "seed": seed, "split": split, **scores(model, data, part, device)}
        for split, part in (("validation", data.val), ("test", test))
        for seed, model in enumerate(models)
    ]
    return pd.DataFrame(rows)


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """Mean, least and greatest over the seeds of each score, for each split."""
    return table.groupby(["data", "split"], sort=False)[SCORES].agg(["mean", "min", "max"]).stack(0, future_stack=True)


def main() -> None:
    """Run from the command line and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--dataset", default="oct-phantom", help="a name, or the path of a .npz file or folder")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args()
    table = run(given.dataset, given.seeds, given.device)
    print(table.round(4).to_string(index=False), "\n")
    print(summary(table).round(4).to_string())


if __name__ == "__main__":
    main()
