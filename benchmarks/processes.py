"""The gradient of one update by two processes: one sum of flat gradients, beside DistributedDataParallel.

`python benchmarks/processes.py`, in about a minute. Both take turns; ratios are those within a round.
"""

import argparse
import tempfile
import time

import torch
from timing import ratio, spread, time_in_turns
from torch import Tensor, distributed, multiprocessing, nn
from torch.nn.parallel import DistributedDataParallel

from ebmkit.energies.convnet import ConvNet
from ebmkit.methods.sharing import Sharing
from ebmkit.processes import joined

SIZE = 2
NETWORKS = {
    "8x8, width 4": ((1, 8, 8), 4, 32),
    "16x16, width 16": ((1, 16, 16), 16, 16),
    "32x32, width 64": ((3, 32, 32), 64, 4),
}


def gap(energy: nn.Module, x: Tensor) -> Tensor:
    """The loss of one batch, the first half of which is real."""
    real, fake = energy(x).chunk(2)
    return real.mean() - fake.mean()


def compare(rank: int, store: str, rounds: int) -> None:
    """Time both in one of the processes; the first prints."""
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=SIZE)
    for name, (shape, width, batch) in NETWORKS.items():
        torch.manual_seed(0)
        energy, wrapped = (ConvNet(shape, width=width) for _ in range(2))
        wrapped.load_state_dict(energy.state_dict())
        parallel, optimizer = DistributedDataParallel(wrapped), torch.optim.SGD(energy.parameters())
        sharing = Sharing([energy], [optimizer], joined())
        x = torch.randn(2 * batch, *shape, generator=torch.Generator().manual_seed(rank))

        def flat(
            steps: int,
            energy: nn.Module = energy,
            sharing: Sharing = sharing,
            optimizer: torch.optim.Optimizer = optimizer,
            x: Tensor = x,
        ) -> None:
            for _ in range(steps):
                energy.zero_grad()
                loss = gap(energy, x)
                loss.backward()
                sharing.mean({"loss": loss.detach()}, optimizer)

        def ddp(steps: int, parallel: nn.Module = parallel, x: Tensor = x) -> None:
            for _ in range(steps):
                parallel.zero_grad()
                loss = gap(parallel, x)
                loss.backward()
                distributed.all_reduce(loss.detach())  # the scalars of the update need a sum of their own

        def single(steps: int, energy: nn.Module = energy, x: Tensor = x) -> None:
            for _ in range(steps):
                energy.zero_grad()
                gap(energy, x).backward()

        flat(1), ddp(1)
        pairs = zip(energy.parameters(), wrapped.parameters(), strict=True)
        if not all(torch.allclose(one.grad, other.grad, rtol=1e-4, atol=1e-6) for one, other in pairs):
            raise RuntimeError("the contenders have different gradients")
        steps = 3
        seconds = time_in_turns({"flat": flat, "ddp": ddp}, steps, rounds)
        # By itself: whoever follows a turn without a sum would have to wait for the other process.
        seconds |= time_in_turns({"single": single}, steps, rounds)
        if rank == 0:
            weights = sum(one.numel() for one in energy.parameters())
            times = {key: spread(values).times(1000 / steps).median for key, values in seconds.items()}
            gain = ratio(seconds["ddp"], seconds["flat"])
            cells = [name, f"{weights:,}", *(f"{times[key]:.3g} ms" for key in ("single", "flat", "ddp"))]
            print("| " + " | ".join([*cells, f"{gain.median:.2f} ({gain.low:.2f} to {gain.high:.2f})"]) + " |")
    distributed.destroy_process_group()


def main() -> None:
    """Compare both for each network, as a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    began = time.perf_counter()
    print("| network | weights | no sum | flat | DistributedDataParallel | DDP / flat |\n|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        multiprocessing.spawn(compare, (f"{folder}/store", rounds), nprocs=SIZE)
    print(f"{rounds} rounds in {time.perf_counter() - began:.0f} s; medians, and quartiles of the ratio within a round")


if __name__ == "__main__":
    main()
