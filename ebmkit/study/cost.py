"""What the updates of a cell cost, also if the cell was stopped and resumed."""

import json
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

from torch import nn

from ebmkit.files import json_line, write_text
from ebmkit.interfaces import EnergyFn
from ebmkit.methods.maximum_likelihood import Update
from ebmkit.passes import CountedEnergy
from ebmkit.runs.run import Run

NAME = "cost.jsonl"
OUTSIDE = 2  # passes of an update besides those of its chains: on the batch, and on the samples


class Cost:
    """Counts the passes and the seconds of the updates of a run; a resumed run goes on from those of its checkpoint.

    Args:
        run: The run, which has not begun; its folder exists if it is resumed.
        folder: The folder of the run, where `cost.jsonl` gets a line for every update.
    """

    def __init__(self, run: Run, folder: Path) -> None:
        self.path, self.trainer = folder / NAME, run.trainer
        self.in_chains, self.seconds = self.restored(run.trainer.index)
        inner = run.trainer.accelerate

        def counted(energy: nn.Module) -> EnergyFn:
            return CountedEnergy(inner(energy) if inner is not None else energy, self.on_pass)

        run.trainer.accelerate = counted

    @property
    def passes(self) -> int:
        """Passes of all updates so far, also of one that diverged."""
        return self.in_chains + OUTSIDE * self.trainer.index

    def on_pass(self) -> None:
        """Count one pass of a chain."""
        self.in_chains += 1

    def restored(self, index: int) -> tuple[int, float]:
        """Passes in chains and seconds up to an update, as the file has them; lines after it are removed."""
        if not self.path.exists():
            return 0, 0.0
        kept, found = [], (0, 0.0)
        for line in self.path.read_text(encoding="utf-8", errors="replace").splitlines():
            with suppress(ValueError, KeyError, TypeError):  # the last line may have been cut off
                values = json.loads(line)
                if values["update"] <= index:
                    kept.append(line)
                    found = int(values["passes"]) - OUTSIDE * int(values["update"]), float(values["seconds"])
        write_text(self.path, "".join(f"{line}\n" for line in kept))
        return found

    def followed(self, updates: Iterator[Update]) -> Iterator[Update]:
        """The updates; what they cost up to here is written after each."""
        with closing(updates), self.path.open("a", encoding="utf-8") as file:  # type: ignore[type-var]
            last = time.perf_counter()
            for update in updates:
                self.seconds, last = self.seconds + time.perf_counter() - last, time.perf_counter()
                line = {"update": update.index, "passes": self.passes, "seconds": round(self.seconds, 4)}
                file.write(json_line(line) + "\n")
                file.flush()
                yield update
                last = time.perf_counter()
