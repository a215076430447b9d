"""A watcher that draws the density of a model of points in the plane."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Generator, Tensor

from ebmkit import EnergyFn, Method, Update, UsageError, check, energy_values, eval_mode
from ebmkit.data import Examples

INK, RED = (200, 90, 20), (255, 0, 0)
SIDE = 384  # pixels along a side; a coarser grid is enlarged


def density(
    updates: Iterator[Update],
    trainer: Method,
    folder: Path,
    examples: Examples,
    iterations: int,
    *,
    every: int | None = None,
    cells: int = 128,
    extent: float = 1.8,
    points: int = 500,
    temperature: float = 1.0,
) -> Iterator[Update]:
    """Draw exp(-E / temperature) of the model as `density/<index>.png`, with real examples as dots on it.

    The darkest place is the most likely one, and white is a density of 0. Red is where the energy is NaN or minus
    infinity. The energy is that of `trainer.short_run()`, averaged where there is an average, in evaluation mode.

    Args:
        every: Draw at every N-th update and the last; none draws ten times in the run, 0 never.
        cells: Number of cells along each side of the grid.
        extent: The picture shows [-extent, extent]².
        points: Number of real examples that are drawn on the density.
        temperature: Temperature T of the density that is drawn, exp(-E/T).

    Raises:
        UsageError: at the call, if a setting is out of range, the data are not points in the plane, or the energy is
            not one of examples, as in a latent space.
    """
    check("every", every or 0, at_least=0)
    check("cells", cells, at_least=2)
    check("extent", extent, above=0)
    check("points", points, at_least=0)
    check("temperature", temperature, above=0)
    if examples.shape != (2,):
        raise UsageError(f"data must be points in the plane, of shape (2,), for a density; not {examples.shape}")
    if trainer.short_run().decode is not None:
        raise UsageError(
            f"{type(trainer).__name__} has an energy of states, not of examples: it has no density to draw"
        )
    period = max(1, iterations // 10) if every is None else every
    chosen = torch.randint(len(examples), (points,), generator=Generator().manual_seed(0))

    def watched() -> Iterator[Update]:
        for update in updates:
            if period and (update.index % period == 0 or update.index == iterations):
                values = energies(trainer.short_run().energy, cells, extent, trainer.rng.device) / temperature
                picture = dotted(shaded(values), examples.fetch(chosen), extent)
                (folder / "density").mkdir(exist_ok=True)
                picture.save(folder / "density" / f"{update.index:06d}.png")
            yield update

    return watched()


def energies(model: EnergyFn, cells: int, extent: float, device: torch.device) -> Tensor:
    """Energies `(cells, cells)` at the centres of the grid's cells, the top row first, on the CPU."""
    middles = extent * ((2 * torch.arange(cells, device=device) + 1) / cells - 1)
    grid = torch.cartesian_prod(middles.flip(0), middles).flip(1)
    with torch.no_grad(), eval_mode(model):
        return energy_values(model, grid).float().view(cells, cells).cpu()


def shaded(energies: Tensor) -> Image.Image:
    """exp(-energies) `(cells, cells)`, divided by its maximum, as a picture of `SIDE` pixels or more."""
    lowest = torch.where(energies.isfinite(), energies, torch.inf).min()
    likely = torch.exp(lowest - energies)
    shade = (255 - 215 * likely.clamp(0, 1).nan_to_num(0)).round().byte()
    colours = shade.unsqueeze(2).expand(-1, -1, 3).numpy().copy()
    colours[~(energies > -torch.inf).numpy()] = RED
    cells = len(colours)
    side = cells * max(1, -(-SIDE // cells))
    return Image.fromarray(colours.astype(np.uint8)).resize((side, side), Image.Resampling.NEAREST)


def dotted(picture: Image.Image, points: Tensor, extent: float) -> Image.Image:
    """The picture of [-extent, extent]² with a small dot at each of `points` `(n, 2)`."""
    pen = ImageDraw.Draw(picture)
    across, down = (points / extent * torch.tensor([1.0, -1.0]) + 1).mul(picture.width / 2).T.tolist()
    for x, y in zip(across, down, strict=True):
        pen.rectangle((x - 1, y - 1, x, y), fill=INK)
    return picture
