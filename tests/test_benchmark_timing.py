"""The tools of the benchmarks: turns, ratios, exponents, memory, tables. No time is asserted."""

import io
import os
from functools import partial

import pytest
import rich.console
import torch
from benchmark_cases import CPU, conditions, contenders, growth, machine, tables, timing
from scipy import stats

from ebmkit.energies.mlp import MLP


@pytest.fixture
def setup():
    return conditions.Setup(CPU, ("fp32",), quick=True)


def test_contenders_take_turns_in_every_round():
    seen = []
    turns = {name: partial(lambda name, steps: seen.append((name, steps)), name) for name in "ABC"}
    seconds = timing.time_in_turns(turns, 7, 3)
    assert seen == [(name, 2) for name in "ABC"] + [(name, 7) for name in "ABC"] * 3
    assert {name: len(times) for name, times in seconds.items()} == {"A": 3, "B": 3, "C": 3}
    assert min(min(times) for times in seconds.values()) >= 0


def test_ratios_are_taken_within_rounds():
    # The machine slows down, but the ratio within each round stays 2.
    slow, fast = [1.0, 2.0, 10.0], [0.5, 1.0, 5.0]
    assert timing.ratio(slow, fast) == (2, 2, 2)
    assert timing.ratio([4.0, 1.0, 3.0, 2.0, 5.0], [1.0] * 5) == (3, 2, 4)
    assert timing.Spread(3, 2, 4).times(0.5) == (1.5, 1, 2)


def test_work_counts_the_products_of_both_passes():
    energy, x = MLP((2,), width=64, depth=2), torch.zeros(5, 2)
    assert timing.work(energy, x) == 2 * 2 * 5 * (2 * 64 + 64 * 64 + 64)
    assert all(parameter.requires_grad and parameter.grad is None for parameter in energy.parameters())
    assert not x.requires_grad


def test_the_exponent_of_a_power_law_is_found():
    values = (1, 3, 10, 100)
    found = growth.exponent(values, [0.3 * value**1.7 for value in values])
    assert found.value == pytest.approx(1.7)
    assert found.error == pytest.approx(0, abs=1e-9)


def test_the_error_of_an_exponent_is_that_of_scipy():
    values, costs = (8, 16, 32, 64, 128), (3.0, 10.0, 55.0, 170.0, 900.0)
    expected = stats.linregress(torch.tensor(values).log(), torch.tensor(costs).log())
    found = growth.exponent(values, costs)
    assert found == pytest.approx((expected.slope, expected.stderr), rel=1e-4)


def test_growth_is_measured_on_every_axis(setup, monkeypatch):
    grids = {"K": (1, 2, 4), "batch": (1, 2, 4), "size": (8, 16, 32), "width": (1, 2, 4)}
    monkeypatch.setattr(growth, "QUICK", grids)
    monkeypatch.setattr(growth, "SMALL", {"K": 2, "batch": 2, "size": 8, "width": 2})
    found = growth.run(setup)
    assert set(found["exponents"]) == {contenders.PLAIN, growth.FAST}
    assert all(set(fits) == set(grids) for fits in found["exponents"].values())
    assert found["work"]["K"] == pytest.approx((1, 0), abs=1e-9)
    assert found["work"]["batch"] == pytest.approx((1, 0), abs=1e-9)
    assert 1 < found["work"]["width"].value < 2
    assert len(found["seconds"]) == 2 * 12
    assert "| K | 1, 2, 4 | 1.00 |" in tables.growth_table(found).markdown()


def test_a_precision_without_units_is_left_out(monkeypatch):
    monkeypatch.setattr(machine, "supported", lambda device: ("fp32",))
    measured, lines = machine.precisions(CPU, everything=False)
    assert measured == ("fp32",)
    assert len(lines) == 2
    assert any("bf16" in line and "emulated" in line for line in lines)
    measured, lines = machine.precisions(CPU, everything=True)
    assert measured == ("fp32", "bf16")
    assert len(lines) == 1


def test_peak_memory_includes_what_was_allocated():
    def turn(steps):
        torch.ones(steps, 2**20)

    peak = machine.peak_of(turn, 100, CPU)
    assert (peak is None) == (not machine.STATUS.exists())
    assert peak is None or peak > 0.9 * 400 * 2**20


def test_memory_is_measured_in_another_process():
    assert machine.in_a_child(os.getpid) != os.getpid()


def test_a_table_is_rendered_for_terminal_and_document():
    table = tables.Table("Speeds", ["contender", "speed"], [["a", "1.00"], ["b", "2.00"]], ["A note."])
    lines = [
        "### Speeds",
        "",
        "| contender | speed |",
        "| --- | --- |",
        "| a | 1.00 |",
        "| b | 2.00 |",
        "",
        "A note.",
        "",
    ]
    assert table.markdown().splitlines() == lines[:-1] or table.markdown().splitlines() == lines
    console = rich.console.Console(file=io.StringIO(), width=80)
    console.print(table.rich())
    assert all(word in console.file.getvalue() for word in ("Speeds", "contender", "b", "2.00", "A note."))
