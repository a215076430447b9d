"""The latent energy-based prior of Pang et al."""

from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Generator, Tensor, nn
from torch.optim import Optimizer

from ebmkit import EnergyFn, Method, Parts, Role, Sampler, Update, check, energy_values, eval_mode, role
from ebmkit.methods import follow
from ebmkit_latent.drawing import LatentShortRun
from ebmkit_latent.energy import Posterior, Prior


class LatentEBM(Method):
    """A generator x = G(z) + σ N(0, I) with a prior exp(-E(z)) N(z; 0, I) that is learned, both by short chains.

    One update runs chains of the posterior of z for each example, and chains of the prior. G descends the squared error
    at the ends of the former, E the difference of its means at the ends of both.

    Source: Pang, Han, Nijkamp, Zhu, Wu, "Learning Latent Space Energy-Based Prior Model", NeurIPS 2020, algorithm 1.
    The default values are those of the released code for SVHN: s = 0.4 of the prior and 0.1 of the posterior, whose
    step_size is s²/2; the rates fall each epoch, which there is 733 updates.

    Args:
        latent: Length of z.
        sigma: σ, the standard deviation of x around G(z).
        decay: Factor of all learning rates after each `decay_every` updates; 1 leaves them as they are.
        decay_every: After how many updates the learning rates fall.

    Raises:
        UsageError: if a setting is outside its range.
    """

    roles: ClassVar[Mapping[str, Role]] = {
        "energy": role("energy", "mlp", width=200, depth=2, activation="leaky_relu"),
        "generator": role("network", "deconvnet"),
        "init": role("init", "gaussian"),
        "sampler": role("sampler", "langevin", steps=60, step_size=0.08, noise=0.4),
        "posterior": role("sampler", "langevin", steps=20, step_size=0.005, noise=0.1),
        "optimizer": role("optimizer", "adam", lr=2e-5, betas=(0.5, 0.999)),
        "generator_optimizer": role("optimizer", "adam", lr=1e-4, betas=(0.5, 0.999)),
    }
    defaults: ClassVar[Mapping[str, Any]] = {"batch_size": 100, "data_noise": 0.0, "lr_schedule": "constant"}
    terms: ClassVar[tuple[str, ...]] = ("reconstruction", "posterior_displacement", "posterior_gradient")

    def __init__(
        self,
        parts: Parts,
        shape: tuple[int, ...],
        *,
        latent: int = 100,
        sigma: float = 0.3,
        decay: float = 0.998,
        decay_every: int = 733,
    ) -> None:
        check("latent", latent, at_least=1)
        check("sigma", sigma, above=0)
        check("decay", decay, above=0, at_most=1)
        check("decay_every", decay_every, at_least=1)
        self.latent, self.sigma, self.decay, self.decay_every = latent, sigma, decay, decay_every
        self.energy = parts.energy(shape=(latent,))
        self.generator = parts.generator(inputs=(latent,), outputs=shape)
        self.init = parts.init(shape=(latent,))
        self.sampler, self.posterior = parts.sampler(), parts.posterior()
        self.optimizer = parts.optimizer(self.energy)
        self.generator_optimizer = parts.generator_optimizer(self.generator)
        x = torch.zeros(parts.batch, *shape, device=parts.device)
        gradients = (one.promises.gradients for one in (self.posterior, self.sampler))
        self.posterior_chains = parts.chains(self.posterior_of(x), (latent,), next(gradients))
        self.prior_chains = parts.chains(Prior(self.energy), (latent,), next(gradients))

    def update(self, batch: Tensor) -> Update:
        """One update on examples `(B, *shape)`: algorithm 1 of the paper."""
        n = len(batch)
        z, inferred = self.run(self.posterior, self.posterior_chains(self.posterior_of(batch)), self.noise(n, self.rng))
        fake, chain = self.run(self.sampler, self.prior_chains(Prior(self.energy)), self.init.sample(n, self.rng))
        self.init.remember(fake)
        with self.training():
            terms = self.fit_generator(batch, z, inferred)
            return self.fit_energy(z, fake, chain, terms)

    def posterior_of(self, x: Tensor) -> Posterior:
        """The energy of z given examples `(B, *shape)`."""
        return Posterior(self.energy, self.generator, x, self.sigma)

    def noise(self, n: int, rng: Generator) -> Tensor:
        """`n` draws of N(0, I), `(n, d)`."""
        return torch.randn(n, self.latent, generator=rng, device=rng.device)

    def run(self, sampler: Sampler, energy: EnergyFn, start: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Where chains from `start` `(B, d)` end, and what was measured along them."""
        with eval_mode(energy):
            return follow(start, sampler.chain(energy, start, self.rng))

    def fit_generator(self, x: Tensor, z: Tensor, inferred: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """One step of G along the squared error at z `(B, d)` of examples x; returns what is reported of it."""
        error = (self.generator(z) - x).square().flatten(1).sum(1).mean()
        terms = {"reconstruction": error / x[0].numel()}
        for name, measured in (("displacement", "displacement"), ("gradient", "end_gradient")):
            if measured in inferred:
                terms[f"posterior_{name}"] = inferred[measured]
        scalars = dict(self.descend(error, self.generator_optimizer, terms).scalars)
        return {name: scalars[name] for name in terms}

    def fit_energy(self, z: Tensor, fake: Tensor, chain: Mapping[str, Tensor], terms: Mapping[str, Tensor]) -> Update:
        """One step of E: down at z `(B, d)` of the examples, up where the prior's chains ended; ends the update."""
        real_energy, fake_energy = energy_values(self.energy, z), energy_values(self.energy, fake)
        means = {"real_energy": real_energy.mean(), "fake_energy": fake_energy.mean()}
        descent = self.descend(means["real_energy"] - means["fake_energy"], self.optimizer, {**means, **chain})
        return self.finish(descent, real_energy=real_energy, fake_energy=fake_energy, terms=terms)

    def rate_factor(self, optimizer: Optimizer) -> float:
        """The factor of the learning rates: that of train.lr_schedule, and the decay."""
        scheduled = super().rate_factor(optimizer)
        return self.decayed(optimizer) * (1.0 if scheduled is None else scheduled)

    def decayed(self, optimizer: Optimizer) -> float:
        """What the decay leaves of the learning rate of an optimiser."""
        return self.decay ** (self.index // self.decay_every)

    @property
    def passes_outside(self) -> int:
        """Passes of an update besides those of its chains: of G on z, of E on z and on the samples."""
        return 3

    def short_run_of(self, networks: Mapping[str, nn.Module]) -> LatentShortRun:
        """Chains of the prior from noise, decoded; inference by chains of the posterior from noise."""
        energy, generator = networks["energy"], networks["generator"]
        return LatentShortRun(
            energy=self.prior_chains(Prior(energy)),
            sampler=self.sampler,
            init=self.init,
            decode=generator,
            guess=lambda x, rng: self.noise(len(x), rng),
            posterior=self.posterior,
            given=partial(Posterior, energy, generator, sigma=self.sigma),
        )
