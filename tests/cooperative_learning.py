"""Cooperative learning, as a package would bring it: chains start from a generator that learns from their ends."""

from typing import ClassVar

from ebmkit import InitDistribution, Method, ShortRun, energy_values, eval_mode, role
from ebmkit.methods import follow


class Generated(InitDistribution):
    def __init__(self, generator, latents):
        self.generator, self.latents = generator, latents

    def sample(self, n, rng):
        with eval_mode(self.generator):
            return self.generator(self.latents.sample(n, rng)).detach()


class CooperativeLearning(Method):
    """Cooperative learning (Xie et al., TPAMI 2018): chains run from g(z), and g learns to jump to where they end.

    The energy descends mean E(batch) - mean E(x) for the ends x of the chains, and g the mean of |g(z) - x|².

    Args:
        latent: Length of z.
    """

    terms = ("regression",)
    roles: ClassVar = {
        "energy": role("energy", "convnet"),
        "generator": role("network", "dense"),
        "init": role("init", "gaussian"),
        "sampler": role("sampler", "langevin", steps=30),
        "optimizer": role("optimizer", "adam"),
        "generator_optimizer": role("optimizer", "adam", lr=3e-4),
    }

    def __init__(self, parts, shape, *, latent: int = 32):
        self.energy, self.generator = parts.energy(), parts.generator(inputs=(latent,), outputs=shape)
        self.init, self.sampler = parts.init(shape=(latent,)), parts.sampler()
        self.optimizer = parts.optimizer(self.energy)
        self.generator_optimizer = parts.generator_optimizer(self.generator)
        self.chains = parts.chains(self.energy)

    def update(self, batch):
        z, energy = self.init.sample(len(batch), self.rng), self.chains(self.energy)
        with self.training():
            start = self.generator(z)
        with eval_mode(energy):
            x, chain = follow(start, self.sampler.chain(energy, start.detach(), self.rng))
        with self.training():
            jump = self.descend((start - x).square().flatten(1).sum(1).mean(), self.generator_optimizer)
            real, fake = energy_values(self.energy, batch), energy_values(self.energy, x)
            means = {"real_energy": real.mean(), "fake_energy": fake.mean()}
            descent = self.descend(real.mean() - fake.mean(), self.optimizer, {**means, **chain})
        terms = {"regression": jump.scalars["loss"]}
        return self.finish(descent, real_energy=real, fake_energy=fake, fake=x, terms=terms)

    def short_run_of(self, networks):
        return ShortRun(self.chains(networks["energy"]), self.sampler, Generated(networks["generator"], self.init))
