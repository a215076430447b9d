"""Time to quality, beside the paper's loop and other libraries: `make race`.

Every contender trains the same network, from the same weights, on the same images and for the same minutes, in turns in
one process; samples are measured at fixed moments of its own training time. The folder then has `race.json`, `race.png`
with the curves, and `CONTENDER.png` with the first 64 samples of each. The same command goes on with a race that was
interrupted.
"""

import json
import sys
import time
from pathlib import Path
from typing import Annotated, Any, Literal

import curves
import learners
import machine
import torch
import typer
from equality import check_equality
from judge import judge_of, labels_of
from learning import Task
from quality import LOWER, moments
from racing import Lane, race
from results import Results, curves_of, tables

from ebmkit.config import layers
from ebmkit.config.resolution import resolve
from ebmkit.errors import UsageError, nearest, one_line
from ebmkit.files import indented_json, write_text
from ebmkit.runs.build import open_data
from ebmkit.runs.device import occupy

LEARNERS = dict(learners.LEARNERS)
PAPER: tuple[str, ...] = ()
MISSING = ""  # a line if the other libraries are not installed
try:
    import other_learners

    LEARNERS |= other_learners.LEARNERS
    PAPER = other_learners.PAPER
except ModuleNotFoundError as error:
    if error.name not in ("ebm", "torchebm"):
        raise
    MISSING = f"other libraries are left out: no module '{error.name}'; `make race` installs them in an environment."

WHERE = (
    "--path FOLDER must have train-images-idx3-ubyte and train-labels-idx1-ubyte, raw or as .gz; those of "
    "Fashion-MNIST are at https://github.com/zalandoresearch/fashion-mnist; then: make race RACE_DATA=FOLDER"
)

# The CPU seconds of all threads of this process: what other programs take does not count.
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}

app = typer.Typer(add_completion=False)


@app.command()
def main(
    data: Annotated[Literal["idx", "digits"], typer.Option(help="Idx files, or the digits of scikit-learn.")] = "idx",
    path: Annotated[Path | None, typer.Option(help="Folder of the idx files of Fashion-MNIST or MNIST.")] = None,
    size: Annotated[int | None, typer.Option(help="Side of the images, 8, 16 or 32; digits have 8, others 32.")] = None,
    limit: Annotated[int, typer.Option(help="How many of the images are used.", min=1)] = 40_000,
    width: Annotated[int, typer.Option(help="Width of the network, the paper's n_f.", min=1)] = 16,
    minutes: Annotated[float, typer.Option(help="How long each contender trains.", min=0.01)] = 30,
    seeds: Annotated[int, typer.Option(help="How many seeds, one after the other.", min=1)] = 3,
    only: Annotated[list[str] | None, typer.Option(help=f"Only these: {', '.join(LEARNERS)}.")] = None,
    preset: Annotated[str, typer.Option(help="The preset of `default`.")] = "images",
    samples: Annotated[int, typer.Option(help="Samples at each look; at most half of the images.", min=20)] = 1000,
    looks: Annotated[int, typer.Option(help="How often samples are measured.", min=1)] = 11,
    threads: Annotated[int, typer.Option(help="Threads of the CPU.", min=1)] = 1,
    clock: Annotated[Literal["wall", "cpu"], typer.Option(help="Time that counts; cpu beside other work.")] = "wall",
    folder: Annotated[Path, typer.Option(help="Folder of the race.")] = Path("runs/race"),
) -> None:
    """Race, and after every look write the results and print what is new.

    Folder, width, minutes and all that changes the results must stay the same when a race is resumed; there may be more
    seeds and contenders. Results are those of the contenders of the command.
    """
    try:
        names = chosen(only)
        settings = data_settings(data, path, size, limit)
        occupy(threads)
        examples = open_data(resolve([layers.layer_of({"data": settings}, "the race")]))
        images = examples.fetch(torch.arange(len(examples)))
        task = Task(settings, examples, images, width, threads, 60 * minutes, preset, CLOCKS[clock])
        task.recipe(preset, 0)  # an unknown preset is refused before anything is written
        place = folder / f"{data}-{settings['size']}"
        place.mkdir(parents=True, exist_ok=True)
        n = min(samples, len(examples) // 2)
        asked = {"data": settings, "width": width, "minutes": minutes, "looks": looks, "samples": n, "threads": threads}
        check_same(place / "settings.json", {**asked, "preset": preset, "clock": clock})
        run(task, names, range(seeds), moments(task.seconds, looks), n, place)
    except UsageError as error:
        print(f"error: {one_line(error)}", file=sys.stderr)
        raise typer.Exit(2) from None


def run(task: Task, names: list[str], seeds: range, looks: list[float], n: int, place: Path) -> None:
    """All seeds, one after the other; results are written after every look."""
    known = labels_of(task.examples, Path(task.data["path"])) if "path" in task.data else None
    features = judge_of(task.examples, task.images, known, place / "classifier.pt")
    facts: dict[str, Any] = {"machine": machine.facts(torch.device("cpu")), "judge": features.preprocessing}
    facts |= {"preset of the default": task.preset, "left out": MISSING}
    print(*filter(None, [MISSING, str(facts["machine"]), f"judge: {features.preprocessing}"]), sep="\n")
    equal = place / "equality.json"
    if not equal.exists():
        found = check_equality(task, 0, place, dict(LEARNERS[name] for name in PAPER))
        write_text(equal, indented_json(found))
    facts["distance from the plain loop"] = json.loads(equal.read_text(encoding="utf-8"))
    print(f"weights after the first updates, from the plain loop: {facts['distance from the plain loop']}")
    curves.draw_grid(task.images, place / "real.png")
    results: Results = {LEARNERS[name][0]: {} for name in names}
    for seed in seeds:
        lanes = []
        for name in names:
            title, make = LEARNERS[name]
            lanes.append(Lane(title, make, task, seed, place / f"{name}-{seed}"))
            results[title][seed] = lanes[-1].result()
        for lane in race(lanes, looks, n, task, features):
            results[lane.title][seed] = lane.result()
            print(f"seed {seed}, {lane.seconds:.0f} s, {lane.title}: {lane.updates} updates {lane.stopped}", flush=True)
            write_text(place / "race.json", indented_json({**facts, "contenders": results}))
        write_pictures(results, names, place, f"{place.name}, width {task.width}, {task.seconds / 60:g} minutes each")
    for table in tables(results, LEARNERS["plain"][0]):
        print(table.markdown())


def chosen(only: list[str] | None) -> list[str]:
    """The names of the contenders that take part.

    Raises:
        UsageError: for an unknown name, with the nearest.
    """
    for name in only or []:
        if name not in LEARNERS:
            hint = f"{nearest(name, LEARNERS)} Contenders: {', '.join(LEARNERS)}. {MISSING}"
            raise UsageError(f"unknown contender '{name}'.{hint}")
    return [name for name in LEARNERS if not only or name in only]


def data_settings(data: str, path: Path | None, size: int | None, limit: int) -> dict[str, Any]:
    """The section `[data]` of the race.

    Raises:
        UsageError: if there is no folder of images, or the network does not take the size.
    """
    size = size or (8 if data == "digits" else 32)
    if size not in (8, 16, 32):
        raise UsageError(f"--size must be 8, 16 or 32, not {size}")
    if data == "digits":
        return {"use": "digits", "size": size, "limit": limit}
    if path is None or not path.is_dir():
        given = "no folder of images was given" if path is None else f"{path} is not a folder"
        raise UsageError(f"{given}: {WHERE}")
    fit = "pad" if size == 32 else "resize"  # of 28x28 pixels
    return {"use": "idx", "path": str(path.absolute()), "size": size, "fit": fit, "limit": limit}


def check_same(file: Path, settings: dict[str, Any]) -> None:
    """Write the settings of a new race; refuse to go on with one that has others.

    Raises:
        UsageError: naming the first setting that differs.
    """
    if not file.exists():
        write_text(file, indented_json(settings))
        return
    before = json.loads(file.read_text(encoding="utf-8"))
    for key, value in settings.items():
        if before.get(key) != value:
            had = before.get(key)
            raise UsageError(f"the race in {file.parent} has {key}={had}, not {value}: give that, or another --folder")


def write_pictures(results: Results, names: list[str], place: Path, title: str) -> None:
    """The figure of all curves, and a grid of the last samples of the first seed for each contender."""
    drawn = {measure: found for measure in LOWER if (found := curves_of(results, measure))}
    if drawn:
        curves.draw_curves(drawn, title, place / "race.png")
    for name in names:
        *_, last = sorted((place / f"{name}-0").glob("samples-*.pt"))
        curves.draw_grid(torch.load(last, weights_only=True), place / f"{name}.png")


if __name__ == "__main__":
    app()
