"""How difficult the radar windows are: the same estimators on several seeds, from the mean to the best network.

    python -m benchmarks.radar_bands [--seeds 0,1,2] [--only classic,fast] [--parts FOLDER]

Mean absolute error in breaths/min on the test subjects; people, windows, weights and order of batches all change with
the seed. Lesson 21 relies on the bands in `BANDS`: where one is missed the table says so, and the exit status is 1.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingRegressor

from course_utils import radar
from course_utils.radar import Windows

COMPETITOR = "peak counting, circle"
BANDS = (  # method, column, at least (>) or at most (<), breaths/min; means over the seeds
    ("the mean", "mae", ">", 5.4),
    ("FFT, circle", "clean", "<", 0.4),
    ("FFT, circle", "motion", ">", 4.0),
    ("network, fast", "mae", "<", 0.80),
    ("network, full", "mae", "<", 0.70),
    ("network, full", "motion", "<", 0.75),
    ("network, full", "times better", ">", 2.0),
)
Splits = dict[str, Windows]
Row = tuple[str, np.ndarray]  # name of the method, its rates (N,) for the test windows


def displacement(windows: Windows, centre: str, every: int = 1) -> np.ndarray:
    """Of the strongest bin, (N, 600 / every) in mm, from every so-many-th frame."""
    return radar.displacement_mm(windows.z[:, 0, ::every], centre)


def classic(splits: Splits, seed: int) -> Iterator[Row]:
    """No learning, or next to none."""
    test = splits["test"]
    yield "the mean", np.full(len(test), splits["train"].rate.mean())
    yield "FFT, raw phase", radar.fft_rate(displacement(test, "raw"))
    circle = displacement(test, "circle")
    yield "FFT, circle", radar.fft_rate(circle)
    yield "FFT, circle, band-pass", radar.fft_rate(radar.band_pass(circle))
    yield "autocorrelation, circle", radar.autocorrelation_rate(circle)
    yield "peak counting, raw phase", radar.peak_rate(displacement(test, "raw"))
    yield COMPETITOR, radar.peak_rate(circle)


def frame_rates(splits: Splits, seed: int) -> Iterator[Row]:
    """The same with fewer frames: what moves more than a quarter of a wavelength a frame is unwrapped wrongly."""
    for every in (2, 4):
        rate = radar.FRAME_RATE / every
        yield f"FFT, circle, {rate:g} Hz", radar.fft_rate(displacement(splits["test"], "circle", every), rate)


def boosting(splits: Splits, seed: int) -> Iterator[Row]:
    """Gradient boosting on the logarithm of 69 spectral lines, 5 to 45 breaths/min."""
    features = {name: _lines(splits[name]) for name in ("train", "test")}
    model = HistGradientBoostingRegressor(loss="absolute_error", max_iter=200, random_state=seed)
    yield "boosting on spectra", model.fit(features["train"], splits["train"].rate).predict(features["test"])


def _lines(windows: Windows) -> np.ndarray:
    _, spectrum = radar.breathing_spectrum(displacement(windows, "circle"))
    lines = np.log(spectrum[:, ::4] + 1e-6)
    return lines - lines.mean(axis=1, keepdims=True)


def network(name: str) -> Callable[..., Iterator[Row]]:
    """The lesson's network, with the recipe of one profile: FAST or FULL."""

    def rows(splits: Splits, seed: int) -> Iterator[Row]:
        from benchmarks.studies import radar as study  # needs PyTorch, which the other groups do without

        recipe = getattr(study, name.upper())
        model, _ = study.train_reader(splits["train"], splits["val"], recipe, seed)
        yield f"network, {name}", study.answer(study.estimates(model, splits["test"], recipe))

    return rows


GROUPS = {
    "classic": classic,
    "frames": frame_rates,
    "boosting": boosting,
    "fast": network("fast"),
    "full": network("full"),
}


def score(rates: np.ndarray, test: Windows) -> dict[str, float]:
    """Mean absolute error, of all windows and of each condition, and root mean squared error."""
    error = np.abs(rates - test.true_rate)
    by_condition = {name: error[test.condition == k].mean() for k, name in enumerate(radar.CONDITIONS)}
    return {"mae": error.mean(), **by_condition, "rmse": np.sqrt(np.square(error).mean())}


def run(seeds: Sequence[int] = (0, 1, 2), only: Sequence[str] | None = None, parts: Path | None = None) -> pd.DataFrame:
    """One row a method and seed: the errors and the seconds. With `parts`, each is also kept there as it is done."""
    rows = []
    for seed in seeds:
        splits = radar.make_dataset(seed)
        for group in only or GROUPS:
            start = time.process_time()
            for method, rates in GROUPS[group](splits, seed):
                seconds = time.process_time() - start
                rows.append({"method": method, "seed": seed, **score(rates, splits["test"]), "seconds": seconds})
                print(f"seed {seed} {method}: {rows[-1]['mae']:.3f}, {seconds:.1f} s", flush=True)
                start = time.process_time()
            if parts is not None:
                parts.mkdir(parents=True, exist_ok=True)
                pd.DataFrame(rows).to_csv(parts / f"{seed}-{group}.csv", index=False)
    return pd.DataFrame(rows)


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    """Mean over seeds, the spread of the error, how many times better than peak counting, and what the bands say."""
    by_method = rows.drop(columns="seed").groupby("method", sort=False)
    means = by_method.mean()
    means.insert(1, "± mae", by_method["mae"].std(ddof=0))
    if COMPETITOR in means.index:
        means.insert(2, "times better", means.loc[COMPETITOR, "mae"] / means["mae"])
    means["bands"] = [", ".join(_verdicts(means, method)) for method in means.index]
    return means


def _verdicts(means: pd.DataFrame, method: str) -> Iterator[str]:
    for name, column, relation, bound in BANDS:
        if name == method and column in means:
            value = means.loc[method, column]
            held = value >= bound if relation == ">" else value <= bound
            yield f"{column} {relation} {bound:g} {'ok' if held else 'MISSED'}"


def main() -> int:
    """Print the table; 1 when a band is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=lambda text: [int(part) for part in text.split(",")], default=[0, 1, 2])
    parser.add_argument("--only", type=lambda text: text.split(","), help=f"some of {','.join(GROUPS)}")
    parser.add_argument("--parts", type=Path, help="a folder for the rows as they come")
    arguments = parser.parse_args()
    result = summary(run(arguments.seeds, arguments.only, arguments.parts))
    print(result.round(3).to_string())
    return int(result["bands"].str.contains("MISSED").any())


if __name__ == "__main__":
    raise SystemExit(main())
