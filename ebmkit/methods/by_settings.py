"""Maximum likelihood with short-run chains as the method of a run, from its settings."""

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Generator

from ebmkit.methods.maximum_likelihood import Trainer
from ebmkit.methods.roles import Parts, Role, role


class MaximumLikelihood(Trainer):
    """Maximum likelihood with short-run chains: algorithm 1 of the paper, as every run without another method.

    Source: Nijkamp, Hill, Zhu, Wu, NeurIPS 2019; see `ebmkit.Trainer`, whose settings are those of the section `train`.
    """

    roles: ClassVar[Mapping[str, Role]] = {
        "energy": role("energy", "convnet"),
        "sampler": role("sampler", "langevin"),
        "init": role("init", "uniform"),
        "optimizer": role("optimizer", "adam"),
    }
    uses = ("first_steps", "full_steps_from", "energy_l2", "gradient_penalty")

    def __init__(self, parts: Parts, shape: tuple[int, ...], rng: Generator, train: Any) -> None:
        energy, sampler, init = parts.energy(), parts.sampler(), parts.init()
        super().__init__(
            energy,
            sampler,
            init,
            parts.optimizer(energy),
            rng,
            energy_l2=train.energy_l2,
            gradient_penalty=train.penalty(shape),
            gradient_clip=train.gradient_clip,
            clip_factor=train.clip_factor,
            steps=train.steps(sampler.steps),
            average=train.average,
            schedule=train.schedule(train.lr_schedule),
            processes=parts.processes,
            accelerate=parts.chains(energy, gradients=sampler.promises.gradients),
        )
