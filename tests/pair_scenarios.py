"""What two processes do in tests, as a program: `pair_scenarios.py STORE RANK`; see `pairs.Pair`."""

import json
import signal
import sys
import time
import traceback
from collections.abc import Mapping
from contextlib import redirect_stdout
from copy import deepcopy
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any

import torch
from latent_method import Adapting, Posterior, TinyLatent
from pairs import SIZE
from torch import Generator, Tensor, distributed, nn
from typer.testing import CliRunner

from ebmkit.cli.main import app
from ebmkit.energies.mlp import MLP
from ebmkit.errors import UsageError
from ebmkit.inits.replay import ReplayBuffer
from ebmkit.interfaces import InitDistribution, Sampler
from ebmkit.methods.maximum_likelihood import Trainer
from ebmkit.methods.method import Method
from ebmkit.networks.dense import Dense
from ebmkit.processes import Processes, joined
from ebmkit.registry.lookup import register
from ebmkit.runs.origin import fingerprint
from ebmkit.runs.training import new_run, resume_run
from ebmkit.samplers.langevin import Langevin

SHAPE = (6,)
SMALL: dict[str, dict[str, Any]] = {
    "energy": {"width": 4},
    "sampler": {"steps": 2},
    "init": {"use": "replay", "size": 20},
    "train": {"batch_size": 8, "iterations": 6, "device": "cpu", "average": 0.9},
    "watch.pictures": {"every": 0},
    "watch.checkpoints": {"every": 2},
}


LATENT: dict[str, dict[str, Any]] = {
    "method": {"use": "tiny"},
    "data": {"use": "gaussians", "count": 200},
    "train": {"batch_size": 8, "iterations": 6, "device": "cpu", "average": 0.9, "gradient_clip": "auto"},
    "watch.pictures": {"every": 0},
    "watch.checkpoints": {"every": 2},
}


class Part:
    """A generator whose draws are this process's part of those of one process."""

    def __init__(self, processes: Processes) -> None:
        self.processes, self.rng = processes, Generator().manual_seed(3)
        self.device = self.rng.device

    def draw(self, n: int) -> Tensor:
        whole = torch.randn(n * self.processes.size, *SHAPE, generator=self.rng, dtype=torch.float64)
        return whole.chunk(self.processes.size)[self.processes.rank]


class Starts(InitDistribution):
    def sample(self, n, rng):
        return rng.draw(n)


class Chains(Langevin):
    """Langevin chains with the noise of `Part`."""

    def chain(self, energy, x, rng):
        for state in Langevin(steps=1, step_size=self.step_size, noise=0).chain(energy, x, Generator()):
            for _ in range(3):
                x = state.x + 0.1 * rng.draw(len(x))
                yield state._replace(x=x)
                (state,) = Langevin(steps=1, step_size=self.step_size, noise=0).chain(energy, x, Generator())


class Normed(nn.Module):
    """A network with buffers that training changes."""

    def __init__(self, spectral: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        first = nn.Linear(6, 8)
        self.layers = nn.Sequential(
            nn.utils.parametrizations.spectral_norm(first) if spectral else first, nn.SiLU(), nn.Linear(8, 1)
        ).double()

    def forward(self, x):
        return self.layers(x).squeeze(1)


def trainer(processes: Processes, penalty: float) -> Trainer:
    energy = Normed(spectral=penalty > 0)
    optimizer = torch.optim.Adam(energy.parameters(), lr=0.01)
    settings: dict[str, Any] = {"gradient_penalty": penalty, "gradient_clip": "auto", "average": 0.9}
    sampler = Chains(step_size=0.1)
    return Trainer(
        energy, sampler, Starts(), optimizer, Part(processes), energy_l2=0.1, processes=processes, **settings
    )


class LatentParts:
    """Builds the parts of `TinyLatent` in double precision, with the noise of `Part`."""

    restored, device = False, torch.device("cpu")

    def __init__(self, processes: Processes) -> None:
        self.processes, self.batch = processes, 8 // processes.size

    def energy(self, shape):
        return Normed(spectral=True)

    def generator(self, inputs, outputs):
        torch.manual_seed(1)
        return Dense(inputs, outputs, width=8, depth=1).double()

    def init(self, shape):
        return Starts()

    def sampler(self):
        return Chains(step_size=0.1)

    def optimizer(self, network):
        return torch.optim.Adam(network.parameters(), lr=0.01)

    def chains(self, energy, shape=None, gradients=None):
        return lambda energy: energy

    posterior, generator_optimizer = sampler, optimizer


def latent(processes: Processes) -> Method:
    method = TinyLatent(LatentParts(processes), SHAPE, latent=SHAPE[0])
    method.begin(Part(processes), gradient_clip="auto", average=0.9, processes=processes)
    return method


def follow(penalty: str) -> Any:
    """How far two processes are from one after 15 updates with the same noise: in weights, and in scalars."""
    return followed(*(trainer(one, float(penalty)) for one in (joined(), Processes())))


def follow_latent() -> Any:
    """The same of a method with two optimisers."""
    return followed(*(latent(one) for one in (joined(), Processes())), indices=torch.arange(4))


def followed(together: Method, single: Method, **facts: Tensor) -> Any:
    rng, far, begun = Generator().manual_seed(5), 0.0, deepcopy(single.kept)
    for _ in range(15):
        batch = torch.randn(8, *SHAPE, generator=rng, dtype=torch.float64)
        found = together.update(batch.chunk(2)[joined().rank], **facts).scalars
        expected = single.update(batch, **facts).scalars
        assert found.keys() == expected.keys()
        far = max(far, *(abs(found[name] - expected[name]) / (1 + abs(expected[name])) for name in found))
    return [distance(together.kept, single.kept), far, distance(begun, single.kept)]


def distance(one: Mapping[str, nn.Module], other: Mapping[str, nn.Module]) -> float:
    """The largest difference between the weights and buffers of networks."""
    return max(
        float((value - other[name].state_dict()[key]).abs().max())
        for name, network in one.items()
        for key, value in network.state_dict().items()
    )


def buffers() -> Any:
    """The buffers after an update in which each process changed them otherwise."""

    class Counting(MLP):
        def __init__(self):
            super().__init__(SHAPE, width=2, depth=1)
            self.register_buffer("seen", torch.zeros(1))

        def forward(self, x):
            if self.training:
                self.seen += 0.1 * (1 + joined().rank)
            return super().forward(x)

    torch.manual_seed(0)
    energy = Counting()
    training = Trainer(
        energy,
        Langevin(steps=1),
        ReplayBuffer(SHAPE, size=9),
        torch.optim.SGD(energy.parameters()),
        Generator(),
        processes=joined(),
    )
    training.update(torch.zeros(4, *SHAPE))
    return energy.seen.item()


def unused() -> Any:
    """An energy of which process 1 does not use a layer."""

    class Half(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.other = MLP(SHAPE, width=2, depth=1), MLP(SHAPE, width=2, depth=1)

        def forward(self, x):
            return self.one(x) + (self.other(x) if joined().first else 0)

    torch.manual_seed(0)
    energy = Half()
    optimizer = torch.optim.SGD(energy.parameters())
    Trainer(energy, Langevin(steps=1), ReplayBuffer(SHAPE, size=9), optimizer, Generator(), processes=joined()).update(
        torch.zeros(4, *SHAPE)
    )


def changed(changes: str, settings: Mapping[str, Any] = SMALL) -> dict[str, dict[str, Any]]:
    found = {section: dict(values) for section, values in settings.items()}
    for section, values in json.loads(changes).items():
        found.setdefault(section, {}).update(values)
    return found


def train(folder: str, changes: str = "{}") -> Any:
    """Train a new run; the scalars of its updates and the hash of its weights."""
    return made(new_run(changed(changes), folder))


def resume(folder: str, changes: str = "{}") -> Any:
    """Resume a run."""
    return made(resume_run(folder, json.loads(changes)))


def train_latent(folder: str, changes: str = "{}", method: type[Method] = TinyLatent) -> Any:
    """Train a new run of a method with two optimisers, and a sampler that adapts."""
    register("method", "tiny", method)
    register("sampler", "adapting", Adapting)
    return made(new_run(changed(changes, LATENT), folder))


def resume_latent(folder: str, changes: str = "{}") -> Any:
    """Resume such a run."""
    register("method", "tiny", TinyLatent)
    register("sampler", "adapting", Adapting)
    return resume(folder, changes)


def broken_between(folder: str, usual: str) -> Any:
    """A method that fails in process 1 between the steps of its two optimisers, in update 3."""

    class Broken(TinyLatent):
        def descend(self, loss, optimizer, scalars=None):
            if joined().rank == 1 and self.index == 2 and optimizer is self.optimizer:
                raise UsageError("no more data") if usual == "True" else ZeroDivisionError("a bug")
            return super().descend(loss, optimizer, scalars)

    return train_latent(folder, method=Broken)


def disordered(folder: str) -> Any:
    """A method whose process 1 takes the steps of its two optimisers in another order."""

    class Disordered(TinyLatent):
        def descend(self, loss, optimizer, scalars=None):
            if joined().rank == 1 and self.index == 1:
                optimizer = self.optimizer if optimizer is self.generator_optimizer else self.generator_optimizer
            return super().descend(loss, optimizer, scalars)

    return train_latent(folder, method=Disordered)


def conditioned() -> Any:
    """The buffers that are shared by a method with a condition among its networks."""

    class Conditioned(TinyLatent):
        def __init__(self, parts, shape, *, latent=2):
            super().__init__(parts, shape, latent=latent)
            self.conditional = Posterior(self.energy, self.generator, torch.ones(4, 6) * joined().rank)

    method = Conditioned(LatentParts(joined()), SHAPE, latent=SHAPE[0])
    method.begin(Part(joined()), processes=joined())
    method.update(torch.zeros(4, *SHAPE, dtype=torch.float64), indices=torch.arange(4))
    return float(method.conditional.x.mean())


def made(run: Any) -> Any:
    scalars = [update.scalars for update in run.train()]
    state = run.trainer.state_dict()
    own = {
        name: fingerprint(one.state_dict()) for name, one in run.trainer.stateful.items() if isinstance(one, Sampler)
    }
    weights = [fingerprint(state[name]) for name in run.trainer.networks]
    return {"scalars": scalars, "weights": weights, "bank": fingerprint(state["init"]), **own}


def differing(folder: str) -> Any:
    """A run whose settings differ between the processes."""
    return train(folder, json.dumps({"optimizer": {"lr": 0.01 * (1 + joined().rank)}}))


def stopped(folder: str) -> Any:
    """A run that process 1 is asked to stop in update 3; where it ended."""
    run = new_run(SMALL, folder)
    try:
        for update in run.train():
            if joined().rank == 1 and update.index == 3:
                signal.raise_signal(signal.SIGTERM)
    except Exception as error:
        return [type(error).__name__, str(error), run.trainer.index, run.status]


def left(folder: str) -> Any:
    """A loop that only process 0 leaves, before the last update."""
    run = new_run(SMALL, folder)
    for update in run.train():
        if joined().first and update.index == 5:
            break
    return [run.trainer.index, run.status]


def bad_data(folder: str) -> Any:
    """A run whose data process 1 cannot read after the start."""

    class Rows(list):
        broken = False

        def __getitem__(self, index):
            if self.broken and joined().rank == 1:
                raise OSError(5, "the disk is gone")
            return super().__getitem__(index)

    rows = Rows(torch.rand(40, 6, generator=Generator().manual_seed(0)))
    register("data", "rows", lambda: rows)
    settings = {**SMALL, "data": {"use": "rows"}, "energy": {"use": "mlp", "width": 4}}
    run = new_run(settings, folder)
    try:
        for update in run.train():
            rows.broken = update.index == 3
    except Exception as error:
        return [type(error).__name__, str(error), run.trainer.index, getattr(error, "__notes__", [])]


def bug(folder: str) -> Any:
    """An energy of process 1 with a bug that shows in update 3."""
    run = new_run(SMALL, folder)
    for update in run.train():
        if update.index == 2 and joined().rank == 1:
            run.trainer.sampler = None


def drifted(folder: str) -> Any:
    """A run whose weights process 1 changes."""
    run = new_run(SMALL, folder)
    for update in run.train():
        if update.index == 3 and joined().rank == 1:
            next(run.trainer.energy.parameters()).data[0] += 1


def commands(words: str, second: str) -> Any:
    """A command, and that of process 1; the exit code, stdout and stderr."""
    result = CliRunner().invoke(app, json.loads(second if joined().rank else words))
    return [result.exit_code, result.stdout, result.stderr]


def full(folder: str) -> Any:
    """A run whose pictures cannot be written from update 2 on."""
    settings = {**SMALL, "watch.pictures": {"every": 3, "count": 4, "chains": 2}}
    run = new_run(settings, folder)
    try:
        for update in run.train():
            if update.index == 1 and joined().first:
                Path(folder, "samples").write_text("no folder")
    except Exception as error:
        return [type(error).__name__, str(error), run.trainer.index, run.status]


def diverged(folder: str) -> Any:
    """A run that diverges, is rolled back, and diverges again."""
    rising = {"optimizer": {"lr": 1e9}, "train": {"on_divergence": "rollback", "rollbacks": 1, "gradient_penalty": 0.0}}
    run = new_run(changed(json.dumps(rising)), folder)
    try:
        for _ in run.train():
            pass
    except Exception as error:
        return [type(error).__name__, str(error), run.status, run.events, run.trainer.index]


def hung(folder: str) -> Any:
    """Process 1 hangs in update 4."""
    run = new_run({**SMALL, "train": {**SMALL["train"], "rank_timeout": 4.0}}, folder)
    try:
        for update in run.train():
            if joined().rank == 1 and update.index == 4:
                time.sleep(60)
    except Exception as error:
        return [type(error).__name__, str(error), getattr(error, "__notes__", []), run.status]


def refused(folder: str) -> Any:
    """A run with a watcher that asks for `save`."""

    def saving(updates, save):
        return updates

    register("watcher", "saving", saving)
    return train(folder, json.dumps({"watch.saving": {}}))


def broken_chains(run: str, out: str) -> Any:
    """Samples of a model whose chains fail in process 1 from the third batch on."""
    usual, calls = Langevin.chain, count()

    def chain(self, energy, x, rng):
        if next(calls) == 2 and joined().rank == 1:
            raise UsageError("the chains are broken")
        yield from usual(self, energy, x, rng)

    Langevin.chain = chain
    try:
        words = json.dumps(["sample", run, "-n", "20", "--batch", "2", "--out", out])
        return commands(words, words)
    finally:
        Langevin.chain = usual


def main(store: str, rank: str) -> None:
    distributed.init_process_group(
        "gloo", init_method=f"file://{store}", rank=int(rank), world_size=SIZE, timeout=timedelta(seconds=300)
    )
    answers = sys.stdout
    for line in sys.stdin:
        name, given = json.loads(line)
        with redirect_stdout(sys.stderr):
            try:
                found = globals()[name](**given)
            except (Exception, KeyboardInterrupt) as error:
                traceback.print_exc()
                found = [type(error).__name__, str(error)]
        print(json.dumps(found), file=answers, flush=True)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(*sys.argv[1:])
