"""The command `ebmkit export`."""

from pathlib import Path
from typing import Annotated

import typer

from ebmkit.cli.console import errors
from ebmkit.cli.options import Force, Place, Weights, expanded, refuse_unknown
from ebmkit.cli.processes import one_process


def export(
    run: Place,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="File to write, like model.safetensors.", callback=expanded)
    ],
    weights: Weights = "auto",
    force: Force = False,
) -> None:
    """Write the model of a run to one .safetensors file: weights, settings, and the state of its init.

    Every command that draws from the folder of a run also draws from such a file, on any machine where the same parts
    are installed. It contains neither data nor code.
    """
    with errors(), one_process("export"):
        from ebmkit.cli import outputs
        from ebmkit.runs.model import pick_weights, read_model
        from ebmkit.runs.model_file import SUFFIX, write_model_file

        refuse_unknown(weights=weights)
        path = outputs.destination(file, run, "", force, (SUFFIX,))
        saved = read_model(run)
        write_model_file(saved, pick_weights(saved, weights), path)
        outputs.finish(path)
