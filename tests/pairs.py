"""Two processes that run the same scenario, and what each of them found."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

SIZE = 2
HERE = Path(__file__).parent


class Pair:
    """Two processes in one group of `torch.distributed`, which wait for scenarios of `pair_scenarios`."""

    def __init__(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        path = os.pathsep.join([str(HERE.parent), str(HERE), os.environ.get("PYTHONPATH", "")])
        environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "EBMKIT_PLUGINS": "none"}
        command = [sys.executable, str(HERE / "pair_scenarios.py"), f"{self.folder.name}/store"]
        pipe = subprocess.PIPE
        self.ranks = [
            subprocess.Popen([*command, str(rank)], stdin=pipe, stdout=pipe, text=True, env=environment)
            for rank in range(SIZE)
        ]

    def __call__(self, scenario: str, ranks: tuple[int, ...] = (0, 1), **given: Any) -> list[Any]:
        """What the scenario returned in each of these processes; of an exception `[type, message]`."""
        for one in self.ranks:
            assert one.stdin is not None
            one.stdin.write(json.dumps([scenario, {name: str(value) for name, value in given.items()}]) + "\n")
            one.stdin.flush()
        return [self.answer(rank) for rank in ranks]

    def answer(self, rank: int) -> Any:
        """The next answer of a process."""
        stream = self.ranks[rank].stdout
        assert stream is not None
        line = stream.readline()
        assert line, f"process {rank} ended: {self.ranks[rank].wait()}"
        return json.loads(line)

    def close(self) -> None:
        """End both processes."""
        for one in self.ranks:
            one.kill()
            one.communicate()
        self.folder.cleanup()
