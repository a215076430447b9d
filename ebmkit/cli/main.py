"""The command `ebmkit`: one application of all commands."""

import os
import sys
from typing import Annotated

import typer

from ebmkit.cli import (
    creating,
    exporting,
    judging,
    listing,
    plugin_packages,
    presets,
    reconstruction,
    sampling,
    streams,
    studying,
    training,
)
from ebmkit.cli.console import FAILURE, INTERRUPTED, say
from ebmkit.errors import one_line
from ebmkit.threads import give_way

app = typer.Typer(
    name="ebmkit",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("train")(training.train)
app.command("sample", short_help="Draw samples from a model.")(sampling.sample)
app.command("reconstruct", short_help="Find starts of chains that end near given images.")(reconstruction.reconstruct)
app.command("interpolate", short_help="Interpolate between two starts of the chain.")(sampling.interpolate)
app.command("long-run", short_help="Continue chains beyond K steps.")(sampling.long_run)
app.command("evaluate", short_help="Measure samples against the data.")(judging.evaluate)
app.command("report", short_help="Write the report of a run as one HTML file.")(judging.report)
app.command("study", short_help="Compare a grid of settings over several seeds.")(studying.study)
app.command("export", short_help="Write a model to one .safetensors file.")(exporting.export)
app.command("list", short_help="List the parts that can be picked by name, or the presets.")(listing.list_parts)
app.command("show", short_help="Show one part, or a preset, with its settings.")(listing.show)
app.command("copy", short_help="Copy a preset to a file.")(presets.copy)
app.command("plugins", short_help="List plug-ins; with --check NAME, test their parts.")(plugin_packages.plugins)
app.command("new-plugin", short_help="Make a plug-in package to begin from.")(creating.new_plugin)
app.command("version")(listing.version)


@app.callback()
def everywhere(
    no_plugins: Annotated[bool, typer.Option("--no-plugins", help="Leave out all third-party plug-ins.")] = False,
) -> None:
    """Energy-based models trained by short-run MCMC, from parts picked by name; p(x) ∝ exp(-E(x))."""
    if no_plugins:
        os.environ["EBMKIT_PLUGINS"] = "none"


def run() -> None:
    """Run the command line in a process of its own, which it ends."""
    # Before torch is imported, for OpenMP reads it then.
    give_way()
    streams.prepare()
    streams.end_on_signals()
    code: int | str | None = FAILURE
    try:
        app()
    except SystemExit as end:
        code = end.code
    except KeyboardInterrupt:
        code = INTERRUPTED
    except OSError as error:  # of --help: commands handle their own
        say(f"error: {one_line(error)}", "red")
        streams.silence_stdout()
    try:
        sys.stdout.flush()
    except OSError as error:
        streams.silence_stdout()
        if not code:
            say(f"error: cannot write to stdout: {error.strerror}", "red")
            code = FAILURE
    streams.end_at_once()
    sys.exit(code)
