"""plots: the axes that went in comes out, labelled; nothing leaks, nothing is set on import; sheets stay small."""

import base64
import io
import subprocess
import sys

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402
import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
import pytest  # noqa: E402
import torch  # noqa: E402

from course_utils import plots  # noqa: E402
from tools.refresh import smaller_png  # noqa: E402

RNG = np.random.default_rng(0)
CLASSES = ("CNV", "DME", "DRUSEN", "NORMAL")


def history(epochs: int = 5, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    epoch = np.arange(1, epochs + 1)
    return pd.DataFrame(
        {
            "epoch": epoch,
            "train_loss": 1 / epoch,
            "val_loss": 1 / epoch + rng.random(epochs) / 9,
            "val_macro_f1": 1 - 1 / epoch,
        }
    )


RELIABILITY = pd.DataFrame(
    {
        "n": [10, 30],
        "confidence": [0.5, 0.9],
        "accuracy": [0.4, 0.8],
        "low": [0.2, 0.7],
        "high": [0.6, 0.9],
    }
)
INTERVALS = pd.DataFrame(
    {
        "label": ["majority", "linear"],
        "value": [0.46, 0.58],
        "low": [0.44, np.nan],
        "high": [0.48, np.nan],
    }
)
CURVE = pd.DataFrame(
    {
        "threshold": [0.0, 0.5, 1.0],
        "cost": [3.0, 1.0, 2.0],
        "cost_low": [2.5, 0.8, 1.7],
        "cost_high": [3.5, 1.3, 2.2],
        "recall": [1.0, 0.9, 0.1],
    }
)
PEOPLE = pd.DataFrame({"age_years": RNG.normal(70, 9, 300), "device": RNG.choice(["A", "B"], 300)})
GAPS = PEOPLE.mask(RNG.random(PEOPLE.shape) < 0.2)
CLINICS = pd.DataFrame(
    {
        "clinic": ["North", "South"],
        "x_km": [0.0, 30.0],
        "y_km": [5.0, 40.0],
        "scans": [1200, 300],
    }
)
COUNTS = pd.DataFrame({"train": [30, 9], "val": [5, 2]}, index=["CNV", "DME"])

DRAWN = {
    "learning_curves": lambda ax: plots.learning_curves(history(), ax),
    "learning_curves, seeds": lambda ax: plots.learning_curves([history(5, s) for s in range(3)], ax, label="plain"),
    "learning_curves, val only": lambda ax: plots.learning_curves(history(), ax, "macro_f1"),
    "lines": lambda ax: plots.lines(CURVE, "threshold", "cost", ax, band={"cost": ("cost_low", "cost_high")}),
    "lines, several": lambda ax: plots.lines(CURVE, "threshold", ["cost", "recall"], ax, ylabel="cost and recall"),
    "curves": lambda ax: plots.curves({"a": ([0, 1], [0, 1])}, ax, xlabel="FPR", ylabel="TPR", diagonal=True),
    "reliability": lambda ax: plots.reliability(RELIABILITY, ax),
    "count_bars": lambda ax: plots.count_bars(COUNTS["train"].rename_axis("class"), ax),
    "count_bars, table": lambda ax: plots.count_bars(COUNTS, ax, ylabel="class"),
    "interval_bars": lambda ax: plots.interval_bars(INTERVALS, ax, xlabel="accuracy", reference=0.5),
    "interval_bars, index": lambda ax: plots.interval_bars(INTERVALS.set_index("label"), ax, emphasise=["linear"]),
    "confusion": lambda ax: plots.confusion(RNG.integers(0, 99, (4, 4)), CLASSES, ax),
    "histograms": lambda ax: plots.histograms(PEOPLE, "age_years", ax, by="device"),
    "histograms, one": lambda ax: plots.histograms(GAPS, "age_years", ax),
    "missing_matrix": lambda ax: plots.missing_matrix(GAPS, ax),
    "clinic_map": lambda ax: plots.clinic_map(CLINICS, ax),
}
NO_Y_LABEL = ("interval_bars",)  # the rows carry their names


@pytest.fixture(autouse=True)
def closed():
    plt.close("all")
    with matplotlib.rc_context():
        yield
    plt.close("all")


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", DRAWN)
def test_the_axes_comes_back_labelled_and_no_figure_is_opened(name):
    plots.use_style()
    fig, ax = plt.subplots()
    assert DRAWN[name](ax) is ax
    assert ax.get_xlabel()
    assert ax.get_ylabel() or name.startswith(NO_Y_LABEL)
    assert plt.get_fignums() == [fig.number]
    assert fig.axes == [ax]
    fig.savefig(io.BytesIO())


def test_every_series_has_its_own_colour_dash_and_marker():
    looks = [plots.series_style(i) for i in range(len(plots.PALETTE))]
    for key in ("color", "linestyle", "marker"):
        assert len({str(look[key]) for look in looks}) == len(looks)


def test_train_is_dashed_val_is_solid_and_seeds_make_a_band():
    _, ax = plt.subplots()
    plots.learning_curves([history(5), history(3, seed=1)], ax)  # one stopped early
    assert {line.get_label(): line.get_linestyle() for line in ax.lines} == {"train": "--", "val": "-"}
    assert len(ax.collections) == 2
    assert len(ax.lines[0].get_xdata()) == 5


def test_confusion_writes_counts_and_shares_even_for_an_absent_class():
    _, ax = plt.subplots()
    plots.confusion([[8, 2], [0, 0]], ("no", "yes"), ax)
    assert [text.get_text() for text in ax.texts] == ["8\n80%", "2\n20%", "0\n0%", "0\n0%"]


def test_column_names_become_labels_with_units():
    _, ax = plt.subplots()
    plots.histograms(PEOPLE.rename(columns={"age_years": "central_thickness_um"}), "central_thickness_um", ax)
    assert ax.get_xlabel() == "central thickness (µm)"


# ── Scan sheet ───────────────────────────────────────────────────────────────────────────────────────────────────────
SPECKLE = RNG.integers(0, 256, (24, 64, 64), dtype=np.uint8)


@pytest.mark.parametrize(
    "images",
    [
        SPECKLE,
        SPECKLE[:, None],
        torch.from_numpy(SPECKLE),
        torch.rand(5, 3, 28, 28),
        torch.randn(3, 1, 32, 32, requires_grad=True),
        SPECKLE[:1],
    ],
    ids=["uint8", "one channel", "tensor", "colour", "normalised", "single"],
)
def test_scan_sheet_shows_every_scan_on_one_figure(images):
    fig = plots.scan_sheet(images)
    assert len(fig.axes) == len(images)
    assert plt.get_fignums() == [fig.number]
    assert fig.get_figwidth() == 6
    for ax in fig.axes:
        shown = ax.images[0].get_array()
        assert shown.min() >= 0
        assert shown.max() <= 1


def test_scan_sheet_leaves_its_input_alone_and_keeps_the_greys():
    before = SPECKLE.copy()
    fig = plots.scan_sheet(SPECKLE[:2])
    assert (before == SPECKLE).all()
    shown = np.asarray(fig.axes[0].images[0].get_array())
    assert abs(shown - SPECKLE[0] / 255).max() <= 0.5 / (plots.GREYS - 1) + 1e-9


def test_scan_sheet_of_24_speckled_scans_is_under_60_kb():
    plots.use_style()
    depth = np.exp(-(((np.arange(64) - 36) / 14) ** 2))[:, None]  # a bright band under dark vitreous
    speckle = (RNG.exponential(size=(24, 64, 64)) * (depth + 0.05) ** 4) ** 0.25
    buffer = io.BytesIO()
    plots.scan_sheet(speckle / speckle.max(), titles=["NORMAL"] * 24).savefig(buffer, bbox_inches="tight")
    stored = smaller_png(base64.b64encode(buffer.getvalue()).decode())  # as `make refresh` stores it
    assert len(base64.b64decode(stored)) < 60_000


def test_scan_sheet_titles_and_frames_land_on_their_scan():
    fig = plots.scan_sheet(
        SPECKLE[:3], titles=["a", "b\nc", "d"], frame=[False, True, False], columns=2, heading="wrong"
    )
    assert [ax.get_title() for ax in fig.axes] == ["a", "b\nc", "d"]
    assert [ax.spines["top"].get_visible() for ax in fig.axes] == [False, True, False]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda ax: plots.scan_sheet(np.zeros((64, 64))), r"not \(64, 64\)"),
        (lambda ax: plots.scan_sheet(np.zeros((2, 2, 8, 8))), r"not \(2, 2, 8, 8\)"),
        (lambda ax: plots.scan_sheet(np.zeros((0, 8, 8))), "N > 0"),
        (lambda ax: plots.scan_sheet(SPECKLE, titles=["one"]), "titles must have one entry for each of the 24"),
        (lambda ax: plots.learning_curves(history(), ax, "auc"), "no column train_auc or val_auc"),
        (lambda ax: plots.confusion(np.zeros((2, 3)), ("a", "b"), ax), "must be 2 × 2"),
    ],
)
def test_wrong_input_is_refused_and_leaves_no_figure(call, message):
    fig, ax = plt.subplots()
    with pytest.raises(ValueError, match=message):
        call(ax)
    assert plt.get_fignums() == [fig.number]


def test_importing_sets_nothing():
    code = (
        "import matplotlib as mpl; before = dict(mpl.rcParams); import course_utils.plots;"
        "mpl.rcParams._get('backend'); after = dict(mpl.rcParams);"
        "import sys; sys.exit(any(before[k] != after[k] for k in before if k != 'backend'))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
