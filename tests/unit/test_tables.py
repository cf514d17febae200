"""Tables of one's own: what is read, decided, dropped, suspected, prepared and split, and what is refused in words."""

import json

import numpy as np
import pandas as pd
import pytest
from sklearn.preprocessing import OneHotEncoder

from course_utils.data import DataError, LockedError, Prepared, load_table, test_openings
from course_utils.data.columns import MOST_LEVELS, fit_columns
from course_utils.data.csvfile import MISSING, as_numbers, read_csv


def write(path, table: pd.DataFrame, **options):
    table.to_csv(path, index=False, **options)
    return path


def plain_table(n=90, seed=0) -> pd.DataFrame:
    """Two numbers, a category, a class and a number to be predicted from them."""
    rng = np.random.default_rng(seed)
    table = pd.DataFrame({"size": rng.normal(5, 2, n).round(3), "age": rng.integers(20, 80, n)})
    table["colour"] = rng.choice(["red", "green", "blue"], n)
    table["kind"] = np.where(table["size"] + rng.normal(0, 2, n) > 5, "large", "small")
    table["price"] = (3 * table["size"] + rng.normal(0, 4, n)).round(2)
    return table


# --- what is read -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_separators_and_marks_of_utf8_are_read_alike(tmp_path, separator, encoding):
    table = plain_table().assign(colour='grün, hell; "sehr"')
    read, found = read_csv(write(tmp_path / "t.csv", table, sep=separator, encoding=encoding))
    assert found == separator and list(read.columns) == list(table.columns)
    assert read["colour"].iloc[0] == 'grün, hell; "sehr"' and read.index[0] == 2 and len(read) == len(table)


def test_texts_stay_as_they_are_but_for_missing_ones(tmp_path):
    (tmp_path / "t.csv").write_text("code,word\n007, a \n,NA\nn/a,None\n\n08,?\n")
    read, _ = read_csv(tmp_path / "t.csv")
    assert read["code"].fillna("-").tolist() == ["007", "-", "-", "08"] and list(read.index) == [2, 3, 4, 6]
    assert read["word"].fillna("-").tolist() == ["a", "-", "None", "-"]
    assert all(word == word.lower() for word in MISSING)


def test_decimal_commas_are_numbers_only_where_the_comma_does_not_separate():
    texts = pd.Series(["1,5", "-2", "1,234,5", "inf", "x", np.nan])
    assert as_numbers(texts, decimal_comma=True).fillna(99).tolist() == [1.5, -2, 99, 99, 99, 99]
    assert as_numbers(texts).fillna(99).tolist() == [99, -2, 99, 99, 99, 99]


def test_a_table_with_decimal_commas_gives_the_same_rows(tmp_path):
    table = plain_table()
    one = load_table(write(tmp_path / "a.csv", table), "price")
    other = load_table(write(tmp_path / "b.csv", table, sep=";", decimal=","), "price")
    assert np.allclose(one.train.x, other.train.x) and np.allclose(one.train.y, other.train.y)


# --- what is decided --------------------------------------------------------------------------------------------------
def test_the_kind_of_task_follows_from_the_target_and_can_be_overruled(tmp_path):
    table = plain_table().assign(grade=np.arange(90) % 3)
    path = write(tmp_path / "t.csv", table)
    assert load_table(path, "kind").classes == ("large", "small")
    assert load_table(path, "price").kind == "regression" and "different numbers" in load_table(path, "price").why
    assert load_table(path, "grade").classes == ("0", "1", "2")
    assert load_table(path, "grade", kind="regression").train.y.dtype == np.float32


def test_classes_that_are_numbers_are_ordered_as_numbers(tmp_path):
    path = write(tmp_path / "t.csv", plain_table().assign(grade=np.arange(90) % 3 * 5 + 5))
    assert load_table(path, "grade").classes == ("5", "10", "15")


def test_columns_that_say_nothing_or_only_who_are_left_out_and_said(tmp_path):
    table = plain_table().assign(row=range(90), hospital="north", nothing=None, note=[f"text {i}" for i in range(90)])
    data = load_table(write(tmp_path / "t.csv", table), "kind", drop=["price"])
    used = data.columns.set_index("column")["used_as"]
    assert set(used[used == "left out"].index) == {"row", "hospital", "nothing", "note", "price"}
    assert [column.name for column in data.prepared.columns] == ["size", "age", "colour"]
    assert data.columns.set_index("column").loc["hospital", "why"] == "the same value in every row"


def test_a_column_that_knows_the_answer_is_suspected_and_others_are_not(tmp_path):
    table = plain_table(300).assign(later=lambda t: (t["price"] * 2 + 1).round(1), code=lambda t: t["kind"].str[0])
    for target, leak in (("price", "later"), ("kind", "code")):
        data = load_table(write(tmp_path / "t.csv", table), target)
        loud = [note for note in data.notes if note.startswith("LEAK?")]
        assert len(loud) == 1 and repr(leak) in loud[0]
        assert not load_table(tmp_path / "t.csv", target, drop=[leak]).notes


def test_groups_that_nobody_named_are_asked_about(tmp_path):
    table = plain_table().assign(patient=[f"P{i // 3}" for i in range(90)])
    path = write(tmp_path / "t.csv", table)
    assert any("'patient' repeats" in note for note in load_table(path, "kind").notes)
    assert not any("repeats" in note for note in load_table(path, "kind", groups="patient").notes)


def test_a_column_may_hold_odd_texts_which_count_as_missing(tmp_path):
    table = plain_table(200).astype({"size": object})
    table.loc[5, "size"] = "<0.1"
    data = load_table(write(tmp_path / "t.csv", table), "kind")
    assert "1 values are no finite numbers" in data.columns.set_index("column").loc["size", "why"]


# --- split and preparation --------------------------------------------------------------------------------------------
def test_groups_and_copies_are_on_one_side_and_the_test_part_is_locked(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_RUNS", str(tmp_path / "runs"))
    table = plain_table(200).assign(patient=[f"P{i // 2}" for i in range(200)])
    table = pd.concat([table, table.iloc[:20].assign(patient="another")], ignore_index=True)
    data = load_table(write(tmp_path / "t.csv", table), "kind", groups="patient")
    with pytest.raises(LockedError, match="open_test"):
        data.test  # noqa: B018
    with pytest.raises(DataError, match="reason"):
        data.open_test(" ")
    test = data.open_test("a test of the tests")
    assert len(test_openings()) == 1 and test_openings().iloc[0]["fingerprint"] == data.fingerprint
    parts = [data.train, data.val, test]
    names = [set(part.groups) for part in parts]
    assert not (names[0] & names[1] or names[0] & names[2] or names[1] & names[2])
    rows = [set(map(tuple, part.raw[["size", "age", "colour"]].to_numpy())) for part in parts]
    assert not (rows[0] & rows[1] or rows[0] & rows[2] or rows[1] & rows[2])
    assert any("20 rows are exact copies" in note for note in data.notes)
    with pytest.warns(UserWarning, match="opened 1 time before"):
        load_table(tmp_path / "t.csv", "kind", groups="patient").open_test("again")


def test_parts_have_the_target_alike(tmp_path):
    data = load_table(write(tmp_path / "t.csv", plain_table(600)), "kind")
    shares = [part.y.mean() for part in (data.train, data.val)]
    assert abs(shares[0] - shares[1]) < 0.02
    numbers = load_table(tmp_path / "t.csv", "price")
    assert abs(numbers.train.y.mean() - numbers.val.y.mean()) < 0.25 * numbers.train.y.std()


def test_the_same_seed_gives_the_same_split_and_another_another(tmp_path):
    path = write(tmp_path / "t.csv", plain_table())
    lines = [load_table(path, "kind", seed=seed).train.raw.index.tolist() for seed in (1, 1, 2)]
    assert lines[0] == lines[1] != lines[2]
    assert load_table(path, "kind", seed=1).fingerprint != load_table(path, "kind", seed=2).fingerprint


def test_missing_numbers_become_the_training_median_and_say_so(tmp_path):
    table = plain_table(200)
    table.loc[::4, "size"] = np.nan
    table.loc[1::4, "colour"] = np.nan
    data = load_table(write(tmp_path / "t.csv", table), "kind")
    raw = data.val.raw
    place = {name: data.prepared.features.index(name) for name in data.prepared.features}
    median = data.train.raw["size"].dropna().astype(float).median()
    lacks = raw["size"].isna().to_numpy()
    assert np.allclose(data.val.x[lacks, place["size"]], median) and lacks.any()
    assert np.array_equal(data.val.x[:, place["size is missing"]], lacks)
    assert np.array_equal(data.val.x[:, place["colour is missing"]], raw["colour"].isna())


def test_categories_are_coded_as_scikit_learn_codes_them():
    train, new = pd.DataFrame({"c": list("abcab")}), pd.DataFrame({"c": list("cax")})
    theirs = OneHotEncoder(handle_unknown="ignore", sparse_output=False).fit(train).transform(new)
    assert np.array_equal(fit_columns(train, {"c": "category"}).matrix(new), theirs)


def test_rare_categories_share_one_answer():
    train = pd.DataFrame({"c": [f"level {i}" for i in range(50) for _ in range(50 - i)]})
    prepared = fit_columns(train, {"c": "category"})
    assert len(prepared.features) == MOST_LEVELS and not prepared.matrix([{"c": "level 49"}]).any()


def test_the_preparation_travels_as_json_and_takes_raw_rows(tmp_path):
    data = load_table(write(tmp_path / "t.csv", plain_table()), "price")
    twin = Prepared.from_dict(json.loads(json.dumps(data.prepared.to_dict())))
    assert twin == data.prepared
    assert np.array_equal(twin.matrix(data.val.raw.to_dict("records")), data.val.x)
    numbers = {"size": 5.5, "age": 30, "colour": None, "kind": "large", "more": "is ignored"}
    assert twin.matrix([numbers]).shape == (1, len(twin.features))
    with pytest.raises(DataError, match="lack 'size'"):
        twin.matrix([{"age": 3}])
    with pytest.raises(DataError, match="no preparation"):
        Prepared.from_dict({"columns": [{"wrong": 1}]})


# --- what is refused --------------------------------------------------------------------------------------------------
GOOD = [f"{i},{i % 7},{'yes' if i % 2 else 'no'}" for i in range(40)]


def lines(*rows: str) -> bytes:
    return "\n".join(rows).encode()


BROKEN = {
    "empty": (b"", "is empty"),
    "no rows": (b"a,b,answer\n", "no rows"),
    "blank lines": (b"\n\n\n", "only empty lines"),
    "no such column": (lines("a,b,Answer", *GOOD), "has no column 'answer'.*it has a, b, Answer"),
    "constant target": (lines("a,b,answer", *[f"{i},0,yes" for i in range(40)]), "same in every row"),
    "no answers": (lines("a,b,answer", *[f"{i},0,NA" for i in range(40)]), "is missing"),
    "a class of one": (lines("a,b,answer", *GOOD, "41,1,maybe"), "'maybe'.* has 1 row; each class needs 3"),
    "too few rows": (lines("a,b,answer", *GOOD[:20]), "20 rows with an answer; at least 30"),
    "one name twice": (lines("a,a,answer", *GOOD), "several columns called 'a'"),
    "a picture": (b"\x89PNG\r\n\x1a\n\x00\x00", "no text file"),
    "UTF-16": ("a,b,answer\n".encode("utf-16"), "UTF-16"),
    "Latin-1": ("a,größe,answer\n".encode("latin-1"), "not UTF-8 \\(line 1\\)"),
    "ragged": (lines("a,b,answer", *GOOD, "1,2"), "line 42 .* 2 fields"),
    "one column": (lines("answer", *"abc" * 20), "one column only"),
    "an open quote": (lines("a,b,answer", *GOOD, '1,"2,3'), "no CSV that can be read"),
    "infinite": (lines("a,b,answer", *[f"{i},1,{i}.5" for i in range(40)], "1,2,inf"), "'inf' in line 42"),
    "mixed": (lines("a,b,answer", *[f"{i},1,{i}.5" for i in range(40)], "1,2,much"), "'much' in line 42"),
    "only names": (lines("a,b,answer", *[f"x{i},y{i},{i % 2}" for i in range(40)]), "no column .* is left"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_broken_files_are_refused_in_one_sentence(tmp_path, what):
    content, words = BROKEN[what]
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(DataError, match=words) as caught:
        load_table(tmp_path / "t.csv", "answer")
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 300 + len(str(tmp_path))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"target": "price", "groups": "price"}, "must be two columns"),
        ({"target": "price", "groups": "patient"}, "no column 'patient'"),
        ({"target": "price", "drop": ["weight"]}, "no column 'weight'"),
        ({"target": "price", "kind": "clustering"}, "must be one of"),
        ({"target": "kind", "kind": "regression"}, "is '(large|small)' in line 2"),
        ({"target": "note"}, "has 1 row|classes"),
        ({"target": "price", "max_bytes": 100}, "at most 0 MB"),
    ],
)
def test_impossible_wishes_are_refused(tmp_path, options, words):
    path = write(tmp_path / "t.csv", plain_table().assign(note=[f"n{i}" for i in range(90)]))
    with pytest.raises(DataError, match=words):
        load_table(path, **options)


def test_a_class_in_one_group_only_and_rows_without_a_group_are_refused(tmp_path):
    table = plain_table().assign(patient=[f"P{i // 3}" for i in range(90)])
    rare = table.assign(kind=np.where(table["patient"] == "P7", "rare", table["kind"]))
    messages = set()
    for seed in range(8):
        try:
            load_table(write(tmp_path / "t.csv", rare), "kind", groups="patient", seed=seed)
        except DataError as error:
            messages.add(str(error))
    assert all("no training row has the class 'rare'" in message for message in messages)
    table.loc[4, "patient"] = None
    with pytest.raises(DataError, match="no 'patient' in line 6"):
        load_table(write(tmp_path / "t.csv", table), "kind", groups="patient")


@pytest.mark.parametrize("place", ["nowhere.csv", "."])
def test_what_is_no_file_is_refused(tmp_path, place):
    with pytest.raises(DataError, match="no file"):
        load_table(tmp_path / place, "answer")
