"""The trained chain as a generator: it samples, reconstructs and interpolates."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Self

import torch
from torch import Generator, Tensor

from ebmkit.errors import UsageError, check
from ebmkit.interfaces import EnergyFn, InitDistribution, Sampler, eval_mode
from ebmkit.passes import CountedEnergy
from ebmkit.reconstruction import Gradient, Method, Reconstruction, check_settings, descend, pull_back
from ebmkit.trajectories import Point, joined, repeated_chain, states_at


class ExampleValues(NamedTuple):
    """What a model says of examples, one number for each.

    Attributes:
        name: What it is, like `log p(x)`.
        values: `(n,)`, of n examples.
        error: The standard error of what all of them have in common, like an estimated constant.
        note: What the reader must know of it; empty if there is nothing.
    """

    name: str
    values: Tensor
    error: float = 0.0
    note: str = ""


@dataclass(frozen=True)
class ShortRun:
    """The K-step chain as a model x = M(z, u): z is the start of the chain, u all the randomness of its steps.

    z ~ p_0 is the latent variable, and the K steps are a residual network of K layers with noise in each. The chain
    does not mix, so x depends on z and z can be inferred from x.

    Source: Nijkamp, Hill, Zhu, Wu, NeurIPS 2019, section 3.4.

    The chain may run in another space than that of the examples: then x = decode(M(z, u)), and the energy is one of
    the states of the chain.

    Attributes:
        energy: The trained energy.
        sampler: Makes the chain.
        init: p_0.
        seed: Seed of u where u is fixed and the noise of the sampler cannot be switched off.
        decode: The examples `(B, *shape)` that states of the chain stand for; None if these are the examples.
    """

    energy: EnergyFn
    sampler: Sampler
    init: InitDistribution
    seed: int = 0
    decode: Callable[[Tensor], Tensor] | None = None

    def decoded(self, z: Tensor, *, batch: int = 64) -> Tensor:
        """The examples `(B, *shape)` that states of the chain stand for, at most `batch` decoded at once."""
        if self.decode is None:
            return z
        with torch.no_grad(), eval_mode(self.decode):
            return torch.cat([self.decode(part) for part in torch.split(z, batch)])

    def energy_of_chains(self, z: Tensor, rng: Generator) -> EnergyFn:
        """The energy of the chains from `z` `(B, *shape)`; a conditional model draws its condition by `rng`."""
        return self.energy

    def of_class(self, label: int) -> Self:
        """This model for one class.

        Raises:
            UsageError: for a model that has no classes.
        """
        raise UsageError(f"this model has no classes, so none of its samples are of class {label}")

    def counted(self, on_pass: Callable[[], None]) -> Self:
        """This model with a function that is called at every pass."""
        return replace(self, energy=CountedEnergy(self.energy, on_pass))

    def values(self, x: Tensor, rng: Generator, *, batch: int = 64) -> Sequence[ExampleValues]:
        """What the model itself says of examples `(n, *shape)`, like its log density; nothing unless it can.

        `ebmkit evaluate` has a line for the mean of each over the data.

        Args:
            x: The examples.
            rng: Randomness of what is estimated, on the device of `x`.
            batch: How many examples are computed at once.
        """
        return ()

    def starts(self, n: int, rng: Generator, *, batch: int = 64) -> Tensor:
        """Starts of n chains as examples `(n, *shape)`, drawn at most `batch` at a time."""
        return torch.cat([self.decoded(z) for z in self.init.in_batches(n, rng, batch)])

    def samples(self, n: int, rng: Generator, *, batch: int = 64) -> Iterator[Tensor]:
        """Samples in batches of at most `batch` `(b, *shape)`, so that memory grows neither with n nor with K.

        Raises:
            UsageError: unless n and `batch` are at least 1.
        """
        check("n", n, at_least=1)
        check("batch", batch, at_least=1)
        return (self.decoded(self._end(z, rng, self.sampler)) for z in self.init.in_batches(n, rng, batch))

    def sample(self, n: int, rng: Generator, *, batch: int = 64) -> Tensor:
        """Samples `(n, *shape)`: the ends of n chains, at most `batch` of which run at once."""
        return torch.cat(list(self.samples(n, rng, batch=batch)))

    def trajectory(self, n: int, rng: Generator, *, at: Sequence[int], batch: int | None = None) -> dict[int, Tensor]:
        """Where n chains are after each of the steps `at`, `(n, *shape)` each; step 0 is the start.

        Args:
            n: How many chains.
            rng: Randomness of the starts and of the chains.
            at: The steps to keep.
            batch: How many chains run at once; None runs all of them.

        Raises:
            UsageError: for a step that the chain does not have, or a number below 1.
        """
        check("n", n, at_least=1)
        batch = n if batch is None else batch
        check("batch", batch, at_least=1)
        parts = [
            states_at(self.sampler, self.energy_of_chains(z, rng), z, rng, at)
            for z in self.init.in_batches(n, rng, batch)
        ]
        return {step: self.decoded(torch.cat([part[step] for part in parts])) for step in at}

    def trace(
        self, n: int, rng: Generator, *, rows: int, looks: int = 5, batch: int = 64
    ) -> tuple[Tensor, dict[int, Tensor]]:
        """The ends of n chains `(n, *shape)`, and the first `rows` chains at evenly spaced steps, both ends included.

        Unlike `trajectory` it need not know the length of the chain.

        Args:
            n: How many chains; all of them run at once.
            rng: Randomness of the starts and of the chains.
            rows: How many chains are kept on the way.
            looks: At how many steps they are kept.
            batch: How many starts are drawn at once.

        Raises:
            UsageError: unless `looks` is at least 2.
        """
        check("looks", looks, at_least=2)
        x = torch.cat(list(self.init.in_batches(n, rng, batch)))
        kept, energy = [x[:rows].clone()], self.energy_of_chains(x, rng)
        with eval_mode(energy):
            for state in self.sampler.chain(energy, x, rng):
                x = state.x
                kept.append(x[:rows].clone())
        steps = sorted({round((len(kept) - 1) * look / (looks - 1)) for look in range(looks)})
        return self.decoded(x), {step: self.decoded(kept[step]) for step in steps}

    def generate(self, z: Tensor) -> Tensor:
        """M(z) `(B, *shape)` for fixed u: without noise where the sampler allows it, else with the noise of `seed`."""
        return self.decoded(self._end(z, self._fixed_rng(z), self.fixed_sampler))

    @property
    def fixed_sampler(self) -> Sampler:
        """The sampler of M(z): the noiseless one if there is one."""
        return self.sampler.noiseless or self.sampler

    def interpolate(self, z1: Tensor, z2: Tensor, n: int) -> Tensor:
        """M on the path from z1 to z2 `(B, *shape)`, both ends included: `(n, B, *shape)`; see `path`."""
        return torch.stack([self.generate(z) for z in self.path(z1, z2, n)])

    def interpolate_inferred(self, z1: Tensor, z2: Tensor, n: int) -> Tensor:
        """`interpolate` between two z that `reconstruct` found, whatever z is there: here, a start of the chain."""
        return self.interpolate(z1, z2, n)

    def path(self, z1: Tensor, z2: Tensor, n: int) -> list[Tensor]:
        """The `n` points on the path from z1 to z2 `(B, *shape)`, both ends included.

        z_rho = m + rho (z1 - m) + sqrt(1 - rho²) (z2 - m) for n equally spaced values of rho from 1 to 0, where m is
        the centre of p_0. This preserves the mean and the covariance of z: if p_0 is Gaussian, white or not, and z1
        and z2 are independent draws, so is each z_rho a draw from p_0.

        Source: Nijkamp, Hill, Zhu, Wu, NeurIPS 2019, section 3.4, where m = 0.

        Raises:
            UsageError: unless n is at least 2.
        """
        check("n", n, at_least=2)
        centre = torch.as_tensor(self.init.centre).to(z1)
        weights = [(rho, math.sqrt(1 - rho**2)) for rho in (1 - step / (n - 1) for step in range(n))]
        return [a * z1 + b * z2 + (1 - a - b) * centre for a, b in weights]

    def reconstruct(
        self,
        x: Tensor,
        rng: Generator,
        *,
        updates: int = 200,
        lr: float = 0.05,
        method: Method = "descent",
        gradient: Gradient = "auto",
        at: Sequence[int] = (0, 10, 50, 200),
    ) -> Reconstruction:
        """Find z with M(z) near x `(B, *shape)`, by gradient descent on |M(z) - x|² from z ~ p_0.

        Between kinks of a piecewise linear energy M is a translation, so the gradient is 2 (M(z) - x) and needs no
        graph. Elsewhere it is backpropagated through the chain.

        Source: Nijkamp, Hill, Zhu, Wu, NeurIPS 2019, section 3.4.

        Args:
            x: What to reconstruct.
            rng: Draws the first z.
            updates: The number of updates of z.
            lr: Learning rate: the factor of the gradient in plain descent, or the learning rate of Adam.
            method: Gradient descent, or Adam.
            gradient: `translation` is 2 (M(z) - x), `full` is backpropagated; `auto` is the former where it is exact.
            at: The updates after which the best image so far is kept.

        Raises:
            UsageError: for a setting out of range, for `translation` where it is not exact, or if x is not finite or
                has another shape than the samples of the model.
        """
        # Autograd saves no inference tensor, whatever mode the caller is in.
        with torch.inference_mode(False), torch.enable_grad():
            return self._reconstruct(x.clone(), rng, updates, lr, method, gradient, at)

    def _reconstruct(
        self,
        x: Tensor,
        rng: Generator,
        updates: int,
        lr: float,
        method: Method,
        gradient: Gradient,
        at: Sequence[int],
    ) -> Reconstruction:
        """`reconstruct` with autograd enabled."""
        exact = self.translates
        check_settings(x, updates, lr, method, gradient, exact)
        z = self.init.sample(len(x), rng)
        shape = tuple(self.decoded(z[:1]).shape[1:])
        if shape != tuple(x.shape[1:]):
            raise UsageError(f"the samples of this model have shape {shape}, but x has {tuple(x.shape[1:])}")
        x = x.to(z)
        full = gradient == "full" or not exact

        def model(z: Tensor) -> tuple[Tensor, Tensor]:
            if not full:
                end = self.generate(z)
                return end, 2 * (end - x)
            fixed = self._fixed_rng(z)
            energy = self.energy_of_chains(z, fixed)
            with eval_mode(energy):
                end, back = pull_back(self.fixed_sampler, energy, z, fixed)
                if self.decode is None:
                    return end, back(2 * (end - x))
            end.requires_grad_()
            with eval_mode(self.decode):
                image = self.decode(end)
            (gradient,) = torch.autograd.grad(image, end, 2 * (image - x))
            return image.detach(), back(gradient)

        return descend(model, z, x, updates, lr, method, at)

    @property
    def translates(self) -> bool:
        """Whether M is a translation between kinks, and its ends are the samples."""
        return (
            self.decode is None
            and self.fixed_sampler.promises.translates
            and bool(getattr(self.energy, "piecewise_linear", False))
        )

    def long_run(
        self, n: int, rng: Generator, *, times: int = 10, every: int | None = None, batch: int | None = None
    ) -> Iterator[Point]:
        """Chains of `times` times K steps, which show whether chains of K steps have converged.

        The sampler is run for K steps, then again from where it ended, and so on.

        Args:
            n: How many chains.
            rng: Randomness of the starts and of the chains.
            times: How many chains of K steps follow each other.
            every: Yield every N-th step; None yields the end of each K steps. The start is always yielded.
            batch: How many chains run at once; None runs all of them. It must not change the number of steps.

        Raises:
            UsageError: for numbers below 1.
        """
        check("n", n, at_least=1)
        check("times", times, at_least=1)
        if every is not None:
            check("every", every, at_least=1)
        batch = n if batch is None else batch
        check("batch", batch, at_least=1)
        starts = self.init.in_batches(n, rng, batch)
        runs = [repeated_chain(self.sampler, self.energy_of_chains(z, rng), z, rng, times, every) for z in starts]
        points = map(joined, zip(*runs, strict=True))
        return points if self.decode is None else (point._replace(x=self.decoded(point.x)) for point in points)

    def _fixed_rng(self, z: Tensor) -> Generator:
        return Generator(z.device).manual_seed(self.seed)

    def _end(self, z: Tensor, rng: Generator, sampler: Sampler) -> Tensor:
        energy = self.energy_of_chains(z, rng)
        with eval_mode(energy):
            return sampler.sample(energy, z.detach(), rng)
