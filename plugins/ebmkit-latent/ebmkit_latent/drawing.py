"""What is drawn from a model with a latent space: samples, and z for given examples."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Self

import torch
from torch import Generator, Tensor

from ebmkit import (
    EnergyFn,
    InitDistribution,
    Reconstruction,
    Sampler,
    ShortRun,
    UsageError,
    check,
    energy_values,
    eval_mode,
    per_example,
)
from ebmkit.passes import CountedEnergy
from ebmkit_latent.diffusion import ReverseDiffusion


@dataclass(frozen=True)
class Diffused(InitDistribution):
    """The draws of a diffusion, as starts of chains.

    Attributes:
        diffusion: Draws from z_T.
        init: Draws z_T.
    """

    diffusion: ReverseDiffusion
    init: InitDistribution

    def sample(self, n: int, rng: Generator) -> Tensor:
        """`n` draws `(n, d)`."""
        return self.diffusion.sample(self.diffusion.diffusion, self.init.sample(n, rng), rng)


@dataclass(frozen=True, kw_only=True)
class LatentShortRun(ShortRun):
    """Chains of the prior, decoded by the generator; z of given examples is inferred by chains of the posterior.

    Attributes:
        guess: Returns the first z `(B, d)` of an inference for examples `(B, *shape)`.
        posterior: Makes the chains of the inference.
        given: Returns the energy of z for examples `(B, *shape)`.
        prior: Makes the chains of a long run, if a diffusion draws the samples; None if chains of `sampler` do.
    """

    guess: Callable[[Tensor, Generator], Tensor]
    posterior: Sampler
    given: Callable[[Tensor], EnergyFn]
    prior: Sampler | None = None

    def long_run(
        self, n: int, rng: Generator, *, times: int = 10, every: int | None = None, batch: int | None = None
    ) -> Iterator:
        """As in `ShortRun`; where a diffusion draws, its draws are the starts, and chains of the prior go on from them.

        A diffusion cannot be repeated from where it ended, since it begins with noise. The chains have as many steps.
        """
        if self.prior is None or not isinstance(self.sampler, ReverseDiffusion):
            return super().long_run(n, rng, times=times, every=every, batch=batch)
        chains = self.prior.with_steps(self.sampler.steps)
        after = replace(self, sampler=chains, init=Diffused(self.sampler, self.init))
        return ShortRun.long_run(after, n, rng, times=times, every=every, batch=batch)

    def counted(self, on_pass: Callable[[], None]) -> Self:
        """This model with a function that is called at every pass."""
        given = self.given
        return replace(super().counted(on_pass), given=lambda x: CountedEnergy(given(x), on_pass))

    def inferred(self, x: Tensor, rng: Generator, *, steps: int) -> Iterator[Tensor]:
        """Z `(B, d)` for examples `(B, *shape)`: the first, and that after each of `steps` steps of the posterior.

        Chains follow each other until the steps are made.
        """
        z, made, energy = self.guess(x, rng), 0, self.given(x)
        yield z
        while made < steps:
            with eval_mode(energy):
                for state in self.posterior.chain(energy, z, rng):
                    z, made = state.x, made + 1
                    yield z
                    if made == steps:
                        return

    def reconstruct(
        self,
        x: Tensor,
        rng: Generator,
        *,
        updates: int = 200,
        lr: float = 0.05,
        method: Literal["descent", "adam"] = "descent",
        gradient: Literal["auto", "translation", "full"] = "auto",
        at: Sequence[int] = (0, 10, 50, 200),
    ) -> Reconstruction:
        """Infer z with G(z) near x `(B, *shape)`, and decode it: each update is a step of the posterior.

        Args:
            x: What to reconstruct.
            rng: Draws the first z, and the noise of the chains.
            updates: How many steps are made.
            lr: A step of the posterior has its own size: only the default value is possible.
            method: As `lr`.
            gradient: As `lr`.
            at: The steps after which the best image so far is kept.

        Raises:
            UsageError: for a setting that chains do not have, or if x is not finite or has another shape than samples.
        """
        if (lr, method, gradient) != (0.05, "descent", "auto"):
            raise UsageError(
                "this model infers z by chains of its posterior, whose steps are settings of the run: leave out lr, "
                "method and gradient"
            )
        check("updates", updates, at_least=0)
        shape = tuple(self.starts(1, Generator(rng.device)).shape[1:])
        if shape != tuple(x.shape[1:]) or not bool(x.isfinite().all()):
            raise UsageError(f"x must be finite and of the shape of samples, {shape}, not of {tuple(x.shape[1:])}")
        with torch.inference_mode(False):
            return self._best(x.clone(), self.inferred(x.clone(), rng, steps=updates), at)

    def _best(self, x: Tensor, states: Iterator[Tensor], at: Sequence[int]) -> Reconstruction:
        """Of the states of an inference, the best so far for each example."""
        best, best_x = torch.full((len(x),), math.inf, device=x.device), torch.full_like(x, math.nan)
        best_z, errors, kept = torch.empty(0), [], {}
        for step, z in enumerate(states):
            image = self.decoded(z)
            error = (image - x).square().flatten(1).mean(1)
            better = error < best
            best = torch.where(better, error, best)
            best_x = torch.where(per_example(x, better), image, best_x)
            best_z = torch.where(per_example(z, better), z, best_z) if step else z
            errors.append(best)
            if step in at:
                kept[step] = best_x
        return Reconstruction(best_z, best_x, torch.stack(errors), kept)

    def interpolate_inferred(self, z1: Tensor, z2: Tensor, n: int) -> Tensor:
        """The decoded path between two inferred z `(B, d)`, both ends included: `(n, B, *shape)`."""
        return torch.stack([self.decoded(z) for z in self.path(z1, z2, n)])

    def anomaly_scores(self, x: Tensor, rng: Generator, *, steps: int = 10) -> Tensor:
        """How unlikely examples `(B, *shape)` are, `(B,)`: |x - G(z)|² + E(z) + |z|²/2, with z inferred from x.

        Source: Yu et al., NeurIPS 2023, section on anomaly detection.

        Args:
            x: The examples.
            rng: Draws the first z, and the noise of the chains.
            steps: How many steps of the posterior the inference makes.
        """
        check("steps", steps, at_least=0)
        *_, z = self.inferred(x, rng, steps=steps)
        with torch.no_grad(), eval_mode(self.energy):
            prior = energy_values(self.energy, z)
        return (x - self.decoded(z)).square().flatten(1).sum(1) + prior
