"""What the updates of a cell cost, also if the cell was stopped and resumed."""

import time
from contextlib import suppress
from pathlib import Path

from torch import Tensor, nn

from ebmkit.files import json_line, json_of, write_text
from ebmkit.interfaces import EnergyFn
from ebmkit.methods.maximum_likelihood import Update
from ebmkit.passes import CountedEnergy
from ebmkit.runs.cost import passes_outside
from ebmkit.runs.run import Run

NAME = "cost.jsonl"


class Cost:
    """Counts the passes and the seconds of the updates of a run; a resumed run goes on from those of its checkpoint.

    `passes` are those of all updates so far, also of one that diverged.

    Args:
        run: The run, which is about to begin.
        folder: The folder of the run, where `cost.jsonl` gets a line for every update.
    """

    def __init__(self, run: Run, folder: Path) -> None:
        self.path, self.trainer = folder / NAME, run.trainer
        self.passes, self.seconds = self.restored(run.trainer.index)
        self.last = time.perf_counter()
        accelerate, update = run.trainer.accelerate, run.trainer.update

        def counted(energy: nn.Module) -> EnergyFn:
            return CountedEnergy(accelerate(energy) if accelerate is not None else energy, self.on_pass)

        def recorded(batch: Tensor) -> Update:
            found = update(batch)
            self.record()
            return found

        run.trainer.accelerate = counted
        # Within the update, so that no watcher has saved it before: a checkpoint never lacks its line.
        run.trainer.update = recorded  # type: ignore[method-assign]

    def on_pass(self) -> None:
        """Count one pass of a chain."""
        self.passes += 1

    def record(self) -> None:
        """Write what the updates up to this one cost."""
        now = time.perf_counter()
        self.passes += passes_outside(self.trainer)
        self.seconds, self.last = self.seconds + now - self.last, now
        line = {"update": self.trainer.index, "passes": self.passes, "seconds": round(self.seconds, 4)}
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json_line(line) + "\n")

    def restored(self, index: int) -> tuple[int, float]:
        """Passes and seconds up to an update, as the file has them; lines after it are removed."""
        if not self.path.exists():
            return 0, 0.0
        kept, found = [], (0, 0.0)
        for line in self.path.read_text(encoding="utf-8", errors="replace").splitlines():
            with suppress(ValueError, KeyError, TypeError, OverflowError):  # the last line may have been cut off
                values = json_of(line)
                if values["update"] <= index:
                    found = int(values["passes"]), float(values["seconds"])
                    kept.append(line)
        write_text(self.path, "".join(f"{line}\n" for line in kept))
        return found
