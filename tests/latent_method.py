"""A small latent-space method as a package would bring it: a generator, an energy of z, two chains, two optimisers."""

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Generator, Tensor, nn

from ebmkit import (
    EnergyFn,
    Method,
    Parts,
    Role,
    Sampler,
    ShortRun,
    State,
    Update,
    energy_values,
    eval_mode,
    noise_like,
    role,
    value_and_grad,
)
from ebmkit.methods import follow


class Prior(nn.Module):
    """E(z) + |z|²/2."""

    def __init__(self, energy: nn.Module) -> None:
        super().__init__()
        self.energy = energy

    def forward(self, z: Tensor) -> Tensor:
        return energy_values(self.energy, z) + z.square().sum(1) / 2


class Posterior(nn.Module):
    """The energy of z given x: that of the prior, and the squared error of the generator."""

    x: Tensor

    def __init__(self, energy: nn.Module, generator: nn.Module, x: Tensor) -> None:
        super().__init__()
        self.prior, self.generator = Prior(energy), generator
        self.register_buffer("x", x, persistent=False)

    def forward(self, z: Tensor) -> Tensor:
        return self.prior(z) + 5 * (self.generator(z) - self.x).square().flatten(1).sum(1)


@dataclass(kw_only=True)
class Adapting(Sampler):
    """Langevin whose step size follows its gradients: a sampler with a state.

    Args:
        steps: K, the length of one chain.
    """

    steps: int = 2

    def __post_init__(self) -> None:
        self.size = torch.tensor(0.1)

    def chain(self, energy: EnergyFn, x: Tensor, rng: Generator) -> Iterator[State]:
        for _ in range(self.steps):
            value, gradient = value_and_grad(energy, x)
            self.size = 0.9 * self.size + 0.1 / (1 + gradient.norm(dim=1).mean())
            x = x - self.size * gradient + (2 * self.size).sqrt() * noise_like(x, rng)
            yield State(x, {"energy": value, "gradient": gradient})

    def state_dict(self) -> dict[str, Tensor]:
        return {"size": self.size}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        self.size = state["size"]


class TinyLatent(Method):
    """A generator x = G(z) with a prior that is learned, by short chains of prior and posterior.

    Args:
        latent: Length of z.
    """

    roles: ClassVar[Mapping[str, Role]] = {
        "energy": role("energy", "mlp", width=8, depth=1),
        "generator": role("network", "dense", width=8, depth=1),
        "init": role("init", "gaussian"),
        "sampler": role("sampler", "langevin", steps=3, step_size=0.1, noise=0.1),
        "posterior": role("sampler", "adapting"),
        "optimizer": role("optimizer", "adam", lr=1e-3, betas=(0.5, 0.999)),
        "generator_optimizer": role("optimizer", "adam", lr=2e-3),
    }
    defaults: ClassVar[Mapping[str, Any]] = {"data_noise": 0.0, "batch_size": 12}
    terms: ClassVar[tuple[str, ...]] = ("reconstruction",)

    def __init__(self, parts: Parts, shape: tuple[int, ...], *, latent: int = 2) -> None:
        self.energy = parts.energy(shape=(latent,))
        self.generator = parts.generator(inputs=(latent,), outputs=shape)
        self.target = copy.deepcopy(self.generator).requires_grad_(False)
        self.init = parts.init(shape=(latent,))
        self.sampler, self.posterior = parts.sampler(), parts.posterior()
        self.optimizer = parts.optimizer(self.energy)
        self.generator_optimizer = parts.generator_optimizer(self.generator)
        self.prior_chains = parts.chains(Prior(self.energy), (latent,))
        x = torch.zeros(parts.batch, *shape, device=parts.device)
        self.posterior_chains = parts.chains(Posterior(self.energy, self.generator, x), (latent,))

    def run(self, sampler: Sampler, energy: EnergyFn, n: int) -> tuple[Tensor, dict[str, Tensor]]:
        z = self.init.sample(n, self.rng)
        with eval_mode(energy):
            return follow(z, sampler.chain(energy, z, self.rng))

    def update(self, batch: Tensor, indices: Tensor) -> Update:
        on_posterior = self.posterior_chains(Posterior(self.energy, self.generator, batch))
        z, _ = self.run(self.posterior, on_posterior, len(batch))
        fake, chain = self.run(self.sampler, self.prior_chains(Prior(self.energy)), len(batch))
        with self.training():
            error = (self.generator(z) - batch).square().flatten(1).sum(1).mean()
            generated = self.descend(error, self.generator_optimizer)
            real_energy, fake_energy = energy_values(self.energy, z), energy_values(self.energy, fake)
            means = {"real_energy": real_energy.mean(), "fake_energy": fake_energy.mean()}
            descent = self.descend(means["real_energy"] - means["fake_energy"], self.optimizer, {**means, **chain})
        for slow, fast in zip(self.target.parameters(), self.generator.parameters(), strict=True):
            slow.data.lerp_(fast.data, 0.5)
        terms = {"reconstruction": generated.scalars["loss"]}
        return self.finish(descent, real_energy=real_energy, fake_energy=fake_energy, terms=terms)

    def short_run_of(self, networks: Mapping[str, nn.Module]) -> ShortRun:
        prior = Prior(networks["energy"])
        return ShortRun(self.prior_chains(prior), self.sampler, self.init, decode=networks["generator"])
