"""Runs that are killed or meet other faults, as `make chaos` and `make faults` do it, in a short form."""

import json
import random
import shutil

import pytest
import torch
from benchmark_cases import chaos, disks, faults, kill_tables, killing, undisturbed
from commands import SMALL, train

from ebmkit.runs.checkpoint import NAME


@pytest.mark.parametrize(
    ("kind", "planned"),
    [
        (
            chaos.Kind(1, "uniform", "fp32", rollback=True),
            [
                killing.Instant("write", 0.2, 0.5),
                killing.Instant("rollback", 0.5, 0.5),
                killing.Instant("update", 0.7, 0.3),
            ],
        ),
        (chaos.Kind(1, "replay", "bf16, emulated", rollback=False), [killing.Instant("metrics", 0.4, 0.8)]),
    ],
    ids=["rolled back", "replay"],
)
def test_a_killed_run_is_resumed_to_the_undisturbed_result(kind, planned, tmp_path):
    reference = chaos.Reference(kind, tmp_path / "undisturbed", start=1.0)
    assert undisturbed.metrics(reference.place / "run")[-1]["update"] == 60
    assert (len(reference.course.places) > 60) == kind.rollback
    rows = chaos.killed_run(reference, planned, tmp_path / "killed")
    assert [row["where"] for row in rows] == [instant.where for instant in planned]
    assert [row["state"] for row in rows] == [True] * len(planned)
    assert [row["differences"] for row in rows] == [[]] * len(planned)
    assert "failed" not in {row["phase"] for row in rows}


@pytest.mark.parametrize("name", ["full disk", "last line of the metrics cut off", "SIGTERM"])
def test_a_planted_fault_loses_nothing(name, tmp_path, monkeypatch):
    monkeypatch.setattr(disks.os, "geteuid", lambda: 1000)  # no disk is mounted
    fault = next(one for one in faults.FAULTS if one.name == name)
    faults.result_of(faults.FAULTS[0], None, tmp_path / "undisturbed")
    row = faults.result_of(fault, tmp_path / "undisturbed")
    assert row["whole"]
    assert row["differences"] == []
    assert row["seen"][1] == row["expected"]
    assert faults.table([row]).rows[0][-1] == "bitwise the undisturbed run"


@pytest.fixture(scope="module")
def two_runs(tmp_path_factory):
    """The folders of two runs that are the same."""
    place = tmp_path_factory.mktemp("runs")
    train(*SMALL[:-2], "--samples-every", "2", "--iterations", "2", "--out", str(place / "one"))
    shutil.copytree(place / "one", place / "other")
    return place


@pytest.fixture
def runs(two_runs, tmp_path):
    """Copies of them, to be changed."""
    return [shutil.copytree(two_runs / name, tmp_path / name) for name in ("one", "other")]


def changed_weight(folder):
    saved = torch.load(folder / NAME, weights_only=True)
    bias = next(value for name, value in saved["trainer"]["energy"].items() if name.endswith("bias"))
    bias[0] = torch.nextafter(bias[0], torch.tensor(9.0))
    torch.save(saved, folder / NAME)


def changed_metrics(folder):
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    (folder / "metrics.jsonl").write_text("".join(json.dumps({**line, "gap": 0.5}) + "\n" for line in lines))


def changed_picture(folder):
    (folder / "samples" / "000002.png").write_bytes(b"")


def left_picture(folder):
    (folder / ".new-a").mkdir()
    (folder / ".new-a" / "000002.png").touch()


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda folder: None, []),
        (left_picture, []),
        (changed_weight, ["checkpoint.pt: energy"]),
        (changed_metrics, ["metrics.jsonl"]),
        (changed_picture, ["samples/000002.png"]),
        (lambda folder: (folder / "more.txt").touch(), ["files: more.txt"]),
    ],
)
def test_differences_of_runs_are_found(change, found, runs):
    change(runs[1])
    assert undisturbed.differences(runs[1], runs[0]) == found
    assert undisturbed.left_behind(runs[1]) == len(list(runs[1].glob(".new-*")))


def test_values_are_compared_bit_by_bit():
    zero, nan = torch.zeros(1), torch.full((1,), torch.nan)
    assert undisturbed.same({"a": [nan, 1.0, float("nan")]}, {"a": [nan.clone(), 1.0, float("nan")]})
    assert not undisturbed.same(zero, -zero)
    assert not undisturbed.same(zero, zero.double())
    assert not undisturbed.same(1, 1.0)
    assert not undisturbed.same({"a": 1}, {"b": 1})


def test_instants_are_those_of_the_seed():
    drawn = [killing.instants(random.Random(3), 200, rollback=True, processes=2) for _ in range(2)]
    assert drawn[0] == drawn[1]
    assert {one.where for one in drawn[0]} == set(killing.SHARES)
    assert {one.victim for one in drawn[0]} == {"rank 0", "rank 1", "all"}
    assert [one.where for one in drawn[0]].count("end") == 1
    middle = [one.run for one in drawn[0][:-1]]
    assert middle == sorted(middle)


def test_kills_are_counted():
    kind = {"processes": 1, "start": "uniform", "precision": "fp32", "rollback": False, "victim": "rank 0"}
    rows = [
        {**kind, "phase": "chain", "state": True, "differences": [], "left behind": 0},
        {**kind, "phase": "chain", "state": False, "differences": ["metrics.jsonl"], "left behind": 0},
        {**kind, "phase": "starting", "state": None, "differences": [], "left behind": 2},
        {**kind, "phase": "failed", "said": "error: no", "differences": ["error: no"], "left behind": 0},
    ]
    by_phase, by_kind = kill_tables.tables(rows)
    assert ["in a chain", "2", "0", "1 of 2", "1 of 2"] in by_phase.rows
    assert by_phase.rows[-1] == ["all", "3", "1", "1 of 2", "2 of 3"]
    left = "After interrupted writes at most 2 temporary folders were left in a run."
    assert by_phase.notes == ["Failed by itself: error: no", left]
    assert by_kind.rows == [["1", "uniform", "fp32", "no", "3", "1", "1 of 2", "2 of 3"]]
