"""Splits keep patients together and classes in proportion; the test set opens only with a reason, on record."""

import json
import multiprocessing
import warnings

import numpy as np
import pytest
import torch

from course_utils.data import (
    CourseData,
    DataError,
    LockedError,
    ScanDataset,
    first_scans,
    grouped_split,
    random_split,
    test_openings,
)
from course_utils.data.lock import record_opening

FRACTIONS = (0.7, 0.15, 0.15)
rng = np.random.default_rng(0)


def patients_and_labels(n: int = 3000) -> tuple[np.ndarray, np.ndarray]:
    groups = np.sort(rng.integers(0, n // 4, n))
    labels = (groups * 7919 % 100 < 30).astype(int) + (groups * 104729 % 100 < 8)  # uneven, the same within a patient
    return labels, groups


def scans(n: int = 20, groups: np.ndarray | None = None, seed: int = 0) -> ScanDataset:
    values = torch.randint(0, 256, (n, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))
    return ScanDataset(values, np.arange(n) % 2, ("healthy", "ill"), groups=groups)


def course_data(**options) -> CourseData:
    splits = {split: scans(seed=seed) for seed, split in enumerate(("train", "val", "test"))}
    return CourseData("toy", splits, source="made for a test", **options)


@pytest.fixture
def runs(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_RUNS", str(tmp_path))
    return tmp_path


# --- splits ----------------------------------------------------------------------------------------------------------
def test_no_patient_is_in_two_parts_and_every_scan_is_in_one():
    labels, groups = patients_and_labels()
    parts = grouped_split(labels, groups, FRACTIONS, seed=1)
    owners = [set(groups[part]) for part in parts]
    assert not (owners[0] & owners[1] or owners[0] & owners[2] or owners[1] & owners[2])
    assert np.array_equal(np.sort(np.concatenate(parts)), np.arange(len(labels)))


@pytest.mark.parametrize("seed", range(5))
def test_parts_have_the_wanted_size_and_classes(seed):
    labels, groups = patients_and_labels()
    wanted = np.bincount(labels) / len(labels)
    for part, fraction in zip(grouped_split(labels, groups, FRACTIONS, seed=seed), FRACTIONS, strict=True):
        assert len(part) / len(labels) == pytest.approx(fraction, abs=0.01)
        assert np.bincount(labels[part], minlength=3) / len(part) == pytest.approx(wanted, abs=0.01)


def test_big_patients_are_in_every_part():
    """Placing the largest first must not send all of them to the largest part."""
    labels, groups = patients_and_labels()
    size = np.bincount(groups)[groups]
    means = [size[part].mean() for part in grouped_split(labels, groups, FRACTIONS, seed=0)]
    assert max(means) < 1.15 * min(means)


def test_without_groups_the_split_is_stratified():
    labels = np.array([0] * 100 + [1] * 40 + [2] * 20)
    for part, fraction in zip(grouped_split(labels, None, FRACTIONS, seed=0), FRACTIONS, strict=True):
        assert np.bincount(labels[part], minlength=3) == pytest.approx(fraction * np.array([100, 40, 20]), abs=1.01)


@pytest.mark.parametrize(
    "split", [lambda seed: grouped_split(*patients, FRACTIONS, seed), lambda seed: random_split(500, FRACTIONS, seed)]
)
def test_a_seed_repeats_and_another_differs(split):
    first, again, other = split(3), split(3), split(4)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(first, other, strict=True))


patients = patients_and_labels(400)


def test_random_split_cuts_where_asked():
    parts = random_split(1000, (0.8, 0.2), seed=0)
    assert [len(part) for part in parts] == [800, 200]
    assert np.array_equal(np.sort(np.concatenate(parts)), np.arange(1000))


@pytest.mark.parametrize("fractions", [(0.5,), (0.5, 0.6), (1.2, -0.2), (1.0, 0.0)])
def test_fractions_that_make_no_split_are_refused(fractions):
    with pytest.raises(DataError, match="fractions"):
        random_split(100, fractions)


def test_too_few_patients_are_refused():
    with pytest.raises(DataError, match="2 patients are too few for 3 parts"):
        grouped_split(np.zeros(10), np.arange(10) % 2, FRACTIONS)


def test_first_scans_takes_whole_patients_and_keeps_the_order():
    groups = np.repeat(np.arange(40), 5)
    few = first_scans(scans(200, groups), 52, seed=0)
    assert len(few) == 50 and set(np.bincount(few.groups)) <= {0, 5}
    assert (np.diff(few.groups) >= 0).all()
    assert len(first_scans(scans(200, groups), 1000)) == 200


def test_first_scans_says_when_no_patient_fits():
    with pytest.raises(DataError, match="ask for at least 5"):
        first_scans(scans(200, np.repeat(np.arange(40), 5)), 3)


# --- the lock --------------------------------------------------------------------------------------------------------
def test_the_test_set_cannot_be_reached_by_name(runs):
    with pytest.raises(LockedError, match=r"open_test\(reason="):
        course_data().test  # noqa: B018


@pytest.mark.parametrize("reason", ["", "   ", None, 3])
def test_opening_needs_a_reason_in_words(runs, reason):
    with pytest.raises(DataError, match="needs a reason"):
        course_data().open_test(reason)
    assert not (runs / "test_openings.jsonl").exists()


def test_an_opening_is_recorded(runs):
    data = course_data()
    assert len(data.open_test(reason="final score")) == 20
    (row,) = [json.loads(line) for line in (runs / "test_openings.jsonl").read_text().splitlines()]
    assert (row["dataset"], row["fingerprint"], row["reason"]) == ("toy", data.fingerprint, "final score")
    assert len(test_openings()) == 1 and test_openings()["time"][0].endswith("+00:00")


def test_a_second_opening_warns_once(runs):
    course_data().open_test("first look")
    data = course_data()
    with pytest.warns(UserWarning, match="opened 1 time before"):
        data.open_test("second look")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        data.open_test("third look, same object")
    assert len(test_openings()) == 3


def test_other_data_are_not_warned_about(runs):
    course_data().open_test("first look")
    splits = {split: scans(seed=9) for split in ("train", "val", "test")}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        CourseData("other", splits, source="made for a test").open_test("first look")


def test_the_summary_tells_only_the_number_of_test_scans(runs):
    summary = course_data().summary()
    assert list(summary.columns) == ["scans", "patients", "healthy", "ill"]
    assert summary.loc["test (locked)", "scans"] == 20
    assert summary.loc["test (locked)", ["patients", "healthy", "ill"]].isna().all()
    assert summary.loc["train", "healthy"] == 10


def test_real_data_have_no_answer_key():
    with pytest.raises(DataError, match="nobody has its answer key"):
        course_data().answer_key("train")


def test_a_half_written_line_costs_only_itself(runs):
    record_opening("toy", "abc", "first")
    with (runs / "test_openings.jsonl").open("a") as file:
        file.write('{"time": "2026-01-01", "data')  # a writer was killed here
    assert record_opening("toy", "abc", "second") == 1
    assert list(test_openings()["reason"]) == ["first", "second"]


def _open_many(count: int) -> None:
    for number in range(count):
        record_opening("toy", "abc", f"look {number}")


def test_parallel_openings_are_all_kept(runs):
    context = multiprocessing.get_context("fork" if "fork" in multiprocessing.get_all_start_methods() else "spawn")
    workers = [context.Process(target=_open_many, args=(20,)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    assert len(test_openings()) == 60


# --- the fingerprint -------------------------------------------------------------------------------------------------
def test_the_fingerprint_moves_with_one_pixel_one_label_or_one_name():
    def made(change=lambda splits: None, name="toy"):
        splits = {split: scans(seed=seed) for seed, split in enumerate(("train", "val", "test"))}
        change(splits)
        return CourseData(name, splits, source="made for a test").fingerprint

    def pixel(splits):
        splits["test"].images[3, 0, 2, 2] ^= 1

    def label(splits):
        splits["train"].labels[0] ^= 1

    def renamed(splits):
        splits["train"].classes = ("ill", "healthy")

    assert made() == made(name="another name")
    assert len({made(), made(pixel), made(label), made(renamed)}) == 4
