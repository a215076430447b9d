"""Figures, samples and settings of a run, as TensorBoard's event files."""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from torch.utils.tensorboard import SummaryWriter

from ebmkit import Update, Trainer
from ebmkit.config.layers import dumps
from ebmkit.errors import check
from ebmkit.pictures import drawable, grid
from ebmkit.watchers.watch import scalars

Updates = Iterator[Update]


def tensorboard(
    steps: Updates,
    trainer: Trainer,
    folder: Path,
    config: Mapping[str, Mapping[str, Any]],
    *,
    every: int = 1,
    images: int = 100,
) -> Updates:
    """Write figures, samples and the configuration to `tensorboard/` in the run's folder.

    The figures are those of `ebmkit.watchers.watch.measures`, each a scalar of its name. The samples are where the chains of
    an update ended, the whole batch as one picture. The files are closed at the end, when the consumer leaves, and
    on an error. A run that is taken up again goes on with its curves; TensorBoard then hides what was written after
    the checkpoint.

    Args:
        every: Write the figures of each N-th update; 0 writes none.
        images: Draw the samples of each N-th update, where examples can be drawn; 0 draws none.

    Raises:
        UsageError: if a setting is outside its range.
    """
    check("every", every, at_least=0)
    check("images", images, at_least=0)

    def watched() -> Updates:
        done = trainer.index
        with SummaryWriter(str(folder / "tensorboard"), purge_step=done + 1 if done else None) as writer:
            # Behind four blanks, Markdown leaves a text as it is.
            text = "".join(f"    {line}\n" for line in dumps(config).splitlines())
            writer.add_text("config", text, done)
            for step in steps:
                if every and step.index % every == 0:
                    for name, value in scalars(step).items():
                        writer.add_scalar(name, value, step.index)
                if images and step.index % images == 0 and drawable(tuple(step.fake.shape[1:])):
                    picture = grid(step.fake, columns=math.ceil(math.sqrt(len(step.fake))))
                    writer.add_image("samples", np.asarray(picture), step.index, dataformats="HWC")
                yield step

    return watched()
