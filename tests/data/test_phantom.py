"""What the phantom promises: it repeats bit for bit, its clinic is plausible, its faults are there and recorded."""

from __future__ import annotations

import ast
import hashlib
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from course_utils import phantom
from course_utils.phantom import CLASSES, OUTLIERS, generate, make_dataset, paste_marker, production_stream
from course_utils.phantom.cohort import KINDS, enrol, traits
from course_utils.phantom.referral import (
    ABBREVIATIONS,
    ACUITY_SENTENCES,
    CLOSINGS,
    COMPLAINT_CHANCES,
    COMPLAINTS,
    DIABETES,
    FORBIDDEN,
    HISTORIES,
    OPENINGS,
)
from course_utils.phantom.table import COLUMNS, metadata

CNV = CLASSES.index("CNV")
INEXACT = set("exp log sin cos tan tanh power float_power dot matmul vdot inner einsum convolve linalg fft".split())
PIXEL_MODULES = ("anatomy", "cohort", "draws", "instrument", "lesions", "optics", "scans", "shapes", "spots")


@pytest.fixture(scope="module")
def dataset():
    """The default set of the course, faults and all."""
    return make_dataset()


@pytest.fixture(scope="module")
def train(dataset):
    """The training split."""
    return dataset["train"]


def originals(split):
    """Rows that are neither copies nor outliers: what the per-scan rates are about."""
    key = split.key
    return ((key.duplicate_of == "") & (key.near_duplicate_of == "") & (key.outlier == "")).to_numpy()


# ------------------------------------------------------------------ it repeats


def test_scans_do_not_depend_on_threads_or_chunks():
    expected = generate(90, seed=3, threads=1, chunk=90).images
    for threads, chunk in ((2, 64), (2, 7), (3, 1)):
        np.testing.assert_array_equal(generate(90, seed=3, threads=threads, chunk=chunk).images, expected)


@pytest.mark.parametrize("split", ["train", "test"])
def test_the_first_200_of_500_are_the_200(split):
    few, many = generate(200, split, seed=1), generate(500, split, seed=1)
    np.testing.assert_array_equal(many.images[:200], few.images)
    np.testing.assert_array_equal(many.lesion_columns[:200], few.lesion_columns)
    for short, long in zip(metadata(few), metadata(many), strict=True):
        pd.testing.assert_frame_equal(long.head(200), short)


def test_planted_sets_repeat_for_the_same_number():
    first, second = (make_dataset(300, 60, 60, seed=2) for _ in range(2))
    for split in first:
        np.testing.assert_array_equal(first[split].images, second[split].images)
        pd.testing.assert_frame_equal(first[split].meta, second[split].meta)
        pd.testing.assert_frame_equal(first[split].key, second[split].key)


def test_seeds_and_splits_differ():
    seen = [generate(20, split, seed=seed).images for split in ("train", "val") for seed in (0, 1)]
    assert len({images.tobytes() for images in seen}) == len(seen)


def test_golden_pixels():
    """The same on every machine; a new digest is a new data set, and every measured figure of the course with it."""
    digest = hashlib.sha256(generate(48, "val", seed=7).images.tobytes()).hexdigest()
    assert digest == "88721028861b84142b89b04041dc95ee1228c92f0f18a48403c6c03be265d791"
    digest = hashlib.sha256(generate(48, "val", seed=7, size=28).images.tobytes()).hexdigest()
    assert digest == "4293decce385362a0e0751e8f787af431e6ca148acd31df9177aafbe11756f20"


@pytest.mark.parametrize("name", PIXEL_MODULES)
def test_pixel_path_is_polynomial(name):
    """exp, sin, powers and BLAS may round differently elsewhere, so the pixel path does without."""
    tree = ast.parse((Path(phantom.__file__).parent / f"{name}.py").read_text())
    used = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute) and _is_numpy(node.value)}
    operators = {type(node.op) for node in ast.walk(tree) if isinstance(node, ast.BinOp)}
    assert not used & INEXACT
    assert not operators & {ast.MatMult, ast.Pow}


def _is_numpy(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and node.id == "np"


@pytest.mark.parametrize("size", [28, 45, 64, 128])
def test_any_size(size):
    scans = generate(12, size=size)
    assert scans.images.shape == (12, size, size) and scans.images.dtype == np.uint8
    assert scans.lesion_columns.shape == (12, size)
    assert scans.images.std(axis=(1, 2)).min() > 5


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"n": 0}, "asked for 0 scans"),
        ({"n": 4, "size": 27}, "28 pixels or more"),
        ({"n": 4, "split": "holdout"}, "unknown split 'holdout'"),
        ({"n": 4, "seed": -1}, "negative"),
    ],
)
def test_refuses_what_cannot_be_drawn(arguments, words):
    with pytest.raises(ValueError, match=words):
        generate(**arguments)


# ------------------------------------------------------------------ a plausible clinic


def test_shapes_and_columns(dataset):
    assert {split: len(part) for split, part in dataset.items()} == {"train": 4000, "val": 600, "test": 1000}
    for part in dataset.values():
        assert part.images.shape == (len(part), 64, 64) and part.images.dtype == np.uint8
        assert part.labels.dtype == np.int64
        assert list(part.meta) == list(COLUMNS)
        assert part.meta.scan_id.is_unique
        np.testing.assert_array_equal(part.labels, part.meta.label)
        assert list(part.key.scan_id) == list(part.meta.scan_id)


def test_prevalence():
    assert sum(share for *_, share in KINDS) == pytest.approx(1)
    counts = sum(np.bincount(enrol(4000, "train", seed).who.diagnosis, minlength=4) for seed in range(3))
    np.testing.assert_allclose(counts / counts.sum(), [0.33, 0.12, 0.08, 0.47], atol=0.02)


def test_patients_never_cross_splits(dataset):
    ids = [set(part.meta.patient_id) for part in dataset.values()]
    assert sum(map(len, ids)) == len(set.union(*ids))
    assert 1000 < sum(map(len, ids)) < 1300


def test_slices_visits_and_eyes_of_a_patient(dataset):
    table = dataset["test"].meta
    scans = table.groupby(["patient_id", "eye", "visit"]).size()
    assert scans.between(1, 3).all() and scans.nunique() == 3
    assert table.visit.between(1, 3).all()
    assert set(table.groupby("patient_id").eye.nunique()) == {1, 2}
    assert (table.groupby(["patient_id", "eye"]).label.nunique() == 1).all()


def test_device_b_shares():
    def share(split):
        return np.mean([(traits(enrol(1000, split, seed)).device == 1).mean() for seed in range(12)])

    assert share("train") == pytest.approx(0.08, abs=0.03)
    assert share("test") == pytest.approx(0.25, abs=0.04)


def test_device_b_sits_mostly_at_one_clinic(dataset):
    table = dataset["test"].meta
    on_b = table[table.device == "B"].clinic.value_counts(normalize=True)
    assert on_b.idxmax() == "Summit" and on_b.max() > 0.4


def test_left_eyes_are_mirrored():
    cohort = enrol(60, "train", 0)
    swapped = cohort.take(slice(None))
    swapped.who.left = 1 - cohort.who.left
    one, other = (phantom.scans.draw(each, traits(cohort)).images for each in (cohort, swapped))
    np.testing.assert_array_equal(one, other[:, :, ::-1])


def test_disease_shows_where_the_mask_says():
    scans = generate(400, seed=4)
    diseased = scans.labels != CLASSES.index("NORMAL")
    assert not scans.lesion_columns[~diseased].any()
    assert scans.lesion_columns[diseased].any(axis=1).mean() > 0.9
    thickness = pd.Series(scans.thickness_um).groupby(scans.labels).mean()
    assert thickness[CLASSES.index("DME")] > thickness[CLASSES.index("NORMAL")] + 20
    assert thickness.between(200, 480).all()


# ------------------------------------------------------------------ the faults and their key


@pytest.mark.parametrize("split", ["train", "val"])
def test_planned_rates(dataset, split):
    key = dataset[split].key
    n = len(key)
    assert (key.duplicate_of != "").sum() == round(0.015 * n)
    assert (key.near_duplicate_of != "").sum() == round(0.010 * n)
    outliers = key.outlier[key.outlier != ""].value_counts()
    assert outliers.sum() == round(0.007 * n)
    assert set(outliers.index) == set(OUTLIERS)
    assert key.contradicting.sum() == -(-round(0.015 * n) // 8)


def test_rates_by_chance(train):
    key = train.key
    assert key.label_flipped.mean() == pytest.approx(0.03, abs=0.01)
    assert key.unit_slip.mean() == pytest.approx(0.006, abs=0.004)
    assert key.follow_up_random.mean() == pytest.approx(0.08, abs=0.03)


def test_key_agrees_with_the_data(train):
    images, table, key = train.images, train.meta, train.key
    assert ((table.label != key.label_true) == key.label_flipped).all()
    assert (table.central_thickness_um.isna() == key.thickness_missing).all()
    assert (table.visual_acuity_logmar.isna() == key.acuity_missing).all()
    assert (table.age.isna() == key.age_missing).all()
    assert ((table.central_thickness_um < 1) == key.unit_slip).all()
    assert key.severity.between(0, 1).all()
    assert (images[key.outlier == "blank"].mean(axis=(1, 2)) < 40).all()
    assert (images[key.outlier == "half_missing"][:, :, 32:] == 0).all()


def test_outliers_look_it(train):
    clean = generate(len(train)).images
    upside_down = np.flatnonzero((train.key.outlier == "upside_down") & ~train.key.marker)
    np.testing.assert_array_equal(train.images[upside_down], clean[upside_down][:, ::-1])
    saturated = train.images[train.key.outlier == "saturated"]
    assert ((saturated == 255).mean(axis=(1, 2)) > 0.05).all()


def test_copies(train):
    images, table, key = train.images, train.meta, train.key
    row_of = pd.Series(np.arange(len(key)), index=key.scan_id)
    exact = np.flatnonzero(key.duplicate_of != "")
    source = row_of[key.duplicate_of.iloc[exact]].to_numpy()
    np.testing.assert_array_equal(images[exact], images[source])
    same = ["acquisition_date", "clinic", "device", "referral_note", "follow_up_weeks"]
    assert (table.loc[exact, same].to_numpy() == table.loc[source, same].to_numpy()).all()
    other_id = table.patient_id.to_numpy()[exact] != table.patient_id.to_numpy()[source]
    assert other_id.mean() == pytest.approx(0.5)
    assert (key.re_registered.to_numpy()[exact] == other_id).all()
    other_label = table.label.to_numpy()[exact] != table.label.to_numpy()[source]
    assert (key.contradicting.to_numpy()[exact] == other_label).all()
    assert other_label.mean() == pytest.approx(1 / 8, abs=0.02)
    near = np.flatnonzero(key.near_duplicate_of != "")
    source = row_of[key.near_duplicate_of.iloc[near]].to_numpy()
    assert (table.patient_id.to_numpy()[near] != table.patient_id.to_numpy()[source]).all()
    assert (images[near] != images[source]).any(axis=(1, 2)).all()
    similarity = [
        np.corrcoef(images[a, :, 2:-2].ravel(), images[b, :, 2:-2].ravel())[0, 1] for a, b in zip(near, source)
    ]
    assert min(similarity) > 0.5


def test_test_split_is_clean(dataset):
    images, table, key = dataset["test"].images, dataset["test"].meta, dataset["test"].key
    assert (table.label == key.label_true).all()
    assert not key[["marker", "label_flipped", "contradicting", "unit_slip", "re_registered"]].any(axis=None)
    assert (key[["outlier", "duplicate_of", "near_duplicate_of"]] == "").all(axis=None)
    assert len(np.unique(images.reshape(len(images), -1), axis=0)) == len(images)
    assert not (table.central_thickness_um < 1).any()


def test_faults_can_be_left_out():
    clean = make_dataset(120, 40, 40, faults=False)["train"]
    np.testing.assert_array_equal(clean.images, generate(120).images)
    assert list(clean.key) == list(make_dataset(120, 40, 40)["test"].key)
    assert (clean.labels == clean.key.label_true).all()


def test_target_leak_of_the_table(dataset):
    for part in dataset.values():
        usual = part.key.label_true.map(dict(enumerate((4, 8, 26, 52))))
        kept = ~part.key.follow_up_random
        assert (part.meta.follow_up_weeks[kept] == usual[kept]).all()


def test_marker_leak(train):
    table, key = train.meta[originals(train)], train.key[originals(train)]
    here = table.clinic == "Northgate"
    assert not key.marker[~here].any()
    assert key.marker[here & (key.label_true == CNV)].mean() == pytest.approx(0.75, abs=0.06)
    assert key.marker[here & (key.label_true != CNV)].mean() == pytest.approx(0.04, abs=0.03)
    clean = generate(len(train)).images
    changed = (train.images[key.index] != clean[key.index]).any(axis=(1, 2))
    assert (changed == key.marker).all()


@pytest.mark.parametrize("size", [28, 64, 200])
def test_paste_marker(size):
    image = np.zeros((size, size), np.uint8)
    marked = paste_marker(image, np.random.default_rng(0))
    assert not image.any() and marked.shape == image.shape
    rows, columns = np.nonzero(marked)
    assert rows.min() > 0.7 * size and columns.max() < 0.5 * size
    assert len(rows) >= 8


def test_label_noise_is_inherited_by_the_visit(train):
    table, key = train.meta[originals(train)], train.key[originals(train)]
    visits = table.groupby(["patient_id", "eye", "visit"])
    assert (visits.label.nunique() == 1).all()
    flipped = key.groupby([key.label_true, table.label]).size().unstack(fill_value=0)
    drusen_as_cnv = flipped.loc[2, 0] / flipped.loc[2].sum()
    assert drusen_as_cnv == pytest.approx(0.10, abs=0.06)
    assert flipped.loc[3, 3] / flipped.loc[3].sum() > 0.97


def test_missingness(dataset):
    table = pd.concat([part.meta for part in dataset.values()], ignore_index=True)
    missing = table.isna()
    assert missing.central_thickness_um.mean() == pytest.approx(0.09, abs=0.03)
    assert missing.visual_acuity_logmar.mean() == pytest.approx(0.12, abs=0.03)
    assert missing.age.mean() == pytest.approx(0.01, abs=0.005)
    by_clinic = missing.visual_acuity_logmar.groupby(table.clinic).mean()
    assert by_clinic["Eastfield"] == pytest.approx(0.35, abs=0.08)
    assert by_clinic.drop("Eastfield").max() < 0.09
    assert table.signal_quality[missing.central_thickness_um].mean() < table.signal_quality.mean() - 1


def test_thickness_is_missing_more_often_when_thick():
    scans = generate(3000, "extra")
    table, _ = metadata(scans)
    missing = table.central_thickness_um.isna()
    thick = scans.thickness_um > 340
    assert missing[thick].mean() > 1.5 * missing[~thick].mean()


# ------------------------------------------------------------------ referral notes


def test_notes_never_name_the_class(dataset):
    notes = pd.concat([part.meta.referral_note for part in dataset.values()]).str.lower()
    for word in FORBIDDEN:
        assert not notes.str.contains(word, regex=False).any(), word
    assert notes.str.len().between(10, 220).all()
    sentences = notes.str.count(r"[a-z)]\.(?:\s|$)|\d\.(?:\s|$)")
    assert sentences.between(1, 3).all()


def test_notes_are_hurried(train):
    notes = train.meta.referral_note.drop_duplicates()
    for short in ("RE", "LE", "Pls", "yo", "yrs", "w/", "hx"):
        assert notes.str.contains(rf"(?<!\w){re.escape(short)}(?!\w)").any(), short
    correct = set(" ".join(_grammar()).lower().split())
    wrong = notes.str.lower().str.findall(r"(?<![\w'])[a-z]{4,}(?![\w'])").map(lambda words: bool(set(words) - correct))
    assert 0.05 < wrong.mean() < 0.4


def _grammar() -> list[str]:
    """Every word a note can hold before it is misspelt, without its punctuation."""
    phrases = [
        *OPENINGS,
        *HISTORIES,
        *DIABETES,
        *ACUITY_SENTENCES,
        *CLOSINGS,
        *ABBREVIATIONS.values(),
        "woman year right left",
    ]
    phrases += [complaint for choices in COMPLAINTS.values() for complaint in choices]
    return [re.sub(r"[^\w]", " ", phrase) for phrase in phrases]


def test_notes_belong_to_the_visit_and_have_their_chances(train):
    part = train.meta[originals(train)]
    assert (part.groupby(["patient_id", "eye", "visit"]).referral_note.nunique() == 1).all()
    for chances in COMPLAINT_CHANCES.values():
        assert sum(chances) == pytest.approx(1)


# ------------------------------------------------------------------ production


def test_production_shares():
    def shares(weeks, drift=True):
        device = [
            traits(enrol(600, "production", 0, week * 30_000), *phantom.device_shares(week, drift)).device
            for week in weeks
        ]
        return np.bincount(np.concatenate(device), minlength=3) / (600 * len(weeks))

    assert shares(range(1, 7))[1] == pytest.approx(0.08, abs=0.03)
    assert shares([14])[1] == pytest.approx(0.60, abs=0.10)
    assert shares([15])[2] == pytest.approx(0.10, abs=0.06)
    assert shares([24])[2] == pytest.approx(0.70, abs=0.08)
    assert shares(range(1, 15))[2] == 0
    assert shares(range(1, 25), drift=False)[1] == pytest.approx(0.08, abs=0.02)
    rising = [phantom.device_shares(week)[0] for week in range(6, 15)]
    assert rising == sorted(rising) and rising[0] == 0.08


def test_production_stream():
    weeks = list(production_stream(seed=5, weeks=3, per_week=40))
    assert [week for week, _ in weeks] == [1, 2, 3]
    for week, part in weeks:
        assert len(part) == 40 and list(part.meta) == [*COLUMNS, "week", "label_week"]
        assert (part.meta.week == week).all() and (part.meta.label_week == week + 4).all()
        assert (part.labels == part.key.label_true).all()
        assert part.meta.acquisition_date.dt.isocalendar().week.eq(week).all()
    ids = pd.concat([part.meta for _, part in weeks])
    assert ids.scan_id.is_unique
    assert (ids.groupby("patient_id").week.nunique() == 1).all()


def test_undrifted_stream_has_the_same_patients():
    late = {drift: list(production_stream(weeks=24, per_week=20, drift=drift))[-1][1] for drift in (True, False)}
    np.testing.assert_array_equal(late[True].labels, late[False].labels)
    assert "C" in set(late[True].meta.device) and "C" not in set(late[False].meta.device)
    unmoved = (late[True].meta.device == late[False].meta.device).to_numpy()
    np.testing.assert_array_equal(late[True].images[unmoved], late[False].images[unmoved])


def test_stream_is_repeatable_from_any_week():
    long = dict(production_stream(weeks=3, per_week=20))
    short = dict(production_stream(weeks=2, per_week=20))
    np.testing.assert_array_equal(long[2].images, short[2].images)
    pd.testing.assert_frame_equal(long[2].meta, short[2].meta)


def test_unlabelled_scans_are_other_patients():
    pool = phantom.unlabelled(30)
    assert pool.shape == (30, 64, 64) and pool.dtype == np.uint8
    assert not (pool == generate(30).images).all(axis=(1, 2)).any()
