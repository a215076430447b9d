"""`ebmkit` under `torchrun`; process 1 kills itself once, in the middle of the run: `victim.py FOLDER WORD...`."""

import os
import signal
import sys
from pathlib import Path

from torch import Tensor

from ebmkit.__main__ import run
from ebmkit.processes import Processes


def end_after(lines: int, log: Path) -> None:
    """Kill this process in the update that finds this many lines in the log: the other process is then in it too."""
    add_up = Processes.sum

    def last_sum(self: Processes, values: Tensor) -> Tensor:
        if log.exists() and log.read_text().count("\n") >= lines:
            os.kill(os.getpid(), signal.SIGKILL)
        return add_up(self, values)

    Processes.sum = last_sum


if __name__ == "__main__":
    folder, *sys.argv[1:] = sys.argv[1:]
    if os.environ["RANK"] == "1" and os.environ["TORCHELASTIC_RESTART_COUNT"] == "0":
        end_after(8, Path(folder) / "metrics.jsonl")
    run()
