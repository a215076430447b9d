"""Denoising score matching: a method whose updates run no chains."""

from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor, nn

from ebmkit.errors import check
from ebmkit.interfaces import noise_like
from ebmkit.methods.method import Method
from ebmkit.methods.penalties import gradients
from ebmkit.methods.roles import Parts, Role, role
from ebmkit.methods.update import Update
from ebmkit.shortrun import ShortRun


class DenoisingScoreMatching(Method):
    """Denoising score matching: the gradient of the energy learns to point at the noise that was added to an example.

    One update lowers `mean |sigma dE/dx(x + sigma u) - u|² / 2` over the batch, with u ~ N(0, I). At the optimum
    exp(-E) is the density of the data with noise of standard deviation sigma. The updates run no chains; samples are
    the ends of the sampler's chains on the learned energy, from the init.

    Source: Vincent, Neural Computation 2011, eq. 9, times sigma² so that the loss has one scale for all sigma. The
    default sampler is unadjusted Langevin at temperature 1; its values are ours.

    Args:
        sigma: Standard deviation of the noise whose score is learned.

    Raises:
        UsageError: unless sigma is above 0.
    """

    roles: ClassVar[Mapping[str, Role]] = {
        "energy": role("energy", "convnet", activation="silu"),
        "sampler": role("sampler", "langevin", steps=200, step_size=0.005, noise=0.1),
        "init": role("init", "gaussian"),
        "optimizer": role("optimizer", "adam"),
    }
    defaults: ClassVar[Mapping[str, object]] = {"data_noise": 0.0}

    def __init__(self, parts: Parts, *, sigma: float = 0.2) -> None:
        check("sigma", sigma, above=0)
        self.sigma = sigma
        self.energy, self.sampler, self.init = parts.energy(), parts.sampler(), parts.init()
        self.optimizer = parts.optimizer(self.energy)
        self.chains = parts.chains(self.energy)

    def update(self, batch: Tensor) -> Update:
        """One update of the weights on examples `(B, *shape)`."""
        noise = noise_like(batch, self.rng)
        with self.training():
            _, gradient = gradients(self.energy, batch + self.sigma * noise)
            loss = (self.sigma * gradient - noise).square().flatten(1).sum(1).mean() / 2
            return self.finish(self.descend(loss, self.optimizer))

    @property
    def passes_outside(self) -> int:
        """Passes of an update: one for the gradient, one to differentiate it."""
        return 2

    def short_run_of(self, networks: Mapping[str, nn.Module]) -> ShortRun:
        """The chains of the sampler on the energy."""
        return ShortRun(self.chains(networks["energy"]), self.sampler, self.init)
