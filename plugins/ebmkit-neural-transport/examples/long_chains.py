"""Samples of digits by chains of the trained length and of ten times that, beside the flow without its tilt.

python long_chains.py runs/nt-digits digits-train.npy digits-held-out.npy --picture chains.png

All are compared with one half of the held-out digits; the other half is the best value to expect. The last column is
the mean distance to the nearest digit of the training: much smaller than that of held-out digits where a model copies.
The picture has 16 held-out digits, draws of the flow, ends of chains of K steps with the nearest digits of the training
below them, and ends of the long chains.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from torch import Generator, Tensor

from ebmkit import load
from ebmkit.data import Examples
from ebmkit.evaluation import Measure, evaluate, nearest_examples
from ebmkit.features import Digits
from ebmkit.pictures import grid

SHOWN = ("Fréchet distance", "Precision", "Recall", "Energy distance")


def row(name: str, values: list[float | None]) -> str:
    """One row of the table."""
    return f"| {name} | " + " | ".join("-" if value is None else f"{value:.3g}" for value in values) + " |"


def digits(path: Path) -> Examples:
    """The digits in a file."""
    return Examples(torch.from_numpy(np.load(path)).unsqueeze(1))


def main(run: Path, train: Path, held_out: Path, times: int, seed: int, picture: Path | None) -> None:
    """Print the table."""
    short, rng = load(run, device="cpu"), Generator().manual_seed(seed)
    learned, examples = digits(train), digits(held_out)
    n = len(examples) // 2
    start, once, *_, last = (point.x for point in short.long_run(n, rng, times=times, batch=n))
    features = Digits(examples, seed=seed)

    def measured(x: Tensor) -> list[Measure]:
        found = evaluate(lambda n: x, lambda n: start, examples, features, n=n, seed=seed)
        return [one for name in SHOWN for one in found if one.name.startswith(name)]

    def distance(x: Tensor) -> float:
        return float(nearest_examples(x, learned).distance.mean())

    of_k, of_long, real = measured(once), measured(last), examples.fetch(torch.arange(len(examples)))
    print("| samples | " + " | ".join(SHOWN) + " | Nearest |\n|---|" + "---:|" * (len(SHOWN) + 1))
    print(row("real", [*(one.real_against_real for one in of_k), distance(real)]))
    print(row("the flow without its tilt", [*(one.noise_against_real for one in of_k), distance(start)]))
    print(row("chains of K steps", [*(one.value for one in of_k), distance(once)]))
    print(row(f"chains of {times} K steps", [*(one.value for one in of_long), distance(last)]))
    if picture is not None:
        near = learned.fetch(nearest_examples(once[:16], learned).indices[:, 0])
        rows = torch.cat([x[:16] for x in (real, start, once, near, last)])
        grid(rows, columns=16).save(picture)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("run", type=Path)
    parser.add_argument("train", type=Path, help="the digits that it was trained on, as numpy saves them")
    parser.add_argument("held_out", type=Path, help="other digits")
    parser.add_argument("--times", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--picture", type=Path)
    given = parser.parse_args()
    main(given.run, given.train, given.held_out, given.times, given.seed, given.picture)
