"""The parts as plain objects, without names, settings or a folder: train an energy on digits, then draw samples.

Run `python examples/quickstart.py`, or with another number of updates: `python examples/quickstart.py 400`.
"""

import sys
from itertools import islice
from pathlib import Path

import torch
from sklearn.datasets import load_digits

from ebmkit import Trainer
from ebmkit.data import Examples, batches
from ebmkit.energies import ConvNet
from ebmkit.inits import Uniform
from ebmkit.pictures import beside, grid
from ebmkit.samplers import Langevin


def main(iterations: int = 100, out: Path = Path("quickstart.png")) -> None:
    """Train for some updates, and save a picture of real examples beside samples."""
    torch.manual_seed(0)  # for the weights; everything else draws from generators that it is given
    rng = torch.Generator().manual_seed(0)

    images = torch.tensor(load_digits().images / 8 - 1, dtype=torch.float32).unsqueeze(1)
    examples = Examples(images)  # any tensor (N, *shape) with values in [-1, 1] works
    print(f"{len(examples)} examples of shape {examples.shape}")

    energy = ConvNet(examples.shape, width=16)
    init = Uniform(examples.shape)
    sampler = Langevin(steps=40, step_size=1.0, noise=0.01)
    optimizer = torch.optim.Adam(energy.parameters(), lr=1e-3)
    trainer = Trainer(energy, sampler, init, optimizer, rng)

    stream = batches(examples, 64, torch.Generator().manual_seed(1), noise=0.03)
    for update in islice(map(trainer.update, stream), iterations):
        if update.index % 20 == 0 or update.index in (1, iterations):
            values = update.scalars
            print(f"update {update.index}: gap {values['gap']:+.3f}, gradient {values['end_gradient']:.3f}")

    samples = sampler.sample(energy, init.sample(64, rng), rng)
    beside({"real": grid(images[:64], 8), "samples": grid(samples, 8)}).save(out)
    print(f"wrote {out}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100)
