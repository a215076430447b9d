"""Settings: TOML files, `-s section.key=value`, and other words of the command line."""

import contextlib
import json
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from typer.testing import CliRunner

from ebmkit.cli.main import app
from ebmkit.config.layers import Layer, loads, presets, read, typed
from ebmkit.config.resolution import resolve
from ebmkit.runs.training import check_settings
from fuzz.kind import Kind
from fuzz.values import assignments, encoded, literal, texts, toml_texts

SMALL = """[energy]
use = "mlp"
width = 4

[data]
use = "moons"
count = 20

[sampler]
use = "langevin"
steps = 2
step_size = 0.1

[train]
batch_size = 4
iterations = 1
device = "cpu"
gradient_penalty = 1.0

[watch.pictures]
every = 0
"""


def files(place: Path) -> list[bytes]:
    """A small configuration, that configuration complete, and the presets."""
    complete = resolve([loads(SMALL, "small")]).toml(with_origins=True)
    return [text.encode() for text in (SMALL, complete, *(one.text() for one in presets().values()))]


def check(layers: list[Layer]) -> None:
    """The recipe of these layers is read back from its own text."""
    recipe = resolve(layers)
    check_settings(recipe)
    text = recipe.toml(with_origins=True)
    again = resolve([loads(text, "again")])
    assert again.toml() == recipe.toml(), "another recipe is read back"


def read_file(place: Path) -> None:
    """The settings of the file, completed and checked."""
    check([read(place / "a.toml")])


def options(place: Path) -> list[bytes]:
    """Settings as they are typed, one a line."""
    sections = {name: layer for name, layer in loads(SMALL, "small").sections.items()}
    lines = [f"{name}.{key}={value.value}" for name, layer in sections.items() for key, value in layer.items()]
    return ["\n".join(lines).encode(), *(line.encode() for line in lines), b"optimizer.betas=[0.5, 0.9]"]


def read_options(place: Path) -> None:
    """The settings of the lines, completed and checked."""
    text = (place / "options.txt").read_bytes().decode("utf-8", "surrogateescape")
    check([typed(text.split("\n"))])


# Commands that train nothing, and the options of all commands.
COMMANDS = [
    "train",
    "list",
    "show",
    "plugins",
    "new-plugin",
    "sample",
    "evaluate",
    "report",
    "study",
    "export",
    "version",
]
OPTIONS = [
    "--energy",
    "--steps",
    "--seed",
    "--device",
    "--preset",
    "--config",
    "--out",
    "-s",
    "--json",
    "-q",
    "--data",
    "--weights",
]
OPTIONS += [
    "-n",
    "--features",
    "--check",
    "--resume",
    "--from",
    "--watch",
    "--precision",
    "--jobs",
    "--seeds",
    "--zzz",
    "-h",
]


def command_lines() -> st.SearchStrategy[bytes]:
    """Words for the command line as a list in JSON; training ends after the settings were read."""
    word = st.sampled_from(OPTIONS) | literal() | texts | st.sampled_from(["sampler", "hmc", "a", "a.toml", "a/b/c"])
    line = st.tuples(st.sampled_from(COMMANDS), st.lists(word, max_size=4))
    return line.map(lambda words: encoded(json.dumps([words[0], *words[1], *PRINTED.get(words[0], [])])))


PRINTED = {"train": ["--print-config"], "study": ["--list"]}


def run_words(place: Path) -> None:
    """The command of the words, in this process."""
    try:
        words = json.loads((place / "words.json").read_bytes())
    except ValueError:  # a mutation
        return
    if isinstance(words, list) and all(isinstance(word, str) for word in words) and "--install-completion" not in words:
        run_command(place, words)


def run_command(place: Path, words: Any) -> None:
    """A command in a folder; it may end with the exit code of an error, but not with an exception or a traceback."""
    with contextlib.chdir(place):
        result = CliRunner().invoke(app, list(words), prog_name="ebmkit")
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code in (0, 1, 2, 3), result.exit_code
    assert "Traceback" not in result.output, result.output[-300:]
    for line in result.stderr.splitlines():
        if line.startswith("error: "):
            assert len(line) < 600, f"an error of {len(line)} letters: {line[:200]}"


def valid_words(place: Path) -> list[bytes]:
    """Commands that work."""
    lines = [["list"], ["show", "sampler", "hmc"], ["version"], ["train", "--print-config"], ["plugins", "--json"]]
    return [json.dumps(words).encode() for words in lines]


KINDS = [
    Kind("toml", "a.toml", files, read_file, toml_texts(), words=("train", "--config", "a.toml", "--print-config")),
    Kind("options", "options.txt", options, read_options, assignments()),
    Kind("command-line", "words.json", valid_words, run_words, command_lines(), share=0.1),
]
