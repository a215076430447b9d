"""Bad input to `ebmkit train`: one line, exit code 2, and nothing is written."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from commands import SMALL, refused, train
from PIL import Image

pytestmark = pytest.mark.usefixtures("empty_folder")


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A run of two updates, to be copied."""
    place = tmp_path_factory.mktemp("runs") / "done"
    assert train(*SMALL, "--iterations", "2", "--out", str(place)) == (f"{place}\n", "")
    return place


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
    "no data": (("--data", "arrays", "-s", "data.path=nope.npy"), "nope.npy. Did you mean 'unit.npy'?"),
    "truncated data": (("--data", "arrays", "-s", "data.path=cut.npy"), "data: "),
    "no array": (("--data", "arrays", "-s", "data.path=good.toml"), "data: "),
    "range of data": (("--data", "arrays", "-s", "data.path=unit.npy"), "floats must be in [-1, 1]"),
    "truncated idx": (("--data", "idx", "-s", "data.path=cut.gz"), "data: "),
    "empty folder": (("--data", "folder", "-s", "data.path=empty"), "empty: expected files ending in .png"),
    "mixed folder": (("--data", "folder", "-s", "data.path=mixed"), "mixed/b.png is 8x9 but "),
    "broken image": (
        ("--data", "folder", "-s", "data.path=torn"),
        "torn/a.png: OSError: Truncated File Read; repair or",
    ),
    "image size": (("-s", "data.size=20"), "convnet takes square images of 8, 16, 32, 64 or 128 pixels"),
    "points": (("--data", "moons"), "convnet takes square images"),
    "existing folder": (("--out", "mixed"), "mixed exists; resume it with --resume mixed, or choose another --out"),
    "existing file": (("--out", "good.toml"), "good.toml exists"),
    "impossible folder": (("--out", "good.toml/a"), "cannot make the folder good.toml/a of the run"),
    "device": (("--device", "gpu"), "train.device: 'gpu' is not on this machine; it has: auto, "),
    "device number": (("--device", "cuda:99"), "train.device: 'cuda:99' is not on this machine"),
    "batch": (("--batch-size", "1798"), "train.batch_size=1798 is more than the data have: 1797 examples"),
    "resume nothing": (("--resume", "nope"), "nope is not the folder of a run: it has no config.toml"),
    "resume a checkpoint": (("--resume", "done/checkpoint.pt"), "done/checkpoint.pt is a checkpoint: a new run from"),
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
    for name in ("checkpoint.pt", "checkpoint-previous.pt"):
        os.truncate(f"torn_run/{name}", 1000)
    for checkpoint in Path("bare").glob("checkpoint*.pt"):
        checkpoint.unlink()


@pytest.mark.usefixtures("_bad_files")
@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_refused_in_one_line(case):
    words, message = BAD[case]
    assert message in refused("train", *words)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
def test_a_missing_cuda_device_is_refused():
    assert "train.device: 'cuda' is not on this machine; it has: auto, " in refused("train", "--device", "cuda")
