"""The command `ebmkit reconstruct`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from ebmkit.cli.console import FAILURE, errors, say
from ebmkit.cli.options import (
    Data,
    DataSettings,
    Device,
    Force,
    Number,
    Out,
    Place,
    Seed,
    Show,
    Weights,
    as_options,
    choice,
    expanded,
    options_named,
    refuse_unknown,
)
from ebmkit.cli.processes import one_process
from ebmkit.errors import UsageError

TIMES = (0, 10, 50, 200)  # updates after which a reconstruction is shown, as in the paper's figure


def reconstruct(
    run: Place,
    images: Annotated[
        list[Path] | None,
        typer.Argument(metavar="IMAGE", help="Image files; else examples of the run's data.", callback=expanded),
    ] = None,
    n: Number = None,
    updates: Annotated[int, typer.Option(help="How many updates each start z gets.")] = 200,
    lr: Annotated[float, typer.Option(help="Learning rate of the updates.")] = 0.05,
    method: Annotated[str, choice("method", "Gradient descent, or Adam")] = "descent",
    gradient: Annotated[str, choice("gradient", "2 (M(z) - x), or that through the chain")] = "auto",
    fit: Annotated[str, choice("fit", "How image files of another size are fitted")] = "none",
    data: Data = None,
    settings: DataSettings = None,
    seed: Seed = 0,
    weights: Weights = "auto",
    device: Device = "auto",
    out: Out = None,
    show: Show = False,
    force: Force = False,
) -> None:
    """Reconstruct images: find starts z of the chain that end near them.

    Without IMAGE, -n examples of the data: 8, and 512 of points in the plane. stderr carries the mean squared error per
    pixel after t updates, and that of guesses from the data: the mean, the nearest other example, and 32 principal
    components where examples have more elements. With IMAGE the data are opened for these only with --data or
    -s data.KEY=VALUE.
    """
    with errors(), one_process("reconstruct"):
        from ebmkit.cli import opening, outputs
        from ebmkit.evaluation.baselines import reconstruction_baselines
        from ebmkit.pictures import beside, grid
        from ebmkit.runs.targets import targets_from_data, targets_from_files

        refuse_unknown(weights=weights, method=method, gradient=gradient, fit=fit)
        if images and n is not None:
            raise UsageError("-n is the number of examples of the data; leave it out with image files")
        if not images and fit != "none":
            raise UsageError("--fit is for image files, and none are given; leave it out, or name them after RUN")
        path = outputs.destination(out, run, "reconstruction.png", force, (".png",))
        typed = opening.typed_settings(data, settings or [])
        model, rng = opening.opened(run, weights, device, seed, typed)
        opening.refuse_undrawable(model.shape)
        examples = opening.examples_of(model, typed) if not images or "data" in typed.sections else None
        if images or examples is None:
            with options_named():
                targets = targets_from_files(images or [], model.shape, fit)
        else:
            count = opening.enough(n, 8, model.shape)
            targets = targets_from_data(examples, min(count, len(examples)) if n is None else count, seed)
        for failure in targets.failures:
            say(f"error: {as_options(failure)}", "red")
        at = sorted({time for time in TIMES if time < updates} | {updates})
        with opening.followed(model.short, opening.chains_of_reconstruction(model, updates)) as followed:
            options: dict[str, Any] = {"updates": updates, "lr": lr, "method": method, "gradient": gradient}
            found = followed.reconstruct(targets.x.to(model.device), rng, at=at, **options)
        baselines = {}
        if examples is not None:
            with opening.counted("examples read", "read", len(examples)) as on_read:
                baselines = reconstruction_baselines(targets.x, examples, on_read=on_read)
        values = {f"t={time}": float(found.error[time].mean()) for time in at} | baselines
        print_errors(targets.description, values, "coordinate" if model.shape == (2,) else "pixel")
        columns = {"original": targets.x, **{f"t={time}": found.kept[time] for time in at}}
        picture = beside({caption: grid(tiles, columns=1) for caption, tiles in columns.items()})
        outputs.save(picture, path)
        outputs.finish(path, picture if show else None)
        if targets.failures:
            say(f"error: {len(targets.failures)} of {len(images or [])} image files could not be used", "red")
            raise typer.Exit(FAILURE)


def print_errors(description: str, values: dict[str, float], element: str) -> None:
    """Print what was reconstructed, and mean squared errors per `element` of an example, a line each."""
    say(description)
    say(f"mean squared error per {element} after t updates of the starts:")
    for name, error in values.items():
        say(f"  {name:24} {error:.5f}")
