"""Scalars, samples and settings of a run, as TensorBoard's event files."""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from torch.utils.tensorboard import SummaryWriter

from ebmkit import Trainer, Update, check
from ebmkit.config import dumps
from ebmkit.pictures import drawable, grid
from ebmkit.watchers import scalars_of

Updates = Iterator[Update]


def tensorboard(
    updates: Updates,
    trainer: Trainer,
    folder: Path,
    config: Mapping[str, Mapping[str, Any]],
    *,
    every: int = 1,
    images: int = 100,
) -> Updates:
    """Write scalars, samples and the configuration to `tensorboard/` in the run's folder.

    The scalars are those of `ebmkit.watchers.scalars_of`, under the same names. The samples are where the chains of an
    update ended, the whole batch as one picture. The files are closed at the end, when the consumer leaves, and on an
    error. A resumed run continues its curves; TensorBoard then hides what was written after the checkpoint.

    Args:
        every: Write the scalars of every N-th update; 0 writes none.
        images: Draw the samples of every N-th update, if examples can be drawn; 0 draws none.

    Raises:
        UsageError: if a setting is outside its range.
    """
    check("every", every, at_least=0)
    check("images", images, at_least=0)

    def watched() -> Updates:
        done = trainer.index
        with SummaryWriter(str(folder / "tensorboard"), purge_step=done + 1 if done else None) as writer:
            # Markdown does not change a text that is indented by four blanks.
            text = "".join(f"    {line}\n" for line in dumps(config).splitlines())
            writer.add_text("config", text, done)
            for update in updates:
                if every and update.index % every == 0:
                    for name, value in scalars_of(update).items():
                        writer.add_scalar(name, value, update.index)
                due = images and update.index % images == 0 and update.fake is not None  # some methods run no chains
                if due and drawable(tuple(update.fake.shape[1:])):
                    picture = grid(update.fake, columns=math.ceil(math.sqrt(len(update.fake))))
                    writer.add_image("samples", np.asarray(picture), update.index, dataformats="HWC")
                yield update

    return watched()
