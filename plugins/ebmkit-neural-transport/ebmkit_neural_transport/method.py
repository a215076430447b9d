"""The method `nt-ebm`: a flow by maximum likelihood, then a tilt of it by chains in its latent space."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar, Protocol

import torch
from torch import Generator, Tensor, nn
from torch.optim import Optimizer

from ebmkit import Method, Parts, Role, Update, UsageError, check, eval_mode, load, role
from ebmkit.methods import constant, cosine, follow, linear
from ebmkit_neural_transport.drawing import TransportRun
from ebmkit_neural_transport.flow import Flow
from ebmkit_neural_transport.tilt import LatentEnergy, tilt


class Train(Protocol):
    """The settings of `[train]` that this method reads itself."""

    data_noise: float
    energy_l2: float
    lr_schedule: str


class NeuralTransport(Method):
    """A flow, tilted by an energy: p(x) = exp(-E(x)) q(x) / Z, learned by MCMC in the latent space of the flow.

    In the first `flow_iterations` updates the flow x = f(z) learns its density q by maximum likelihood. Then it does
    not change any more (with `train.average` it is the average, from then on), and the energy learns as by the method
    maximum-likelihood; but its chains run in z, from N(0, I), on `U(z) = E(f(z)) + |z|²/2`, where modes that are apart
    in x are joined. Samples are the ends of the chains as examples, f(z). Between updates a sampler that adapts is
    given the acceptance rate of its chains.

    An energy is known up to a constant, which the likelihood does not change: the small default of `train.energy_l2`
    keeps it near 0, so that it does not reach the bound.

    A schedule of the learning rate applies to the energy, as `train.schedule_from` says. That of the flow falls by the
    same curve in the second half of its own updates.

    Source: Nijkamp, Gao, Sountsov, Vasudevan, Pang, Zhu, Wu, "MCMC Should Mix" (ICLR 2022); the chains are neural
    transport HMC (Hoffman et al., 2019, arXiv 1903.03704). The papers give no step sizes, lengths of chains or learning
    rates that we could find: all default values are ours, and so are the bound and the adaptation.

    Args:
        flow_iterations: How many of the first updates are those of the flow.
        backbone: The folder or model file of another run of this method whose flow this one begins with; it is not read
            again when the run is resumed. Write flow_iterations=0 to leave the flow as it is.
        bound: Largest |E(x)| of the tilt, `bound tanh(E/bound)`, so that Z is always finite; none bounds nothing.

    Raises:
        UsageError: if a setting is out of range, or the backbone does not fit.
    """

    roles: ClassVar[Mapping[str, Role]] = {
        "energy": role("energy", "mlp", activation="leaky_relu"),
        "flow": role("network", "coupling-flow"),
        "init": role("init", "gaussian"),
        "sampler": role("sampler", "adaptive-hmc"),
        "optimizer": role("optimizer", "adam", lr=1e-3),
        "flow_optimizer": role("optimizer", "adam", lr=1e-3),
    }
    defaults: ClassVar[Mapping[str, Any]] = {
        "iterations": 3000,
        "batch_size": 128,
        "schedule_from": 2500,
        "energy_l2": 1e-4,
    }
    uses = ("energy_l2",)
    terms = ("log_density", "step_size")

    def __init__(
        self,
        parts: Parts,
        shape: tuple[int, ...],
        train: Train,
        *,
        flow_iterations: int = 2000,
        backbone: Path | None = None,
        bound: float | None = 20.0,
    ) -> None:
        check("flow_iterations", flow_iterations, at_least=0)
        if bound is not None:
            check("bound", bound, above=0)
        self.flow_iterations, self.bound = flow_iterations, bound
        self.phases = (0, flow_iterations) if flow_iterations else (0,)
        self.data_noise, self.energy_l2 = train.data_noise, train.energy_l2
        curve = {"constant": None, "linear": linear, "cosine": cosine}[train.lr_schedule]
        self.flow_schedule = constant if curve is None else curve(flow_iterations, flow_iterations // 2)
        self.energy = parts.energy(shape=shape)
        self.flow = parts.flow(inputs=shape, outputs=shape)
        if not isinstance(self.flow, Flow):
            raise UsageError(f"flow must be a flow, as coupling-flow, not {type(self.flow).__name__}")
        self.init, self.sampler = parts.init(shape=shape), parts.sampler()
        self.optimizer = parts.optimizer(self.energy)
        self.flow_optimizer = parts.flow_optimizer(self.flow)
        if backbone is not None and not parts.restored:
            begin_with(self.flow, backbone)
        if not flow_iterations:
            self.flow.requires_grad_(False)
        self.chains = parts.chains(LatentEnergy(self.energy, self.flow, bound))

    def update(self, batch: Tensor) -> Update:
        """One update of the flow, or of the tilt, on examples `(B, *shape)`."""
        if self.index < self.flow_iterations:
            return self.flow_update(batch)
        if self.index == self.flow_iterations and self.averages:
            # The flow that the model draws by is the one that its tilt corrects.
            self.flow.load_state_dict(self.averages["flow"].module.state_dict())
        energy = self.chains(LatentEnergy(self.energy, self.flow, self.bound))
        start = self.init.sample(len(batch), self.rng)
        with eval_mode(energy):
            z, chain = follow(start, self.sampler.chain(energy, start, self.rng))
        self.init.remember(z)
        with torch.no_grad(), eval_mode(self.flow):
            fake = self.flow(z)
        with self.training():
            real_energy, fake_energy = tilt(self.energy, batch, self.bound), tilt(self.energy, fake, self.bound)
            loss = real_energy.mean() - fake_energy.mean()
            if self.energy_l2:
                loss = loss + self.energy_l2 * (real_energy.square() + fake_energy.square()).mean()
            scalars = {"real_energy": real_energy.mean(), "fake_energy": fake_energy.mean(), **chain, **self.size}
            descent = self.descend(loss, self.optimizer, scalars)
        if self.size:
            self.sampler.adapt(float(descent.scalars["accepted"]))  # the same in all processes
        return self.finish(descent, real_energy=real_energy, fake_energy=fake_energy, fake=fake)

    def flow_update(self, batch: Tensor) -> Update:
        """One update of the flow: a step along the gradient of the mean log density."""
        if not self.flow.standardised:
            refuse_discrete(batch, self.data_noise)
            self.flow.standardise(batch)
        with self.training():
            density = self.flow.log_density(batch).mean()
            return self.finish(self.descend(-density, self.flow_optimizer, {"log_density": density}))

    @property
    def size(self) -> dict[str, Tensor]:
        """The step size of a sampler that adapts, as a scalar of an update; nothing for another sampler."""
        adapts = hasattr(self.sampler, "adapt")
        return {"step_size": torch.tensor(self.sampler.log_step).exp().to(self.rng.device)} if adapts else {}

    def rate_factor(self, optimizer: Optimizer) -> float | None:
        """That of `train.lr_schedule` for the energy, and the same curve within its own updates for the flow."""
        if optimizer is self.flow_optimizer:
            return self.flow_schedule(self.index + 1)
        return super().rate_factor(optimizer)

    @property
    def passes_outside(self) -> int:
        """Passes of an update: of the flow, on the batch; of the tilt, on the batch and on the samples."""
        return 1 if self.index < self.flow_iterations else 2

    @classmethod
    def continued(cls, settings: Mapping[str, Any], updates: int) -> Mapping[str, Any]:
        """A run that starts from another makes those updates of the flow that are left, and needs no backbone."""
        return {"flow_iterations": max(0, settings["flow_iterations"] - updates), "backbone": None}

    def short_run_of(self, networks: Mapping[str, nn.Module]) -> TransportRun:
        """The chain in z, with the step size that the adaptation came to, and the flow that decodes it."""
        energy = self.chains(LatentEnergy(networks["energy"], networks["flow"], self.bound))
        sampler = getattr(self.sampler, "frozen", self.sampler)
        return TransportRun(energy, sampler, self.init, decode=networks["flow"], data_noise=self.data_noise)


def begin_with(flow: Flow, place: Path) -> None:
    """Give a flow the weights of that of another run.

    Raises:
        UsageError: if the other run has no such flow.
    """
    other = load(place, device="cpu").decode
    if not isinstance(other, type(flow)):
        raise UsageError(
            f"backbone {place} has no {type(flow).__name__}; it must be a run of nt-ebm with the same flow"
        )
    device = flow.centre.device
    z = torch.randn(4, *flow.shape, generator=Generator().manual_seed(0)).to(device)
    alike = False
    with torch.no_grad(), eval_mode(flow), suppress(RuntimeError):  # weights of another size
        flow.load_state_dict(other.state_dict())
        alike = torch.allclose(flow(z), other.to(device)(z))  # settings that change no size
    if not alike:
        raise UsageError(f"the flow of backbone {place} has other settings: copy the section [flow] of its config.toml")


def refuse_discrete(batch: Tensor, data_noise: float) -> None:
    """Refuse examples of few different values without noise: the density of a flow would grow there without bound.

    Raises:
        UsageError: if fewer than half of the values of different examples differ from each other.
    """
    values = torch.unique(batch, dim=0)
    if not data_noise and len(torch.unique(values)) < values.numel() / 2:
        raise UsageError(
            "the data have few different values, at which the density of a flow grows without bound: add noise, as "
            "-s train.data_noise=0.05"
        )
