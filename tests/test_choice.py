"""Which precision chains compute in: as asked for, or as measured; and what a run writes down of it."""

import threading
import tomllib
import warnings
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from typer.testing import CliRunner

from ebmkit.acceleration import choice
from ebmkit.acceleration.accelerated import Accelerated
from ebmkit.acceleration.choice import Choice, choose
from ebmkit.acceleration.precision import arithmetic, supported
from ebmkit.cli.main import app
from ebmkit.config.layers import typed
from ebmkit.config.resolution import resolve
from ebmkit.energies.convnet import ConvNet
from ebmkit.energies.mlp import MLP
from ebmkit.errors import Notice
from ebmkit.interfaces import value_and_grad
from ebmkit.runs.training import new_run
from ebmkit.samplers.hmc import HMC
from ebmkit.samplers.langevin import Langevin

CPU, X = torch.device("cpu"), torch.zeros(4, 2)
FAST = {"precision": "fp32", "compile": "off", "passes": 100, "threads": 1}


def energy() -> MLP:
    return MLP((2,), width=4, depth=1)


@pytest.fixture
def machine(monkeypatch):
    """A machine with every unit, on which passes take as long as `seconds` says; it notes what was tried."""

    machine = SimpleNamespace(seconds={"fp32": 1.0, "bf16": 0.5, "tf32": 0.7}, tried=[])

    def timed(choices, energy, x, threads):
        machine.tried += [str(one) for one in choices]
        return {one: machine.seconds[str(one)] for one in choices}

    monkeypatch.setattr(choice, "supported", lambda device: ("fp32", "bf16", "tf32"))
    monkeypatch.setattr(choice, "timed", timed)
    return machine


def test_auto_takes_what_is_fastest_and_says_what_it_measured(machine):
    found = choose(energy(), X, **(FAST | {"precision": "auto"}))
    assert (found.precision, found.compile) == ("bf16", False)
    assert found.reason == "bf16 was chosen; one pass took: fp32 1e+03 ms, bf16 500 ms, tf32 700 ms"


def test_auto_stays_with_fp32_where_the_gain_is_small(machine, monkeypatch):
    monkeypatch.setattr(machine, "seconds", {"fp32": 1.0, "bf16": 0.95, "tf32": 2.0})
    assert choose(energy(), X, **(FAST | {"precision": "auto"})).precision == "fp32"
    monkeypatch.setattr(machine, "seconds", {"fp32": 1.0, "bf16": 0.9, "tf32": 2.0})
    assert choose(energy(), X, **(FAST | {"precision": "auto"})).precision == "bf16"


@pytest.mark.parametrize("asked", ["fp32", "bf16", "tf32"])
def test_what_is_asked_for_is_not_measured(machine, asked):
    assert choose(energy(), X, **(FAST | {"precision": asked})) == Choice(asked, False)
    assert choose(energy(), X, **(FAST | {"precision": asked, "compile": "on"})) == Choice(asked, True)
    assert machine.tried == []


def test_auto_compiles_nothing_on_a_cpu(machine):
    assert not choose(energy(), X, **(FAST | {"compile": "auto", "passes": 10**9})).compile
    assert machine.tried == []


@pytest.mark.parametrize(("passes", "compiled"), [(10**4, True), (100, False), (None, False)])
def test_auto_tries_the_compiler_where_a_run_on_a_gpu_is_long(machine, monkeypatch, passes, compiled):
    monkeypatch.setattr(machine, "seconds", {"fp32": 1.0, "bf16": 0.5, "tf32": 2.0, "bf16 compiled": 0.1})
    asked = FAST | {"precision": "auto", "compile": "auto", "passes": passes}
    found = choose(energy(), torch.zeros(4, 2, device="meta").as_subclass(OnGpu), **asked)
    assert str(found) == ("bf16 compiled" if compiled else "bf16")


class OnGpu(torch.Tensor):
    """Examples that say they are on a GPU."""

    device = torch.device("cuda")


@pytest.mark.parametrize("asked", ["bf16", "tf32"])
def test_a_precision_without_units_becomes_fp32_with_one_notice(monkeypatch, asked):
    monkeypatch.setattr(choice, "supported", lambda device: ("fp32",))
    with pytest.warns(Notice, match=f"cpu has no units for {asked}: chains are computed in fp32") as notices:
        assert choose(energy(), X, **(FAST | {"precision": asked})) == Choice("fp32", False)
    assert len(notices) == 1


def test_auto_on_a_machine_without_units_measures_nothing_and_says_nothing(monkeypatch):
    monkeypatch.setattr(choice, "supported", lambda device: ("fp32",))
    monkeypatch.setattr(choice, "timed", None)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = choose(energy(), X, **(FAST | {"precision": "auto", "compile": "auto"}))
    assert found == Choice("fp32", False, "fp32: cpu has units for no other")


def test_a_trial_has_the_threads_of_the_run_and_puts_them_back(monkeypatch):
    seen = []
    before = torch.get_num_threads()
    clock = choice.clock
    monkeypatch.setattr(choice, "clock", lambda *given: seen.append(torch.get_num_threads()) or clock(*given))
    measured = choice.timed([Choice("fp32", False), Choice("bf16", False)], energy(), X, before + 1)
    assert set(seen) == {before + 1}
    assert torch.get_num_threads() == before
    assert all(0 < seconds < 60 for seconds in measured.values())


def test_every_device_has_fp32_first():
    assert supported(CPU)[0] == supported(torch.device("mps"))[0] == "fp32"
    assert "tf32" not in supported(CPU)


def test_products_on_a_gpu_are_what_the_precision_says_for_as_long_as_it_lasts():
    places = (torch.backends.cuda.matmul, torch.backends.cudnn.conv)
    before = [place.fp32_precision for place in places]
    for precision, expected in {"fp32": "ieee", "bf16": "ieee", "tf32": "tf32"}.items():
        with pytest.raises(ZeroDivisionError), arithmetic(precision, torch.device("cuda")):
            1 / 0  # noqa: B018 - what is raised inside must not leave it set
        assert [place.fp32_precision for place in places] == before
        with arithmetic(precision, torch.device("cuda")):
            assert [place.fp32_precision for place in places] == [expected, expected]
        assert [place.fp32_precision for place in places] == before
        with arithmetic(precision, CPU):
            assert [place.fp32_precision for place in places] == before


def built(tmp_path, *pairs):
    words = ("energy.use=mlp", "energy.width=4", "data.use=moons", "train.device=cpu", "sampler.steps=3", *pairs)
    return new_run(resolve([typed(words)]), tmp_path / "run")


def test_a_run_writes_down_what_auto_found_so_that_it_can_be_repeated(machine, tmp_path):
    run = built(tmp_path, "train.precision=auto", "train.compile=auto")
    assert str(run.choice) == "bf16"
    written = tomllib.loads(run.recipe.toml())["train"]
    assert (written["precision"], written["compile"]) == ("bf16", "off")
    assert run.recipe.origins["train", "precision"] == "measured"
    assert run.trainer.chain_energy(run.trainer.energy).precision == "bf16"


def test_a_run_writes_down_what_it_is_computed_in_and_goes_on_where_that_is_another(monkeypatch, tmp_path):
    monkeypatch.setattr(choice, "supported", lambda device: ("fp32",))
    with pytest.warns(Notice, match="no units for bf16"):
        run = built(tmp_path, "train.precision=bf16")
    assert run.recipe.sections["train"]["precision"] == str(run.choice) == "fp32"
    words = ["train", "--quiet", *SMALL, "--device", "cpu", "--precision", "bf16", "--out", str(tmp_path / "moved")]
    monkeypatch.setattr(choice, "supported", lambda device: ("fp32", "bf16"))
    assert CliRunner().invoke(app, words).exit_code == 0
    monkeypatch.setattr(choice, "supported", lambda device: ("fp32",))
    place = tmp_path / "moved"
    more = CliRunner().invoke(app, ["train", "--quiet", "--resume", str(place), "--iterations", "2"])
    assert more.exit_code == 0, more.stderr
    assert 'precision = "fp32"' in (place / "config.toml").read_text()


class Locked(nn.Module):
    """Cannot be copied."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.lock = nn.Linear(2, 1), threading.Lock()

    def forward(self, x):
        return self.layer(x)


def test_auto_leaves_out_a_precision_that_an_energy_cannot_have(monkeypatch):
    monkeypatch.setattr(choice, "supported", lambda device: ("fp32", "bf16"))
    with pytest.warns(Notice, match="cannot be copied"):
        assert choose(Locked(), X, **(FAST | {"precision": "auto"})).precision == "fp32"


def test_a_run_knows_how_many_passes_it_will_make(machine, monkeypatch, tmp_path):
    asked = []
    found = choice.choose
    monkeypatch.setattr("ebmkit.runs.parts.choose", lambda *a, **given: asked.append(given) or found(*a, **given))
    built(tmp_path, "train.iterations=7")
    assert asked[0]["passes"] == 21


SMALL = ("--energy", "mlp", "-s", "energy.width=4", "--data", "moons", "--steps", "2", "--iterations", "1")


def warned(*words):
    result = CliRunner().invoke(app, ["train", *SMALL, "--device", "cpu", *words])
    assert result.exit_code == 0, result.stderr
    return result.stderr.splitlines()


def test_the_header_says_what_was_chosen_and_why(machine, tmp_path):
    lines = warned("--precision", "auto", "--out", str(tmp_path / "run"))
    assert "device    cpu (1 thread), bf16, seed 0" in lines
    assert "precision bf16 was chosen; one pass took: fp32 1e+03 ms, bf16 500 ms, tf32 700 ms" in lines
    assert 'precision = "bf16"' in (tmp_path / "run" / "config.toml").read_text()


def test_a_precision_without_units_is_one_line_on_the_command_line(monkeypatch, tmp_path):
    monkeypatch.setattr(choice, "supported", lambda device: ("fp32",))
    lines = warned("--precision", "bf16", "--out", str(tmp_path / "run"))
    assert lines[0] == "warning: cpu has no units for bf16: chains are computed in fp32"
    assert "device    cpu (1 thread), fp32, seed 0" in lines


@pytest.fixture(scope="module")
def gpu():
    if not torch.cuda.is_available():
        pytest.skip("no GPU here")
    return torch.device("cuda")


def network(device):
    torch.manual_seed(0)
    return ConvNet((3, 8, 8), width=8).to(device)


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("precision", ["fp32", "tf32", "bf16"])
def test_on_a_gpu_chains_are_the_same_and_nobody_waits_inside_one(gpu, precision, compiled):
    energy, start = network(gpu), torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(0)).to(gpu)
    fast = Accelerated(energy, precision=precision, compile=compiled)
    assert fast.twin.replay(start).captures == compiled
    for seed in (0, 1):
        with torch.no_grad():
            for parameter in energy.parameters():
                parameter.mul_(1.1)
        value, gradient = fast.refreshed(energy).value_and_grad(start)
        with arithmetic(precision, gpu):
            expected = value_and_grad(energy, start)
        # Rounding turns signs of LeakyReLU, so that gradients in bf16 may be a tenth off.
        bound = {"fp32": 1e-4, "tf32": 0.05, "bf16": 0.3}[precision]
        for mine, theirs in zip((value, gradient), expected, strict=True):
            assert float((mine - theirs).norm() / theirs.norm()) < bound
        rng = torch.Generator(gpu).manual_seed(seed)
        torch.cuda.set_sync_debug_mode("error")
        try:
            end = Langevin(steps=5).sample(fast, start, rng)
            HMC(steps=2, leapfrog=2).sample(fast, start, rng)
        finally:
            torch.cuda.set_sync_debug_mode("default")
        assert bool(end.isfinite().all())


def test_on_a_gpu_what_a_captured_graph_gives_is_not_overwritten_by_the_next_call(gpu):
    fast, start = Accelerated(network(gpu), compile=True), torch.rand(4, 3, 8, 8, device=gpu)
    first = fast.value_and_grad(start)
    kept = [one.clone() for one in first]
    fast.value_and_grad(-start)
    assert all(map(torch.equal, first, kept))
