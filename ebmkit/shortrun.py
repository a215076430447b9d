"""The trained chain as a generator: it samples, reconstructs and interpolates."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Generator, Tensor

from ebmkit.errors import UsageError, check, nearest
from ebmkit.interfaces import EnergyFn, InitDistribution, Sampler, eval_mode
from ebmkit.reconstruction import Reconstruction, descend, pull_back

METHODS, GRADIENTS = ("descent", "adam"), ("auto", "translation", "full")


class Point(NamedTuple):
    """Where long chains are after `step` steps: examples `(n, *shape)`, and the energy `(n,)` before that step."""

    step: int
    x: Tensor
    energy: Tensor | None


@dataclass(frozen=True)
class ShortRun:
    """The K-step chain as a model x = M(z, u): z is where the chain starts, u all the randomness on its way.

    z ~ p_0 is the latent, and the K steps are a residual network of K layers that takes noise in each. The chain does
    not mix, so x depends on z and z can be inferred from x.

    Source: Nijkamp, Hill, Zhu, Wu, NeurIPS 2019, section 3.4.

    Attributes:
        energy: The trained energy.
        sampler: What makes the chain.
        init: p_0.
        seed: Seed of u where it is held and the sampler's noise cannot be switched off.
    """

    energy: EnergyFn
    sampler: Sampler
    init: InitDistribution
    seed: int = 0

    def samples(self, n: int, rng: Generator, *, batch: int = 64) -> Iterator[Tensor]:
        """Samples in chunks of at most `batch` `(b, *shape)`, so that memory does not grow with n or K.

        Raises:
            UsageError: unless n and `batch` are at least 1.
        """
        check("n", n, at_least=1)
        check("batch", batch, at_least=1)
        return (self._end(z, rng) for z in self.init.in_batches(n, rng, batch))

    def sample(self, n: int, rng: Generator, *, batch: int = 64) -> Tensor:
        """Samples `(n, *shape)`: the ends of n chains."""
        return torch.cat(list(self.samples(n, rng, batch=batch)))

    def trajectory(self, n: int, rng: Generator, *, at: Sequence[int]) -> dict[int, Tensor]:
        """Where n chains are after each of the steps `at`, `(n, *shape)` each; 0 is where they start.

        Raises:
            UsageError: for a step that the chain does not have.
        """
        check("n", n, at_least=1)
        x = self.init.sample(n, rng)
        kept, step = {0: x} if 0 in at else {}, 0
        with eval_mode(self.energy):
            for step, state in enumerate(self.sampler.chain(self.energy, x, rng), start=1):
                if step in at:
                    kept[step] = state.x
        if missing := [wanted for wanted in at if wanted not in kept]:
            raise UsageError(f"the chain has {step} steps and no step {missing[0]}; ask for 0 to {step}")
        return kept

    def trace(
        self, n: int, rng: Generator, *, rows: int, looks: int = 5, batch: int = 64
    ) -> tuple[Tensor, dict[int, Tensor]]:
        """The ends of n chains `(n, *shape)`, and the first `rows` of them at evenly spaced steps, both ends included.

        Args:
            n: How many chains run at once.
            rng: Their randomness.
            rows: How many chains are kept along the way.
            looks: How many steps are kept.
            batch: How many starts are drawn at once.
        """
        check("looks", looks, at_least=2)
        x = torch.cat(list(self.init.in_batches(n, rng, batch)))
        kept = [x[:rows].clone()]
        with eval_mode(self.energy):
            for state in self.sampler.chain(self.energy, x, rng):
                x = state.x
                kept.append(x[:rows].clone())
        steps = sorted({round((len(kept) - 1) * look / (looks - 1)) for look in range(looks)})
        return x, {step: kept[step] for step in steps}

    def generate(self, z: Tensor) -> Tensor:
        """M(z) `(B, *shape)`, u held: without noise where the sampler can do without, else with that of `seed`."""
        return self._end(z, Generator(z.device).manual_seed(self.seed), self.held)

    @property
    def held(self) -> Sampler:
        """The sampler of M(z): the noiseless one where there is one."""
        return self.sampler.noiseless or self.sampler

    def interpolate(self, z1: Tensor, z2: Tensor, n: int) -> Tensor:
        """M along the way from z1 to z2 `(B, *shape)`, both ends included: `(n, B, *shape)`.

        z_rho = rho z1 + sqrt(1 - rho²) z2 for n even values of rho from 1 to 0, which keeps the variance of z.

        Source: Nijkamp, Hill, Zhu, Wu, NeurIPS 2019, section 3.4.

        Raises:
            UsageError: unless n is at least 2.
        """
        check("n", n, at_least=2)
        rhos = [1 - step / (n - 1) for step in range(n)]
        return torch.stack([self.generate(rho * z1 + math.sqrt(1 - rho**2) * z2) for rho in rhos])

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
        """Find z with M(z) near x `(B, *shape)`, by descending |M(z) - x|² from z ~ p_0.

        Between kinks of a piecewise linear energy M is a translation, so that the gradient is 2 (M(z) - x) and no graph
        is needed. Elsewhere it is carried back through the chain.

        Source: Nijkamp, Hill, Zhu, Wu, NeurIPS 2019, section 3.4.

        Args:
            x: What to reconstruct.
            rng: Draws the first z.
            updates: How many updates z gets.
            lr: Learning rate: the coefficient of the gradient, or that of Adam.
            method: Gradient descent, or Adam.
            gradient: 2 (M(z) - x), or that through the chain; auto takes the former where it is exact.
            at: The updates after which the best image so far is kept.

        Raises:
            UsageError: for settings out of range, or a translation that is not exact here.
        """
        for name, word, words in (("method", method, METHODS), ("gradient", gradient, GRADIENTS)):
            if word not in words:
                raise UsageError(f"{name} must be {' or '.join(words)}, not '{word}'.{nearest(word, words)}")
        if not bool(x.isfinite().all()):
            raise UsageError("x holds numbers that are not finite: there is nothing to reconstruct")
        check("updates", updates, at_least=0)
        check("lr", lr, above=0)
        exact = self.translates
        if gradient == "translation" and not exact:
            raise UsageError(
                "gradient='translation' is exact for piecewise linear energies alone; write 'full' or 'auto'"
            )
        z = self.init.sample(len(x), rng)
        if z.shape != x.shape:
            raise UsageError(f"this model makes examples {tuple(z.shape[1:])}, not {tuple(x.shape[1:])}")
        x = x.to(z)
        full = gradient == "full" or not exact

        def model(z: Tensor) -> tuple[Tensor, Tensor]:
            if not full:
                end = self.generate(z)
                return end, 2 * (end - x)
            with eval_mode(self.energy):
                end, back = pull_back(self.held, self.energy, z, Generator(z.device).manual_seed(self.seed))
            return end, back(2 * (end - x))

        return descend(model, z, x, updates, lr, method, at)

    @property
    def translates(self) -> bool:
        """Whether M is a translation between kinks."""
        return self.held.promises.translates and bool(getattr(self.energy, "piecewise_linear", False))

    def long_run(self, n: int, rng: Generator, *, times: int = 10, every: int | None = None) -> Iterator[Point]:
        """Chains of `times` times K steps, the sampler beginning anew where it ended: they show that K is not enough.

        Args:
            n: How many chains.
            rng: Their randomness.
            times: How many chains of K steps follow each other.
            every: Yield each N-th step; none yields at the end of each K steps. The start always is yielded.

        Raises:
            UsageError: for numbers below 1.
        """
        check("n", n, at_least=1)
        check("times", times, at_least=1)
        if every is not None:
            check("every", every, at_least=1)
        return self._long(self.init.sample(n, rng), rng, times, every)

    def _long(self, x: Tensor, rng: Generator, times: int, every: int | None) -> Iterator[Point]:
        yield Point(0, x, None)
        step = 0
        for _ in range(times):
            energy = None
            for state in self.sampler.chain(self.energy, x, rng):
                step, x, energy = step + 1, state.x, state.info.get("energy")
                if every and step % every == 0:
                    yield Point(step, x, energy)
            if every is None:
                yield Point(step, x, energy)

    def _end(self, z: Tensor, rng: Generator, sampler: Sampler | None = None) -> Tensor:
        with eval_mode(self.energy):
            return (sampler or self.sampler).sample(self.energy, z.detach(), rng)
