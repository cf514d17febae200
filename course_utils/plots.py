"""Plots: data and an axes in, the axes out.

Nothing here opens, shows or saves a figure, but `scan_sheet`, which returns the one it draws. Every series has its own
colour (Okabe & Ito's palette, safe for colour-blind readers) *and* its own dash and marker. Importing sets nothing;
call `use_style()` once in a lesson's setup.
"""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

# Okabe & Ito (2008); yellow is left out: it is too pale on white.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 1)), (0, (8, 3)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
HATCHES = ("", "///", "...", "\\\\\\", "xxx", "++", "ooo")
METRIC_LABELS = {"loss": "loss (nats)", "accuracy": "accuracy (share of scans)", "macro_f1": "macro-F1"}
GREYS = 16  # shades in a scan sheet: hardly seen under speckle, and the picture is a third smaller


def use_style() -> None:
    """Set the course's look for this process: small figures, quiet axes, the palette. Call it, importing does not."""
    plt.rcParams.update(
        {
            "figure.figsize": (6, 3),
            "figure.dpi": 120,
            "savefig.dpi": 120,
            "font.size": 9,
            "axes.titlesize": 10,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": True,
            "axes.axisbelow": True,
            "grid.color": "0.9",
            "axes.prop_cycle": plt.cycler(color=PALETTE, linestyle=DASHES),
            "legend.frameon": False,
            "figure.constrained_layout.use": True,
        }
    )


def series_style(i: int) -> dict:
    """Colour, dash and marker of series number i, as keywords for `ax.plot`."""
    return {
        "color": PALETTE[i % len(PALETTE)],
        "linestyle": DASHES[i % len(DASHES)],
        "marker": MARKERS[i % len(MARKERS)],
        "markersize": 4,
    }


# ── Scans ────────────────────────────────────────────────────────────────────────────────────────────────────────────
def scan_sheet(
    images,
    titles: Sequence[str] | None = None,
    columns: int = 8,
    *,
    width: float = 6.0,
    frame: Sequence[bool] | None = None,
    heading: str | None = None,
) -> Figure:
    """A sheet of scans, row by row, as one figure `width` inches wide.

    images: (N, S, S), (N, 1, S, S) or (N, 3, S, S), arrays or tensors; uint8, or float in [0, 1] (other floats are
    stretched to the sheet's own range). `frame` marks scans to look at. In a notebook assign the result or end the
    line with `;`, or the figure shows twice.
    """
    pictures = _pictures(images)  # (N, H, W, 1 or 3) in [0, 1]
    n, height, across, _ = pictures.shape
    for name, values in (("titles", titles), ("frame", frame)):
        if values is not None and len(values) != n:
            raise ValueError(f"{name} must have one entry for each of the {n} scans, but has {len(values)}.")
    columns = min(columns, n)
    rows = -(-n // columns)
    lines = max((str(title).count("\n") + 1 for title in titles), default=0) if titles is not None else 0
    cell = width / columns
    row_height = cell * height / across + 0.13 * lines
    top = 0.25 if heading else 0.0
    fig = plt.figure(figsize=(width, rows * row_height + top), layout="none")
    for i, picture in enumerate(pictures):
        row, column = divmod(i, columns)
        bottom = (rows - row - 1) * row_height
        box = (column * cell + 0.02, bottom + 0.02, cell - 0.04, cell * height / across - 0.04)  # inches
        ax = fig.add_axes([box[0] / width, box[1] / fig.get_figheight(), box[2] / width, box[3] / fig.get_figheight()])
        _show(picture, ax, framed=frame is not None and bool(frame[i]))
        if titles is not None:
            ax.set_title(titles[i], fontsize=7, pad=2)
    if heading:
        fig.suptitle(heading, fontsize=10, y=1 - 0.05 / fig.get_figheight(), va="top")
    return fig


def _pictures(images) -> np.ndarray:
    """Any of scan_sheet's inputs as float (N, H, W, C) in [0, 1], few shades."""
    pixels = images.detach().cpu().numpy() if hasattr(images, "detach") else np.asarray(images)
    if pixels.ndim == 3:
        pixels = pixels[:, None]
    if pixels.ndim != 4 or pixels.shape[1] not in (1, 3) or 0 in pixels.shape:
        raise ValueError(f"images must be (N, S, S), (N, 1, S, S) or (N, 3, S, S) with N > 0, not {pixels.shape}.")
    if pixels.dtype == np.uint8:
        pixels = pixels / 255
    elif np.nanmin(pixels) < 0 or np.nanmax(pixels) > 1:
        low, high = np.nanmin(pixels), np.nanmax(pixels)
        pixels = (pixels - low) / max(high - low, 1e-12)
    shades = np.round(pixels.astype(np.float64) * (GREYS - 1)) / (GREYS - 1)
    return np.moveaxis(shades, 1, -1)


def _show(picture: np.ndarray, ax: Axes, framed: bool) -> None:
    ax.imshow(
        picture if picture.shape[-1] == 3 else picture[..., 0], cmap="gray", vmin=0, vmax=1, interpolation="nearest"
    )
    ax.set(xticks=[], yticks=[])
    ax.grid(False)
    for spine in ax.spines.values():
        spine.set(visible=framed, color=PALETTE[1], linewidth=2.5)


# ── Curves ───────────────────────────────────────────────────────────────────────────────────────────────────────────
def learning_curves(
    history: pd.DataFrame | Sequence[pd.DataFrame], ax: Axes, metric: str = "loss", *, label: str = "", style: int = 0
) -> Axes:
    """Train (dashed) and validation (solid) curves of `metric` by epoch, from the history that `fit` returns.

    A list of histories is one setting under several seeds: the line is their mean, the band their range. To compare
    settings call again with another `label` and `style` (a number).
    """
    histories = [history] if isinstance(history, pd.DataFrame) else list(history)
    drawn = [split for split in ("train", "val") if f"{split}_{metric}" in histories[0]]
    if not drawn:
        raise ValueError(f"history has no column train_{metric} or val_{metric}; it has {list(histories[0])}.")
    look = series_style(style)
    for split in drawn:
        by_epoch = pd.concat(histories).groupby("epoch")[f"{split}_{metric}"].agg(["mean", "min", "max"])
        dash, marker = ("--", None) if split == "train" else ("-", look["marker"])
        name = f"{label} {split}".strip()
        ax.plot(by_epoch.index, by_epoch["mean"], dash, color=look["color"], marker=marker, markersize=3, label=name)
        if len(histories) > 1:
            ax.fill_between(by_epoch.index, by_epoch["min"], by_epoch["max"], color=look["color"], alpha=0.15, lw=0)
    ax.set(xlabel="epoch", ylabel=METRIC_LABELS.get(metric, metric.replace("_", " ")))
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.legend()
    return ax


def lines(
    table: pd.DataFrame,
    x: str,
    ys: str | Sequence[str],
    ax: Axes,
    *,
    band: dict[str, tuple[str, str]] | None = None,
    xlabel: str | None = None,
    ylabel: str | None = None,
    first_style: int = 0,
    markers: bool | None = None,
) -> Axes:
    """Columns `ys` of the table against column `x`; `band` gives a column's interval, {y: (low column, high column)}.

    Markers are drawn for up to 30 points unless `markers` says otherwise. Labels default to the columns' names.
    """
    ys = [ys] if isinstance(ys, str) else list(ys)
    for i, y in enumerate(ys):
        look = series_style(first_style + i)
        if markers is False or (markers is None and len(table) > 30):
            look["marker"] = None
        ax.plot(table[x], table[y], label=_words(y), **look)
        if band and y in band:
            low, high = band[y]
            ax.fill_between(table[x], table[low], table[high], color=look["color"], alpha=0.15, lw=0)
    ax.set(xlabel=xlabel or _words(x), ylabel=ylabel or (_words(ys[0]) if len(ys) == 1 else "value"))
    if len(ys) > 1:
        ax.legend()
    return ax


def curves(named: dict[str, tuple], ax: Axes, *, xlabel: str, ylabel: str, diagonal: bool = False) -> Axes:
    """Curves with an x of their own each, {name: (x, y)}: ROC (with its `diagonal` of chance), precision–recall."""
    if diagonal:
        ax.plot([0, 1], [0, 1], color="0.6", lw=1, ls=":", label="chance")
    for i, (name, (x, y)) in enumerate(named.items()):
        ax.plot(x, y, label=name, **(series_style(i) | {"marker": None}))
    ax.set(xlabel=xlabel, ylabel=ylabel)
    ax.legend()
    return ax


def reliability(table: pd.DataFrame, ax: Axes, *, label: str = "model", style: int = 0) -> Axes:
    """Reliability diagram from `metrics.reliability_table`: accuracy (with its interval) against confidence.

    On the diagonal a model is as often right as it says; below it is too sure. Larger dots hold more scans.
    """
    if not any(line.get_label() == "as sure as right" for line in ax.lines):
        ax.plot([0, 1], [0, 1], color="0.6", lw=1, ls=":", label="as sure as right")
    look = series_style(style)
    marker, colour = look["marker"], look["color"]
    ax.vlines(table.confidence, table.low, table.high, color=colour, lw=1, alpha=0.5)
    ax.plot(table.confidence, table.accuracy, color=colour, linestyle=look["linestyle"], lw=1)
    ax.scatter(
        table.confidence, table.accuracy, s=8 + 80 * table.n / table.n.sum(), c=colour, marker=marker, label=label
    )
    ax.set(
        xlabel="confidence (largest probability)", ylabel="accuracy (share of scans)", xlim=(0, 1.02), ylim=(0, 1.02)
    )
    ax.legend(loc="upper left")
    return ax


# ── Tables ───────────────────────────────────────────────────────────────────────────────────────────────────────────
def count_bars(counts: pd.Series | pd.DataFrame, ax: Axes, *, unit: str = "scans", ylabel: str = "") -> Axes:
    """Horizontal bars with the numbers beside them: a Series, or a DataFrame with one bar a column in each row."""
    table = counts.to_frame() if isinstance(counts, pd.Series) else counts
    places, thickness = np.arange(len(table)), 0.8 / table.shape[1]
    for i, column in enumerate(table.columns):
        offset = (i - (table.shape[1] - 1) / 2) * thickness
        look = {"color": PALETTE[i % len(PALETTE)], "hatch": HATCHES[i % len(HATCHES)], "edgecolor": "white"}
        bars = ax.barh(places + offset, table[column], thickness, label=str(column), linewidth=0, **look)
        ax.bar_label(bars, fmt=lambda v: f"{v:,.0f}" if float(v).is_integer() else f"{v:.3g}", fontsize=7, padding=2)
    ax.set_yticks(places, [str(row) for row in table.index])
    ax.invert_yaxis()
    ax.grid(axis="y", visible=False)
    ax.margins(x=0.12)
    ax.set(xlabel=unit, ylabel=ylabel or _words(table.index.name or ""))
    if table.shape[1] > 1:
        ax.legend()
    return ax


def interval_bars(
    table: pd.DataFrame,
    ax: Axes,
    *,
    value: str = "value",
    label: str = "label",
    xlabel: str | None = None,
    reference: float | None = None,
    emphasise: Sequence[str] = (),
) -> Axes:
    """A dot for `value` and a line from `low` to `high` for each row, in the table's order from the top.

    Rows are named by column `label`, or by the index where there is no such column. `reference` draws a vertical line;
    the labels in `emphasise` get another colour and marker. A NaN interval is left out.
    """
    names = [str(name) for name in (table[label] if label in table else table.index)]
    for place, (name, row) in enumerate(zip(names, table.to_dict("records"), strict=True)):
        look = series_style(1 if name in emphasise else 0)
        ax.plot([row["low"], row["high"]], [place, place], color=look["color"], lw=2, alpha=0.5, ls="-")
        ax.plot(row[value], place, color=look["color"], marker=look["marker"], markersize=6, ls="none")
    if reference is not None:
        ax.axvline(reference, color="0.4", lw=1, ls=":")
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.grid(axis="y", visible=False)
    ax.set(xlabel=xlabel or _words(value))
    return ax


def confusion(matrix, classes: Sequence[str], ax: Axes) -> Axes:
    """Confusion matrix (K, K), targets down, predictions across: counts as text, share of the row as colour."""
    matrix = np.asarray(matrix)
    if matrix.shape != (len(classes), len(classes)):
        raise ValueError(f"matrix must be {len(classes)} × {len(classes)} as there are classes, not {matrix.shape}.")
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    ax.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, column), share in np.ndenumerate(shares):
        colour = "white" if share > 0.5 else "black"
        text = f"{matrix[row, column]:,}\n{share:.0%}"
        ax.text(column, row, text, ha="center", va="center", fontsize=7, color=colour)
    ax.set_xticks(range(len(classes)), classes)
    ax.set_yticks(range(len(classes)), classes)
    ax.grid(False)
    ax.set(xlabel="predicted class", ylabel="target class")
    return ax


def histograms(
    table: pd.DataFrame, column: str, ax: Axes, *, by: str | None = None, bins: int = 25, xlabel: str | None = None
) -> Axes:
    """Histogram of a numeric column as share of scans, one outline for each value of `by`; missing values left out."""
    parts = [("all", table)] if by is None else list(table.groupby(by, observed=True))
    edges = np.histogram_bin_edges(table[column].dropna(), bins)
    for i, (name, part) in enumerate(parts):
        values = part[column].dropna()
        look = {key: value for key, value in series_style(i).items() if key in ("color", "linestyle")}
        weights = np.full(len(values), 1 / max(len(values), 1))
        ax.hist(values, edges, weights=weights, histtype="step", lw=1.5, label=f"{name} (n = {len(values):,})", **look)
    ax.set(xlabel=xlabel or _words(column), ylabel="share of scans")
    if by is not None:
        ax.legend(handlelength=3)
    return ax


def missing_matrix(table: pd.DataFrame, ax: Axes, *, rows: int = 120) -> Axes:
    """Where values are missing: columns across, rows down in the table's order, in at most `rows` strips.

    The darker a strip, the more of it is missing; beside a column's name stands the share missing in all of it.
    Sort the table first to see what missingness goes with.
    """
    gaps = table.isna().to_numpy(dtype=float)
    strips = [part.mean(axis=0) for part in np.array_split(gaps, min(rows, len(gaps)))]
    ax.imshow(
        strips,
        aspect="auto",
        cmap="Blues",
        vmin=0,
        vmax=1,
        interpolation="nearest",
        extent=(-0.5, gaps.shape[1] - 0.5, len(gaps), 0),
    )
    names = [f"{column} ({share:.0%})" for column, share in zip(table.columns, gaps.mean(axis=0), strict=True)]
    ax.set_xticks(range(len(names)), names, rotation=40, ha="right", fontsize=7)
    ax.grid(False)
    ax.set(ylabel="row", xlabel="column (share missing)")
    return ax


def clinic_map(
    table: pd.DataFrame, ax: Axes, *, x: str = "x_km", y: str = "y_km", size: str = "scans", label: str = "clinic"
) -> Axes:
    """Places on a map, one row a clinic: a disc whose area is column `size`, with its name and number beside it."""
    area = 1200 * table[size] / table[size].sum()
    ax.scatter(table[x], table[y], s=area, color=PALETTE[0], alpha=0.6)
    for row, radius in zip(table.to_dict("records"), np.sqrt(area / np.pi), strict=True):
        text = f"{row[label]}\n{row[size]:,.0f} {size}"
        ax.annotate(text, (row[x], row[y]), (radius + 4, 0), textcoords="offset points", va="center", fontsize=8)
    ax.set(xlabel=_words(x), ylabel=_words(y))
    ax.set_aspect("equal", adjustable="datalim")
    ax.margins(0.3)
    return ax


def _words(name) -> str:
    """A column's name as an axis label: `central_thickness_um` → `central thickness (µm)`."""
    units = {"um": "µm", "km": "km", "ms": "ms", "mb": "MB", "weeks": "weeks", "years": "years", "seconds": "s"}
    *words, last = str(name).split("_")
    return f"{' '.join(words)} ({units[last]})" if words and last in units else " ".join([*words, last])
