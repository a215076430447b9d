"""The command `ebmkit study`."""

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ebmkit.cli.complete import names_of, preset_names, settings
from ebmkit.cli.console import FAILURE, errors, result, say, warn_of_plugins
from ebmkit.cli.options import expanded
from ebmkit.cli.study_screen import line_of, print_commands, print_ended, show
from ebmkit.errors import UsageError, counted

if TYPE_CHECKING:
    from ebmkit.methods.update import Update
    from ebmkit.runs.run import Run
    from ebmkit.study.folder import Study
    from ebmkit.study.plan import Cell

Text = str | None


def study(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="The folder of the study, new or begun.", callback=expanded)
    ],
    setting: Annotated[
        list[str] | None,
        typer.Option(
            "-s", "--set", help="Any setting: section.key=value, or values with commas.", autocompletion=settings
        ),
    ] = None,
    zipped: Annotated[
        list[str] | None,
        typer.Option("--zip", help="Values that change together with those of the -s that has as many."),
    ] = None,
    seeds: Annotated[int | None, typer.Option(help="How many seeds.  [default: 3]", metavar="INTEGER")] = None,
    preset: Annotated[Text, typer.Option(help="A packaged configuration.", autocompletion=preset_names)] = None,
    config: Annotated[
        Path | None, typer.Option(help="A TOML file of settings, also with a table [study].", callback=expanded)
    ] = None,
    n: Annotated[int | None, typer.Option("-n", metavar="INTEGER", help="Samples of an evaluation.")] = None,
    features: Annotated[
        Text, typer.Option(help="What an evaluation compares: pixels, ...", autocompletion=names_of("features"))
    ] = None,
    measures: Annotated[Text, typer.Option(help="What to show, with commas: precision,recall.")] = None,
    jobs: Annotated[int, typer.Option("--jobs", "-j", help="Processes at once.")] = 1,
    cell: Annotated[int | None, typer.Option(help="Work on this cell only, as --list counts them.")] = None,
    table: Annotated[bool, typer.Option("--table", help="Only write and print the table so far.")] = False,
    list_cells: Annotated[bool, typer.Option("--list", help="Only print a command for each cell.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only errors, and the file of the table.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON object for every cell on stdout.")] = False,
) -> None:
    """Train and evaluate a grid of settings over several seeds, and compare them in a table and a figure.

    Values with commas in -s span the grid: -s sampler.steps=5,10,25 -s energy.width=16,32 is six settings. Commas in
    brackets or quotes belong to one value. Short options of train are written as settings: -s data.use=idx. Each cell
    is an ordinary run in FOLDER/cells. The same command, or FOLDER without settings, goes on with a study that was
    stopped, also beside other processes that work on it.
    """
    with errors():
        found = opened(folder, (setting, zipped, preset, config), seeds, n, features, measures)
        if table and list_cells:
            raise UsageError("--table and --list are two commands; give one of them")
        if cell is not None and (table or list_cells or jobs != 1):
            raise UsageError("--cell works on one cell; leave out --table, --list and --jobs")
        chosen = None if cell is None else numbered(found, cell)
        if list_cells:
            found.save()
            print_commands(found, as_json)
            return
        if not quiet:
            warn_of_plugins()
        failed = 0 if table else work(found, chosen, jobs, quiet, as_json)
        if chosen is None:
            show(found, quiet, as_json)
        if failed:
            raise typer.Exit(FAILURE)


def opened(
    folder: Path, given: tuple[Any, ...], seeds: int | None, n: int | None, features: Text, measures: Text
) -> "Study":
    """The study that the options describe."""
    from ebmkit.config import layers
    from ebmkit.config.layers import Value
    from ebmkit.study.folder import Study
    from ebmkit.study.lists import typed_grid
    from ebmkit.study.toml_file import read_study

    setting, zipped, preset, config = given
    asked: dict[str, Any] = {}
    if any(one for one in given):
        asked = read_study(config) if config else {}
        typed, axes = typed_grid(setting or [], zipped or [])
        judged = typed.sections.pop("features", {})
        below = [*([layers.preset(preset)] if preset else []), *([asked["settings"]] if config else [])]
        if typed.sections or axes or below:
            asked |= {"settings": [*below, typed], "vary": [*asked.get("vary", []), *axes]}
        if judged:
            asked["features"] = {**asked.get("features", {}), **judged}
    if features is not None:
        asked["features"] = {**asked.get("features", {}), "use": Value(features, "--features")}
    for name, value in {"seeds": seeds, "n": n, "measures": measures and measures.split(",")}.items():
        if value is not None:
            asked[name] = value
    return Study(folder, asked.pop("settings", None), **asked)


def numbered(study: "Study", number: int) -> "Cell":
    """The cell of this number, from 1.

    Raises:
        UsageError: if there is none.
    """
    cells = study.cells
    if not 1 <= number <= len(cells):
        raise UsageError(f"--cell must be from 1 to {len(cells)}, not {number}; --list prints them")
    return cells[number - 1]


def work(study: "Study", only: "Cell | None", jobs: int, quiet: bool, as_json: bool) -> int:
    """Work on the cells, and print how each ended; return how many failed."""
    number = {cell.name: i for i, cell in enumerate(study.cells, start=1)}

    def follow(run: "Run", updates: "Iterator[Update]") -> "Iterator[Update]":
        from ebmkit.cli.progress import shown

        name = run.folder.name if run.folder is not None else ""
        start = f", from update {run.trainer.index}" if run.trainer.index else ""
        say(f"cell      {number[name]} of {len(number)}: {name}{start}")
        return shown(updates, run, quiet=False, as_json=False)

    failed, found = 0, study.run(jobs=jobs, only=only, announce=say, follow=None if quiet else follow)
    if not quiet:
        grid = f"{counted(len(study.plan.grid), 'setting')} x {counted(study.plan.seeds, 'seed')}"
        say(f"study     {study.folder}: {counted(len(number), 'cell')}, {grid}")
    with closing(found) as results:  # type: ignore[type-var]
        for ended in results:
            failed += ended.status == "failed"
            if as_json:
                result(json.dumps({"schema": 2, **line_of(ended)}))
            if not quiet or ended.status == "failed":
                print_ended(ended, number)
    for name, owner in ({} if quiet else study.busy).items():
        say(f"busy      {name}: {owner}")
    return failed
