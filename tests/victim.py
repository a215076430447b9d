"""`ebmkit` under `torchrun`; process 1 kills itself once, in the middle of the run: `victim.py FOLDER WORD...`."""

import os
import signal
import sys
import threading
import time
from pathlib import Path

from ebmkit.__main__ import run


def end(log: Path) -> None:
    """Kill this process when the log has four lines."""
    while not log.exists() or log.read_text().count("\n") < 4:
        time.sleep(0.05)
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    folder, *sys.argv[1:] = sys.argv[1:]
    if os.environ["RANK"] == "1" and os.environ["TORCHELASTIC_RESTART_COUNT"] == "0":
        threading.Thread(target=end, args=[Path(folder) / "metrics.jsonl"], daemon=True).start()
    run()
