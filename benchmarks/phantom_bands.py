"""How difficult the phantom is: the same models on several seeds, from the majority class to an ensemble.

    python -m benchmarks.phantom_bands [--seeds 3] [--only linear,cnn] [--epochs 12]

Trained on the faulty training set, scored on the clean test set: data, model and order of batches all change with the
seed. The lessons rely on the bands in `BANDS`; a row outside its band is marked and the exit status is 1.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

from course_utils.data import Augment, Batches, CourseData, ScanDataset
from course_utils.metrics import macro_f1, softmax
from course_utils.phantom import CLASSES, PhantomSplit, make_dataset
from course_utils.recipes import PLAIN, REGULARISED, Recipe, train_recipe
from course_utils.train import predict

HONEST = ["age", "signal_quality", "central_thickness_um", "visual_acuity_logmar"]
GEOMETRY = {"contrast": 0.0, "brightness": 0.0, "noise": 0.0, "gamma": 0.0}
BANDS = {  # accuracy, mean over the seeds
    "majority": (0.44, 0.50),
    "linear": (0.53, 0.65),
    "first_cnn": (0.76, 0.87),
    "strong": (0.90, 0.975),
    "ensemble": (0.90, 0.975),
}
Splits = dict[str, PhantomSplit]
Row = tuple[str, np.ndarray]  # name of the model, probabilities (N, 4) for the test scans


def pixels(split: PhantomSplit) -> np.ndarray:
    """(N, S * S) float32, roughly standardised."""
    return ((split.images.reshape(len(split), -1) / 255 - 0.3) / 0.2).astype(np.float32)


def majority(splits: Splits, seed: int, epochs: int | None) -> Iterator[Row]:
    """The commonest class for everybody."""
    commonest = np.bincount(splits["train"].labels).argmax()
    yield "majority", np.eye(len(CLASSES))[np.full(len(splits["test"]), commonest)]


def classic(splits: Splits, seed: int, epochs: int | None) -> Iterator[Row]:
    """Nearest neighbours and logistic regression on pixels."""
    train, test = splits["train"], splits["test"]
    x, x_test = pixels(train), pixels(test)
    yield "9-nn", KNeighborsClassifier(9).fit(x, train.labels).predict_proba(x_test)
    yield "linear", LogisticRegression(C=1e-3, tol=1e-3, max_iter=300).fit(x, train.labels).predict_proba(x_test)


def table(splits: Splits, seed: int, epochs: int | None) -> Iterator[Row]:
    """Gradient boosting on the metadata, without and with the leaking column."""
    train, test = splits["train"].meta, splits["test"].meta
    for name, columns in (("boosting", HONEST), ("boosting+leak", [*HONEST, "follow_up_weeks"])):
        model = HistGradientBoostingClassifier(max_iter=80, random_state=seed)
        yield name, model.fit(train[columns], train.label).predict_proba(test[columns])


def networks(recipes: dict[str, Recipe]) -> Callable[..., Iterator[Row]]:
    """A row for each recipe."""

    def rows(splits: Splits, seed: int, epochs: int | None) -> Iterator[Row]:
        for name, recipe in recipes.items():
            yield name, network(splits, recipe, seed, epochs)

    return rows


def network(splits: Splits, recipe: Recipe, seed: int, epochs: int | None, flips: bool = False) -> np.ndarray:
    """Train one network; probabilities of the test scans, averaged over both directions if `flips`."""
    data = course_data(splits)
    model, _ = train_recipe(recipe, data, seed=seed, epochs=epochs)
    images = splits["test"].images[:, None]
    views = (images, images[..., ::-1].copy()) if flips else (images,)
    return np.mean([softmax(_logits(model, view, data)) for view in views], axis=0)


def _logits(model, images: np.ndarray, data: CourseData) -> np.ndarray:
    scans = ScanDataset(images, np.zeros(len(images), np.int64), data.classes)
    return predict(model, Batches(scans, 250, mean=data.mean, std=data.std))[0]


def ensemble(splits: Splits, seed: int, epochs: int | None) -> Iterator[Row]:
    """Three strong networks and both directions of every scan."""
    members = [network(splits, REGULARISED, 100 * seed + member, epochs, flips=True) for member in range(3)]
    yield "ensemble", np.mean(members, axis=0)


def course_data(splits: Splits) -> CourseData:
    """The splits as the course's training loop takes them."""
    parts = {
        name: ScanDataset(part.images[:, None], part.labels, CLASSES, meta=part.meta) for name, part in splits.items()
    }
    return CourseData("oct-phantom", parts, source="simulated", simulated=True)


GEOMETRIC = replace(PLAIN, epochs=REGULARISED.epochs, augment={**asdict(Augment()), **GEOMETRY})
GROUPS = {
    "majority": majority,
    "classic": classic,
    "table": table,
    "mlp": networks({"mlp": replace(PLAIN, model="mlp", lr=1e-3)}),
    "first_cnn": networks({"first_cnn": replace(PLAIN, model="first_cnn", lr=1e-3)}),
    "cnn": networks({"small_cnn": PLAIN}),
    "geometric": networks({"geometric": GEOMETRIC}),
    "strong": networks({"strong": REGULARISED}),
    "ensemble": ensemble,
}


def score(probs: np.ndarray, test: PhantomSplit) -> dict[str, float]:
    """Accuracy, macro-F1, recall of each class, accuracy on each device."""
    preds, targets = probs.argmax(axis=1), test.labels
    right = preds == targets
    device = test.meta["device"].to_numpy()
    recalls = {f"recall {name}": right[targets == k].mean() for k, name in enumerate(CLASSES)}
    devices = {f"device {name}": right[device == name].mean() for name in ("A", "B")}
    return {"accuracy": right.mean(), "macro_f1": macro_f1(targets, preds), **recalls, **devices}


def run(seeds: int = 3, only: list[str] | None = None, epochs: int | None = None) -> pd.DataFrame:
    """One row a model and seed: the scores and the seconds."""
    rows = []
    for seed in range(seeds):
        splits = make_dataset(seed=seed)
        for group in only or GROUPS:
            start = time.perf_counter()
            for name, probs in GROUPS[group](splits, seed, epochs):
                seconds = time.perf_counter() - start
                rows.append({"model": name, "seed": seed, **score(probs, splits["test"]), "seconds": seconds})
                print(f"seed {seed} {name}: accuracy {rows[-1]['accuracy']:.3f}", flush=True)
                start = time.perf_counter()
    return pd.DataFrame(rows)


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    """Mean over seeds, spread of accuracy and macro-F1, and whether the mean accuracy lies in its band."""
    by_model = rows.drop(columns="seed").groupby("model", sort=False)
    means = by_model.mean()
    for column in ("accuracy", "macro_f1"):
        means.insert(means.columns.get_loc(column) + 1, f"± {column}", by_model[column].std(ddof=0))
    means["band"] = [_verdict(name, means.accuracy[name]) for name in means.index]
    return means


def _verdict(name: str, accuracy: float) -> str:
    low, high = BANDS.get(name, (0.0, 0.975))
    return f"{'ok' if low <= accuracy <= high else 'OUTSIDE'} {low:.2f}-{high:.3f}"


def main() -> int:
    """Print the table; 1 when a band does not hold."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", type=lambda text: text.split(","), help=f"some of {','.join(GROUPS)}")
    parser.add_argument("--epochs", type=int, help="instead of each recipe's own")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore", category=UserWarning)
    result = summary(run(arguments.seeds, arguments.only, arguments.epochs))
    print(result.round(3).to_string())
    return int(result["band"].str.startswith("OUTSIDE").any())


if __name__ == "__main__":
    raise SystemExit(main())
