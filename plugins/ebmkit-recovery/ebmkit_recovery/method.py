"""Diffusion recovery likelihood, as a method of training."""

import math
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from ebmkit import Method, Parts, Role, Update, UsageError, check, eval_mode, noise_like, per_example, role
from ebmkit.methods import follow
from ebmkit_recovery.energy import GivenNoisier, LevelEnergies
from ebmkit_recovery.levels import paper_levels
from ebmkit_recovery.network import LevelNetwork
from ebmkit_recovery.walk import Walk, WalkRun

B_SQUARED = 2e-4  # b², the squared step size of the paper in units of the length of a level


class RecoveryLikelihood(Method):
    """Diffusion recovery likelihood: conditional energies that undo the noise of T levels, learned by short chains.

    An example becomes noise in T levels, `x_{t+1} = a x_t + sigma u`. One network f(y, t) has the energies
    `E(y, t) = -f(y, t) strength / length²` of `y = a x_t`, and what its chains sample is the conditional density

        p(y | x_{t+1}) ∝ exp(-E(y, t) - |x_{t+1} - y|² / (2 sigma²)),

    which is nearly Gaussian where sigma is small. One update draws a level for each example, runs K steps from
    x_{t+1}, and lowers the mean over the batch of `w_t (f(end, t) - f(y, t))`, the gradient of the conditional
    likelihood up to the weight of the level. A sample is the end of a walk from N(0, I) down the levels. At the highest
    level the chains sample the density of `x_{T-1}` itself, without the second term.

    Chains run in units of `length_t = sigma_t sqrt(spread_t / spread_0)`; so the settings of the sampler are those of
    the paper: `step_size = b² / 2` and `noise = b` with b² = 2e-4.

    Source: Gao, Song, Poole, Wu, Kingma, ICLR 2021, algorithms 1 and 2 (its f is our -E). The noise levels, the unit of
    length, the strength 1 / b², the weights of the levels and the energy of the highest level are those of its code
    (github.com/ruiqigao/recovery_likelihood); so are K = 30, Adam, 1e-4, (0.9, 0.999), batches of 64 and a moving
    average of 0.999. Its first 1,000 updates have a growing learning rate, and at the end it samples with 0.99 of the
    noise; ours do not.

    Args:
        levels: T, how many noise levels there are.
        weighting: The weights w_t of the levels: noise is `sigma_0 / sigma_t`, equal is 1.
        strength: The factor of f in energies, in units of one over squared length.

    Raises:
        UsageError: if a setting is out of range, or the network does not know levels.
    """

    roles: ClassVar[Mapping[str, Role]] = {
        "network": role("network", "level-resnet"),
        "sampler": role("sampler", "langevin", steps=30, step_size=B_SQUARED / 2, noise=math.sqrt(B_SQUARED)),
        "init": role("init", "gaussian"),
        "optimizer": role("optimizer", "adam", lr=1e-4, betas=(0.9, 0.999)),
    }
    defaults: ClassVar[Mapping[str, Any]] = {
        "batch_size": 64,
        "data_noise": 0.0,
        "average": 0.999,
        "lr_schedule": "constant",
    }

    def __init__(
        self,
        parts: Parts,
        shape: tuple[int, ...],
        *,
        levels: int = 6,
        weighting: Literal["noise", "equal"] = "noise",
        strength: float = 1 / B_SQUARED,
    ) -> None:
        check("strength", strength, above=0)
        self.levels = paper_levels(levels, parts.device)
        self.weights = (
            torch.ones_like(self.levels.sigma) if weighting == "equal" else self.levels.sigma[0] / self.levels.sigma
        )
        self.strength, self.parts = strength, parts
        self.network = parts.network(inputs=shape, outputs=(1,))
        if not isinstance(self.network, LevelNetwork):
            raise UsageError(
                f"recovery-likelihood needs a network that knows noise levels, not {type(self.network).__name__}; "
                "choose level-resnet or level-dense: -s network.use=level-dense"
            )
        self.sampler, self.init = parts.sampler(), parts.init()
        self.optimizer = parts.optimizer(self.network)
        x = torch.zeros(parts.batch, *shape, device=parts.device)
        energy = self.given(x, torch.zeros(parts.batch, dtype=torch.long, device=parts.device))
        self.chains = parts.chains(energy, gradients=self.sampler.promises.gradients)

    def given(self, noisier: Tensor, level: Tensor) -> GivenNoisier:
        """The energy that undoes the levels `(B,)`, given x_{t+1} `(B, *shape)`."""
        return GivenNoisier(self.network, self.levels, self.strength, noisier, level)

    def pairs(self, batch: Tensor, level: Tensor) -> tuple[Tensor, Tensor]:
        """x_t and x_{t+1} `(B, *shape)` for examples at the levels `(B,)`."""
        kept, spread, a, sigma = (
            per_example(batch, values[level])
            for values in (self.levels.kept, self.levels.spread, self.levels.a, self.levels.sigma)
        )
        x = kept * batch + spread * noise_like(batch, self.rng)
        return x, a * x + sigma * noise_like(batch, self.rng)

    def update(self, batch: Tensor) -> Update:
        """One update of the weights on examples `(B, *shape)`, each at a level of its own."""
        level = torch.randint(self.levels.count, (len(batch),), generator=self.rng, device=batch.device)
        x, noisier = self.pairs(batch, level)
        scale, length = per_example(batch, self.levels.scale[level]), per_example(batch, self.levels.length[level])
        start, energy = noisier / length, self.chains(self.given(noisier, level))
        with eval_mode(energy):
            end, chain = follow(start, self.sampler.chain(energy, start, self.rng))
        fake = end * length
        with self.training():
            weights = self.weights[level]
            real_energy = -weights * self.network(scale * x, level).squeeze(1)
            fake_energy = -weights * self.network(fake, level).squeeze(1)
            scalars = {"real_energy": real_energy.mean(), "fake_energy": fake_energy.mean(), **chain}
            descent = self.descend(scalars["real_energy"] - scalars["fake_energy"], self.optimizer, scalars)
        return self.finish(descent, real_energy=real_energy, fake_energy=fake_energy, fake=fake / scale)

    @property
    def passes_outside(self) -> int:
        """Passes of an update besides those of its chains: on the batch and on the ends of the chains."""
        return 2

    def short_run_of(self, networks: Mapping[str, nn.Module]) -> WalkRun:
        """The walk down the levels."""
        energy = LevelEnergies(networks["network"], self.levels, self.strength, self.parts.chains)
        return WalkRun(energy, Walk(sampler=self.sampler, levels=self.levels), self.init)
