"""What the capstone's recipe scores on the official test splits: each seed, their mean, and their ensemble.

    python -m benchmarks.capstone [--dataset PATH_OR_NAME] [--seeds 3]

The recipe is lesson 20's, with nothing to tune: the number of epochs follows from the size of the data. The test set is
opened once, when all seeds are trained, and the opening is recorded as always. Without --dataset, the real files that
lie beside the course; a file that is not there is skipped, and said to be.
"""

import argparse
import os
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from course_utils import metrics
from course_utils.data import Batches, CourseData, ScanDataset, load_dataset
from course_utils.ensembles import average_probs
from course_utils.env import checkout_dir
from course_utils.recipes import REGULARISED, Recipe, train_recipe
from course_utils.train import predict

MEGAPIXELS = 95  # lesson 20's fast profile
FILES = ("kermany_oct_real", "pneumoniamnist")
SCORES = ["accuracy", "macro_recall", "roc_auc", "log_loss", "ece"]


def real_file(name: str) -> Path:
    """Where NAME.npz lies: in $COURSE_REAL_DATA, or in shared/data beside the course; FileNotFoundError if nowhere."""
    root = checkout_dir() or Path.cwd()
    given = Path(os.environ.get("COURSE_REAL_DATA") or root / "shared" / "data")
    places = [given if given.is_dir() else given.parent, root.parent / "shared" / "data", root / "shared" / "data"]
    for place in places:
        if (place / f"{name}.npz").is_file():
            return place / f"{name}.npz"
    raise FileNotFoundError(f"there is no {name}.npz in $COURSE_REAL_DATA or in shared/data beside the course")


def capstone_recipe(data: CourseData, megapixels: float = MEGAPIXELS) -> Recipe:
    """The regularised recipe for any set: as many epochs as show about `megapixels`, a deeper network, more steps."""
    epochs = int(np.clip(1e6 * megapixels / (len(data.train) * data.size**2), 2, 40))
    deeper = {"widths": (12, 24, 48, 96)}  # one stage more: a wider view, for the price of narrower ones
    return replace(REGULARISED, model_options=deeper, epochs=epochs, batch_size=16, warmup_steps=40)


def neutral(model: torch.nn.Module, labels: torch.Tensor) -> torch.nn.Module:
    """Take the class frequencies of `labels` out of the model: its probabilities are for classes equally frequent."""
    counts = torch.bincount(labels, minlength=model.head.out_features).clamp(min=1)
    with torch.no_grad():
        model.head.bias -= (counts / counts.sum()).log().to(model.head.bias)
    return model


def together(logits: dict) -> np.ndarray:
    """The ensemble as one model (N, K): the logarithm of its members' mean probability, which serves as logits."""
    return np.log(average_probs(list(logits.values())))


def answers(models: dict, data: CourseData, part: ScanDataset, device="cpu") -> tuple[dict, np.ndarray]:
    """Logits (N, K) of every model on `part`, and of all together under "ensemble"; and the targets (N,)."""
    loader = Batches(part, 256, mean=data.mean, std=data.std, device=device)
    logits = {name: predict(model, loader, device)[0] for name, model in models.items()}
    return logits | {"ensemble": together(logits)}, part.labels.numpy()


def scores(targets: np.ndarray, logits: np.ndarray, temperature: float) -> dict[str, float]:
    """The scores of one set of answers; `ece` over 8 bins, as in the lesson."""
    probs = metrics.softmax(logits, temperature)
    found = metrics.classification_metrics(targets, probs) | {"ece": metrics.calibration_error(targets, probs, bins=8)}
    return {name: found[name] for name in SCORES}


def run_one(dataset: str | Path, seeds: int = 3, device: str = "cpu") -> pd.DataFrame:
    """One row a seed, and one for the ensemble, on each split (validation, test); temperatures from validation."""
    data = load_dataset(dataset)
    recipe = capstone_recipe(data)
    models = {f"seed {s}": neutral(train_recipe(recipe, data, seed=s, device=device)[0], data.train.labels)
              for s in range(seeds)}  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a benchmark opens it again by its nature; the record keeps count
        test = data.open_test("benchmarks.capstone: the final score, nothing is chosen on it")
    on_validation, val_targets = answers(models, data, data.val, device)
    temperatures = {name: metrics.fit_temperature(logits, val_targets) for name, logits in on_validation.items()}
    about, rows = {"data": data.name, "epochs": recipe.epochs}, []
    for split, part in (("validation", data.val), ("test", test)):
        found, targets = answers(models, data, part, device)
        for name, logits in found.items():
            rows.append(about | {"split": split, "model": name} | scores(targets, logits, temperatures[name]))
    return pd.DataFrame(rows)


def run(datasets: list | None = None, seeds: int = 3, device: str = "cpu") -> pd.DataFrame:
    """`run_one` for each data set, or for the real files that are there."""
    tables = []
    for name in datasets or FILES:
        try:
            tables.append(run_one(name if datasets else real_file(name), seeds, device))
        except FileNotFoundError as missing:
            print(f"skipped: {missing}", flush=True)
            tables.append(pd.DataFrame([{"data": name, "split": "skipped: file not there", "model": ""}]))
    return pd.concat(tables, ignore_index=True)


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """For each data set and split: every score of the seeds on average, at least and at most, and of the ensemble."""
    rows = []
    for (data, split), part in table.groupby(["data", "split"], sort=False):
        single, ensemble = part[part["model"] != "ensemble"], part[part["model"] == "ensemble"]
        for score in SCORES if score_columns(part) else []:
            values = single[score]
            row = {"seeds": len(values), "mean": values.mean(), "min": values.min(), "max": values.max()}
            rows.append({"data": data, "split": split, "score": score} | row | {"ensemble": ensemble[score].item()})
        if not score_columns(part):
            rows.append({"data": data, "split": split})
    return pd.DataFrame(rows)


def score_columns(table: pd.DataFrame) -> bool:
    """Whether a table holds scores at all; the row of a file that was skipped does not."""
    return set(SCORES) <= set(table) and bool(table[SCORES].notna().all(axis=None))


def main() -> None:
    """Run from the command line and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--dataset", nargs="*", help="names, or paths of .npz files or folders (default: real files)")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args()
    table = run(given.dataset, given.seeds, given.device)
    print(table.round(4).to_string(index=False), "\n")
    print(summary(table).round(4).to_string(index=False))


if __name__ == "__main__":
    main()
