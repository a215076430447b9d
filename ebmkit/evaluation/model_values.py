"""What a model itself says of examples, like its log density: the mean over data, beside that over starts of chains."""

import math
from collections.abc import Iterator

import torch
from torch import Generator

from ebmkit.data.examples import Examples
from ebmkit.errors import check
from ebmkit.evaluation.measures import Measure
from ebmkit.shortrun import ShortRun


def value_measures(
    short: ShortRun, examples: Examples, device: torch.device, *, n: int, seed: int = 0, batch: int = 64
) -> Iterator[Measure]:
    """The means of `ShortRun.values` over n examples, with their standard errors; none for most models.

    In place of noise are as many starts of new chains, decoded.

    Args:
        short: The model.
        examples: The data.
        device: Where the model computes.
        n: How many examples there are values of, drawn by the seed.
        seed: Seed of the choice of examples, of the starts and of what the model draws.
        batch: How many examples are computed at once.

    Raises:
        UsageError: if n is out of range.
        ValueError: if the model returns another number of values than it was given examples.
    """
    check("n", n, at_least=2, at_most=len(examples))
    if type(short).values is ShortRun.values:
        return
    chosen = torch.randperm(len(examples), generator=Generator().manual_seed(seed))[:n]
    rng = Generator(device).manual_seed(seed)
    starts = [short.decoded(z) for z in short.init.noise_distribution().in_batches(n, rng, batch)]
    x = torch.cat([examples.fetch(chosen).to(device), *starts])
    for found in short.values(x, rng, batch=batch):
        if found.values.shape != (2 * n,):
            raise ValueError(f"{found.name} has shape {tuple(found.values.shape)}, expected ({2 * n},)")
        own, noise = torch.split(found.values.detach().cpu().double(), n)
        error = math.hypot(float(own.std()) / math.sqrt(n), found.error)
        name, of_noise = f"Mean {found.name} of the data", float(noise.mean())
        yield Measure(name, float(own.mean()), error, None, of_noise, n, "none", seed, "none", found.note)
