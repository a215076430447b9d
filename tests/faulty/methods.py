"""Methods with planted faults: `FAULTS` maps what is wrong to the method and the checks that must fail."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Generator, Tensor, nn

from ebmkit import Method, Parts, Role, ShortRun, Update, noise_like, role
from ebmkit.interfaces import InitDistribution
from ebmkit.methods.penalties import gradients


class Good(Method):
    """Denoising score matching with a small network, in methods that a fault overrides."""

    roles: ClassVar[Mapping[str, Role]] = {
        "energy": role("energy", "mlp", width=8, depth=1),
        "sampler": role("sampler", "langevin", steps=3, step_size=0.1, noise=0.1),
        "init": role("init", "gaussian"),
        "optimizer": role("optimizer", "adam"),
    }

    def __init__(self, parts: Parts) -> None:
        self.energy, self.sampler, self.init = parts.energy(), parts.sampler(), parts.init()
        self.optimizer = parts.optimizer(self.energy)

    def noise(self, batch: Tensor) -> Tensor:
        return noise_like(batch, self.rng)

    def update(self, batch: Tensor) -> Update:
        noise = self.noise(batch)
        _, gradient = gradients(self.energy, batch + noise)
        return self.finish(self.descend((gradient - noise).square().mean(), self.optimizer))

    def short_run_of(self, networks: Mapping[str, nn.Module]) -> ShortRun:
        return ShortRun(networks["energy"], self.sampler, self.init)


class Unnamed(Good):
    def __init__(self, parts: Parts) -> None:
        super().__init__(parts)
        self.chain = self.sampler
        self.sampler = parts.sampler(steps=1)
        self.sampler = self.chain


class Uncounted(Good):
    def finish(self, descent: Any, **values: Any) -> Update:
        return Update(1, descent.scalars["loss"])


class Writing(Good):
    def noise(self, batch: Tensor) -> Tensor:
        batch.mul_(0.5)
        return super().noise(batch)


class GlobalNoise(Good):
    def noise(self, batch: Tensor) -> Tensor:
        return torch.randn_like(batch)


class Forgotten(Good):
    def __init__(self, parts: Parts) -> None:
        super().__init__(parts)
        self.other = nn.Linear(2, 1)


class Unsaved(Good):
    scale = 1.0

    def noise(self, batch: Tensor) -> Tensor:
        self.scale *= 0.9
        return self.scale * super().noise(batch)


class OddState(Good):
    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "odd": Generator}


@dataclass
class Shared(InitDistribution):
    """Starts from the generator of the method, not from that which is passed."""

    method: Method

    def sample(self, n: int, rng: Generator) -> Tensor:
        return torch.randn(n, 2, generator=self.method.rng)


class Drawing(Good):
    def short_run_of(self, networks: Mapping[str, nn.Module]) -> ShortRun:
        return ShortRun(networks["energy"], self.sampler, Shared(self))


class Wide(Good):
    def short_run_of(self, networks: Mapping[str, nn.Module]) -> ShortRun:
        return ShortRun(networks["energy"], self.sampler, self.init, decode=lambda z: torch.cat([z, z], 1))


class Hidden(Good):
    def __init__(self, parts: Parts) -> None:
        super().__init__(parts)
        self.shift = 0.0

    def update(self, batch: Tensor) -> Update:
        self.shift = float(batch.mean())
        return super().update(batch)

    def short_run_of(self, networks: Mapping[str, nn.Module]) -> ShortRun:
        return ShortRun(networks["energy"], self.sampler, self.init, decode=lambda z: z + self.shift)


class Last(Good):
    def short_run_of(self, networks: Mapping[str, nn.Module]) -> ShortRun:
        return ShortRun(self.energy, self.sampler, self.init)


RESUME, DRAW = "methods_resume_bit_for_bit", "drawing_changes_nothing"
FAULTS: dict[str, tuple[type[Good], set[str]]] = {
    "a part that is no attribute of its role": (Unnamed, {"methods_are_methods"}),
    "updates that are not counted": (Uncounted, {"updates_are_counted_and_described"}),
    "writes to the batch": (Writing, {"updates_leave_the_batch_unchanged"}),
    "noise from the global random state": (GlobalNoise, {"updates_draw_only_from_their_rng", RESUME}),
    "a network without an optimiser": (Forgotten, {"every_weight_is_trained_or_frozen"}),
    "a number that is not saved": (Unsaved, {RESUME}),
    "a class in the state": (OddState, {"states_are_read_back_without_code", RESUME}),
    "draws from the generator of the training": (Drawing, {DRAW, "opened_models_draw_the_same"}),
    "samples of another shape": (Wide, {"samples_are_examples"}),
    "a model that depends on what is not saved": (Hidden, {"opened_models_draw_the_same"}),
    "always draws with the last weights": (Last, {"models_are_drawn_with_the_networks_given"}),
}
