"""The command `ebmkit`: its groups of commands in one application."""

import os
from typing import Annotated

import typer

from ebmkit.cli import create, judge, model, parts, plugins, reconstruct, train

app = typer.Typer(
    name="ebmkit",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("train")(train.train)
app.command("sample", short_help="Draw samples from a run's model.")(model.sample)
app.command("reconstruct", short_help="Find the chain's starts that end at given images.")(reconstruct.reconstruct)
app.command("interpolate", short_help="Walk between two starts of the chain.")(model.interpolate)
app.command("long-run", short_help="Let chains go on beyond K.")(model.long_run)
app.command("evaluate", short_help="Measure samples against the data.")(judge.evaluate)
app.command("report", short_help="Write a run's report as one HTML file.")(judge.report)
app.command("export", short_help="Write a model's weights to a .safetensors file.")(model.export)
app.command("list", short_help="List the parts that can be picked by name.")(parts.list_parts)
app.command("show", short_help="Show one part with its settings.")(parts.show)
app.command("plugins", short_help="List plug-ins; with --check NAME, test their parts.")(plugins.plugins)
app.command("new-plugin", short_help="Make a plug-in package to begin from.")(create.new_plugin)
app.command("version")(parts.version)


@app.callback()
def everywhere(
    no_plugins: Annotated[bool, typer.Option("--no-plugins", help="Leave out all third-party plug-ins.")] = False,
) -> None:
    """Energy-based models trained by short-run MCMC, from parts picked by name; p(x) ∝ exp(-E(x))."""
    if no_plugins:
        os.environ["EBMKIT_PLUGINS"] = "none"


def main() -> None:
    """Run the command line."""
    app()
