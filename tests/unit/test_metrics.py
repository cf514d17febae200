"""metrics against scikit-learn, SciPy and hand-worked values, on random inputs; and wrong input refused."""

import time
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats
from sklearn import metrics as sk

from course_utils import metrics as m

SEEDS = [0, 1, 2]


def scored(seed: int, n: int = 300, k: int = 4, sharpness: float = 2.0):
    """Targets, and logits that know something about them."""
    rng = np.random.default_rng(seed)
    targets = rng.integers(0, k, n)
    logits = rng.normal(size=(n, k)) + sharpness * np.eye(k)[targets]
    return targets, logits


@pytest.fixture(autouse=True)
def no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


# ── Classification ───────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("k", [2, 4])
def test_classification_metrics_equal_scikit_learn(seed, k):
    targets, logits = scored(seed, k=k)
    probs = m.softmax(logits)
    preds = probs.argmax(1)
    one_hot = np.eye(k)[targets]
    expected = {
        "accuracy": sk.accuracy_score(targets, preds),
        "macro_f1": sk.f1_score(targets, preds, average="macro"),
        "macro_recall": sk.balanced_accuracy_score(targets, preds),
        "roc_auc": sk.roc_auc_score(one_hot, probs, average="macro"),
        "average_precision": sk.average_precision_score(one_hot, probs, average="macro"),
        "log_loss": sk.log_loss(targets, probs),
    }
    assert m.classification_metrics(targets, probs) == pytest.approx(expected)


def test_softmax_equals_torch_and_takes_a_temperature():
    logits = np.random.default_rng(0).normal(size=(50, 4)) * 30
    assert m.softmax(logits) == pytest.approx(torch.softmax(torch.tensor(logits), 1).numpy())
    assert m.softmax(logits, 2.0) == pytest.approx(torch.softmax(torch.tensor(logits) / 2, 1).numpy())


@pytest.mark.parametrize("seed", SEEDS)
def test_auc_with_ties_equals_scikit_learn(seed):
    targets, logits = scored(seed)
    probs = m.softmax(np.round(logits))  # ties
    expected = [sk.roc_auc_score(targets == c, probs[:, c]) for c in range(4)]
    assert m.roc_auc_per_class(targets, probs) == pytest.approx(expected)


def test_a_class_absent_from_targets_is_left_out():
    targets, logits = scored(0)
    keep = targets != 2
    targets, probs = targets[keep], m.softmax(logits[keep])
    figures = m.classification_metrics(targets, probs)
    assert np.isfinite(list(figures.values())).all()
    expected = np.mean([sk.roc_auc_score(targets == c, probs[:, c]) for c in (0, 1, 3)])
    assert figures["roc_auc"] == pytest.approx(expected)
    assert figures["macro_f1"] == pytest.approx(sk.f1_score(targets, probs.argmax(1), average="macro"))
    table = m.per_class_table(targets, probs, "ABCD")
    assert table.loc["C", "support"] == 0
    assert np.isnan(table.loc["C", ["recall", "auc", "average_precision"]].astype(float)).all()


def test_only_one_class_present_gives_nan_auc_and_the_rest():
    figures = m.classification_metrics(np.zeros(5, int), np.tile([0.6, 0.4], (5, 1)))
    assert np.isnan(figures.pop("roc_auc"))
    assert figures == pytest.approx(
        {
            "accuracy": 1,
            "macro_f1": 1,
            "macro_recall": 1,
            "average_precision": 1,
            "log_loss": -np.log(0.6),
        }
    )


@pytest.mark.parametrize("seed", SEEDS)
def test_per_class_table_equals_scikit_learn(seed):
    targets, logits = scored(seed)
    probs = m.softmax(logits)
    table = m.per_class_table(targets, probs, ["CNV", "DME", "DRUSEN", "NORMAL"])
    report = sk.classification_report(targets, probs.argmax(1), output_dict=True)
    assert list(table.index) == ["CNV", "DME", "DRUSEN", "NORMAL"]
    for c, row in enumerate(table.itertuples()):
        expected = report[str(c)]
        assert (row.precision, row.recall, row.f1, row.support) == pytest.approx(
            (expected["precision"], expected["recall"], expected["f1-score"], expected["support"])
        )
        assert row.average_precision == pytest.approx(sk.average_precision_score(targets == c, probs[:, c]))


def test_a_class_never_predicted_has_no_precision():
    table = m.per_class_table([0, 0, 1], [[0.9, 0.1]] * 3, ["no", "yes"])
    assert np.isnan(table.loc["yes", "precision"])
    assert table.loc["yes", "recall"] == 0


@pytest.mark.parametrize("seed", SEEDS)
def test_macro_f1_and_confusion_equal_scikit_learn_on_few_scans(seed):
    rng = np.random.default_rng(seed)
    for _ in range(30):
        targets, preds = rng.integers(0, 5, (2, rng.integers(1, 12)))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert m.macro_f1(targets, preds) == pytest.approx(sk.f1_score(targets, preds, average="macro"))
            assert m.macro_recall(targets, preds) == pytest.approx(sk.balanced_accuracy_score(targets, preds))
        expected = sk.confusion_matrix(targets, preds, labels=range(5))
        assert (m.confusion_counts(targets, preds, 5) == expected).all()


def test_tensors_and_float32_probabilities_are_welcome():
    targets, logits = scored(0)
    probs = torch.softmax(torch.tensor(logits, dtype=torch.float32), 1)
    tensor = m.classification_metrics(torch.tensor(targets), probs)
    assert tensor == pytest.approx(m.classification_metrics(targets, m.softmax(logits)), abs=1e-5)


# ── Uncertainty ──────────────────────────────────────────────────────────────────────────────────────────────────────
def test_bootstrap_of_a_mean_equals_scipy():
    values = np.random.default_rng(0).normal(size=400)
    ours = m.bootstrap_interval(np.mean, values, n=3000)
    theirs = stats.bootstrap((values,), np.mean, n_resamples=3000, method="percentile", rng=0).confidence_interval
    assert ours.value == pytest.approx(values.mean())
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.015)


def test_bootstrap_repeats_with_its_seed_only():
    targets, logits = scored(0)
    preds = logits.argmax(1)
    first, again, other = (m.bootstrap_interval(m.accuracy, targets, preds, n=200, seed=s) for s in (3, 3, 4))
    assert first == again
    assert first != other
    assert first.low < first.value < first.high


def test_bootstrap_by_patient_is_wider_when_scans_of_a_patient_agree():
    rng = np.random.default_rng(0)
    right = np.repeat(rng.random(60) < 0.8, 10).astype(int)  # ten scans a patient, all right or all wrong
    patients = np.repeat([f"p{i}" for i in range(60)], 10)
    shuffled = rng.permutation(600)
    ones = np.ones(600, int)
    by_scan = m.bootstrap_interval(m.accuracy, ones, right)
    by_patient = m.bootstrap_interval(m.accuracy, ones, right[shuffled], groups=patients[shuffled])
    width = (by_patient.high - by_patient.low) / (by_scan.high - by_scan.low)
    assert width == pytest.approx(np.sqrt(10), rel=0.2)


def test_bootstrap_by_patient_keeps_a_patients_scans_together():
    groups = np.repeat(np.arange(20), 3)

    def whole_patients(rows):
        counts = np.bincount(rows, minlength=60).reshape(20, 3)
        return float((counts == counts[:, :1]).all())

    assert m.bootstrap_interval(whole_patients, np.arange(60), groups=groups, n=50).low == 1


def test_bootstrap_leaves_out_resamples_without_a_value():
    targets = np.array([0] * 30 + [1])  # class 1 falls out of a third of the resamples
    probs = np.column_stack([np.linspace(0.9, 0.1, 31), np.linspace(0.1, 0.9, 31)])
    assert m.bootstrap_interval(m.roc_auc, targets, probs, n=100) == (1, 1, 1)


def test_bootstrap_of_accuracy_and_macro_f1_over_1000_scans_is_quick():
    targets, logits = scored(0, n=1000)
    preds = logits.argmax(1)
    start = time.perf_counter()
    m.bootstrap_interval(m.accuracy, targets, preds)
    m.bootstrap_interval(m.macro_f1, targets, preds)
    assert time.perf_counter() - start < 1.5


def test_paired_bootstrap_sees_a_small_steady_gain_that_two_intervals_hide():
    rng = np.random.default_rng(0)
    targets = rng.integers(0, 4, 1000)
    worse = np.where(rng.random(1000) < 0.8, targets, (targets + 1) % 4)
    better = np.where(rng.random(1000) < 0.1, targets, worse)
    gain = m.paired_bootstrap(m.accuracy, targets, better, worse)
    assert gain.value == pytest.approx(m.accuracy(targets, better) - m.accuracy(targets, worse))
    assert 0 < gain.low < gain.value < gain.high
    assert m.paired_bootstrap(m.accuracy, targets, better, better) == (0, 0, 0)


def test_mcnemar_by_hand():
    targets = np.zeros(20, int)
    preds_a = np.array([0] * 10 + [1] * 10)
    preds_b = np.array([0] * 2 + [1] * 8 + [0] * 1 + [1] * 9)  # 8 only a, 1 only b
    expected = 2 * (1 + 9) / 2**9  # P(at most 1 head in 9 tosses), both tails
    assert m.mcnemar(targets, preds_a, preds_b) == {"only_a": 8, "only_b": 1, "p_value": pytest.approx(expected)}
    assert m.mcnemar(targets, preds_a, preds_a)["p_value"] == 1


def test_seed_interval_equals_scipy_and_one_seed_has_none():
    values = [0.91, 0.93, 0.90, 0.94]
    low, high = stats.t.interval(0.95, 3, np.mean(values), stats.sem(values))
    assert m.seed_interval(values) == pytest.approx((np.mean(values), low, high))
    assert m.seed_interval([0.5, 0.5]) == (0.5, 0.5, 0.5)
    one = m.seed_interval([0.5])
    assert one.value == 0.5
    assert np.isnan([one.low, one.high]).all()


def test_wilson_interval_is_the_textbook_formula():
    z, n, p = stats.norm.ppf(0.975), 10, 0.9
    centre = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    assert m.wilson_interval(9, 10) == pytest.approx((0.9, centre - half, centre + half))


def test_interval_reads_as_text():
    assert f"{m.Interval(0.912, 0.88, 0.944):.2f}" == "0.91 (0.88–0.94)"
    assert f"{m.Interval(0.5, 0.4, 0.6)}" == "0.500 (0.400–0.600)"


def test_slice_table_counts_every_level_and_the_missing_ones():
    targets = np.array([0, 0, 1, 1, 0, 1])
    preds = np.array([0, 1, 1, 1, 0, 0])
    table = pd.DataFrame({"device": list("ABABAB"), "sex": ["f", "m", None, "f", "f", "m"]}, index=range(10, 16))
    result = m.slice_table(targets, preds, table)
    assert list(result.columns) == ["slice", "level", "n", "accuracy", "low", "high"]
    found = {(row.slice, row.level): (row.n, row.accuracy) for row in result.itertuples()}
    assert found == {
        ("device", "A"): (3, 1.0),
        ("device", "B"): (3, pytest.approx(1 / 3)),
        ("sex", "f"): (3, 1.0),
        ("sex", "m"): (2, 0.0),
        ("sex", "missing"): (1, 1.0),
    }
    assert (result.low < result.high).all()


def test_slice_table_takes_bands_and_patients():
    targets, logits = scored(0, n=240)
    preds, groups = logits.argmax(1), np.repeat(np.arange(24), 10)
    ages = pd.Series(np.linspace(40, 90, 240), name="age")
    with pytest.raises(ValueError, match=r"age has 240 distinct values: cut it into bands first \(pd.cut\)"):
        m.slice_table(targets, preds, ages)
    bands = pd.cut(ages, [0, 60, 75, 120])
    plain, grouped = m.slice_table(targets, preds, bands), m.slice_table(targets, preds, bands, groups)
    assert plain.n.sum() == 240
    assert (grouped.low <= plain.low).all()
    assert (grouped.high >= plain.high).all()


# ── Calibration ──────────────────────────────────────────────────────────────────────────────────────────────────────
def test_calibration_error_by_hand():
    probs = np.array([[0.9, 0.1]] * 10 + [[0.4, 0.6]] * 10)
    targets = np.array([0] * 8 + [1] * 2 + [1] * 9 + [0])  # 0.9 sure and 0.8 right, 0.6 sure and 0.9 right
    assert m.calibration_error(targets, probs) == pytest.approx((0.1 + 0.3) / 2)
    table = m.reliability_table(targets, probs, bins=10)
    assert list(table.n) == [10, 10]
    assert table.confidence.tolist() == pytest.approx([0.6, 0.9])
    assert table.accuracy.tolist() == pytest.approx([0.9, 0.8])
    assert (table.bin_low < table.confidence).all()
    assert (table.confidence <= table.bin_high + 1e-9).all()


@pytest.mark.parametrize("seed", SEEDS)
def test_calibration_error_equals_a_plain_loop(seed):
    targets, logits = scored(seed, n=500)
    probs = m.softmax(logits * 3)
    confidence, right = probs.max(1), probs.argmax(1) == targets
    total = 0.0
    for b in range(15):
        inside = (confidence > b / 15) & (confidence <= (b + 1) / 15)
        if inside.any():
            total += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    assert m.calibration_error(targets, probs) == pytest.approx(total)


def test_certain_and_undecided_scans_have_a_bin():
    table = m.reliability_table([0, 1, 0], [[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]], bins=4)
    assert table.n.sum() == 3


@pytest.mark.parametrize("temperature", [0.4, 1.0, 3.0])
def test_fit_temperature_finds_the_one_planted(temperature):
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(20_000, 4)) * 2
    cumulated = m.softmax(logits).cumsum(1)
    targets = (rng.random((20_000, 1)) > cumulated).sum(1).clip(max=3)  # drawn from softmax(logits): T is 1
    found = m.fit_temperature(logits * temperature, targets)
    assert found == pytest.approx(temperature, rel=0.05)


def test_fit_temperature_never_raises_the_log_loss():
    targets, logits = scored(0)
    logits = logits * 5
    after = m.softmax(logits, m.fit_temperature(logits, targets))
    assert sk.log_loss(targets, after) < sk.log_loss(targets, m.softmax(logits))
    assert (after.argmax(1) == logits.argmax(1)).all()


# ── Cost ─────────────────────────────────────────────────────────────────────────────────────────────────────────────
COST = np.array([[0.0, 10.0, 2.0], [1.0, 0.0, 2.0]])  # sick, well × treat, send home, ask a colleague


def test_cheapest_decisions_by_hand():
    probs = [[0.9, 0.1], [0.3, 0.7], [0.05, 0.95]]
    # expected costs: (0.1, 9, 2), (0.7, 3, 2), (0.95, 0.5, 2)
    assert m.cheapest_decisions(probs, COST).tolist() == [0, 0, 1]
    assert m.cheapest_decisions([[0.25, 0.75]], [[0, 10, 0.5], [5, 0, 0.5]]).tolist() == [2]


def test_expected_cost_by_hand():
    assert m.expected_cost([0, 0, 1, 1], [0, 1, 1, 2], COST) == pytest.approx((0 + 10 + 0 + 2) / 4)


def test_cheapest_decisions_cost_least_when_probabilities_are_true():
    rng = np.random.default_rng(0)
    probs = rng.dirichlet([1, 1], 20_000)
    targets = (rng.random(20_000) > probs[:, 0]).astype(int)
    cheapest = m.expected_cost(targets, m.cheapest_decisions(probs, COST), COST)
    others = [m.expected_cost(targets, np.full(20_000, d), COST) for d in range(3)]
    assert cheapest < min(*others, m.expected_cost(targets, probs.argmax(1), COST))


@pytest.mark.parametrize("seed", SEEDS)
def test_cost_curve_equals_counting(seed):
    rng = np.random.default_rng(seed)
    sick, scores = rng.integers(0, 2, 200), np.round(rng.random(200), 2)  # scores that hit thresholds exactly
    thresholds = np.array([0.0, 0.25, 0.5, 0.75, 1.0, 1.1])
    table = m.cost_curve(sick, scores, miss=10, false_alarm=1, thresholds=thresholds)
    for row in table.itertuples():
        called = scores >= row.threshold
        misses, alarms = ((sick == 1) & ~called).sum(), ((sick == 0) & called).sum()
        assert (row.misses, row.false_alarms) == (misses, alarms)
        assert row.cost == pytest.approx((10 * misses + alarms) / 200)
        assert row.sensitivity == pytest.approx(called[sick == 1].mean())
        assert row.specificity == pytest.approx(1 - called[sick == 0].mean())


def test_cost_curve_without_the_sick_has_no_sensitivity():
    table = m.cost_curve(np.zeros(3, bool), [0.1, 0.5, 0.9], miss=10, false_alarm=1)
    assert len(table) == 101
    assert table.sensitivity.isna().all()
    assert table.specificity.notna().all()


def test_abstention_curve_counts_the_confident_scans():
    targets, logits = scored(0, n=400)
    probs = m.softmax(logits)
    table = m.abstention_curve(targets, probs)
    assert table.coverage.iloc[0] == 1
    assert table.accuracy.iloc[0] == pytest.approx(m.accuracy(targets, probs.argmax(1)))
    assert table.coverage.is_monotonic_decreasing
    for row in table.iloc[::10].itertuples():
        kept = probs.max(1) >= row.threshold
        assert row.n == kept.sum()
        assert row.accuracy == pytest.approx((probs.argmax(1) == targets)[kept].mean())
    assert table.accuracy.iloc[-5:].mean() > table.accuracy.iloc[0]


# ── Numbers, rankings, annotators ────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("seed", SEEDS)
def test_regression_metrics_by_formula(seed):
    rng = np.random.default_rng(seed)
    y, y_hat = rng.normal(size=(2, 50))
    error = y - y_hat
    expected = {
        "mse": (error**2).mean(),
        "mae": abs(error).mean(),
        "rmse": np.sqrt((error**2).mean()),
        "r2": 1 - (error**2).sum() / ((y - y.mean()) ** 2).sum(),
    }
    assert m.regression_metrics(y, y_hat) == pytest.approx(expected)


def test_ranking_metrics_by_hand():
    found = m.ranking_metrics([1, 0, 1, 0], [0.9, 0.8, 0.7, 0.1], k=2)
    ideal = 1 + 1 / np.log2(3)
    assert found == pytest.approx(
        {"average_precision": (1 + 2 / 3) / 2, "ndcg": (1 + 1 / np.log2(4)) / ideal, "precision_at_2": 0.5}
    )


def test_cohens_kappa_by_hand():
    a = np.array([0] * 25 + [1] * 25)
    b = np.array([0] * 20 + [1] * 5 + [0] * 10 + [1] * 15)
    assert m.cohens_kappa(a, b) == pytest.approx((0.7 - 0.5) / (1 - 0.5))  # the textbook's 20, 5, 10, 15
    assert m.cohens_kappa(a, a) == 1
    assert np.isnan(m.cohens_kappa([1, 1], [1, 1]))


# ── Refused ──────────────────────────────────────────────────────────────────────────────────────────────────────────
GOOD = np.tile([0.7, 0.3], (3, 1))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: m.accuracy([0, 1], [0, 1, 1]), "equally long, but have 2 and 3"),
        (lambda: m.accuracy([], []), r"one class id a scan, shape \(N,\) with N > 0"),
        (lambda: m.accuracy([[0, 1]], [[0, 1]]), r"not \(1, 2\)"),
        (lambda: m.accuracy([0.2, 1.0], [0, 1]), "targets must be whole numbers"),
        (lambda: m.macro_f1([0, -1], [0, 1]), "from 0 up, but holds -1"),
        (lambda: m.confusion_counts([0, 3], [0, 1], 2), "n_classes is 2, but class 3 occurs"),
        (lambda: m.classification_metrics([0, 1, 0], GOOD * 2), "worst sum 2.*softmax first"),
        (lambda: m.classification_metrics([0, 1, 0], [[1.5, -0.5]] * 3), "non-negative"),
        (lambda: m.classification_metrics([0, 1, 0], [[np.nan, 1.0]] * 3), "finite, but holds 3 NaN"),
        (lambda: m.classification_metrics([0, 1, 0], [0.1, 0.5, 0.9]), r"np.column_stack\(\[1 - p, p\]\)"),
        (lambda: m.classification_metrics([0, 1, 0], np.ones((3, 1))), "at least two classes"),
        (lambda: m.classification_metrics([0, 1], GOOD), "have 2 and 3 rows"),
        (lambda: m.classification_metrics([0, 1, 2], GOOD), "hold class 2, but probs has columns for 2"),
        (lambda: m.per_class_table([0, 1, 0], GOOD, ["a"]), "must name the 2 columns"),
        (lambda: m.softmax([1.0, 2.0]), r"logits must have shape \(N, K\)"),
        (lambda: m.bootstrap_interval(m.accuracy, [0, 1], [0]), r"equally long, but have \[2, 1\]"),
        (lambda: m.bootstrap_interval(np.mean, [0.0, 1.0], groups=[1]), "patient of each of the 2 rows"),
        (lambda: m.bootstrap_interval(np.mean, [0.0, 1.0], level=95), "level must lie between 0 and 1"),
        (lambda: m.seed_interval([0.1, np.nan]), "values must be finite"),
        (lambda: m.slice_table([0, 1], [0, 1], pd.Series(["A"])), "row for each of the 2 scans"),
        (lambda: m.reliability_table([0, 1, 0], GOOD, bins=0), "bins must be at least 1"),
        (lambda: m.fit_temperature(GOOD, [0, 1, 2]), "logits has columns for 2"),
        (lambda: m.cheapest_decisions(GOOD, np.ones((3, 2))), "cost has 3 rows, but probs has 2"),
        (lambda: m.cheapest_decisions(GOOD, np.ones((1, 2))), "row for each of 2 true classes"),
        (lambda: m.expected_cost([0, 1], [0, 3], COST), "hold 3, but cost has columns for 3"),
        (lambda: m.cost_curve([0, 2], [0.1, 0.2], miss=1, false_alarm=1), "sick must be 0 or 1"),
        (lambda: m.regression_metrics([1.0], [1.0]), "two values at least"),
        (lambda: m.ranking_metrics([0, 0], [0.1, 0.2], k=1), "above 0 for one item"),
        (lambda: m.ranking_metrics([0, 1], [0.1, 0.2], k=5), "k = 5"),
        (lambda: m.cohens_kappa([0, 1], [0]), "a and b must be equally long"),
    ],
)
def test_wrong_input_is_refused_with_one_sentence(call, message):
    with pytest.raises(ValueError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)
