"""The values of an update by name, as watchers write, draw and compare them."""

from collections.abc import Iterator

import torch

from ebmkit.methods.maximum_likelihood import Update

Updates = Iterator[Update]


def scalars_of(update: Update) -> dict[str, float]:
    """The scalars of an update by name; asking for them waits for the device, once.

    `gap` is mean E(batch) - mean E(fake); the rest is named as in `Update` and `ebmkit.methods.chains.follow`.
    """
    real, fake = update.real_energy.mean(), update.fake_energy.mean()
    scalars = {"loss": update.loss, "gap": real - fake, "real_energy": real, "fake_energy": fake}
    scalars |= {"gradient_norm": update.gradient_norm, **update.chain}
    values = torch.stack([value.float() for value in scalars.values()]).tolist()
    return dict(zip(scalars, values, strict=True))
