"""Races, without the other libraries."""

import sys
from dataclasses import replace
from types import ModuleType

import pytest
from benchmark_cases import CPU, another, conditions, tables


@pytest.fixture
def setup():
    return conditions.Setup(CPU, ("fp32",), quick=True)


@pytest.fixture
def running(monkeypatch):
    """The module that runs races, with one contender in place of the other libraries that uses another step size."""
    others = ModuleType("others")
    others.CHAINS = [another("wrong", lambda rule: replace(rule, step_size=2.0))]
    others.TRAJECTORIES = []
    monkeypatch.setitem(sys.modules, "others", others)
    for name in ("races", "running"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    import running

    yield running
    for name in ("races", "running"):
        del sys.modules[name]


def test_a_contender_without_parity_is_named_and_not_timed(running, setup):
    result = running.run("chains", 0, setup)
    timed = ["plain loop", "ebmkit", "ebmkit, accelerated fp32"]
    assert list(result["speed"]) == list(result["share"]) == timed
    assert list(result["seconds"]) == [*timed, "matrix product fp32"]
    assert result["speed"]["plain loop"] == (1, 1, 1)
    assert list(result["refused"]) == ["wrong"]
    assert 0 < result["share"]["plain loop"].median < 10
    table = tables.race_table(result, absolute=False)
    assert [row[0] for row in table.rows] == timed
    assert "Not timed: wrong: its end is" in table.markdown()
    assert not any("ms" in column for column in table.columns)
    assert "ms per step" in tables.race_table(result, absolute=True).columns


def test_an_hmc_step_counts_as_its_leapfrog_steps(running, setup):
    result = running.run("hmc", 0, setup)
    seconds = sorted(result["seconds"]["plain loop"])
    assert result["seconds per step"]["plain loop"] == pytest.approx(seconds[len(seconds) // 2] / result["steps"] / 5)


def test_without_the_other_libraries_a_line_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "ebm", None)  # importing it raises ModuleNotFoundError
    for name in ("others", "races"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    import races

    del sys.modules["races"]
    assert races.MISSING.startswith("other libraries are left out: no module 'ebm'; `make bench` installs them")
    assert races.CHAINS == races.TRAJECTORIES == []
