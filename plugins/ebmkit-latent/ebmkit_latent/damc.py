"""Chains whose starts are learned by a diffusion: DAMC of Yu et al."""

import copy
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, Literal

import torch
from torch import Generator, Tensor, nn
from torch.optim import Optimizer

from ebmkit import Parts, Role, Update, check, role
from ebmkit_latent.denoiser import Denoiser
from ebmkit_latent.diffusion import Diffusion, ReverseDiffusion
from ebmkit_latent.drawing import LatentShortRun
from ebmkit_latent.energy import Prior
from ebmkit_latent.latent_ebm import LatentEBM


class DAMC(LatentEBM):
    """The latent prior whose chains start where a diffusion Q, which learns the ends of the chains, already jumps to.

    One update draws z from Q(z | x) by a slow copy of it, runs chains of the posterior from there, and chains of the
    prior from there and from noise. Q learns to draw the ends of the former, G and E learn as in `latent-ebm`.

    Source: Yu, Zhu, Xie et al., "Learning Energy-Based Prior Model with Diffusion-Amortized MCMC", NeurIPS 2023. All
    default values are those of the released code; where that draws once for all updates of Q which examples are left
    out, each update draws again here, as the paper says.

    Args:
        latent: Length of z.
        sigma: σ, the standard deviation of x around G(z).
        decay: Factor of all learning rates after each `decay_every` updates; 1 leaves them as they are.
        decay_every: After how many updates the learning rates fall.
        least_rate: The learning rate that the decay does not go below.
        distillations: How many steps of its optimiser Q makes in one update.
        unconditional: The probability, for each example, that Q is trained without it.
        target_rate: The part of Q that goes into the slow copy, each `target_every` updates.
        target_every: After how many updates the slow copy follows.
        embedding: Length of the embedding of x.
        width: Units of the outer layers of the denoiser.
        denoising_steps: Steps of the diffusion.
        draw: How the model draws: by Q, from which z of given examples are improved by noiseless steps; or by chains
            from noise, as `latent-ebm` does.

    Raises:
        UsageError: if a setting is outside its range.
    """

    roles: ClassVar[Mapping[str, Role]] = {
        **LatentEBM.roles,
        "encoder": role("network", "encodernet"),
        "posterior": role("sampler", "langevin", steps=30, step_size=0.005, noise=0.1),
        "optimizer": role("optimizer", "adam", lr=1e-4, betas=(0.5, 0.999)),
        "generator_optimizer": role("optimizer", "adam", lr=2e-4, betas=(0.5, 0.999)),
        "diffusion_optimizer": role("optimizer", "adamw", lr=2e-4, betas=(0.5, 0.999), weight_decay=1e-4),
    }
    defaults: ClassVar[Mapping[str, Any]] = {**LatentEBM.defaults, "batch_size": 128, "gradient_clip": 100.0}
    terms: ClassVar[tuple[str, ...]] = (*LatentEBM.terms, "denoising")
    drawing: ClassVar[tuple[str, ...]] = ("draw",)

    def __init__(
        self,
        parts: Parts,
        shape: tuple[int, ...],
        *,
        latent: int = 128,
        sigma: float = 0.1,
        decay: float = 0.99,
        decay_every: int = 1000,
        least_rate: float = 1e-5,
        distillations: int = 6,
        unconditional: float = 0.2,
        target_rate: float = 0.005,
        target_every: int = 10,
        embedding: int = 1024,
        width: int = 128,
        denoising_steps: int = 100,
        draw: Literal["diffusion", "chain"] = "diffusion",
    ) -> None:
        super().__init__(parts, shape, latent=latent, sigma=sigma, decay=decay, decay_every=decay_every)
        check("least_rate", least_rate, at_least=0)
        check("distillations", distillations, at_least=1)
        check("unconditional", unconditional, at_least=0, at_most=1)
        check("target_rate", target_rate, above=0, at_most=1)
        check("target_every", target_every, at_least=1)
        check("embedding", embedding, at_least=1)
        check("denoising_steps", denoising_steps, at_least=2)
        self.least_rate, self.distillations, self.unconditional = least_rate, distillations, unconditional
        self.target_rate, self.target_every, self.denoising_steps = target_rate, target_every, denoising_steps
        self.draw = draw
        self.encoder = parts.encoder(inputs=shape, outputs=(embedding,))
        self.denoiser = Denoiser(latent, embedding, width).to(parts.device)
        self.target = copy.deepcopy(Diffusion(self.encoder, self.denoiser)).requires_grad_(False)
        self.diffusion_optimizer = parts.diffusion_optimizer(self.encoder, self.denoiser)

    def update(self, batch: Tensor) -> Update:
        """One update on examples `(B, *shape)`: algorithm 1 of the paper."""
        start = self.jump(self.target, batch, self.rng)
        z, inferred = self.run(self.posterior, self.posterior_chains(self.posterior_of(batch)), start)
        starts = torch.cat([start, self.init.sample(len(batch), self.rng)])
        fake, chain = self.run(self.sampler, self.prior_chains(Prior(self.energy)), starts)
        self.init.remember(fake[len(batch) :])
        with self.training():
            denoising = [self.fit_diffusion(batch, z) for _ in range(self.distillations)]
            terms = self.fit_generator(batch, z, inferred)
            update = self.fit_energy(z, fake, chain, {**terms, "denoising": denoising[-1]})
        if self.index % self.target_every == 0:
            self.follow_slowly()
        return update

    def jump(self, diffusion: Diffusion, x: Tensor, rng: Generator) -> Tensor:
        """Draws `(B, d)` of Q(z | x) for examples `(B, *shape)`."""
        sampler = ReverseDiffusion(diffusion=diffusion, x=x, steps=self.denoising_steps)
        return sampler.sample(diffusion, self.noise(len(x), rng), rng)

    def fit_diffusion(self, x: Tensor, z: Tensor) -> Tensor:
        """One step of Q towards z `(B, d)` of examples x; returns the loss for each element of z."""
        loss = Diffusion(self.encoder, self.denoiser).loss(z, x, self.unconditional, self.rng)
        found = self.descend(loss, self.diffusion_optimizer, {"denoising": loss / self.latent})
        return found.scalars["denoising"]

    @torch.no_grad()
    def follow_slowly(self) -> None:
        """Move the slow copy of Q a part of the way to Q; its buffers, as running statistics, are those of Q."""
        fast = Diffusion(self.encoder, self.denoiser)
        for slow, weight in zip(self.target.parameters(), fast.parameters(), strict=True):
            slow.lerp_(weight, self.target_rate)
        for slow, buffer in zip(self.target.buffers(), fast.buffers(), strict=True):
            slow.copy_(buffer)

    def decayed(self, optimizer: Optimizer) -> float:
        """What the decay leaves of the learning rate of an optimiser, which does not fall below `least_rate`."""
        rate = optimizer.param_groups[0]["initial_lr"]
        return max(super().decayed(optimizer), self.least_rate / rate) if rate > self.least_rate else 1.0

    @property
    def passes_outside(self) -> int:
        """Passes of an update besides those of its chains: those of `latent-ebm`, and of the denoiser."""
        return super().passes_outside + self.denoising_steps + self.distillations

    def short_run_of(self, networks: Mapping[str, nn.Module]) -> LatentShortRun:
        """What `draw` says: the diffusion from z_T ~ N(0, I), or chains of the prior from noise; decoded."""
        chains = super().short_run_of(networks)
        if self.draw == "chain":
            return chains
        diffusion = Diffusion(networks["encoder"], networks["denoiser"])
        return replace(
            chains,
            sampler=ReverseDiffusion(diffusion=diffusion, steps=self.denoising_steps),
            guess=lambda x, rng: self.jump(diffusion, x, rng),
            posterior=self.posterior.noiseless or self.posterior,
            prior=self.sampler,
        )
