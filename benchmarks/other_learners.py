"""Other libraries as contenders that train, each by the recipe that its documentation gives for images.

`ebm` has one: `examples/train_mnist.py` of its source archive, the recipe of Du & Mordatch (2019) with a replay buffer.
torchebm has none: its README and examples train in the plane. The nearest is persistent contrastive divergence, as in
`examples/20-training/01-mcmc-losses/02-persistent-cd`, with the clamp that the documentation of its sampler calls
standard for images; samples are drawn as in its training tutorial, by 200 steps from normal noise. Besides, each trains
by the paper's recipe, whose noise starts `ebm` has as `init_fn`, and torchebm after one method is replaced.
"""

from pathlib import Path
from typing import Any

import ebm
import torch
from learning import Learner, Make, Task, in_chunks, real_batches, uniform
from others import OTHER, TORCHEBM, Model
from torch import Generator, Tensor, nn
from torchebm.losses import ContrastiveDivergence
from torchebm.samplers import LangevinDynamics

from ebmkit.runs.build import seeds_of

AVERAGED_FROM = (
    1000  # updates over which ebm's average of the weights reaches back; before, it is mostly initial weights
)


class NoiseStarts(ContrastiveDivergence):  # type: ignore[misc]
    """Its contrastive divergence with the paper's starts, which it does not have."""

    def get_start_points(self, x: Tensor, generator: Generator | None = None) -> Tensor:
        """Uniform noise of the shape of a batch `(B, *shape)`."""
        return uniform(len(x), tuple(x.shape[1:]))


class Loss:
    """The state of its loss, whose replay buffer must exist before it is loaded."""

    def __init__(self, loss: ContrastiveDivergence, shape: tuple[int, ...]) -> None:
        self.loss, self.shape = loss, shape

    def state_dict(self) -> dict[str, Any]:
        """The replay buffer, with the weights of the model."""
        state: dict[str, Any] = self.loss.state_dict()
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        if "replay_buffer" in state:
            self.loss.init_steps = 0
            self.loss.initialize_buffer(self.shape)
        self.loss.load_state_dict(state)


def torchebm_replay(task: Task, seed: int, folder: Path) -> Learner:
    """Persistent contrastive divergence of torchebm, with the values of its example."""
    model, seeds = Model(task.network(seed), torch.Size(task.shape)), seeds_of(task.paper(seed))
    sampler = LangevinDynamics(model=model, step_size=0.1, noise_scale=1.0, clamp=(-1, 1))
    loss = ContrastiveDivergence(model=model, sampler=sampler, k_steps=10, persistent=True, buffer_size=8192)
    optimizer, rng = torch.optim.Adam(model.parameters(), lr=1e-3), Generator().manual_seed(seeds.batches)

    def update() -> bool:
        return descend(loss, optimizer, real_batches(task.images, 256, 0.0, rng))

    def start(n: int) -> Tensor:
        return torch.randn(n, *task.shape)

    torch.manual_seed(seeds.chains)
    return Learner(
        "persistent CD, K = 10, Adam 0.001, batch 256, after 100 steps of 8,192 chains; no recipe for images: its "
        "example in the plane, with clamp",
        model.energy,
        update,
        lambda n: in_chunks(lambda x: sampler.sample(x=x, n_steps=200), start, n),
        start,
        {"loss": Loss(loss, task.shape), "optimizer": optimizer},
        {"batches": rng},
    )


def torchebm_noise(task: Task, seed: int, folder: Path) -> Learner:
    """The paper's recipe with the sampler and the loss of torchebm."""
    recipe, model = task.paper(seed), Model(task.network(seed), torch.Size(task.shape))
    rule, train, seeds = recipe.build("sampler"), recipe.train, seeds_of(recipe)
    scale = rule.noise / (2 * rule.step_size) ** 0.5  # its noise has standard deviation noise_scale * sqrt(2 step_size)
    sampler = LangevinDynamics(model=model, step_size=rule.step_size, noise_scale=scale)
    loss = NoiseStarts(model=model, sampler=sampler, k_steps=rule.steps, energy_reg_weight=0.0)
    optimizer = torch.optim.Adam(model.parameters(), lr=recipe.settings("optimizer")["lr"])
    rng = Generator().manual_seed(seeds.batches)

    def update() -> bool:
        return descend(loss, optimizer, real_batches(task.images, train.batch_size, train.data_noise, rng))

    def start(n: int) -> Tensor:
        return uniform(n, task.shape)

    torch.manual_seed(seeds.chains)
    return Learner(
        f"the paper's recipe: noise starts, K = {rule.steps}, batch {train.batch_size}",
        model.energy,
        update,
        lambda n: in_chunks(lambda x: sampler.sample(x=x, n_steps=rule.steps), start, n),
        start,
        {"loss": Loss(loss, task.shape), "optimizer": optimizer},
        {"batches": rng},
    )


def descend(loss: ContrastiveDivergence, optimizer: torch.optim.Optimizer, real: Tensor) -> bool:
    """One update of the loop in its README."""
    value, _ = loss(real)
    optimizer.zero_grad()
    value.backward()
    optimizer.step()
    return True


def ebm_replay(task: Task, seed: int, folder: Path) -> Learner:
    """The recipe for images of `ebm`, with the values of its example; its network is that of the race."""
    energy, shape = task.network(seed), task.shape
    torch.manual_seed(seeds_of(task.paper(seed)).chains)
    sampler = ebm.LangevinDynamics(step_size=10.0, noise_scale=0.005, grad_clip=0.01, steps=60, clamp=(-1, 1))
    buffer = ebm.ReplayBuffer(10_000, shape, reinit_prob=0.05, init_fn=lambda size: uniform(size[0], size[1:]))
    loss = ebm.ContrastiveDivergence(sampler, buffer=buffer, energy_reg=1.0)
    trainer = ebm.Trainer(energy, loss, lr=1e-4, ema_decay=0.999, device="cpu")

    def update() -> bool:
        trainer.fit(task.images, steps=1, batch_size=128, verbose=False)
        return True

    def model() -> nn.Module:
        averaged: nn.Module = trainer.ema.module
        return averaged.eval() if trainer.step_count >= AVERAGED_FROM else energy

    def start(n: int) -> Tensor:
        return uniform(n, shape)

    return Learner(
        f"its example for images: replay buffer, K = 60, Adam 0.0001, batch 128, 300 steps from noise for samples, "
        f"average of the weights from update {AVERAGED_FROM}",
        energy,
        update,
        lambda n: in_chunks(lambda x: sampler.sample(model(), x, steps=300), start, n),
        start,
        {"trainer": trainer},
    )


def ebm_noise(task: Task, seed: int, folder: Path) -> Learner:
    """The paper's recipe with the parts of `ebm`."""
    recipe, energy = task.paper(seed), task.network(seed)
    rule, train, seeds = recipe.build("sampler"), recipe.train, seeds_of(recipe)
    sampler = ebm.LangevinDynamics(step_size=rule.step_size, noise_scale=rule.noise, steps=rule.steps)
    loss = ebm.ContrastiveDivergence(sampler, init_fn=lambda size: uniform(size[0], size[1:]))
    trainer = ebm.Trainer(energy, loss, lr=recipe.settings("optimizer")["lr"], device="cpu")
    rng = Generator().manual_seed(seeds.batches)

    def update() -> bool:
        real = real_batches(task.images, train.batch_size, train.data_noise, rng)
        trainer.fit(iter([real]), steps=1, verbose=False)  # of a list it would draw a batch of its own
        return True

    def start(n: int) -> Tensor:
        return uniform(n, task.shape)

    torch.manual_seed(seeds.chains)
    return Learner(
        f"the paper's recipe: noise starts, K = {rule.steps}, batch {train.batch_size}",
        energy,
        update,
        lambda n: in_chunks(lambda x: sampler.sample(energy, x), start, n),
        start,
        {"trainer": trainer},
        {"batches": rng},
    )


PAPER = ("torchebm-noise", "ebm-noise")  # those that must learn what the plain loop learns
LEARNERS: dict[str, tuple[str, Make]] = {
    "torchebm-replay": (f"{TORCHEBM}, replay", torchebm_replay),
    "torchebm-noise": (f"{TORCHEBM}, paper", torchebm_noise),
    "ebm-replay": (f"{OTHER}, replay", ebm_replay),
    "ebm-noise": (f"{OTHER}, paper", ebm_noise),
}
