"""The command `ebmkit reconstruct`."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from ebmkit.cli.console import FAILURE, errors, say
from ebmkit.cli.options import Device, Force, Number, Out, Place, Seed, Show, Weights, choice, refuse_unknown
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
    seed: Seed = 0,
    weights: Weights = "auto",
    device: Device = "auto",
    out: Out = None,
    show: Show = False,
    force: Force = False,
) -> None:
    """Reconstruct images: find starts z of the chain that end near them.

    Without IMAGE, -n examples of the run's data: 8, and 512 of points in the plane. stderr carries the mean squared
    error per pixel, beside that of the data's mean image and that of the nearest other image in the data.
    """
    with errors():
        from ebmkit.cli import opened, outputs
        from ebmkit.pictures import beside, grid

        refuse_unknown(weights=weights, method=method, gradient=gradient, fit=fit)
        if images and n is not None:
            raise UsageError("-n counts examples of the run's data; leave it out beside image files")
        if not images and fit != "none":
            raise UsageError("--fit is for image files, and none are given; leave it out, or name them after RUN")
        path = outputs.destination(out, run / "generated" / "reconstruction.png", force, (".png",))
        model = opened.open_model(run, weights, device, seed)
        opened.refuse_undrawable(model.shape)
        examples = model.run.examples
        if images:
            x, broken = read(images, model.shape, fit)
            note = f"{len(x)} of {len(images)} image files"
        else:
            n = min(opened.enough(n, 8, model.shape), n or len(examples))
            (x, note), broken = drawn(examples, n, seed), 0
        at = sorted({time for time in TIMES if time < updates} | {updates})
        with opened.followed(model.short, (updates + 1) * (1 if model.short.translates else 2)) as followed:
            settings: dict[str, Any] = {"updates": updates, "lr": lr, "method": method, "gradient": gradient}
            found = followed.reconstruct(x.to(model.rng.device), model.rng, at=at, **settings)
        tell(note, {f"t={time}": float(found.error[time].mean()) for time in at} | yardsticks(x, examples))
        columns = {"original": x, **{f"t={time}": found.kept[time] for time in at}}
        picture = beside({caption: grid(tiles, columns=1) for caption, tiles in columns.items()})
        outputs.save(picture, path)
        outputs.finish(path, picture if show else None)
        if broken:
            say(f"error: {broken} of {broken + len(x)} image files could not be used", "red")
            raise typer.Exit(FAILURE)


def read(images: list[Path], shape: tuple[int, ...], fit: str) -> tuple["Tensor", int]:
    """The images that can be used, and how many cannot; these are named on stderr."""
    from ebmkit.data.files import load

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


def yardsticks(x: "Tensor", examples: "Examples", batch: int = 1024) -> dict[str, float]:
    """What guesses that know no model cost: the data's mean, its principal components, the nearest other example."""
    import torch

    from ebmkit.analysis import neighbours, projected

    chunks = torch.split(torch.arange(len(examples)), batch)
    mean = torch.stack([examples.fetch(chunk).double().sum(0) for chunk in chunks]).sum(0) / len(examples)
    distance = neighbours(x, examples, count=min(2, len(examples))).distance
    # Closer than what a file of bytes rounds off, the first found is the image itself.
    found = distance[:, 0] <= math.sqrt(x[0].numel()) / 255
    other = torch.where(found, distance[:, -1], distance[:, 0])
    return {
        "mean of the data": float((x - mean).square().mean()),
        "nearest in the data": float(other.square().mean()) / x[0].numel(),
        "32 components": float((projected(x, examples) - x).square().mean()),
    }


def tell(note: str, figures: dict[str, float]) -> None:
    """What was reconstructed, and mean squared errors per pixel, a line each."""
    say(note)
    say("mean squared error per pixel:")
    for name, error in figures.items():
        say(f"  {name:20} {error:.5f}")
