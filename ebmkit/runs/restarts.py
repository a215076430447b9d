"""Restarts by `torchrun --max-restarts`: the same command again, which goes on with the run that it began."""

import json
import os
from pathlib import Path

from ebmkit.errors import UsageError
from ebmkit.processes import Processes, job
from ebmkit.runs.checkpoint import NAME
from ebmkit.runs.folder import ENVIRONMENT
from ebmkit.runs.new_folders import clear


def restarted(out: Path, processes: Processes) -> bool:
    """Whether this is a restart that resumes the run in `out`, which the same job has begun.

    A run of the same job that has no checkpoint is removed, to be begun again.
    """
    again = int(os.environ.get("TORCHELASTIC_RESTART_COUNT") or 0) > 0
    return again and processes.from_first(lambda: _left_behind(out))


def _left_behind(out: Path) -> bool:
    try:
        begun = json.loads((out / ENVIRONMENT).read_text(encoding="utf-8")).get("job") == job()
    except (OSError, ValueError, AttributeError):
        return False
    if begun and not (out / NAME).exists():
        clear(out)
        return False
    return bool(begun)


def check_restarts(out: Path | None) -> None:
    """Refuse restarts of a run whose folder they could not find.

    Raises:
        UsageError: saying what to add.
    """
    if out is None and int(os.environ.get("TORCHELASTIC_MAX_RESTARTS") or 0) > 0:
        raise UsageError("torchrun --max-restarts needs --out RUN, so that a restart finds the folder of the run")
