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
app.command("sample")(model.sample)
app.command("reconstruct")(reconstruct.reconstruct)
app.command("interpolate")(model.interpolate)
app.command("long-run")(model.long_run)
app.command("evaluate")(judge.evaluate)
app.command("report")(judge.report)
app.command("export")(model.export)
app.command("list")(parts.list_parts)
app.command("show")(parts.show)
app.command("plugins")(plugins.plugins)
app.command("new-plugin")(create.new_plugin)
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
