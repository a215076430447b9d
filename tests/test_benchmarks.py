"""The machinery of the benchmarks: turns, ratios, parity, exponents. No time is asserted, no other library needed."""

import io
import os
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import ModuleType

import pytest
import rich.console
import torch
from scipy import stats
from torch import nn

from ebmkit.energies.convnet import ConvNet
from ebmkit.energies.mlp import MLP
from ebmkit.samplers.hmc import HMC

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
contenders = pytest.importorskip("contenders", reason="benchmarks/ is not beside the tests")

import field as fields  # noqa: E402
import growth  # noqa: E402
import machine  # noqa: E402
import parity  # noqa: E402
import tables  # noqa: E402
import timing  # noqa: E402

CPU = torch.device("cpu")
LANGEVIN = fields.LANGEVIN
BOTH = (LANGEVIN, fields.noiseless(LANGEVIN))


@pytest.fixture
def field():
    return fields.Field(CPU, ("fp32",), quick=True)


def network(activation="silu"):
    torch.manual_seed(0)
    return ConvNet((3, 8, 8), width=4, activation=activation)


def examine(rivals, rules=BOTH, energy=None):
    x = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
    energy = network() if energy is None else energy
    return parity.agreeing(rivals, parity.steep(energy, x), rules, x, 4)


def another(name, change, base=contenders.plain_langevin, precision="fp32"):
    """A contender that follows a rule of its own."""
    return contenders.Contender(name, lambda energy, rule: base(energy, change(rule)), precision)


def test_everybody_has_a_turn_before_anybody_has_the_next():
    seen = []
    turns = {name: partial(lambda name, steps: seen.append((name, steps)), name) for name in "ABC"}
    seconds = timing.take_turns(turns, 7, 3)
    assert seen == [(name, 2) for name in "ABC"] + [(name, 7) for name in "ABC"] * 3
    assert {name: len(times) for name, times in seconds.items()} == {"A": 3, "B": 3, "C": 3}
    assert min(min(times) for times in seconds.values()) >= 0


def test_a_ratio_is_taken_within_each_round():
    # The machine becomes slower; whoever is twice as fast stays so.
    slow, fast = [1.0, 2.0, 10.0], [0.5, 1.0, 5.0]
    assert timing.ratio(slow, fast) == (2, 2, 2)
    assert timing.ratio([4.0, 1.0, 3.0, 2.0, 5.0], [1.0] * 5) == (3, 2, 4)
    assert timing.Spread(3, 2, 4).times(0.5) == (1.5, 1, 2)


def test_work_is_the_products_of_a_forward_and_a_backward_pass():
    energy, x = MLP((2,), width=64, depth=2), torch.zeros(5, 2)
    assert timing.work(energy, x) == 2 * 2 * 5 * (2 * 64 + 64 * 64 + 64)
    assert all(parameter.requires_grad and parameter.grad is None for parameter in energy.parameters())
    assert not x.requires_grad


def test_the_exponent_of_a_power_law_is_found():
    values = (1, 3, 10, 100)
    found = growth.exponent(values, [0.3 * value**1.7 for value in values])
    assert found.value == pytest.approx(1.7)
    assert found.error == pytest.approx(0, abs=1e-9)


def test_the_error_of_an_exponent_is_that_of_least_squares():
    values, costs = (8, 16, 32, 64, 128), (3.0, 10.0, 55.0, 170.0, 900.0)
    expected = stats.linregress(torch.tensor(values).log(), torch.tensor(costs).log())
    found = growth.exponent(values, costs)
    assert found == pytest.approx((expected.slope, expected.stderr), rel=1e-4)


def test_growth_is_measured_on_every_axis_and_operations_are_counted(field, monkeypatch):
    grids = {"K": (1, 2, 4), "batch": (1, 2, 4), "size": (8, 16, 32), "width": (1, 2, 4)}
    monkeypatch.setattr(growth, "QUICK", grids)
    monkeypatch.setattr(growth, "SMALL", {"K": 2, "batch": 2, "size": 8, "width": 2})
    found = growth.run(field)
    assert set(found["exponents"]) == {contenders.PLAIN, growth.FAST}
    assert all(set(fits) == set(grids) for fits in found["exponents"].values())
    assert found["work"]["K"] == pytest.approx((1, 0), abs=1e-9)
    assert found["work"]["batch"] == pytest.approx((1, 0), abs=1e-9)
    assert 1 < found["work"]["width"].value < 2
    assert len(found["seconds"]) == 2 * 12
    assert "| K | 1, 2, 4 | 1.00 |" in tables.growth_table(found).markdown()


def test_ours_end_where_the_plain_loop_ends():
    distances, refused = examine(contenders.chains(("fp32",)))
    assert not refused
    assert list(distances) == ["plain loop", "ebmkit", "ebmkit, accelerated fp32"]
    _, refused = examine(contenders.trajectories(("fp32",)), (HMC(step_size=0.02, leapfrog=5),))
    assert not refused


def test_our_update_gives_the_weights_of_the_plain_one():
    rivals = contenders.updates(("fp32",), partial(torch.optim.SGD, lr=1.0))
    distances, refused = examine(rivals)
    assert not refused
    assert len(distances) == 3


@pytest.mark.parametrize(
    "change",
    [
        lambda rule: replace(rule, step_size=1.01 * rule.step_size),
        lambda rule: replace(rule, noise=1.01 * rule.noise),
        lambda rule: replace(rule, noise=rule.noise + 1e-3),
    ],
)
def test_who_follows_another_rule_is_refused(change):
    distances, refused = examine([*contenders.chains(("fp32",)), another("wrong", change)])
    assert list(refused) == ["wrong"]
    assert "of the way from the plain loop's end" in refused["wrong"]
    assert distances["wrong"] > 1e-4


def test_who_leapfrogs_or_trains_otherwise_is_refused():
    wrong = another("wrong", lambda rule: replace(rule, leapfrog=4), contenders.plain_hmc)
    rules = (HMC(step_size=0.02, leapfrog=5),)
    assert list(examine([*contenders.trajectories(()), wrong], rules)[1]) == ["wrong"]
    optimizer = partial(torch.optim.SGD, lr=1.0)
    wrong = another("wrong", lambda rule: replace(rule, step_size=1.1), partial(contenders.plain_update, optimizer))
    assert list(examine([*contenders.updates((), optimizer), wrong])[1]) == ["wrong"]


def test_an_end_that_is_no_number_is_refused():
    lost = contenders.Contender("lost", lambda energy, rule: lambda x, steps, rng: x * torch.nan)
    distances, refused = examine([*contenders.chains(()), lost])
    assert list(refused) == ["lost"]
    assert distances["lost"] == torch.inf


def test_lower_precision_has_a_wider_bound_and_needs_it():
    low = contenders.chains(("fp32", "bf16"))
    distances, refused = examine(low)
    assert not refused
    rounded = {one.name for one in low if one.precision == "bf16"}
    assert rounded == {"plain loop, bf16", "ebmkit, accelerated bf16"}
    assert all((distance > 1e-4) == (name in rounded) for name, distance in distances.items())


def test_who_is_not_accelerated_is_refused_under_that_name():
    class Uncertain(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(192, 1)

        def forward(self, x):
            value = self.layer(x.flatten(1)).sin().flatten()
            return value if float(value.sum().detach()) > -1e9 else -value

    _, refused = examine(contenders.chains(("fp32",)), energy=Uncertain())
    assert list(refused) == ["ebmkit, accelerated fp32"]
    assert "cannot be recorded" in refused["ebmkit, accelerated fp32"]


def test_a_compiled_contender_stands_beside_each_accelerated_one():
    names = [one.name for one in contenders.chains(("fp32", "tf32"), compiled=True)]
    assert names == [
        *("plain loop", "plain loop, tf32", "ebmkit"),
        *("ebmkit, accelerated fp32", "ebmkit, compiled fp32", "ebmkit, accelerated tf32", "ebmkit, compiled tf32"),
    ]


def test_the_global_state_and_the_generator_are_sown_alike():
    both = parity.sown(lambda x, steps, rng: (torch.randn(steps), torch.randn(steps, generator=rng)), torch.ones(1), 20)
    assert torch.equal(*both)


def test_a_steepened_network_has_gradients_of_that_size():
    x = torch.rand(4, 3, 8, 8)
    leaf = x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(parity.steep(network(), x, slope=0.3)(leaf).sum(), leaf)
    assert float(gradient.square().mean().sqrt()) == pytest.approx(0.3, rel=1e-4)


def test_a_precision_without_units_is_left_out_with_a_line(monkeypatch):
    monkeypatch.setattr(machine, "supported", lambda device: ("fp32",))
    measured, lines = machine.precisions(CPU, everything=False)
    assert measured == ("fp32",)
    assert len(lines) == 2
    assert any("bf16" in line and "emulated" in line for line in lines)
    measured, lines = machine.precisions(CPU, everything=True)
    assert measured == ("fp32", "bf16")
    assert len(lines) == 1


def test_the_peak_of_a_chain_holds_what_it_held():
    def turn(steps):
        torch.ones(steps, 2**20)

    peak = machine.peak_of(turn, 100, CPU)
    assert (peak is None) == (not machine.STATUS.exists())
    assert peak is None or peak > 0.9 * 400 * 2**20


def test_memory_is_measured_in_another_process():
    assert machine.in_a_child(os.getpid) != os.getpid()


@pytest.fixture
def running(monkeypatch):
    """How races are run, in an environment without the other libraries; one contender follows another rule."""
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


def test_who_fails_parity_is_named_and_not_timed(running, field):
    result = running.run("chains", 0, field)
    timed = ["plain loop", "ebmkit", "ebmkit, accelerated fp32"]
    assert list(result["speed"]) == list(result["share"]) == timed
    assert list(result["seconds"]) == [*timed, "matrix product fp32"]
    assert result["speed"]["plain loop"] == (1, 1, 1)
    assert list(result["refused"]) == ["wrong"]
    assert 0 < result["share"]["plain loop"].median < 10
    table = tables.race_table(result, absolute=False)
    assert [row[0] for row in table.rows] == timed
    assert "Not timed: wrong: ends" in table.markdown()
    assert not any("ms" in column for column in table.columns)
    assert "ms a step" in tables.race_table(result, absolute=True).columns


def test_an_hmc_step_counts_as_its_leapfrogs(running, field):
    result = running.run("hmc", 0, field)
    seconds = sorted(result["seconds"]["plain loop"])
    assert result["seconds a step"]["plain loop"] == pytest.approx(seconds[len(seconds) // 2] / result["steps"] / 5)


def test_a_table_is_the_same_on_a_terminal_and_in_a_document():
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
