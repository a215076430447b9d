"""The costs of an update in 1, 2 and 4 processes: formulas beside counts, times, and what follows for many GPUs.

`python benchmarks/scaling.py` prints tables in Markdown, in a few minutes; docs/scaling.md explains them. Counts need
Linux. Times of one process and of two, with the same batch of both together, are taken in turns.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from costs import (
    Network,
    Training,
    convnet,
    mlp,
    operations,
    pass_bytes,
    sent_bytes,
    state_bytes,
)
from counting import Operations, held_bytes, kept_bytes, sent_so_far
from extrapolation import tables
from tables import Table
from timing import ratio
from torch import Generator, distributed, multiprocessing, nn

from ebmkit.acceleration.accelerated import Accelerated
from ebmkit.energies.convnet import ConvNet
from ebmkit.energies.mlp import MLP
from ebmkit.inits.replay import ReplayBuffer
from ebmkit.inits.uniform import Uniform
from ebmkit.methods.maximum_likelihood import Trainer
from ebmkit.processes import Processes, joined
from ebmkit.samplers.langevin import Langevin

SENDS = 10  # updates over which sent bytes are averaged


class Case(NamedTuple):
    """A training whose costs are counted; `training` is that of one process."""

    network: Network
    shape: tuple[int, ...]
    build: Callable[[], nn.Module]
    training: Training


CASES = (
    Case(convnet(1, 8, 4), (1, 8, 8), lambda: ConvNet((1, 8, 8), width=4), Training(5, 8)),
    Case(
        convnet(3, 32, 8),
        (3, 32, 32),
        lambda: ConvNet((3, 32, 32), width=8),
        Training(3, 8, penalty=True, average=True, bank=40),
    ),
    Case(mlp(2, 64, 3), (2,), lambda: MLP((2,), width=64), Training(4, 16, average=True, moments=0)),
)
TIMED = (
    Case(convnet(1, 16, 8), (1, 16, 16), lambda: ConvNet((1, 16, 16), width=8), Training(20, 32)),
    Case(convnet(3, 32, 16), (3, 32, 32), lambda: ConvNet((3, 32, 32), width=16), Training(10, 16)),
)


def trainer_of(case: Case, processes: Processes, fast: bool = False) -> Trainer:
    """The trainer of a case; `fast` passes as ebmkit computes them, else as PyTorch does."""
    torch.manual_seed(0)
    energy, training = case.build(), case.training
    if training.moments:
        optimizer: torch.optim.Optimizer = torch.optim.Adam(energy.parameters(), lr=1e-4)
    else:
        optimizer = torch.optim.SGD(energy.parameters(), lr=1e-4)
    return Trainer(
        energy,
        Langevin(steps=training.steps),
        ReplayBuffer(case.shape, size=training.bank) if training.bank else Uniform(case.shape),
        optimizer,
        Generator().manual_seed(processes.rank),
        gradient_penalty=float(training.penalty),
        average=0.99 if training.average else None,
        accelerate=Accelerated(energy).refreshed if fast else None,
        processes=processes,
    )


def counted(case: Case, processes: Processes) -> dict[str, float]:
    """What one process counts in an update after the first."""
    trainer = trainer_of(case, processes)
    batch = torch.rand(case.training.batch // processes.size, *case.shape)
    trainer.update(batch)
    with Operations() as chains:
        fake, chain = trainer.chains(len(batch))
    with Operations() as gradient, kept_bytes() as kept:
        trainer.follow_gradient(batch, fake, chain)
    processes.exchange(None)  # what the updates before have sent has arrived
    before = sent_so_far()
    for _ in range(SENDS):
        trainer.update(batch)
    sent = (sent_so_far() - before) / SENDS
    found = {"operations": chains.count + gradient.count, "state": held_bytes(trainer)}
    return {**found, "kept": sum(kept.values()), "sent": sent}


def expected(case: Case, size: int) -> dict[str, float]:
    """The same by the formulas."""
    training = Training(**{**vars(case.training), "processes": size})
    formulas = {"operations": operations, "state": state_bytes, "kept": pass_bytes, "sent": sent_bytes}
    return {name: formula(case.network, training) for name, formula in formulas.items()}


def seconds(trainer: Trainer, case: Case, processes: Processes, updates: int) -> float:
    """Seconds of a few updates, by the clock of this process."""
    batch = torch.rand(case.training.batch // processes.size, *case.shape)
    began = time.perf_counter()
    for _ in range(updates):
        trainer.update(batch)
    return time.perf_counter() - began


def timed(case: Case, both: Processes, rounds: int, updates: int) -> list[list[float]]:
    """Seconds of one process, and of two, in each round; the other waits for the only one."""
    single = Processes()
    trainers = [trainer_of(case, processes, fast=True) for processes in (single, both)]
    found = []
    for number in range(rounds + 1):  # the first round records the passes, and does not count
        both.exchange(None)
        one = seconds(trainers[0], case, single, updates) if both.first else 0.0
        both.exchange(None)
        two = seconds(trainers[1], case, both, updates)
        if number:
            found.append([one, two])
    return found


def work(rank: int, size: int, folder: str, rounds: int) -> None:
    """Count and time in one of the processes; the first writes what all found."""
    torch.set_num_threads(1)
    store = f"file://{folder}/store-{size}"
    distributed.init_process_group("gloo", init_method=store, rank=rank, world_size=size)
    processes = joined()
    found: dict[str, Any] = {"counts": [processes.gather(counted(case, processes)) for case in CASES]}
    if size == 2:
        found["times"] = [timed(case, processes, rounds, updates=3) for case in TIMED]
    if processes.first:
        Path(folder, f"{size}.json").write_text(json.dumps(found), encoding="utf-8")
    distributed.destroy_process_group()


def count_table(found: dict[int, dict[str, Any]]) -> Table:
    """Formulas beside counts; of several processes, the least and the most of them if they differ."""
    rows = []
    for number, case in enumerate(CASES):
        for size, one in found.items():
            row = [case.network.name, str(size)]
            for name, value in expected(case, size).items():
                counts = sorted({round(rank[name]) for rank in one["counts"][number]})
                row += [f"{value:,.0f}", " to ".join(f"{count:,}" for count in dict.fromkeys((counts[0], counts[-1])))]
            rows.append(row)
    columns = ["operations", "state", "kept by a pass", "sent"]
    heads = [text for column in columns for text in (column, "counted")]
    return Table("One update of one process: formulas and counts", ["network", "N", *heads], rows)


def time_table(times: list[list[list[float]]]) -> Table:
    """How much faster two processes are than one, with the same batch of both together."""
    rows = []
    for case, rounds in zip(TIMED, times, strict=True):
        one, two = (list(column) for column in zip(*rounds, strict=True))
        gain = ratio(one, two)
        spread = f"{gain.median:.2f} ({gain.low:.2f} to {gain.high:.2f})"
        rows.append([case.network.name, str(case.training.steps), str(case.training.batch), spread])
    return Table("Speed of two processes, that of one being 1", ["network", "K", "B", "median and quartiles"], rows)


def main() -> None:
    """Print all tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=11)
    rounds = parser.parse_args().rounds
    found: dict[int, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for size in (1, 2, 4):
            multiprocessing.spawn(work, (size, folder, rounds), nprocs=size)
            found[size] = json.loads(Path(folder, f"{size}.json").read_text(encoding="utf-8"))
    for table in (count_table(found), time_table(found[2]["times"]), *tables()):
        print(table.markdown())


if __name__ == "__main__":
    main()
