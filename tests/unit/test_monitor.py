"""Drift measures against SciPy and scikit-learn, alarms against simulation, trials against formulas and chance."""

import numpy as np
import pytest
from scipy import stats
from scipy.spatial.distance import pdist
from sklearn.linear_model import Ridge
from sklearn.metrics import roc_auc_score
from sklearn.metrics.pairwise import rbf_kernel

from course_utils import monitor
from course_utils.monitor import (
    DriftMonitor,
    always_valid_p,
    design_effect,
    domain_auc,
    go_live,
    ks_statistic,
    live_history,
    live_version,
    median_distance,
    mmd2,
    psi,
    review_queue,
    roll_back,
    rolling_accuracy,
    sample_size,
    scan_statistics,
    two_shares_p,
)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


def clustered(rng, patients: int, shift: float = 0.0, columns: int = 3, name: str = "p"):
    """Scans of patients, five each, alike within a patient: features (5 · patients, columns) and the patients' ids."""
    own = rng.normal(size=(patients, columns)).repeat(5, axis=0)
    rows = own + 0.3 * rng.normal(size=own.shape) + shift
    return rows, np.array([f"{name}{i}" for i in range(patients)]).repeat(5)


# ── measures ─────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_ks_is_scipys_also_with_ties(rng):
    for week in (rng.normal(0.3, 1, 70), rng.normal(5, 1, 4)):
        reference = rng.normal(size=200)
        assert ks_statistic(reference, week) == pytest.approx(stats.ks_2samp(reference, week).statistic)
    a, b = rng.integers(0, 4, 90), rng.integers(1, 5, 60)
    assert ks_statistic(a, b) == pytest.approx(stats.ks_2samp(a, b).statistic)


def test_psi_is_the_symmetric_divergence_of_the_bins(rng):
    reference, week = rng.normal(size=400), rng.normal(0.5, 1.2, 150)
    edges = np.quantile(reference, np.arange(0.1, 0.95, 0.1))
    counts = [np.histogram(x, [-np.inf, *edges, np.inf])[0] + 0.5 for x in (reference, week)]
    p, q = (count / count.sum() for count in counts)
    assert psi(reference, week) == pytest.approx(stats.entropy(p, q) + stats.entropy(q, p))
    assert psi(reference, reference) == pytest.approx(0, abs=1e-12)
    assert np.isfinite(psi(reference, week + 100))  # most bins are empty


def test_mmd_is_the_unbiased_estimate_from_scikit_learns_kernel(rng):
    x, y = rng.normal(size=(40, 3)), rng.normal(0.4, 1, (25, 3))
    width = median_distance(np.concatenate([x, y]))
    assert width == pytest.approx(np.median(pdist(np.concatenate([x, y]))))
    k = {name: rbf_kernel(a, b, gamma=1 / (2 * width**2)) for name, a, b in (("xx", x, x), ("yy", y, y), ("xy", x, y))}
    off = [k[name][~np.eye(len(k[name]), dtype=bool)].mean() for name in ("xx", "yy")]
    assert mmd2(x, y) == pytest.approx(sum(off) - 2 * k["xy"].mean())


def test_mmd_is_zero_on_average_when_nothing_differs(rng):
    values = [mmd2(rng.normal(size=(30, 2)), rng.normal(size=(20, 2)), 1.5) for _ in range(300)]
    assert abs(np.mean(values)) < 3 * stats.sem(values)
    assert min(values) < 0


def test_domain_auc_is_ridge_regression_scored_on_other_patients(rng):
    (a, ga), (b, gb) = clustered(rng, 30), clustered(rng, 12, 0.8, name="q")
    rows = np.concatenate([a, b])
    y = np.where(np.arange(len(rows)) < len(a), -1.0, 1.0)
    weight = np.where(y > 0, 1 / len(b), 1 / len(a))
    z = np.column_stack([(rows - a.mean(0)) / a.std(0), np.ones(len(rows))])
    half = np.concatenate([np.unique(g, return_inverse=True)[1] % 2 == 0 for g in (ga, gb)])
    found = []
    for learn in (half, ~half):
        ridge = Ridge(alpha=0.05, fit_intercept=False).fit(z[learn], y[learn], sample_weight=weight[learn])
        found.append(roc_auc_score(y[~learn] > 0, ridge.predict(z[~learn])))
    assert domain_auc(a, b, ga, gb) == pytest.approx(np.mean(found))
    assert domain_auc(a, b + 9, ga, gb) == 1


def test_domain_auc_learns_nothing_from_patients_alone(rng):
    """Scans of a patient are nearly equal; were they split over the halves, any two weeks could be told apart."""
    aucs = [
        domain_auc(*pair[::2], *pair[1::2]) for pair in ((*clustered(rng, 30), *clustered(rng, 12)) for _ in range(40))
    ]
    assert abs(np.mean(aucs) - 0.5) < 0.05


def test_scan_statistics_see_what_they_are_called_after(rng):
    images = rng.integers(40, 200, (5, 12, 16), dtype=np.uint8)
    found = scan_statistics(images)
    assert found.shape == (5, len(monitor.SCAN_STATISTICS))
    np.testing.assert_allclose(found[:, 0], images.mean((1, 2)) / 255, rtol=1e-5)
    np.testing.assert_allclose(found[:, 2:4].T, np.quantile(images / 255, [0.05, 0.95], axis=(1, 2)), rtol=1e-5)
    stripes = np.tile(np.array([0, 255], dtype=np.uint8), (1, 12, 8))
    assert scan_statistics(stripes)[0, 4:].tolist() == [1, 0]  # across, down
    np.testing.assert_allclose(scan_statistics(np.stack([images] * 3, 1)), found, rtol=1e-5)
    with pytest.raises(ValueError, match="must be"):
        scan_statistics(images[0])


# ── the monitor ──────────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_monitors_measures_are_the_plain_ones(rng):
    (a, ga), (b, gb) = clustered(rng, 30), clustered(rng, 8, 0.3, name="q")
    a[:, 2], b[:, 2] = a[:, 2].round(), b[:, 2].round()  # ties
    watch = DriftMonitor(streams=20).fit({"x": a}, ga)
    found = watch.measure({"x": b}, gb)["x"]
    view = watch.views["x"]
    week = view.project(b)
    assert found["KS"] == pytest.approx(max(ks_statistic(*c) for c in zip(view.rows.T, week.T)))
    assert found["PSI"] == pytest.approx(max(psi(*c) for c in zip(view.rows.T, week.T)))
    assert found["MMD"] == pytest.approx(mmd2(view.rows, week, view.width))
    assert found["classifier"] == pytest.approx(2 * domain_auc(view.rows, week, ga, gb) - 1)


def test_wide_features_are_turned_to_few_directions(rng):
    rows, groups = clustered(rng, 20, columns=40)
    watch = DriftMonitor(streams=20).fit({"x": rows}, groups)
    assert watch.views["x"].rows.shape == (100, 12)
    np.testing.assert_allclose(watch.views["x"].project(rows), watch.views["x"].rows, atol=1e-9)
    np.testing.assert_allclose(np.corrcoef(watch.views["x"].rows.T), np.eye(12), atol=1e-9)


def test_false_alarms_come_as_seldom_as_asked_for(rng):
    """Forty undrifted streams of six weeks, each with its own monitor: no more alarms than one in twenty explains."""
    rung = 0
    for seed in range(40):
        rows, groups = clustered(rng, 60)
        watch = DriftMonitor(0.05, weeks=6, streams=60, seed=seed).fit({"x": rows}, groups, per_week=50)
        weeks = [clustered(rng, 10) for _ in range(6)]
        rung += any((watch.score({"x": w}, g) > watch.limits["all"]).any() for w, g in weeks)
    assert rung <= stats.binom.ppf(0.999, 40, 0.05)


def test_the_textbooks_p_values_ring_too_often_on_the_same_streams(rng):
    rows, _ = clustered(rng, 60)
    p = [stats.ks_2samp(rows[:, 0], clustered(rng, 10)[0][:, 0]).pvalue for _ in range(100)]
    assert np.mean(np.array(p) < 0.05) > 0.3


def test_a_drift_is_seen_by_each_kind_that_has_it(rng):
    (a, ga), (b, gb) = clustered(rng, 60), clustered(rng, 12, 1.5, name="q")
    still, _ = clustered(rng, 60)
    watch = DriftMonitor(streams=60).fit({"moved": a, "still": still}, ga, per_week=60)
    scores = watch.score({"moved": b, "still": clustered(rng, 12)[0]}, gb).to_frame().T
    assert watch.alarms(scores).iloc[0].to_dict() == {"moved": True, "still": False, "all": True}
    assert (watch.limits >= 1).all(), "watching several measures needs a higher limit than watching one"


def test_the_same_seed_gives_the_same_thresholds(rng):
    rows, groups = clustered(rng, 20)
    one, same, other = (DriftMonitor(streams=20, seed=s).fit({"x": rows}, groups).thresholds for s in (1, 1, 2))
    assert (one == same).all() and (one != other).any()


def test_misuse_of_the_monitor_is_refused(rng):
    rows, groups = clustered(rng, 10)
    with pytest.raises(ValueError, match="cannot be read off 10 simulated streams"):
        DriftMonitor(0.05, streams=10)
    with pytest.raises(ValueError, match="one row a scan"):
        DriftMonitor().fit({"x": rows[:-1]}, groups)
    with pytest.raises(ValueError, match="NaN"):
        DriftMonitor().fit({"x": np.where(rows > 1, np.nan, rows)}, groups)
    with pytest.raises(ValueError, match="at least 4 patients"):
        DriftMonitor().fit({"x": rows}, np.zeros(50))
    with pytest.raises(ValueError, match="fitted on x, but the week has y"):
        DriftMonitor(streams=20).fit({"x": rows}, groups).score({"y": rows}, groups)


# ── trials ───────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_sample_size_gives_the_power_it_promises(rng):
    assert sample_size(0.5, 0.6) == 388  # Fleiss' tables, without continuity correction
    n = sample_size(0.08, 0.13)
    a, b = rng.binomial(n, 0.08, 20_000), rng.binomial(n, 0.13, 20_000)
    assert np.mean(two_shares_p(a, n, b, n) < 0.05) == pytest.approx(0.8, abs=0.015)
    with pytest.raises(ValueError, match="no number of patients"):
        sample_size(0.1, 0.1)
    with pytest.raises(ValueError, match="must lie between"):
        sample_size(0.1, 1.0)


def test_two_shares_p_is_the_chi_squared_test(rng):
    for a, m, b, n in rng.integers(5, 40, (20, 4)) + np.array([0, 45, 0, 45]):
        table = [[a, m - a], [b, n - b]]
        assert two_shares_p(a, m, b, n) == pytest.approx(stats.chi2_contingency(table, correction=False).pvalue)
    assert two_shares_p(0, 10, 0, 10) == 1


def test_peeking_lies_and_the_always_valid_test_does_not(rng):
    """Two equal arms, looked at every twenty units: the fixed-size test cries wolf, the sequential one does not."""
    units, runs = np.arange(1, 1001), 600
    a, b = ((rng.random((runs, 1000)) < 0.1).cumsum(1) for _ in range(2))
    looks = slice(99, None, 20)
    peeked = (two_shares_p(a[:, looks], units[looks], b[:, looks], units[looks]) < 0.05).any(1).mean()
    valid = (always_valid_p(a[:, looks], units[looks], b[:, looks], units[looks]) < 0.05).any(1).mean()
    assert peeked > 0.15
    assert valid <= 0.05
    better = (rng.random((runs, 1000)) < 0.2).cumsum(1)
    found = always_valid_p(a, units, better, units)
    assert (found.min(1) < 0.05).mean() > 0.8
    assert (np.diff(found, axis=1) <= 0).all()


def test_design_effect_is_one_for_single_scans_and_the_cluster_size_for_copies(rng):
    values = rng.random(60) < 0.3
    assert design_effect(values, np.arange(60)) == pytest.approx(1)
    assert design_effect(values.repeat(5), np.arange(60).repeat(5)) == pytest.approx(5)
    assert design_effect(np.ones(6), np.arange(6)) == 1
    with pytest.raises(ValueError, match="two patients or more"):
        design_effect(values, np.zeros(60))


# ── review and roll-out ──────────────────────────────────────────────────────────────────────────────────────────────
def test_rolling_accuracy_knows_only_the_labels_that_have_come():
    week = np.arange(1, 9).repeat(2)
    right = week <= 4  # all right until week 4, all wrong after
    table = rolling_accuracy(week, right, week + 3, window=2).set_index("week")
    assert table["true"].tolist() == [1, 1, 1, 1, 0.5, 0, 0, 0]
    assert table["known"].isna().tolist() == [True] * 3 + [False] * 5
    assert table["known"].tolist()[3:] == [1, 1, 1, 1, 0.5]
    assert table["labels"].tolist() == [0, 0, 0, 2, 4, 4, 4, 4]
    with pytest.raises(ValueError, match="equally long"):
        rolling_accuracy(week, right[:-1], week)


def test_review_queue_takes_the_unsure_and_a_random_slice(rng):
    sure = rng.permutation(np.linspace(0.5, 1, 200))
    probs = np.column_stack([sure, 1 - sure])
    queue = review_queue(probs, 40, 0.25, seed=3)
    assert queue.why.value_counts().to_dict() == {"unsure": 30, "random": 10}
    assert queue.scan.is_unique
    unsure = queue.scan[queue.why == "unsure"]
    left = np.setdiff1d(np.arange(200), queue.scan)
    assert sure[unsure].max() < sure[left].min()
    assert queue.equals(review_queue(probs, 40, 0.25, seed=3))
    assert review_queue(probs, 5, 0.0).why.eq("unsure").all()
    with pytest.raises(ValueError, match="201 places for 200 scans"):
        review_queue(probs, 201)


@pytest.fixture
def bundles(tmp_path):
    for version in ("model_v1", "model_v2"):
        (tmp_path / version).mkdir()
        (tmp_path / version / "metadata.json").write_text("{}")
    return tmp_path


def test_rolling_out_and_back_moves_one_pointer(bundles):
    with pytest.raises(ValueError, match="no bundle of .* is live yet"):
        live_version(bundles)
    go_live(bundles, "model_v1", "first")
    with pytest.raises(ValueError, match="nothing to go back to"):
        roll_back(bundles, "regret")
    go_live(bundles, "model_v2", "better on device C")
    assert live_version(bundles) == "model_v2"
    assert roll_back(bundles, "worse on drusen") == live_version(bundles) == "model_v1"
    assert [step["reason"] for step in live_history(bundles)] == [
        "first",
        "better on device C",
        "roll back: worse on drusen",
    ]
    assert {path.name for path in bundles.iterdir() if not path.name.startswith(".")} == {
        "model_v1",
        "model_v2",
        "LIVE.json",
    }


def test_what_cannot_go_live_is_refused(bundles):
    for version in ("model_v3", "../model_v1", ""):
        with pytest.raises(ValueError, match="there is no bundle"):
            go_live(bundles, version, "why not")
    with pytest.raises(ValueError, match="needs a reason"):
        go_live(bundles, "model_v1", "  ")
    (bundles / "LIVE.json").write_text("[]")
    with pytest.raises(ValueError, match="does not say which bundle is live"):
        live_version(bundles)
