"""Steps of a chain through a generator of transposed convolutions: by autograd, recorded, and packed for oneDNN.

`make transposed`, in about a minute. The energy is that of a posterior of z given an example x, with
the generator g: E(z) = |x - g(z)|² / (2 sigma²) + |z|² / 2. All take turns on one thread; times are those of the
processor, which other work on the machine changes least, and ratios those within a round.
"""

import argparse
import copy
import time
from collections.abc import Callable
from functools import partial

import torch
from timing import Turn, ratio, spread, time_in_turns
from torch import Tensor, nn

from ebmkit.acceleration.precision import Precision, supported
from ebmkit.acceleration.replaying import Replay
from ebmkit.acceleration.twin import Twin
from ebmkit.interfaces import value_and_grad

SIGMA = 0.3
STEPS = 3  # passes of a turn
# Elements of z, channels and doublings of the side from 4, width, batch.
CASES = {
    "8x8, width 32, batch 64": (16, 1, 1, 32, 64),
    "32x32, width 32, batch 8": (100, 3, 3, 32, 8),
    "32x32, width 32, batch 64": (100, 3, 3, 32, 64),
    "32x32, width 64, batch 64": (100, 3, 3, 64, 64),
}


class Posterior(nn.Module):
    """E(z) `(B,)` for z `(B, latent)`, with a generator as in Pang et al., NeurIPS 2020, for fixed random examples."""

    def __init__(self, latent: int, channels: int, doublings: int, width: int, batch: int) -> None:
        super().__init__()
        widths = [width * 2**number for number in reversed(range(doublings))]
        layers: list[nn.Module] = [nn.ConvTranspose2d(latent, widths[0], 4), nn.LeakyReLU(0.2)]
        for inputs, outputs in zip(widths, [*widths[1:], channels], strict=True):
            layers += [nn.ConvTranspose2d(inputs, outputs, 4, 2, 1), nn.LeakyReLU(0.2)]
        self.generator = nn.Sequential(*layers[:-1], nn.Tanh())
        side = 4 * 2**doublings
        self.register_buffer("x", torch.rand(batch, channels, side, side) * 2 - 1)

    def forward(self, z: Tensor) -> Tensor:
        """Energies `(B,)`."""
        apart = (self.x - self.generator(z[:, :, None, None])).square().flatten(1).sum(1)
        return apart / (2 * SIGMA**2) + z.square().sum(1) / 2


def compared(energy: nn.Module, z: Tensor, precision: Precision, rounds: int) -> list[str]:
    """The cells of a row: milliseconds of a pass of each, and what packing gains."""
    twin = Twin(energy, precision, compile=False)
    recording = twin.recording(z)
    contenders: dict[str, Callable[[Tensor], tuple[Tensor, ...]]] = {
        "autograd": partial(twin.passes, twin.network),
        "recorded": Replay(recording, z, "recorded"),
        "packed": Replay(recording, z, "packed"),
    }
    exact = value_and_grad(copy.deepcopy(energy).double(), z.double())[1]
    off = {name: float((one(z)[1] - exact).norm()) for name, one in contenders.items()}
    if off["packed"] > 2 * off["autograd"]:
        raise RuntimeError(f"the packed passes are off by {off['packed']:.3g}, autograd by {off['autograd']:.3g}")

    def turn(one: Callable[[Tensor], object]) -> Turn:
        return lambda steps: [one(z) for _ in range(steps)]

    seconds = time_in_turns(
        {name: turn(one) for name, one in contenders.items()}, STEPS, rounds, clock=time.process_time
    )
    gains = [ratio(seconds[name], seconds["packed"]) for name in ("recorded", "autograd")]
    times = [f"{spread(values).median * 1000 / STEPS:.3g} ms" for values in seconds.values()]
    return [*times, *(f"{gain.median:.2f} ({gain.low:.2f} to {gain.high:.2f})" for gain in gains)]


def main() -> None:
    """Compare them for each generator in each precision of this machine, as a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=25)
    options = parser.parse_args()
    torch.set_num_threads(1)
    began = time.perf_counter()
    print("| generator | autograd | recorded | packed | recorded / packed | autograd / packed |")
    print("|---|---|---|---|---|---|")
    for precision in supported(torch.device("cpu")):
        for name, (latent, channels, doublings, width, batch) in CASES.items():
            torch.manual_seed(0)
            energy = Posterior(latent, channels, doublings, width, batch)
            cells = compared(energy, torch.randn(batch, latent), precision, options.rounds)
            print(f"| {precision}, {name} | {' | '.join(cells)} |", flush=True)
    print(f"{options.rounds} rounds in {time.perf_counter() - began:.0f} s; medians, quartiles of ratios")


if __name__ == "__main__":
    main()
