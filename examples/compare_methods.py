"""Methods of training side by side on the 8x8 digits: about equal CPU time each, several seeds, held-out digits.

    pip install plugins/ebmkit-latent plugins/ebmkit-neural-transport plugins/ebmkit-recovery
    python examples/compare_methods.py runs/methods --seeds 3

About 70 s of CPU for a training. What is done is kept in the folder, and the same command goes on with it. Prints the
means over the seeds with their standard deviations.
"""

import json
import resource
import subprocess
import sys
from pathlib import Path
from statistics import fmean, stdev
from typing import Annotated, Any

import numpy as np
import torch
import typer
from sklearn.datasets import load_digits

import ebmkit

SHOWN = 997  # digits that are trained on; the other 800 are held out
N = 400
# A preset, settings that make the CPU time about equal, and the ways to draw from its models.
METHODS: dict[str, tuple[list[str], dict[str, list[str]]]] = {
    "digits-quick": ([], {"short run": []}),
    "latent-ebm-digits": (["train.iterations=1200", "train.schedule_from=840"], {"latent-ebm": []}),
    "damc-digits": (
        ["train.iterations=400", "train.schedule_from=280"],
        {"damc, diffusion": [], "damc, chain": ["method.draw=chain"]},
    ),
    "nt-digits": ([], {"nt-ebm": []}),
    "recovery-digits": ([], {"recovery-likelihood": []}),
}
MEASURES = ("Fréchet", "Precision", "Recall", "Energy distance")


def digits(folder: Path) -> tuple[Path, Path]:
    """The files of the digits to train on, and of those held out."""
    shown, others = folder / "train.npy", folder / "held-out.npy"
    x = (load_digits().images / 8 - 1).astype(np.float32)[np.random.default_rng(0).permutation(1797)]
    np.save(shown, x[:SHOWN])
    np.save(others, x[SHOWN:])
    return shown, others


def called(*words: str | Path) -> float:
    """Call ebmkit, and return the CPU seconds that it took."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "ebmkit", *words]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)  # noqa: S603 - the words are those of this file
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def settings(values: list[str]) -> list[str]:
    """Options that set these values."""
    return [word for value in values for word in ("-s", value)]


def measured(run: Path, shown: Path, others: Path, drawing: list[str]) -> dict[str, Any]:
    """The measures of samples against held-out digits: (samples, real, starts); and the distance to what was shown."""
    data = ["--data", "arrays", "-s", f"data.path={others}"]
    called("evaluate", run, "-n", str(N), "--features", "digits", *data, *settings(drawing))
    rows = json.loads((run / "evaluation.json").read_text(encoding="utf-8"))["measures"]
    found: dict[str, Any] = {
        name: [row["value"], row["real_against_real"], row["noise_against_real"]]
        for name in MEASURES
        for row in rows
        if row["name"].startswith(name)
    }
    return {**found, "Nearest": nearest(run, shown, others, drawing)}


def nearest(run: Path, shown: Path, others: Path, drawing: list[str]) -> list[float]:
    """The mean distance to the nearest digit that was shown, of samples and of digits held out."""
    called("sample", run, "-n", str(N), "--force", "--out", run / "samples.npy", *settings(drawing))
    known = torch.from_numpy(np.load(shown)).flatten(1)
    drawn = torch.from_numpy(np.load(run / "samples.npy")).flatten(1).float()
    both = (drawn, torch.from_numpy(np.load(others)).flatten(1))
    return [float(torch.cdist(some, known).amin(1).mean()) for some in both]


def line(name: str, results: list[dict[str, Any]]) -> str:
    """A row of the table."""
    cells = [spread([found[measure][0] for found in results]) for measure in MEASURES]
    starts = spread([found["Fréchet"][2] for found in results])
    near = spread([found["Nearest"][0] for found in results])
    seconds = spread([found["seconds"] for found in results])
    return f"| {name} | {' | '.join(cells)} | {starts} | {near} | {seconds} | {len(results)} |"


def spread(values: list[float]) -> str:
    """The mean of values, and their sample standard deviation if there are several."""
    return f"{fmean(values):.3g}" + (f" ± {stdev(values):.2g}" if len(values) > 1 else "")


def main(
    folder: Annotated[Path, typer.Argument(help="Where runs and results are kept.")],
    seeds: Annotated[int, typer.Option(help="How many seeds.", min=1)] = 3,
) -> None:
    """Train, evaluate, and print the table."""
    folder.mkdir(parents=True, exist_ok=True)
    shown, others = digits(folder)
    table: dict[str, list[dict[str, Any]]] = {}
    for seed in range(seeds):
        for preset, (changes, ways) in METHODS.items():
            run = folder / f"{preset}-{seed}"
            file = folder / f"{preset}-{seed}.json"
            if not file.exists():
                data = ["--data", "arrays", "-s", f"data.path={shown}"]
                words = ["--preset", preset, *data, *settings([*changes, f"train.seed={seed}"])]
                seconds = called("train", *words, "--out", run)
                results = {
                    name: {**measured(run, shown, others, drawing), "seconds": seconds}
                    for name, drawing in ways.items()
                }
                file.write_text(json.dumps(results), encoding="utf-8")
            for name, found in json.loads(file.read_text(encoding="utf-8")).items():
                table.setdefault(name, []).append(found)
        show(table)


def show(table: dict[str, list[dict[str, Any]]]) -> None:
    """Print what is done."""
    print(f"\nebmkit {ebmkit.__version__}, {N} samples against held-out digits, features=digits\n")
    print(f"| method | {' | '.join(MEASURES)} | Fréchet of its starts | Nearest | CPU s | seeds |")
    print("|---|" + "---:|" * (len(MEASURES) + 4))
    for name, results in table.items():
        print(line(name, results))
    some = next(iter(table.values()))[0]
    real = " | ".join(f"{some[measure][1]:.3g}" for measure in MEASURES)
    print(f"| real | {real} | - | {some['Nearest'][1]:.3g} | - | - |", flush=True)


if __name__ == "__main__":
    typer.run(main)
