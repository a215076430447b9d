"""What the tests of the command line share: how a command is run, and what it printed and wrote."""

import io
import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from rich.console import Console
from typer.testing import CliRunner

from ebmkit.cli import opening, outputs
from ebmkit.cli.main import app
from ebmkit.runs.checkpoint import read_checkpoint

PLAIN = ("--steps", "3", "--batch-size", "8", "--device", "cpu")
BLIND = (*PLAIN, "--samples-every", "0")
SMALL = ("-s", "energy.width=4", *BLIND)
# Small runs to draw from: with an average of the weights, without one, of points, and of rows of 5 numbers.
MODELS = {
    "digits": ("-s", "energy.width=4", "-s", "train.average=0.5", "-s", "data.limit=40", "--iterations", "3"),
    "last": ("-s", "energy.width=4", "--iterations", "1"),
    "points": ("--energy", "mlp", "--data", "moons", "-s", "data.count=100", "--iterations", "1"),
    "rows": ("--energy", "mlp", "--data", "arrays", "-s", "data.path=rows.npy", "--iterations", "1"),
}


def result_of(*words: object, code: int = 0, env: dict[str, str] | None = None) -> Any:
    """The result of a command, which must end with this exit code."""
    result = CliRunner().invoke(app, [str(word) for word in words], env=env, prog_name="ebmkit")
    assert result.exit_code == code, (result.stdout, result.stderr, result.exception)
    return result


def invoked(*words: object, code: int = 0, env: dict[str, str] | None = None) -> tuple[str, str]:
    """stdout and stderr of a command, which must end with this exit code."""
    result = result_of(*words, code=code, env=env)
    return result.stdout, result.stderr


def train(*words: str, code: int = 0, quiet: bool = True) -> tuple[str, str]:
    """stdout and stderr of `ebmkit train`, which must end with this exit code."""
    return invoked("train", *words, *(["-q"] if quiet else []), code=code)


def everything() -> dict[str, bytes]:
    """Every file and folder below the current one, which must be the test's own: in the checkout others write too."""
    assert not Path("pyproject.toml").exists(), "ask for the fixture empty_folder"
    return {str(path): path.read_bytes() if path.is_file() else b"" for path in Path().rglob("*")}


def refused(*words: object) -> str:
    """The line on stderr about bad input; nothing else may be printed or written, and the exit code is 2."""
    before = everything()
    stdout, stderr = invoked(*words, code=2)
    assert stdout == ""
    assert re.fullmatch(r"error: .+\n", stderr), stderr
    assert everything() == before
    return stderr


def objects(text: str) -> list[dict[str, Any]]:
    """Lines of JSON; the words for NaN and infinities, which JSON does not have, are refused."""

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    return [json.loads(line, parse_constant=refuse) for line in text.splitlines()]


def updates_of(place: str | Path) -> int:
    """How many updates the checkpoint of a run has."""
    return read_checkpoint(Path(place)).updates


def weights(place: str | Path) -> dict[str, torch.Tensor]:
    """The last weights in the checkpoint of a run."""
    return dict(read_checkpoint(Path(place)).states["last"]["energy"])


def metrics(place: str | Path) -> list[dict[str, float]]:
    """The lines of the metrics of a run, without their times."""
    lines = objects((Path(place) / "metrics.jsonl").read_text())
    return [{key: value for key, value in line.items() if key != "seconds_per_update"} for line in lines]


def same_run(one: str | Path, other: str | Path) -> bool:
    """Whether two runs have bitwise the same weights, and the same metrics."""
    same = all(torch.equal(value, weights(other)[key]) for key, value in weights(one).items())
    return same and metrics(one) == metrics(other)


def train_models() -> None:
    """Train the runs of MODELS in the current folder."""
    np.save("rows.npy", np.random.default_rng(0).uniform(-1, 1, (20, 5)).astype(np.float32))
    for name, words in MODELS.items():
        train(*BLIND, *words, "--out", name)


def rng(seed: int = 0) -> torch.Generator:
    """A generator with this seed."""
    return torch.Generator().manual_seed(seed)


def same_picture(picture: Image.Image, path: str) -> bool:
    """Whether a file holds this picture."""
    return np.array_equal(np.asarray(picture), np.asarray(Image.open(path)))


def errors_in(stderr: str) -> dict[str, float]:
    """The mean squared errors that `reconstruct` prints."""
    lines = re.split(r"mean squared error per \w+ after t updates of the starts:\n", stderr)[-1].splitlines()
    pairs = [line.rsplit(maxsplit=1) for line in lines if line.startswith("  ")]
    return {name.strip(): float(value) for name, value in pairs}


def printed(*words: str) -> tuple[dict[str, Any], str]:
    """The tables of --print-config, and its text."""
    stdout, _ = train(*words, "--print-config")
    return tomllib.loads(stdout), stdout


def process(*words: str) -> subprocess.Popen[str]:
    """`ebmkit train` in a process of its own, with as many threads as this one, so that numbers are the same."""
    environment = os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads())}
    command = [sys.executable, "-m", "ebmkit", "train", *words]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=environment)


def terminal(monkeypatch, **settings: Any) -> io.StringIO:
    """Make stderr a terminal, and return what is written there."""
    written = io.StringIO()
    console = Console(file=written, force_terminal=True, soft_wrap=True, highlight=False, emoji=False, **settings)
    for module in (opening, outputs):
        monkeypatch.setattr(module, "err", lambda: console)
    return written
