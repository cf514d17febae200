"""A folder to a table: bad files listed, an interrupted run resumed, nothing half-written."""

import json
import os

import numpy as np
import pandas as pd
import pytest

from course_utils.data import DataError
from course_utils.serve import Predictor, batch, predict_folder
from course_utils.serve.__main__ import main
from tests.unit.serve_kit import as_file, scans, shared_bundle


@pytest.fixture(scope="module")
def predictor():
    return Predictor(shared_bundle())


@pytest.fixture
def folder(tmp_path):
    """Ten scans in two folders, and three files that are none."""
    place = tmp_path / "scans"
    for n, image in enumerate(scans(10)):
        file = place / f"eye{n % 2}" / f"{n}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(as_file(image))
    (place / "notes.txt").write_text("patient was late")
    (place / "eye0" / "cut.png").write_bytes(as_file(scans(1)[0])[:200])
    (place / "empty.png").write_bytes(b"")
    (place / ".hidden.png").write_bytes(b"not looked at")
    return place


class Counted:
    """A predictor that counts what it reads, and can be stopped by Ctrl-C."""

    def __init__(self, predictor, stop_after=None):
        self.inner, self.reads, self.stop_after = predictor, 0, stop_after

    def read(self, file):
        self.reads += 1
        if self.stop_after is not None and self.reads > self.stop_after:
            raise KeyboardInterrupt
        return self.inner.read(file)

    def __getattr__(self, name):
        return getattr(self.inner, name)


def test_every_file_is_answered_or_refused(predictor, folder, tmp_path):
    out = tmp_path / "table.csv"
    table = predict_folder(predictor, folder, out, progress=False)
    pd.testing.assert_frame_equal(pd.read_csv(out), table, check_dtype=False)
    assert len(table) == 13 and set(table["model"]) == {predictor.version}
    refused = table[table["status"] == "refused"].set_index("file")["reason"]
    assert set(refused.index) == {"notes.txt", "eye0/cut.png", "empty.png"} and "truncated" in refused["eye0/cut.png"]
    good = table[table["status"] == "answered"]
    expected = predictor.predict(np.stack([predictor.read(folder / name) for name in good["file"]]))
    assert list(good["decision"]) == [answer["decision"] for answer in expected]
    for name in predictor.classes:
        np.testing.assert_allclose(good[f"p_{name}"], [answer["probabilities"][name] for answer in expected], atol=1e-6)
    assert sorted(path.name for path in tmp_path.iterdir() if "journal" in path.name or ".tmp" in path.name) == []


@pytest.mark.parametrize("damage", ["", '{"file": "eye0/0.p', "\x00\xff not json\n"])
def test_an_interrupted_run_goes_on_where_it_was(predictor, folder, tmp_path, monkeypatch, damage):
    monkeypatch.setattr(batch, "CHUNK", 4)
    whole = predict_folder(predictor, folder, tmp_path / "whole.csv", progress=False)
    out, journal = tmp_path / "table.csv", tmp_path / ".table.csv.journal"
    with pytest.raises(KeyboardInterrupt):
        predict_folder(Counted(predictor, stop_after=9), folder, out, progress=False)
    assert journal.exists() and not out.exists(), "no table before it is whole"
    with journal.open("a", encoding="utf-8") as notes:  # a process killed in the middle of a line
        notes.write(damage)
    again = Counted(predictor)
    table = predict_folder(again, folder, out, progress=False)
    assert again.reads == 13 - 8, "two chunks of four were done"
    pd.testing.assert_frame_equal(table.drop(columns="model"), whole.drop(columns="model"))
    assert not journal.exists()


def test_a_damaged_line_does_not_spoil_a_third_run(predictor, folder, tmp_path, monkeypatch):
    monkeypatch.setattr(batch, "CHUNK", 4)
    out, journal = tmp_path / "table.csv", tmp_path / ".table.csv.journal"
    for stop in (5, 4):
        with pytest.raises(KeyboardInterrupt):
            predict_folder(Counted(predictor, stop_after=stop), folder, out, progress=False)
        with journal.open("a", encoding="utf-8") as notes:
            notes.write('{"file": "torn')
    last = Counted(predictor)
    assert len(predict_folder(last, folder, out, progress=False)) == 13
    assert last.reads == 13 - 8


def test_changed_files_and_other_models_are_done_again(predictor, folder, tmp_path):
    out, journal = tmp_path / "table.csv", tmp_path / ".table.csv.journal"
    monkey = Counted(predictor, stop_after=12)
    batch_size, batch.CHUNK = batch.CHUNK, 4
    try:
        with pytest.raises(KeyboardInterrupt):
            predict_folder(monkey, folder, out, progress=False)
    finally:
        batch.CHUNK = batch_size
    names = [json.loads(line)["file"] for line in journal.read_text().splitlines()[1:]]
    (folder / names[0]).write_bytes(as_file(scans(1, seed=9)[0], compress_level=1))
    (folder / names[1]).unlink()
    other = Counted(predictor)
    table = predict_folder(other, folder, out, progress=False)
    assert other.reads == 1 + 1 and names[1] not in set(table["file"])
    journal.write_text(json.dumps({"folder": str(folder.resolve()), "model": "another"}) + "\n" + '{"file": "x"}\n')
    again = Counted(predictor)
    predict_folder(again, folder, out, progress=False)
    assert again.reads == 12


def test_links_odd_names_and_its_own_table(predictor, folder, tmp_path):
    (tmp_path / "secret.png").write_bytes(as_file(scans(1)[0]))
    (folder / "link.png").symlink_to(tmp_path / "secret.png")
    (folder / "=cmd().png").write_bytes(as_file(scans(1)[0]))
    odd = os.fsencode(str(folder)) + b"/\xff.png"
    with open(odd, "wb") as file:
        file.write(as_file(scans(1)[0]))
    os.mkfifo(folder / "pipe.png")  # reading it would wait for ever
    for _ in range(2):  # the second time the first table lies in the folder
        table = predict_folder(predictor, folder, folder / "table.csv", progress=False)
        assert len(table) == 17 and "table.csv" not in set(table["file"])
    reasons = table.set_index("file")["reason"]
    assert "leaves the folder" in reasons["link.png"] and "not a file" in reasons["pipe.png"]
    assert reasons[["\\xff.png", "=cmd().png"]].isna().all()


def test_what_cannot_work_is_said_at_once(predictor, folder, tmp_path):
    for place, out, words in (
        (tmp_path / "nowhere", tmp_path / "t.csv", "no folder"),
        (folder / "notes.txt", tmp_path / "t.csv", "no folder"),
        (folder, tmp_path / "t.xlsx", ".csv"),
        (folder, tmp_path / "missing" / "t.csv", "missing"),
        (tmp_path / "hollow", tmp_path / "t.csv", "no file"),
    ):
        (tmp_path / "hollow").mkdir(exist_ok=True)
        with pytest.raises(DataError, match=words):
            predict_folder(predictor, place, out, progress=False)
    assert not (tmp_path / "t.csv").exists()


def test_the_command(folder, tmp_path, capsys, monkeypatch):
    out = tmp_path / "table.csv"
    command = ["batch", str(folder), "--out", str(out), "--bundle", str(shared_bundle().path)]
    assert main(command) == 0
    said = capsys.readouterr()
    assert "10 answered, 3 refused" in said.out and "refused: notes.txt" in said.err and "scans" in said.err
    monkeypatch.setattr(batch, "_read", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    assert main(command) == 130
    assert "goes on from here" in capsys.readouterr().err
