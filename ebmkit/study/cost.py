"""What the updates of a cell cost, also if the cell was stopped and resumed."""

import time
from contextlib import suppress
from functools import wraps
from pathlib import Path

from torch import Tensor

from ebmkit.files import json_line, json_of, write_text, writing
from ebmkit.methods.update import Update
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
        update = run.trainer.update

        @wraps(update)
        def recorded(batch: Tensor, **facts: Tensor) -> Update:
            outside = self.trainer.passes_outside  # of this update: the next may be of another phase
            found = update(batch, **facts)
            self.passes += outside
            self.record()
            return found

        run.parts.on_pass = self.on_pass
        # Within the update, so that no watcher has saved it before: a checkpoint never lacks its line.
        run.trainer.update = recorded  # type: ignore[method-assign]

    def on_pass(self) -> None:
        """Count one pass of a chain."""
        self.passes += 1

    def record(self) -> None:
        """Write what the updates up to this one cost.

        Raises:
            Unwritten: if the file cannot be written, as on a full disk.
        """
        now = time.perf_counter()
        self.seconds, self.last = self.seconds + now - self.last, now
        line = {"update": self.trainer.index, "passes": self.passes, "seconds": round(self.seconds, 4)}
        with writing(self.path), self.path.open("a", encoding="utf-8") as file:
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
