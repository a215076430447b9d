"""Commands that draw from a trained model: sample, interpolate, long-run."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ebmkit.cli.console import errors, result, say
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
from ebmkit.cli.processes import one_process, printed_once
from ebmkit.errors import UsageError, check

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from ebmkit.runs.model import Model


def sample(
    run: Place,
    n: Number = None,
    steps: Annotated[int | None, typer.Option(help="K, if not the run's.", show_default=False)] = None,
    label: Annotated[
        int | None,
        typer.Option("--class", help="Only samples of this class, for a model of classes.", show_default=False),
    ] = None,
    seed: Seed = 0,
    batch: Annotated[int, typer.Option(help="How many chains run at once.")] = 64,
    data: Data = None,
    settings: DataSettings = None,
    weights: Weights = "auto",
    device: Device = "auto",
    out: Out = None,
    show: Show = False,
    force: Force = False,
) -> None:
    """Draw samples: a picture in a .png file, or values in a .npy or .npz file.

    -n is 64, and 4096 for points in the plane. Values are float32 (n, *shape), on the scale [-1, 1] of the data and not
    clipped to it. stdout carries the name of the file. --data and -s are for a model whose chains start from data.
    Several processes, started by torchrun, draw a part each.
    """
    from ebmkit.processes import joined

    with errors(), printed_once(processes := joined()):
        from ebmkit.cli import opening, outputs
        from ebmkit.runs.samples import SUFFIXES, sheet, write_samples

        with processes.together():
            refuse_unknown(weights=weights)
            check("batch", batch, at_least=1)
            path = processes.from_first(lambda: outputs.destination(out, run, "samples.png", force, SUFFIXES))
            typed = opening.typed_settings(data, settings or [])
            model, rng = opening.opened(run, weights, device, seed, typed, processes)
            if show or path.suffix == ".png":
                opening.refuse_undrawable(model.shape)
            n = opening.enough(n, 64, model.shape)
            sampler = model.short.sampler if steps is None else model.short.sampler.with_steps(steps)
            short = dataclasses.replace(model.short, sampler=sampler)
            short = short if label is None else short.of_class(label)
            with opening.drawn(short, n, rng, batch, processes) as chunks:
                if not processes.first:
                    list(chunks)  # none: they go to the first
                    return
                written = write_samples(chunks, (n, *model.shape), path)
        if written.nonfinite:
            say(f"warning: {written.nonfinite} of {n} samples hold NaN or infinity; in pictures they are red", "yellow")
        outputs.finish(path, sheet(written.first) if show else None)


def interpolate(
    run: Place,
    images: Annotated[
        list[Path] | None,
        typer.Argument(metavar="IMAGE IMAGE", help="Two image files; else starts drawn at random.", callback=expanded),
    ] = None,
    rows: Annotated[
        int | None, typer.Option(metavar="INTEGER", help="How many pairs z1, z2; see above.", show_default=False)
    ] = None,
    columns: Annotated[int, typer.Option(help="How many points of a row, both ends included.")] = 10,
    fit: Annotated[str, choice("fit", "How image files of another size are fitted")] = "none",
    seed: Seed = 0,
    data: Data = None,
    settings: DataSettings = None,
    weights: Weights = "auto",
    device: Device = "auto",
    out: Out = None,
    show: Show = False,
    force: Force = False,
) -> None:
    """Interpolate between two starts z1 and z2 of the chain, and draw where the chains end: a row for each pair.

    --rows is 5, and 320 for points in the plane, which are clouds. Each column is headed by rho, the weight of z1. With
    two images there is one row, between the starts that reconstruct them.
    """
    with errors(), one_process("interpolate"):
        from ebmkit.cli import opening, outputs
        from ebmkit.pictures import beside, grid

        refuse_unknown(weights=weights, fit=fit)
        check("columns", columns, at_least=2)
        if images and (len(images) != 2 or rows is not None):
            raise UsageError(f"interpolate takes two image files and then no --rows; given: {len(images)} files")
        if not images and fit != "none":
            raise UsageError("--fit is for image files, and none are given; leave it out, or name two after RUN")
        path = outputs.destination(out, run, "interpolation.png", force, (".png",))
        model, rng = opening.opened(run, weights, device, seed, opening.typed_settings(data, settings or []))
        opening.refuse_undrawable(model.shape)
        if images:
            found = starts(images, model, rng, fit)
            z1, z2 = found[:1], found[1:]
        else:
            pairs = opening.enough(rows, 5, model.shape, name="rows")
            z1, z2 = (model.short.init.sample(pairs, rng) for _ in range(2))
        with opening.followed(model.short, columns) as followed:
            way = (followed.interpolate_inferred if images else followed.interpolate)(z1, z2, columns)
        captions = [f"{1 - step / (columns - 1):.4g}" for step in range(columns)]
        picture = beside({caption: grid(x, columns=1) for caption, x in zip(captions, way, strict=True)})
        outputs.save(picture, path)
        outputs.finish(path, picture if show else None)


def starts(images: list[Path], model: "Model", rng: "Generator", fit: str) -> "Tensor":
    """The starts z `(n, *shape)` whose chains end near the images.

    Raises:
        UsageError: if one of the files cannot be used.
    """
    from ebmkit.cli.opening import chains_of_reconstruction, followed
    from ebmkit.runs.targets import targets_from_files

    with options_named():
        targets = targets_from_files(images, model.shape, fit)
    if targets.failures:
        raise UsageError(as_options(targets.failures[0]))
    updates = 200
    with followed(model.short, chains_of_reconstruction(model, updates)) as short:
        return short.reconstruct(targets.x.to(model.device), rng, updates=updates).z


def long_run(
    run: Place,
    n: Number = None,
    times: Annotated[int, typer.Option(help="How many times K steps the chains have.")] = 10,
    every: Annotated[int | None, typer.Option(help="Steps between two energies; else K.", show_default=False)] = None,
    seed: Seed = 0,
    data: Data = None,
    settings: DataSettings = None,
    weights: Weights = "auto",
    device: Device = "auto",
    out: Out = None,
    show: Show = False,
    force: Force = False,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON object for every energy, the file last.")] = False,
) -> None:
    """Continue chains beyond K steps, to see what the energy prefers in the long run: a row for each chain.

    -n is 16, and 1024 for points in the plane, which are clouds. stderr carries the mean energy along the chains. The
    picture has a column for the start and --times more, evenly spaced along the chains.
    """
    with errors(), one_process("long-run"):
        from ebmkit.cli import opening, outputs
        from ebmkit.evaluation.energy import energies
        from ebmkit.files import json_line
        from ebmkit.pictures import strip
        from ebmkit.trajectories import EvenPoints

        refuse_unknown(weights=weights)
        check("times", times, at_least=1)
        if every is not None:
            check("every", every, at_least=1)
        path = outputs.destination(out, run, "long-run.png", force, (".png",))
        model, rng = opening.opened(run, weights, device, seed, opening.typed_settings(data, settings or []))
        opening.refuse_undrawable(model.shape)
        steps = model.short.sampler.steps
        total = times + 1 if every is None else None if steps is None else times * steps // every + 1
        seen = EvenPoints(times + 1, total)
        with opening.followed(model.short, times) as followed:
            chains = opening.enough(n, 16, model.shape)
            for point in followed.long_run(chains, rng, times=times, every=every):
                energy = float(energies(model.short.energy, point.z).mean())
                say(f"step={point.step} energy={energy:.4f}")
                if as_json:
                    result(json_line({"schema": 2, "step": point.step, "energy": energy}))
                seen.add(point)
        picture = strip({point.step: point.x for point in seen.points()})
        outputs.save(picture, path)
        outputs.finish(path, picture if show else None, as_json)
