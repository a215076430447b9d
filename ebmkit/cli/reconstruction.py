"""The command `ebmkit reconstruct`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from ebmkit.cli.console import FAILURE, errors, say
from ebmkit.cli.options import Data, Device, Force, Number, Out, Place, Seed, Show, Weights, choice, refuse_unknown
from ebmkit.errors import UsageError, check

if TYPE_CHECKING:
    from torch import Tensor

    from ebmkit.data.examples import Examples

TIMES = (0, 10, 50, 200)  # updates after which a reconstruction is shown, as in the paper's figure
NAMED = 16  # a line names so many of the examples that were drawn


def reconstruct(
    run: Place,
    images: Annotated[
        list[Path] | None, typer.Argument(metavar="IMAGE", help="Image files; else examples of the run's data.")
    ] = None,
    n: Number = None,
    updates: Annotated[int, typer.Option(help="How many updates each start z gets.")] = 200,
    lr: Annotated[float, typer.Option(help="Learning rate of the updates.")] = 0.05,
    method: Annotated[str, choice("method", "Gradient descent, or Adam")] = "descent",
    gradient: Annotated[str, choice("gradient", "2 (M(z) - x), or that through the chain")] = "auto",
    fit: Annotated[str, choice("fit", "How image files of another size are fitted")] = "none",
    data: Data = None,
    setting: Annotated[list[str] | None, typer.Option("-s", "--set", help="Setting, as data.path=PATH.")] = None,
    seed: Seed = 0,
    weights: Weights = "auto",
    device: Device = "auto",
    out: Out = None,
    show: Show = False,
    force: Force = False,
) -> None:
    """Reconstruct images: find starts z of the chain that end near them.

    Without IMAGE, -n examples of the run's data, or of --data: 8, and 512 of points in the plane. stderr carries the
    mean squared error per pixel and, where data are opened, those of the mean image and of the nearest other image.
    """
    with errors():
        from ebmkit.cli import opening, outputs
        from ebmkit.evaluation.baselines import reconstruction_baselines
        from ebmkit.pictures import beside, grid

        refuse_unknown(weights=weights, method=method, gradient=gradient, fit=fit)
        if images and n is not None:
            raise UsageError("-n counts examples of the run's data; leave it out beside image files")
        if not images and fit != "none":
            raise UsageError("--fit is for image files, and none are given; leave it out, or name them after RUN")
        path = outputs.destination(out, outputs.generated(run, "reconstruction.png"), force, (".png",))
        model, rng = opening.opened(run, weights, device, seed)
        opening.refuse_undrawable(model.shape)
        examples = None if images and data is None else opening.examples_of(model, data, setting or [])
        if images:
            x, broken = read(images, model.shape, fit)
            note = f"{len(x)} of {len(images)} image files"
        elif examples is not None:
            n = min(opening.enough(n, 8, model.shape), n or len(examples))
            (x, note), broken = drawn(examples, n, seed), 0
        at = sorted({time for time in TIMES if time < updates} | {updates})
        with opening.followed(model.short, (updates + 1) * (1 if model.short.translates else 2)) as followed:
            options: dict[str, Any] = {"updates": updates, "lr": lr, "method": method, "gradient": gradient}
            found = followed.reconstruct(x.to(model.device), rng, at=at, **options)
        baselines = {} if examples is None else reconstruction_baselines(x, examples)
        print_errors(note, {f"t={time}": float(found.error[time].mean()) for time in at} | baselines)
        columns = {"original": x, **{f"t={time}": found.kept[time] for time in at}}
        picture = beside({caption: grid(tiles, columns=1) for caption, tiles in columns.items()})
        outputs.save(picture, path)
        outputs.finish(path, picture if show else None)
        if broken:
            say(f"error: {broken} of {broken + len(x)} image files could not be used", "red")
            raise typer.Exit(FAILURE)


def read(images: list[Path], shape: tuple[int, ...], fit: str) -> tuple["Tensor", int]:
    """The images that can be used, and how many cannot; these are named on stderr."""
    from ebmkit.data.single_images import load

    found = load(images, shape, fit=cast(Any, fit))
    for failure in found.failures:
        say(f"error: {failure}", "red")
    return found.x, len(found.failures)


def drawn(examples: "Examples", n: int, seed: int) -> tuple["Tensor", str]:
    """`n` examples of the data, drawn by the seed, and a line that says which."""
    import torch

    check("n", n, at_least=1, at_most=len(examples))
    indices = torch.randperm(len(examples), generator=torch.Generator().manual_seed(seed))[:n].sort().values
    named = ", ".join(map(str, indices[:NAMED].tolist())) + (", ..." if n > NAMED else "")
    note = f"{n} of {len(examples)} examples of the run's data, drawn by seed {seed}: {named}"
    return examples.fetch(indices), note


def print_errors(note: str, values: dict[str, float]) -> None:
    """Print what was reconstructed, and mean squared errors per pixel, a line each."""
    say(note)
    say("mean squared error per pixel:")
    for name, error in values.items():
        say(f"  {name:20} {error:.5f}")
