"""The problem card, the hypotheses, the experiment log and its claims."""

import dataclasses
import json
import math
from typing import NamedTuple

import numpy as np
import pytest

from course_utils.tracking import HYPOTHESES, TASKS, TRIAGE, ClaimFailed, ExperimentLog, slug


@pytest.fixture
def log(tmp_path):
    return ExperimentLog("05_baseline", root=tmp_path)


def stored(log, kind):
    return [json.loads(path.read_text()) for path in log.folder.glob(f"*.{kind}.*.json")]


# --- problem card ---
def test_triage_card():
    table = TRIAGE.table().set_index("question")["answer"]
    assert table["latency ms"] == 20 and table["classes"] == "CNV, DME, DRUSEN, NORMAL"
    assert TRIAGE.cost_table().loc["CNV", "discharge"] == 20
    with pytest.raises(dataclasses.FrozenInstanceError):
        TRIAGE.need = "something else"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"need": " "}, "need is empty"),
        ({"privacy": ""}, "privacy is empty"),
        ({"task": "magic"}, 'task is "magic"; it must be one of binary'),
        ({"task": "binary"}, "a binary task has exactly 2"),
        ({"classes": ("A", "A", "B", "C")}, "different names"),
        ({"classes": ("A",), "cost": ((0, 1, 2),)}, "needs 2 or more"),
        ({"cost": TRIAGE.cost[:3]}, "one row a class"),
        ({"cost": tuple(row[:2] for row in TRIAGE.cost)}, "one number a decision"),
        ({"cost": ((0, 8, -1), *TRIAGE.cost[1:])}, "a cost is negative"),
        ({"cost": ((0, 8, math.nan), *TRIAGE.cost[1:])}, "not a number"),
        ({"review_cost": -0.1}, "a cost is negative"),
        ({"latency_ms": 0}, "latency_ms is 0; a budget is a number above zero"),
        ({"memory_gb": math.nan}, "memory_gb is nan"),
        ({"label_budget": -5}, "label_budget is -5"),
    ],
)
def test_card_refuses(change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(TRIAGE, **change)


def test_card_of_a_task_without_classes():
    card = dataclasses.replace(TRIAGE, task="regression", classes=(), decisions=(), cost=())
    assert card.task in TASKS and card.cost_table().empty


def test_hypotheses_are_numbered_and_tested_somewhere():
    assert list(HYPOTHESES) == [f"H{number}" for number in range(1, 16)]
    assert all(item.statement and item.because and len(item.lesson) == 2 for item in HYPOTHESES.values())
    assert {key: HYPOTHESES[key].lesson for key in ("H5", "H8", "H10", "H12", "H15")} == {
        "H5": "07", "H8": "02", "H10": "11", "H12": "13", "H15": "03",
    }  # fmt: skip


# --- log ---
def test_rows_are_ordered_and_replaced(tmp_path):
    later, earlier = ExperimentLog("11_x", root=tmp_path), ExperimentLog("05_x", root=tmp_path)
    later.record("H10", "average five", "better", "supported", accuracy=0.93)
    earlier.record("H2", "layer features", "worse", "refuted", accuracy=np.float32(0.5), seeds=3)
    earlier.record("H1", "a CNN", "first look", "open")
    earlier.record("H1", "a CNN", "clearly better", "supported")
    table = later.table()
    assert list(table["key"]) == ["H1", "H2", "H10"]
    assert list(table["evidence"]) == ["clearly better", "worse", "better"]
    assert table["hypothesis"][0] == HYPOTHESES["H1"].statement
    assert table["numbers"][1] == "accuracy 0.5, seeds 3"


def test_h2_comes_before_h10(log):
    for key in ("H10", "H2", "dropout", "H1"):
        log.record(key, "c", "e", "open")
    assert list(log.table()["key"]) == ["H1", "H2", "H10", "dropout"]


def test_unknown_verdict_is_refused(log):
    with pytest.raises(ValueError, match='verdict on H1 is "maybe"; it must be one of supported'):
        log.record("H1", "c", "e", "maybe")
    assert log.table().empty


def test_hypotheses_carry_their_last_verdict(log):
    for key, item in HYPOTHESES.items():
        log.hypothesis(key, item.statement, item.because, item.lesson)
    log.record("H3", "train on 400", "gap", "supported")
    table = log.hypotheses().set_index("key")
    assert list(table.index) == list(HYPOTHESES)
    assert table.loc["H3", "verdict"] == "supported" and table.loc["H1", "verdict"] == "open"


def test_profiles_and_data_sets_do_not_mix(tmp_path):
    logs = [
        ExperimentLog("05", root=tmp_path, profile=profile, dataset=dataset)
        for profile in ("smoke", "fast")
        for dataset in ("oct-phantom", "some/where/scans.npz", "else/where/scans.npz", "my scans/folder")
    ]
    for log in logs:
        log.record("H1", "c", "e", "open")
    assert len({log.folder for log in logs}) == len(logs)
    assert all(len(log.table()) == 1 for log in logs)
    assert stored(logs[1], "record")[0]["dataset"] == "scans.npz"  # no path of this machine in the log


def test_unknown_profile_is_refused(tmp_path):
    with pytest.raises(ValueError, match="PROFILE"):
        ExperimentLog("05", profile="quick", root=tmp_path)


def test_run_holds_what_repeats_it(log):
    path = log.run("linear on pixels", {"lr": 1e-3, "size": (64, 64)}, {"accuracy": np.float64(0.58), "loss": math.nan})
    entry = json.loads(path.read_text())
    assert entry["config"] == {"lr": 1e-3, "size": [64, 64]} and entry["seed"] == 0
    assert entry["result"] == {"accuracy": 0.58, "loss": "nan"}
    assert set(entry["git"]) == {"commit", "dirty"} and "PyTorch" in entry["environment"]
    with pytest.raises(TypeError, match="a object cannot be stored as JSON"):
        log.run("bad", {"model": object()}, {})


@pytest.mark.parametrize("content", [b'{"kind": "record", "les', b"\xff\xfe\x00", b"[]", b"{}", b"3", b""])
def test_damaged_or_alien_entries_are_skipped_with_a_warning(log, content):
    log.record("H1", "c", "e", "open")
    (log.folder / "zz.record.bad.json").write_bytes(content)
    with pytest.warns(UserWarning, match=r"zz\.record\.bad\.json is skipped") as caught:
        assert list(log.table()["key"]) == ["H1"]
    assert len(caught) == 1


def test_half_written_files_are_not_seen(log, recwarn):
    log.record("H1", "c", "e", "open")
    (log.folder / ".05_baseline.record.h1.json.0123.tmp.json").write_text("{")
    assert len(log.table()) == 1 and not recwarn


def test_forget_removes_only_its_own(tmp_path):
    mine, other = ExperimentLog("05", root=tmp_path), ExperimentLog("05_b", root=tmp_path)
    for log in (mine, other):
        log.record("H1", "c", "e", "open")
    mine.forget()
    assert list(other.table()["lesson"]) == ["05_b"]


@pytest.mark.parametrize(
    "text",
    [
        "../../etc/passwd",
        "C:\\temp\\x",
        "CON",
        "a" * 500,
        "ünïcode · ✓",
        "✓",
        "a/b",
        "a b",
        ".hidden",
        "line\nbreak",
        "\ud800",
    ],
)
def test_slugs_are_safe(text):
    name = slug(text)
    assert 0 < len(name) <= 70 and set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-_")
    assert slug(text) == name != slug(text + "!")


def test_slugs_keep_near_texts_apart():
    assert len({slug(text) for text in ("a b", "a-b", "A b", "a  b")}) == 4
    assert slug("oct-phantom") == "oct-phantom"


# --- claims ---
class Interval(NamedTuple):
    value: float
    low: float
    high: float


def test_claim_prints_one_stable_line(log, capsys):
    log.claim("dropout narrows the gap", 0.05214, at_least=0.03, interval=(0.041, 0.0634), seeds=3)
    expected = "✓ dropout narrows the gap: at least 0.03 (measured 0.05214, interval 0.041 to 0.0634, 3 seeds)\n"
    assert capsys.readouterr().out == expected
    log.claim("quick", np.float32(4.5), at_most=20, unit="ms", seeds=[1])
    assert capsys.readouterr().out == "✓ quick: at most 20 ms (measured 4.5 ms, 1 seed)\n"
    log.claim("in the band", 0.5, at_least=0.4, at_most=0.6, interval=Interval(0.5, 0.45, 0.55))
    assert (
        capsys.readouterr().out == "✓ in the band: at least 0.4 and at most 0.6 (measured 0.5, interval 0.45 to 0.55)\n"
    )
    log.claim("same seed, same weights", np.True_)
    assert capsys.readouterr().out == "✓ same seed, same weights: true (measured true)\n"
    log.claim("small", 25_412, at_most=30_000, unit="parameters")
    assert capsys.readouterr().out == "✓ small: at most 30000 parameters (measured 25412 parameters)\n"


@pytest.mark.parametrize(
    ("value", "threshold"),
    [
        (0.02, {"at_least": 0.03}),
        (0.04, {"at_most": 0.03}),
        (math.nan, {"at_least": 0}),
        (math.nan, {"at_most": 0}),
        (math.inf, {"at_least": 0}),
        (0.5, {"at_least": 0.6, "at_most": 0.7}),
        (False, {}),
    ],
)
def test_failed_claims_raise_and_are_stored(log, capsys, value, threshold):
    with pytest.raises(ClaimFailed, match=r"✗ it works: .* does not hold \(measured"):
        log.claim("it works", value, **threshold)
    assert capsys.readouterr().out == ""
    assert list(log.claims()["verdict"]) == ["fails"]


def test_the_threshold_itself_holds(log):
    log.claim("a", 0.03, at_least=0.03)
    log.claim("b", 0.03, at_most=0.03)


@pytest.mark.parametrize(
    ("sentence", "value", "threshold", "message"),
    [
        ("s", 0.5, {}, "has no threshold"),
        ("s", 1, {}, "has no threshold"),
        ("s", True, {"at_least": 1}, "has a threshold"),
        ("s", "0.5", {"at_least": 1}, "has a str as its value"),
        ("s", None, {"at_least": 1}, "has a NoneType as its value"),
        ("", 0.5, {"at_least": 0}, "no sentence"),
    ],
)
def test_what_is_no_claim_is_refused(log, sentence, value, threshold, message):
    with pytest.raises(ValueError, match=message):
        log.claim(sentence, value, **threshold)
    assert log.claims().empty


def test_not_judged_in_smoke_or_away_from_home(tmp_path, capsys):
    smoke = ExperimentLog("05", root=tmp_path, profile="smoke")
    smoke.claim("it works", math.nan, at_least=1)
    assert capsys.readouterr().out == "· it works: not judged in the smoke profile (measured nan)\n"
    away = ExperimentLog("05", root=tmp_path, dataset="../data/real.npz")
    away.claim("it works", 0.1, at_least=1)
    assert capsys.readouterr().out == "· it works: not judged on real.npz (measured 0.1)\n"
    assert list(away.claims()["verdict"]) == ["not judged"]
    home = ExperimentLog("05", root=tmp_path, dataset="../data/real.npz", home=("oct-phantom", "real.npz"))
    with pytest.raises(ClaimFailed):
        home.claim("it works", 0.1, at_least=1)


def test_claims_table_keeps_the_order_made_and_replaces_the_same_sentence(log):
    log.claim("z first", 2, at_least=1, seeds=3, interval=(1.5, 2.5), unit="points")
    log.claim("a second", 0.5, at_least=0.1)
    log.claim("a second", 0.7, at_least=0.1)
    table = log.claims()
    assert list(table["claim"]) == ["z first", "a second"]
    assert table.loc[0, ["wanted", "value", "low", "high", "seeds", "unit", "verdict"]].tolist() == [
        "at least 1 points", 2, 1.5, 2.5, 3, "points", "holds",
    ]  # fmt: skip
    assert table["value"][1] == 0.7
