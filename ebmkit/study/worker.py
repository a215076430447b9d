"""One of several processes at work on a study: `python -m ebmkit.study.worker FOLDER`."""

import json
import os
import signal
import sys
import threading
import warnings
from contextlib import redirect_stdout
from dataclasses import asdict
from pathlib import Path

from ebmkit.errors import Interrupted, UsageError, one_line, visible
from ebmkit.study.folder import Study


def stop_at_end_of_input() -> None:
    """Ask this process to stop when its stdin is closed."""
    # Without sys.stdin, whose lock a thread that waits would hold while the interpreter ends.
    while os.read(0, 1024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def main(folder: Path) -> int:
    """Work on a study until there is nothing left for this process; print a line of JSON for every result."""
    warnings.formatwarning = lambda message, *_: f"warning: {visible(str(message))}\n"  # as the command prints them
    threading.Thread(target=stop_at_end_of_input, daemon=True).start()
    results = sys.stdout
    try:
        # What a part prints is not a result.
        with redirect_stdout(sys.stderr):
            for result in Study(folder).run():
                print(json.dumps(asdict(result)), file=results, flush=True)
    except Interrupted:
        return 0
    except (UsageError, OSError) as error:
        print(f"error: {visible(one_line(error))}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
