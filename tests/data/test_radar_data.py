"""`load_radar`: the cache, smaller sets, the lock."""

import numpy as np
import pytest

from course_utils.data import DataError, LockedError, load_radar, test_openings
from course_utils.data import radar as module
from course_utils.radar import Windows


@pytest.fixture(autouse=True)
def small_sets(monkeypatch, tmp_path):
    """A tenth of the usual set is the usual one here, and openings go into a folder of their own."""
    monkeypatch.setattr(module, "SUBJECTS", {"train": 6, "val": 3, "test": 4})
    monkeypatch.setattr(module, "WINDOWS", {"train": 5, "val": 4, "test": 3})
    monkeypatch.setattr(module, "ON_THE_SPOT", 20)
    monkeypatch.setenv("COURSE_RUNS", str(tmp_path / "runs"))


def same(one: Windows, other: Windows) -> bool:
    return all(np.array_equal(part, getattr(other, name)) for name, part in one.parts().items())


def test_the_set_is_made_once_and_found_again(tmp_path, monkeypatch):
    first = load_radar(folder=tmp_path)
    monkeypatch.setattr(module, "make_dataset", None)
    again = load_radar(folder=tmp_path)
    assert (len(first.train), len(first.val), len(first._test)) == (30, 12, 12)
    assert same(first.train, again.train) and same(first._test, again._test)
    assert first.fingerprint == again.fingerprint and len(list(tmp_path.glob("*.npz"))) == 1


def test_fewer_windows_are_the_first_of_the_same_set(tmp_path):
    whole = load_radar(folder=tmp_path)
    few = load_radar(n_train=8, folder=tmp_path)
    assert same(few.train, whole.train[:8]) and len(few.val) == 12
    assert len(list(tmp_path.glob("*.npz"))) == 1 and few.fingerprint != whole.fingerprint


def test_a_small_set_is_made_on_the_spot_and_not_kept(tmp_path):
    whole = load_radar(folder=tmp_path / "kept")
    few = load_radar(n_train=8, n_val=4, n_test=3, folder=tmp_path / "not")
    assert same(few.train, whole.train[:8]) and same(few.val, whole.val[:4]) and same(few._test, whole._test[:3])
    assert not (tmp_path / "not").exists()


def test_more_than_usual_can_be_asked_for(tmp_path):
    more = load_radar(n_train=33, folder=tmp_path)
    assert len(more.train) == 33 and same(more.train[:30], load_radar(folder=tmp_path).train)


def test_another_seed_is_another_set(tmp_path):
    assert load_radar(1, folder=tmp_path).fingerprint != load_radar(2, folder=tmp_path).fingerprint


def test_a_damaged_file_is_made_again(tmp_path):
    first = load_radar(folder=tmp_path)
    (path,) = tmp_path.glob("*.npz")
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.warns(UserWarning, match="was damaged"):
        again = load_radar(folder=tmp_path)
    assert same(first.train, again.train)


def test_parts_that_do_not_fit_are_damage_too(tmp_path):
    first = load_radar(folder=tmp_path)
    (path,) = tmp_path.glob("*.npz")
    arrays = dict(np.load(path))
    np.savez(path, **arrays | {"val.rate": arrays["val.rate"][:-1]})
    with pytest.warns(UserWarning, match="was damaged .the parts of the windows differ"):
        assert same(first.val, load_radar(folder=tmp_path).val)


def test_a_folder_that_cannot_be_written_only_costs_the_time(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.warns(UserWarning, match="is not kept"):
        assert len(load_radar(folder=tmp_path / "file").train) == 30


def test_the_last_bit_of_another_machine_leaves_the_fingerprint_alone(tmp_path):
    data, other = load_radar(folder=tmp_path), load_radar(folder=tmp_path)
    other.train.z[:] *= np.float32(1 + 1e-7)
    other.train.rate[:] *= np.float32(1 + 1e-7)
    assert other.fingerprint == data.fingerprint
    changed = load_radar(folder=tmp_path)
    changed.val.z[0] *= 2
    assert changed.fingerprint != data.fingerprint


def test_the_test_set_is_locked_and_its_opening_written_down(tmp_path):
    data = load_radar(folder=tmp_path)
    with pytest.raises(LockedError, match="open_test"):
        _ = data.test
    with pytest.raises(DataError, match="needs a reason"):
        data.open_test(reason="  ")
    assert len(data.open_test(reason="a test of the lock")) == 12
    (row,) = test_openings().to_dict("records")
    assert (row["dataset"], row["fingerprint"]) == ("radar-phantom", data.fingerprint)
    with pytest.warns(UserWarning, match="opened 1 time before"):
        load_radar(folder=tmp_path).open_test(reason="again")


def test_the_summary_counts_and_keeps_the_secret(tmp_path):
    table = load_radar(folder=tmp_path).summary()
    assert table.loc["train", "windows"] == 30 and table.loc["train", "subjects"] == 6
    assert table.loc["train", ["clean", "low SNR", "motion", "harmonic", "pause"]].sum() == 30
    assert table.loc["test (locked)"].count() == 1


def test_counts_below_one_are_refused():
    with pytest.raises(DataError, match="n_val is 0"):
        load_radar(n_val=0)
