"""Stored studies stay true: complete, with provenance, made by the lesson's code, and repeatable in one small row."""

import json
from dataclasses import replace
from types import SimpleNamespace

import pandas as pd
import pytest

from benchmarks import study as studies
from benchmarks.study import STUDIES, Study, again_within, load_study, main, run, summary, to_do

NAMES = sorted(path.stem for path in STUDIES.glob("*.py") if path.stem != "__init__")


@pytest.fixture
def toy(tmp_path, monkeypatch) -> Study:
    """A study of two settings and two seeds that counts its trainings."""
    monkeypatch.setattr(studies, "STUDIES", tmp_path)
    monkeypatch.setenv("COURSE_RUNS", str(tmp_path / "runs"))
    calls = []

    def measure(setting, seed):
        calls.append((setting, seed))
        if setting == 13 and len(calls) < 4:
            raise KeyboardInterrupt
        return {"score": setting + seed / 10}

    toy = Study("toy", "Which?", {"a": 1, "b": 2}, range(2), measure, lambda: "data", [studies], ("a", 0))
    object.__setattr__(toy, "calls", calls)
    return toy


def test_a_study_runs_each_row_once(toy):
    assert run(toy, list(toy.settings)) == 4
    assert run(toy, list(toy.settings)) == 0
    assert toy.calls == [(1, 0), (2, 0), (1, 1), (2, 1)]
    assert toy.table()["score"].tolist() == [1.0, 1.1, 2.0, 2.1]
    assert run(toy, ["b"], again=True) == 2
    assert len(toy.table()) == 4


def test_an_interrupted_study_goes_on_where_it_was(toy):
    broken = replace(toy, settings={"a": 1, "c": 13})
    with pytest.raises(KeyboardInterrupt):
        run(broken, ["a", "c"])
    assert broken.table()[["setting", "seed"]].values.tolist() == [["a", 0]]
    toy.calls.extend([()] * 4)
    assert run(broken, ["a", "c"]) == 3
    assert json.loads(toy.path.with_suffix(".json").read_text())["rows"] == 4


def test_a_changed_setting_or_other_data_make_rows_out_of_date(toy):
    run(toy, list(toy.settings))
    assert to_do(replace(toy, settings={"a": 1, "b": 3}), ["a", "b"]) == [("b", 0), ("b", 1)]
    assert len(to_do(replace(toy, data=lambda: "others"), ["a", "b"])) == 4


def test_the_code_version_of_a_package_covers_all_its_files(toy, tmp_path):
    package = SimpleNamespace(__file__=str(tmp_path / "package" / "__init__.py"))
    (tmp_path / "package" / "deep").mkdir(parents=True)
    for name in ("__init__.py", "deep/part.py"):
        (tmp_path / "package" / name).write_text("one = 1")
    before = replace(toy, modules=[package]).code
    (tmp_path / "package" / "deep" / "part.py").write_text("one = 2")
    assert replace(toy, modules=[package]).code != before


def test_summary_takes_differences_seed_by_seed(toy):
    table = pd.DataFrame({"setting": list("aabb"), "seed": [0, 1, 0, 1], "score": [1.0, 5.0, 2.0, 6.2]})
    row = summary(table, ["score"], against="a").loc["b"]
    assert row["score"] == pytest.approx(1.1)
    assert row["score_low"] == pytest.approx(1.1 - 12.706 * 0.1, rel=1e-3)


def test_wrong_names_are_refused_in_one_sentence(toy, capsys):
    assert main(["nosuch"]) == 2
    assert "there is no study 'nosuch'" in capsys.readouterr().err
    with pytest.raises(ValueError, match="it has: a, b"):
        to_do(toy, ["z"])


@pytest.mark.parametrize("name", NAMES)
def test_a_stored_study_is_complete_and_says_where_it_comes_from(name):
    study = load_study(name)
    table = study.table()
    seeds = table.groupby("setting")["seed"].nunique()
    assert set(table["setting"]) == set(study.settings), "run `make study` for the missing settings"
    assert (seeds >= 3).all(), seeds[seeds < 3].to_dict()
    assert table[list(study.columns)].notna().all().all()
    assert (table["config"] == table["setting"].map(study.config)).all(), "settings or data changed: run `make study`"
    about = json.loads(study.path.with_suffix(".json").read_text(encoding="utf-8"))
    assert about["rows"] == len(table)
    assert about["settings"] == {name: repr(setting) for name, setting in study.settings.items()}
    assert all(about[key] for key in ("question", "seeds", "machines", "minutes", "code", "torch", "data"))


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_small_row_run_again_falls_where_the_stored_seeds_say(name):
    study = load_study(name)
    try:
        value, low, high = again_within(study, study.judged)
    except FileNotFoundError as missing:  # a study on files that the repository does not hold
        pytest.skip(str(missing))
    assert low <= value <= high
