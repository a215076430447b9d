"""The command `ebmkit train`."""

import json
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ebmkit.cli.complete import names_of, preset_names, settings
from ebmkit.cli.console import errors, result, say, warn_of_plugins
from ebmkit.cli.options import expanded
from ebmkit.cli.processes import printed_once
from ebmkit.errors import UsageError

if TYPE_CHECKING:
    from ebmkit.config.layers import Layer
    from ebmkit.config.recipe import Recipe
    from ebmkit.runs.run import Run

Text = str | None
# Options that are short for `-s section.key=value`.
SHORT = {
    "method": "method.use",
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
    method: Annotated[
        Text, typer.Option(help="How to train: a method, by name.", autocompletion=names_of("method"))
    ] = None,
    energy: Annotated[Text, typer.Option(help="Energy, by name.", autocompletion=names_of("energy"))] = None,
    sampler: Annotated[Text, typer.Option(help="Sampler, by name.", autocompletion=names_of("sampler"))] = None,
    init: Annotated[Text, typer.Option(help="Where chains start, by name.", autocompletion=names_of("init"))] = None,
    data: Annotated[Text, typer.Option(help="Data set, by name.", autocompletion=names_of("data"))] = None,
    steps: Annotated[Text, typer.Option(help="K, the length of one chain.", metavar="INTEGER")] = None,
    iterations: Annotated[Text, typer.Option(help="Training updates.", metavar="INTEGER")] = None,
    batch_size: Annotated[Text, typer.Option(help="Examples, and chains, in one update.", metavar="INTEGER")] = None,
    seed: Annotated[Text, typer.Option(help="Seed of weights, batches and chains.", metavar="INTEGER")] = None,
    device: Annotated[Text, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")] = None,
    precision: Annotated[Text, typer.Option(help="Dtype of the passes of chains: fp32, bf16, tf32 or auto.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="The folder of the run: a new or an empty one.", callback=expanded)
    ] = None,
    config: Annotated[Path | None, typer.Option(help="A TOML file of settings.", callback=expanded)] = None,
    preset: Annotated[
        Text, typer.Option(help="A packaged configuration; images is for images.", autocompletion=preset_names)
    ] = None,
    resume: Annotated[
        Path | None, typer.Option(help="Resume the run in this folder.", metavar="RUN", callback=expanded)
    ] = None,
    origin: Annotated[
        Path | None,
        typer.Option(
            "--from",
            help="Start a new run with the weights and settings of this one.",
            metavar="RUN",
            callback=expanded,
        ),
    ] = None,
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
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Build all parts, time one update, and stop.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only errors, and the folder at the end.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON object for every update on stdout.")] = False,
) -> None:
    """Train an energy by short-run MCMC. To see the settings of a part: ebmkit show KIND NAME.

    Later settings win: defaults, --from, --preset, --config, options. stdout carries the run's folder, or JSON lines.
    """
    given = {key: value for key, value in locals().items() if key in SHORT and value is not None}
    from ebmkit.config.layers import Layer
    from ebmkit.processes import joined
    from ebmkit.runs.restarts import restarted

    with errors(), printed_once(processes := joined()):
        quiet, as_json = quiet or not processes.first, as_json and processes.first
        with processes.together():
            layer = typed_layer(given, setting or [], watch or [])
            others = {"--out": out, "--preset": preset, "--config": config, "--from": origin}
            if resume is not None:
                found = resumed(resume, layer, others, print_config, quiet)
            elif out is not None and restarted(out, processes):
                found = resumed(out, Layer("restart"), {}, print_config, quiet)
            else:
                found = new(layer, preset, config, origin, out, print_config, quiet)
        if found is None:
            return
        if not quiet:
            warn_of_plugins()
        if dry_run:
            print_estimate(found, quiet, as_json)
        else:
            go(found, quiet, as_json)


def typed_layer(given: dict[str, str], pairs: list[str], watch: list[str]) -> "Layer":
    """The options as the last layer.

    Raises:
        UsageError: for a setting that is given both by its option and by -s.
    """
    from ebmkit.config.layers import Value, typed

    layer = typed(pairs)
    for option, text in given.items():
        section, _, key = SHORT[option].rpartition(".")
        flag = f"--{option.replace('_', '-')}"
        if key in layer.sections.get(section, {}):
            raise UsageError(f"{SHORT[option]} is given twice: by {flag} and by -s")
        value = typed([f"{section}.{key}={text}"]).sections[section][key]
        layer.put(section, key, Value(value.value, flag, text))
        layer.places.setdefault(section, f"{flag} {text}")
    for name in watch:
        layer.sections.setdefault(f"watch.{name}", {})
    return layer


def new(
    typed: "Layer",
    preset: Text,
    config: Path | None,
    origin: Path | None,
    out: Path | None,
    print_config: bool,
    quiet: bool,
) -> "Run | None":
    """A new run from the layers; None if only its settings were printed."""
    from ebmkit.config import layers
    from ebmkit.config.resolution import resolve
    from ebmkit.runs.origin import read_origin, settings_of
    from ebmkit.runs.restarts import check_restarts
    from ebmkit.runs.training import check_settings, new_run

    saved = None if origin is None else read_origin(origin)
    below = [] if saved is None else [settings_of(saved)]
    below += [*([layers.preset(preset)] if preset else []), *([layers.read(config)] if config else [])]
    recipe = resolve([*below, typed])
    print_notes(recipe, quiet)
    if print_config:
        check_settings(recipe)
        result(recipe.toml(with_origins=True))
        return None
    check_restarts(out)
    return new_run(recipe, out, origin=saved)


def resumed(folder: Path, typed: "Layer", others: dict[str, Any], print_config: bool, quiet: bool) -> "Run | None":
    """A run restored from its folder; None if only its settings were printed."""
    from ebmkit.runs.training import resume_run

    for option, value in others.items():
        if value is not None:
            raise UsageError(f"--resume uses the folder and the settings of the run; leave out {option}")
    run = resume_run(folder, typed)
    print_notes(run.recipe, quiet)
    if print_config:
        result(run.recipe.toml(with_origins=True))
        return None
    made = run.trainer.index
    if made >= run.recipe.train.iterations:
        raise UsageError(f"{folder} has all of its {made} updates; to go on, ask for more: --iterations {2 * made}")
    return run


def print_notes(recipe: "Recipe", quiet: bool) -> None:
    """Print what was dropped because a component changed."""
    for note in recipe.notes if not quiet else ():
        say(f"note: {note}")


def print_estimate(run: "Run", quiet: bool, as_json: bool) -> None:
    """Print on stdout what the run would cost; nothing is written."""
    from ebmkit.cli.progress import header
    from ebmkit.runs.cost import estimate

    with run.processes.together():
        run.check_watchers()
    if not quiet:
        header(run)
    values = estimate(run)
    if not quiet:
        made = "one update of each phase" if len(run.trainer.phases) > 1 else "one update"
        say(f"dry run   {made} made, the first, which is the slowest; nothing written")
    if as_json:
        result(json.dumps({"schema": 2, **values}))
    else:
        result("\n".join(f"{key}={value}" for key, value in values.items()))


def go(run: "Run", quiet: bool, as_json: bool) -> None:
    """Train to the end, or until a signal arrives, and show the updates.

    Of several processes the first shows them; if it cannot, as where stdout is closed, all stop.
    """
    from ebmkit.cli.progress import header, print_rollbacks, shown
    from ebmkit.runs.isolation import caught

    updates = run.train(announce=say if run.processes.first else None)
    if not quiet:
        header(run)
        say(f"folder    {run.folder}")
    try:
        if run.processes.size == 1:
            updates = shown(updates, run, quiet, as_json)
        elif run.processes.first:
            updates = caught(lambda inner: shown(inner, run, quiet, as_json), updates, run.hold)
        with closing(updates) as view:  # type: ignore[type-var]
            for _ in view:
                pass
    finally:
        print_rollbacks(run.events if not quiet else ())
        if as_json:
            events = {"events": run.events} if run.events else {}
            result(json.dumps({"schema": 2, "status": run.status, "folder": str(run.folder), **events}))
    if not as_json:
        result(str(run.folder))
