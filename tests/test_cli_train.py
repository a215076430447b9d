"""The command `ebmkit train`: what it prints where, its exit codes, and what bad input gets."""

import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console
from typer.testing import CliRunner

from ebmkit.cli import progress
from commands import SMALL, everything, metrics, objects, refused, result_of, same_run, train, updates_of, weights
from ebmkit.runs.checkpoint import read_checkpoint
from ebmkit.runs.signals import stop_signals
from ebmkit.registry.component import Plugin
from ebmkit.energies.mlp import MLP
from ebmkit.errors import Diverged
from ebmkit.registry.lookup import register, get_registry
from ebmkit.methods.maximum_likelihood import Update

pytestmark = pytest.mark.usefixtures("empty_folder")
CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f]")




@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A run of two updates, to be copied."""
    place = tmp_path_factory.mktemp("runs") / "done"
    assert train(*SMALL, "--iterations", "2", "--out", str(place)) == (f"{place}\n", "")
    return place






def printed(*words: str) -> tuple[dict[str, Any], str]:
    """The tables of --print-config, and its text."""
    stdout, _ = train(*words, "--print-config")
    return tomllib.loads(stdout), stdout














def test_stdout_is_the_folder_and_stderr_is_for_people():
    stdout, stderr = train(*SMALL, "--iterations", "3", "--out", "a/b", quiet=False)
    assert stdout == "a/b\n"
    assert not CONTROL.search(stdout + stderr)
    for part in (
        r"energy +convnet\(width=4, activation=leaky_relu, slope=0.2\) · ebmkit \d",
        r"sampler +langevin\(steps=3, step_size=1.0, noise=0.01\) · ebmkit \d",
        r"init +uniform\(low=-1.0, high=1.0\) · ebmkit \d",
        r"data +digits\(fit=pad\) · ebmkit \d",
        r"optimizer +adam\(lr=0.001\) · ebmkit \d",
        r"examples +1797 of shape \(1, 8, 8\), 8 in a batch",
        r"device +cpu \(1 thread\), fp32, seed 0",
        r"work +K=3 chain steps x 3 updates",
        r"target +step_size=1.0 and noise=0.01 imply exp\(-E/T\) at temperature T=5e-05",
        r"folder +a/b",
        r"update=1/3 it_s=\S+ eta=\d+s gap=\S+ E_data=\S+ E_samples=\S+ gradient=\S+",
        r"update=3/3 it_s=\S+ eta=0s gap=",
    ):
        assert re.search(rf"^{part}", stderr, re.MULTILINE), part


def test_a_run_without_a_name_is_numbered():
    assert train(*SMALL, "--iterations", "1")[0] == "runs/convnet-langevin-uniform-001\n"
    assert train(*SMALL, "--iterations", "1")[0] == "runs/convnet-langevin-uniform-002\n"


def test_quiet_leaves_only_the_folder():
    Path("a.toml").write_text('[sampler]\nuse = "hmc"\nleapfrog = 2\n')
    assert train(*SMALL, "--config", "a.toml", "--sampler", "langevin", "--iterations", "1", "--out", "a") == (
        "a\n",
        "",
    )


def test_what_a_change_of_parts_drops_is_told():
    Path("a.toml").write_text('[sampler]\nuse = "hmc"\nleapfrog = 2\n')
    _, stderr = train("--config", "a.toml", "--sampler", "langevin", "--print-config", quiet=False)
    assert stderr == "note: sampler is now 'langevin': dropped what was set for 'hmc' (leapfrog)\n"


def test_json_is_a_line_for_each_step_and_one_for_the_end():
    result = result_of("train", *SMALL, "--iterations", "3", "--out", "a", "--json")
    *updates, last = objects(result.stdout)
    assert last == {"schema": 2, "status": "done", "folder": "a"}
    assert [(line["schema"], line["update"]) for line in updates] == [(2, 1), (2, 2), (2, 3)]
    for line, kept in zip(updates, metrics("a"), strict=True):
        assert {key: line[key] for key in line if key != "schema"} == {key: kept[key] for key in kept if key in line}
        assert {"gap", "real_energy", "fake_energy", "end_gradient"} <= set(line)
    assert "K=3 chain steps" in result.stderr
    assert objects(train(*SMALL, "--iterations", "1", "--out", "b", "--json")[0])[-1]["folder"] == "b"


def test_the_first_and_the_last_step_are_told_and_others_after_a_silence(monkeypatch):
    monkeypatch.setattr(progress, "SILENCE", 1e9)
    told = re.findall(r"update=(\d+)/4", train(*SMALL, "--iterations", "4", "--out", "a", quiet=False)[1])
    assert told == ["1", "4"]
    monkeypatch.setattr(progress, "SILENCE", 0.0)
    told = re.findall(r"update=(\d+)/4", train(*SMALL, "--iterations", "4", "--out", "b", quiet=False)[1])
    assert told == ["1", "2", "3", "4"]
    assert progress.SILENCE < 30


def test_a_terminal_gets_a_bar(monkeypatch):
    screen = io.StringIO()
    monkeypatch.setattr(progress, "err", lambda: Console(file=screen, force_terminal=True, width=120))
    recipe = SimpleNamespace(train=SimpleNamespace(iterations=2))
    run: Any = SimpleNamespace(trainer=SimpleNamespace(index=0), recipe=recipe)
    one = torch.ones(2)
    updates = [Update(index, one.mean(), 3 * one, one, one, one.mean(), {}) for index in (1, 2)]
    assert list(progress.bar((one for one in updates), run)) == updates
    shown = screen.getvalue()
    for part in ("2/2", "it/s", "gap=+2.0000", "E_data=+3.000", "E_samples=+1.000"):
        assert part in shown
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert progress.shown(iter(updates), run, False, False).__name__ == ("lines" if sys.gettrace() else "bar")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: False)
    assert progress.shown(iter(updates), run, False, False).__name__ == "lines"


def test_later_layers_win_and_every_value_says_where_it_is_from():
    Path("a.toml").write_text("[sampler]\nsteps = 7\nnoise = 0.25\n\n[energy]\nwidth = 9\n")
    words = ("--preset", "short-run-code", "--config", "a.toml", "--steps", "5", "-s", "energy.slope=0.1")
    tables, text = printed(*words, "-s", "data.path=x.npy")
    assert tables["sampler"]["steps"] == 5
    assert tables["sampler"]["noise"] == 0.25
    for line in (
        "steps = 5  # --steps",
        "noise = 0.25  # a.toml:3",
        "width = 9  # a.toml:6",
        "slope = 0.1  # -s energy.slope",
        'clip = "none"  # default',
    ):
        assert line in text.splitlines()
    assert re.search(r"# preset short-run-code:\d+$", text, re.MULTILINE)


def test_the_printed_configuration_round_trips():
    words = ("--sampler", "hmc", "--init", "replay", "-s", "train.average=0.9", "-s", "watch.pictures.every=7")
    tables, text = printed(*words, "-s", "data.classes=[1,2]", "--seed", "3")
    Path("a.toml").write_text(text)
    assert printed("--config", "a.toml")[0] == tables
    assert everything().keys() == {"a.toml"}
    assert tables["watch"]["pictures"]["every"] == 7
    assert tables["data"]["classes"] == [1, 2]


@pytest.mark.parametrize(
    ("words", "path", "value"),
    [
        (("--energy", "mlp"), "energy.use", "mlp"),
        (("--sampler", "hmc"), "sampler.use", "hmc"),
        (("--init", "replay"), "init.use", "replay"),
        (("--data", "moons"), "data.use", "moons"),
        (("--steps", "5"), "sampler.steps", 5),
        (("--iterations", "5"), "train.iterations", 5),
        (("--batch-size", "5"), "train.batch_size", 5),
        (("--seed", "5"), "train.seed", 5),
        (("--device", "cpu"), "train.device", "cpu"),
        (("--precision", "bf16"), "train.precision", "bf16"),
        (("--samples-every", "5"), "watch.pictures.every", 5),
        (("-s", "optimizer.lr=1e-3"), "optimizer.lr", 1e-3),
        (("--set", "optimizer.use=SGD"), "optimizer.use", "SGD"),
    ],
)
def test_every_option_is_short_for_its_setting(words, path, value):
    table: Any = printed(*words)[0]
    for key in path.split("."):
        table = table[key]
    assert table == value


def test_every_preset_can_be_printed():
    from ebmkit.config.layers import presets

    for name in presets():
        assert printed("--preset", name, "--data", "digits")[0]["energy"]["use"]


@pytest.mark.parametrize(
    ("words", "passes"), [(("--sampler", "langevin"), 3), (("--sampler", "hmc", "-s", "sampler.leapfrog=2"), 7)]
)
def test_a_dry_run_tells_the_cost_and_writes_nothing(words, passes):
    stdout, stderr = train(*SMALL, *words, "--iterations", "1000", "--dry-run", quiet=False)
    figures = dict(line.partition(" (")[0].split("=") for line in stdout.splitlines())
    assert figures["network_passes_per_update"] == str(passes + 2)
    assert figures["parameters"] == str(4 * 9 + 4 + 4 * 8 * 16 + 8 + 8 * 16 + 1)
    seconds = float(figures["seconds_per_update"])
    assert float(figures["estimated_total_seconds"]) == pytest.approx(1000 * seconds, abs=1)
    assert "K=3 chain steps x 1000 updates" in stderr
    assert everything() == {}


BAD: dict[str, tuple[tuple[str, ...], str]] = {
    "energy": (("--energy", "convnt"), "unknown energy 'convnt'. Did you mean 'convnet'?"),
    "sampler": (("--sampler", "langvin"), "unknown sampler 'langvin'. Did you mean 'langevin'?"),
    "init": (("--init", "unifrm"), "unknown init 'unifrm'. Did you mean 'uniform'?"),
    "data": (("--data", "digts"), "unknown data 'digts'. Did you mean 'digits'?"),
    "optimizer": (("-s", "optimizer.use=adamm"), "unknown optimizer 'adamm'. Did you mean 'adam'?"),
    "watcher": (("--watch", "metrix"), "unknown watcher 'metrix'. Did you mean 'metrics'?"),
    "setting": (("-s", "sampler.stepsize=1"), "sampler has no setting 'stepsize'"),
    "nearest setting": (("-s", "sampler.stepsize=1"), "Did you mean 'step_size'?"),
    "loop setting": (("-s", "train.iteration=1"), "Did you mean 'iterations'?"),
    "watcher setting": (("-s", "watch.metrics.evry=1"), "watch.metrics has no setting 'evry'"),
    "other's setting": (("-s", "sampler.leapfrog=3"), "(selected: langevin). 'leapfrog' belongs to sampler 'hmc'."),
    "section": (("-s", "samplr.steps=1"), "unknown section 'samplr'. Did you mean 'sampler'?"),
    "no pair": (("-s", "steps"), "-s takes section.key=value"),
    "twice": (("-s", "sampler.steps=1", "-s", "sampler.steps=2"), "sampler.steps is given twice"),
    "by option and by -s": (("--steps", "3", "-s", "sampler.steps=1"), "given twice: by --steps and by -s"),
    "type": (("--steps", "many"), "sampler.steps must be int, not 'many'"),
    "half": (("--steps", "2.5"), "sampler.steps must be int, not '2.5'"),
    "choice": (("--precision", "fp61"), "train.precision must be auto | fp32 | bf16 | tf32, not 'fp61'"),
    "negative": (("-s", "sampler.steps=-1"), "sampler.steps must be at least 1, not -1"),
    "nan": (("-s", "sampler.noise=nan"), "sampler.noise must be at least 0, not nan"),
    "optimizer range": (("-s", "optimizer.lr=-1"), "optimizer: Invalid learning rate"),
    "watcher range": (("-s", "watch.metrics.every=-1"), "watch.metrics.every must be at least 0"),
    "preset": (("--preset", "short-run-cod"), "unknown preset 'short-run-cod'. Did you mean 'short-run-code'?"),
    "no config": (("--config", "goood.toml"), "cannot read configuration goood.toml: no such file. Did you mean 'good"),
    "folder as config": (("--config", "empty"), "cannot read configuration empty"),
    "binary config": (("--config", "bytes.toml"), "cannot read configuration bytes.toml"),
    "no toml": (("--config", "broken.toml"), "broken.toml is not valid TOML: "),
    "truncated toml": (("--config", "cut.toml"), "cut.toml is not valid TOML: "),
    "config key": (("--config", "key.toml"), "key.toml:3: sampler has no setting 'stepp'"),
    "config section": (("--config", "section.toml"), "section.toml:2: unknown section 'sampeler'"),
    "config type": (("--config", "type.toml"), "type.toml:2: sampler.steps must be int, not 'ten'"),
    "config outside": (("--config", "outside.toml"), "outside.toml:1: 'steps' stands outside a section"),
    "no data path": (("--data", "arrays"), "data 'arrays' needs data.path"),
    "no data": (("--data", "arrays", "-s", "data.path=nope.npy"), "data: no such file: nope.npy"),
    "truncated data": (("--data", "arrays", "-s", "data.path=cut.npy"), "data: "),
    "no array": (("--data", "arrays", "-s", "data.path=good.toml"), "data: "),
    "range of data": (("--data", "arrays", "-s", "data.path=unit.npy"), "floats must be in [-1, 1]"),
    "truncated idx": (("--data", "idx", "-s", "data.path=cut.gz"), "data: "),
    "empty folder": (("--data", "folder", "-s", "data.path=empty"), "data: no images in empty"),
    "mixed folder": (("--data", "folder", "-s", "data.path=mixed"), "mixed/b.png is 8x9 but a.png is 8x8"),
    "broken image": (("--data", "folder", "-s", "data.path=torn"), "cannot read the image torn/a.png"),
    "image size": (("-s", "data.size=20"), "convnet takes square images of 8, 16, 32, 64 or 128 pixels"),
    "points": (("--data", "moons"), "convnet takes square images"),
    "existing folder": (("--out", "empty"), "empty exists; resume it with --resume empty, or choose another --out"),
    "existing file": (("--out", "good.toml"), "good.toml exists"),
    "impossible folder": (("--out", "good.toml/a"), "cannot make the folder good.toml/a of the run"),
    "device": (("--device", "gpu"), "train.device: 'gpu' is not on this machine; it has: auto, "),
    "device number": (("--device", "cuda:99"), "train.device: 'cuda:99' is not on this machine"),
    "batch": (("--batch-size", "1798"), "train.batch_size=1798 is more than the data have: 1797 examples"),
    "resume nothing": (("--resume", "nope"), "nope is not the folder of a run: it has no config.toml"),
    "resume a folder": (("--resume", "empty"), "empty is not the folder of a run: it has no config.toml"),
    "resume no checkpoint": (("--resume", "bare"), "bare has no checkpoint.pt: the run cannot be resumed"),
    "resume truncated": (("--resume", "torn_run"), "torn_run/checkpoint.pt cannot be read: truncated"),
    "resume finished": (("--resume", "done"), "done has all of its 2 updates; to go on, ask for more: --iterations 4"),
    "resume with out": (("--resume", "done", "--out", "b"), "leave out --out"),
    "resume with config": (("--resume", "done", "--config", "good.toml"), "leave out --config"),
    "resume with preset": (("--resume", "done", "--preset", "short-run-code"), "leave out --preset"),
    "resume differing": (
        ("--resume", "done", "--seed", "4", "-s", "sampler.noise=0.5", "--iterations", "9"),
        "train.seed was 0, now 4",
    ),
    "resume all differing": (("--resume", "done", "--seed", "4", "--steps", "5"), "sampler.steps was 3, now 5"),
}


@pytest.fixture
def _bad_files(empty_folder, finished):
    """The files that bad input is made of."""
    texts = {
        "good": "[sampler]\nsteps = 3\n",
        "broken": "[sampler\nsteps = 3\n",
        "cut": '[sampler]\nuse = "lange',
        "key": "[sampler]\nsteps = 3\nstepp = 3\n",
        "section": "\n[sampeler]\nsteps = 3\n",
        "type": '[sampler]\nsteps = "ten"\n',
        "outside": "steps = 3\n",
    }
    for name, text in texts.items():
        Path(f"{name}.toml").write_text(text)
    Path("bytes.toml").write_bytes(b"\xff\xfe\x00")
    Path("cut.gz").write_bytes(b"\x1f\x8b\x08\x00\x00")
    np.save("unit.npy", np.linspace(0, 1, 640, dtype=np.float32).reshape(10, 8, 8))
    np.save("cut.npy", np.zeros((10, 8, 8), dtype=np.uint8))
    os.truncate("cut.npy", 300)
    for name in ("empty", "mixed", "torn"):
        Path(name).mkdir()
    for name, size in (("a.png", (8, 8)), ("b.png", (9, 8))):
        Image.new("L", size).save(f"mixed/{name}")
    Path("torn/a.png").write_bytes(Path("mixed/a.png").read_bytes()[:20])
    for name in ("done", "torn_run", "bare"):
        shutil.copytree(finished, name)
    os.truncate("torn_run/checkpoint.pt", 1000)
    Path("bare/checkpoint.pt").unlink()


@pytest.mark.usefixtures("_bad_files")
@pytest.mark.parametrize("case", BAD)
def test_bad_input_gets_one_line_and_exit_2_and_nothing_is_written(case):
    words, message = BAD[case]
    assert message in refused("train", *words)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
def test_cuda_where_there_is_none_is_refused():
    assert "train.device: 'cuda' is not on this machine; it has: auto, " in refused("train", "--device", "cuda")


def test_a_resumed_run_goes_on_in_its_folder(finished):
    shutil.copytree(finished, "a")
    stdout, stderr = train("--resume", "a", "--iterations", "4", quiet=False)
    assert stdout == "a\n"
    assert "work      K=3 chain steps x 4 updates, from update 2" in stderr
    train(*SMALL, "--iterations", "4", "--out", "b")
    assert same_run("a", "b")
    one, other = (tomllib.loads(Path(place, "config.toml").read_text()) for place in "ab")
    assert one == other


def test_the_settings_of_a_run_can_be_printed_and_tried_before_it_is_resumed(finished):
    shutil.copytree(finished, "a")
    before = everything()
    assert printed("--resume", "a", "--iterations", "9")[0]["train"]["iterations"] == 9
    train("--resume", "a", "--iterations", "9", "--dry-run")
    assert everything() == before


def test_divergence_is_exit_3_and_keeps_the_last_good_checkpoint():
    stdout, stderr = train(*SMALL, "--iterations", "9", "--out", "a", "-s", "optimizer.lr=1e30", code=3)
    assert stdout == ""
    assert stderr.count("\n") == 1
    assert stderr.startswith("error: diverged at update 2: ")
    assert "try a lower optimizer.lr" in stderr
    assert "; the last good checkpoint is a/checkpoint.pt" in stderr
    assert updates_of("a") == 1
    assert all(bool(value.isfinite().all()) for value in weights("a").values())


def test_divergence_at_once_says_that_there_is_no_checkpoint():
    result = result_of("train", *SMALL, "--out", "a", "-s", "sampler.step_size=1e30", "--json", "-q", code=3)
    assert "diverged at update 1: " in result.stderr
    assert "; no checkpoint had been written" in result.stderr
    assert objects(result.stdout) == [{"schema": 2, "status": "diverged", "folder": "a"}]
    assert not Path("a/checkpoint.pt").exists()


def signals(updates, *, at: int = 3, number: int = int(signal.SIGINT), times: int = 1):
    """Sends signals to this process.

    Args:
        at: At which update.
        number: Which signal.
        times: How often.
    """
    for update in updates:
        if update.index == at:
            for _ in range(times):
                signal.raise_signal(signal.Signals(number))
        yield update


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_says_how_to_go_on_and_goes_on_as_if_nothing_had_been(number):
    register("watcher", "signals", signals)
    words = (*SMALL, "--iterations", "6", "-s", f"watch.signals.number={int(number)}")
    stdout, stderr = train(*words, "--out", "a", code=130, quiet=False)
    assert stdout == ""
    assert "stopping after this update; a second signal stops at once\n" in stderr
    assert stderr.splitlines()[-1] == "stopped after update 3; resume with: ebmkit train --resume a"
    assert updates_of("a") == 3
    assert signal.getsignal(number) in (signal.default_int_handler, signal.SIG_DFL)
    train("--resume", "a", "-s", "watch.signals.at=99")
    train(*SMALL, "--iterations", "6", "--out", "b")
    assert same_run("a", "b")


def test_interrupted_json_says_so():
    register("watcher", "signals", signals)
    words = ("--iterations", "6", "--watch", "signals", "--json")
    stdout, _ = train(*SMALL, *words, "--out", "a", code=130)
    assert [line.get("update") for line in objects(stdout)] == [1, 2, 3, None]
    assert objects(stdout)[-1] == {"schema": 2, "status": "interrupted", "folder": "a"}


def test_a_stop_at_the_last_step_is_no_interruption():
    register("watcher", "signals", signals)
    assert train(*SMALL, "--iterations", "3", "--watch", "signals", "--out", "a")[0] == "a\n"


def test_the_second_signal_stops_at_once():
    register("watcher", "signals", signals)
    words = ("--iterations", "6", "--watch", "signals", "-s", "watch.signals.times=2", "--json")
    stdout, stderr = train(*SMALL, *words, "--out", "a", code=130)
    assert "Traceback" not in stderr
    assert objects(stdout)[-1]["status"] == "interrupted"
    assert updates_of("a") <= 3


def test_signals_are_given_back():
    before = signal.getsignal(signal.SIGINT)
    with stop_signals(print) as stop:
        assert not stop.is_set()
        signal.raise_signal(signal.SIGTERM)
        assert stop.is_set()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


class Fragile(MLP):
    """An energy that raises in its ninth pass: in the chain of the second update."""

    passes = 0

    def forward(self, x):
        self.passes += 1
        if self.passes == 9:
            raise RuntimeError("on purpose")
        return super().forward(x)


def test_a_failure_that_no_user_can_mend_is_exit_1_with_its_origin():
    register("energy", "fragile", Fragile)
    words = ("--energy", "fragile", "--iterations", "6", "--out", "a", "--json", "-q")
    result = result_of("train", *SMALL, *words, code=1)
    assert isinstance(result.exception, RuntimeError)
    (note,) = result.exception.__notes__
    assert note.startswith("in energy 'fragile' from registered in this session")
    assert objects(result.stdout)[-1] == {"schema": 2, "status": "failed", "folder": "a"}
    assert updates_of("a") == 1


def breaking(updates):
    """Raises an exception after its first update."""
    for update in updates:
        yield update
        raise OSError("disk full")


def test_a_watcher_of_a_third_party_that_breaks_is_told_in_one_line():
    register("watcher", "breaking", breaking)
    _, stderr = train(*SMALL, "--iterations", "3", "--watch", "breaking", "--out", "a")
    origin = "registered in this session"
    assert stderr == f"warning: watcher 'breaking' of {origin}: switched off: OSError: disk full\n"


def test_a_watcher_that_hides_divergence_does_not_hide_it():
    def hiding(updates):
        try:
            yield from updates
        except Diverged:
            return

    register("watcher", "hiding", hiding)
    train(*SMALL, "--watch", "hiding", "--out", "a", "-s", "optimizer.lr=1e30", code=3)


def test_plug_ins_that_did_not_load_are_told_but_not_to_the_quiet():
    get_registry().plugins.append(Plugin("ebmkit-bad", "0.3", "bad = bad", "ImportError: no"))
    assert "ebmkit-bad 0.3: ImportError: no" in train(*SMALL, "--iterations", "1", "--out", "a", quiet=False)[1]
    assert train(*SMALL, "--iterations", "1", "--out", "b")[1] == ""


def process(*words: str) -> subprocess.Popen[str]:
    """`ebmkit train` in a process of its own, with as many threads as this one, so that numbers are the same."""
    environment = os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads())}
    command = [sys.executable, "-m", "ebmkit", "train", *words]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=environment)


def test_a_process_keeps_stdout_and_stderr_apart():
    with process(*SMALL, "--iterations", "2", "--out", "a") as running:
        stdout, stderr = running.communicate(timeout=120)
    assert running.returncode == 0
    assert stdout == "a\n"
    assert "update=2/2" in stderr
    assert not CONTROL.search(stderr)
    train(*SMALL, "--iterations", "2", "--out", "b")
    assert same_run("a", "b")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_process_that_is_asked_to_stop_finishes_its_step_and_saves(number):
    log = Path("a/metrics.jsonl")
    with process(*SMALL, "--iterations", "100000", "--out", "a") as running:
        until = time.monotonic() + 100
        while time.monotonic() < until and not (log.exists() and log.read_text().count("\n") >= 3):
            time.sleep(0.02)
        running.send_signal(number)
        stdout, stderr = running.communicate(timeout=60)
    assert running.returncode == 130
    assert stdout == ""
    index = int(metrics("a")[-1]["update"])
    assert stderr.splitlines()[-1] == f"stopped after update {index}; resume with: ebmkit train --resume a"
    assert "Traceback" not in stderr
    assert updates_of("a") == index
    last = str(index + 3)
    train("--resume", "a", "--iterations", last)
    train(*SMALL, "--iterations", last, "--out", "b")
    assert same_run("a", "b")
