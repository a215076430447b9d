"""What every script here writes: a figure, and its numbers as `result.json`, which `make_results.py` reads."""

import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from ebmkit.files import indented_json, write_text

RESULT = "result.json"


def hardware(device: str, capability: str, threads: int, architecture: str) -> str:
    """A machine in a few words: the name of a GPU, or the instructions and threads of a CPU."""
    if device != "cpu":
        return device
    return f"{architecture} CPU with {capability}, {threads} thread{'s' if threads > 1 else ''}"


def this_machine() -> str:
    """The CPU of this process."""
    capability = torch.backends.cpu.get_cpu_capability()
    return hardware("cpu", capability, torch.get_num_threads(), platform.machine())


@contextmanager
def measured(out: Path, **facts: Any) -> Iterator[dict[str, Any]]:
    """A dict for the numbers of a figure; when the block ends they are written, with the seconds of CPU it took.

    Args:
        out: The folder, which is made if it is missing.
        facts: What else a reader must know, as the updates of the run.
    """
    out.mkdir(parents=True, exist_ok=True)
    began, values = time.process_time(), dict[str, Any]()
    yield values
    seconds = round(time.process_time() - began, 1)
    written = {
        **facts,
        "hardware": this_machine(),
        "torch": torch.__version__,
        "cpu_seconds": seconds,
        "values": values,
    }
    write_text(out / RESULT, indented_json(written))
    print(*(f"{name}: {value}" for name, value in values.items()), sep=os.linesep)
    print(f"wrote {out}")
