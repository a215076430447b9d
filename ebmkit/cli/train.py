"""The command `ebmkit train`."""

import json
import signal
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ebmkit.cli.complete import names_of, preset_names, settings
from ebmkit.cli.console import errors, say, warn_of_plugins
from ebmkit.errors import Diverged, Interrupted, UsageError

if TYPE_CHECKING:
    from ebmkit.config import Layer
    from ebmkit.run import Run

Text = str | None
# Options that are short for `-s section.key=value`.
SHORT = {
    "energy": "energy.use",
    "sampler": "sampler.use",
    "init": "init.use",
    "data": "data.use",
    "steps": "sampler.steps",
    "iterations": "train.iterations",
    "batch_size": "train.batch_size",
    "seed": "train.seed",
    "device": "train.device",
    "precision": "train.precision",
    "samples_every": "watch.pictures.every",
}


def train(
    energy: Annotated[Text, typer.Option(help="Energy, by name.", autocompletion=names_of("energy"))] = None,
    sampler: Annotated[Text, typer.Option(help="Sampler, by name.", autocompletion=names_of("sampler"))] = None,
    init: Annotated[Text, typer.Option(help="Where chains start, by name.", autocompletion=names_of("init"))] = None,
    data: Annotated[Text, typer.Option(help="Data set, by name.", autocompletion=names_of("data"))] = None,
    steps: Annotated[Text, typer.Option(help="K, the length of one chain.", metavar="INTEGER")] = None,
    iterations: Annotated[Text, typer.Option(help="Training updates.", metavar="INTEGER")] = None,
    batch_size: Annotated[Text, typer.Option(help="Examples, and chains, in one update.", metavar="INTEGER")] = None,
    seed: Annotated[Text, typer.Option(help="Seed of weights, batches and chains.", metavar="INTEGER")] = None,
    device: Annotated[Text, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")] = None,
    precision: Annotated[Text, typer.Option(help="fp32, bf16, tf32 or auto, for the chains' passes.")] = None,
    out: Annotated[Path | None, typer.Option(help="The run's folder; it must not exist.")] = None,
    config: Annotated[Path | None, typer.Option(help="A TOML file of settings.")] = None,
    preset: Annotated[Text, typer.Option(help="A packaged configuration.", autocompletion=preset_names)] = None,
    resume: Annotated[Path | None, typer.Option(help="Go on with the run in this folder.", metavar="RUN")] = None,
    setting: Annotated[
        list[str] | None,
        typer.Option("-s", "--set", help="Any setting: section.key=value.", autocompletion=settings),
    ] = None,
    watch: Annotated[
        list[str] | None,
        typer.Option(help="Switch on a watcher, by name.", autocompletion=names_of("watcher")),
    ] = None,
    samples_every: Annotated[Text, typer.Option(help="Updates between pictures; 0 never.", metavar="INTEGER")] = None,
    print_config: Annotated[
        bool, typer.Option("--print-config", help="Print every setting as TOML, and stop.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Build all, time one update, and stop.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only errors, and the folder at the end.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON object a step on stdout.")] = False,
) -> None:
    """Train an energy by short-run MCMC. Settings of a part: ebmkit show KIND NAME.

    Later wins: defaults, --preset, --config, options. stdout carries the run's folder, or JSON lines.
    """
    given = {key: value for key, value in locals().items() if key in SHORT and value is not None}
    with errors():
        layer = typed_layer(given, setting or [], watch or [])
        if resume is None:
            run = fresh(layer, preset, config, out, print_config, quiet)
        else:
            run = resumed(resume, layer, {"--out": out, "--preset": preset, "--config": config}, print_config)
        if run is None:
            return
        if not quiet:
            warn_of_plugins()
        if dry_run:
            from ebmkit.cli.progress import dry

            dry(run, quiet, as_json)
            return
        go(run, resume is not None, quiet, as_json)


def typed_layer(given: dict[str, str], pairs: list[str], watch: list[str]) -> "Layer":
    """What was typed, as the topmost layer; the same setting by option and by -s is an error."""
    from ebmkit.config import Value, typed

    layer = typed(pairs)
    for option, text in given.items():
        section, _, key = SHORT[option].rpartition(".")
        flag = f"--{option.replace('_', '-')}"
        if key in layer.sections.get(section, {}):
            raise UsageError(f"{SHORT[option]} is given twice: by {flag} and by -s")
        value = typed([f"{section}.{key}={text}"]).sections[section][key]
        layer.put(section, key, Value(value.value, flag, text))
    for name in watch:
        layer.sections.setdefault(f"watch.{name}", {})
    return layer


def fresh(
    typed: "Layer", preset: Text, config: Path | None, out: Path | None, print_config: bool, quiet: bool
) -> "Run | None":
    """A new run from the layers; with `print_config` only its settings, printed."""
    from ebmkit import config as tables
    from ebmkit.resolve import resolve
    from ebmkit.run import check_settings, prepare

    layers = [*([tables.preset(preset)] if preset else []), *([tables.read(config)] if config else []), typed]
    recipe = resolve(layers)
    for note in recipe.notes if not quiet else ():
        say(f"note: {note}")
    if print_config:
        check_settings(recipe)
        print(recipe.toml(with_origins=True))
        return None
    return prepare(recipe, out)


def resumed(place: Path, typed: "Layer", others: dict[str, Any], print_config: bool) -> "Run | None":
    """A run taken up from its folder; with `print_config` only its settings, printed."""
    from ebmkit.run import reopen

    for option, value in others.items():
        if value is not None:
            raise UsageError(f"--resume goes on in the run's own folder with its own settings; leave out {option}")
    run = reopen(place, typed)
    if print_config:
        print(run.recipe.toml(with_origins=True))
        return None
    if run.trainer.index >= run.train.iterations:
        more = f"--iterations {2 * run.trainer.index}"
        raise UsageError(f"{place} has all of its {run.trainer.index} updates; to go on, ask for more: {more}")
    return run


def go(run: "Run", again: bool, quiet: bool, as_json: bool) -> None:
    """Run to the end, or until somebody asks to stop."""
    from ebmkit import folder
    from ebmkit.cli.progress import header, shown
    from ebmkit.machine import occupy
    from ebmkit.registry import blame

    occupy(run.threads)
    steps = run.steps(lambda warning: say(f"warning: {warning}", "yellow"))
    if again:
        folder.take_up(run.folder, run.recipe, run.trainer.index, run.trainer.rng.device)
    else:
        folder.write(run.folder, run.recipe, run.trainer.rng.device)
    if not quiet:
        header(run)
        say(f"folder    {run.folder}")
    status = "failed"
    try:
        view = shown(steps, run, quiet, as_json)
        with stop_signals() as stop, closing(steps), closing(view):  # type: ignore[type-var]
            for step in view:
                if stop.is_set() and step.index < run.train.iterations:
                    status = "interrupted"
                    break
            else:
                status = "done"
    except Diverged as error:
        status = "diverged"
        left = run.folder / "checkpoint.pt"
        kept = f"the last good checkpoint is {left}" if left.exists() else "no checkpoint had been written"
        raise Diverged(f"{error}; {kept}") from error
    except KeyboardInterrupt:
        status = "interrupted"
        raise
    except Exception as error:
        blame(error, run.recipe.parts.values())
        raise
    finally:
        if as_json:
            print(json.dumps({"schema": 1, "status": status, "folder": str(run.folder)}), flush=True)
    if status == "interrupted":
        raise Interrupted(f"stopped after step {run.trainer.index}; go on by: ebmkit train --resume {run.folder}")
    if not as_json:
        print(run.folder)


@contextmanager
def stop_signals() -> Iterator[threading.Event]:
    """Ctrl-C and SIGTERM set the event, so that the step is finished and saved; the second one stops at once."""
    stop = threading.Event()

    def ask(number: int, frame: FrameType | None) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()
        say("stopping after this step; once more stops at once")

    kinds = (signal.SIGINT, signal.SIGTERM)
    before = {kind: signal.signal(kind, ask) for kind in kinds}
    try:
        yield stop
    finally:
        for kind, handler in before.items():
            signal.signal(kind, handler)
