"""How the processes of a run are started: as Python is, or forked from a process that has imported everything."""

import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path

import marked

OUTPUTS = ("stdout", "stderr")
# What a run imports, now or later.
IMPORTED = (
    *("torch._dynamo", "torch.distributed", "sklearn.datasets", "PIL.ImageDraw", "pydantic", "rich.table"),
    *("ebmkit.cli.main", "ebmkit.cli.progress", "ebmkit.runs.training", "ebmkit.energies.mlp", "ebmkit.inits.replay"),
    *("ebmkit.samplers.langevin", "ebmkit.watchers.divergence", "ebmkit.watchers.metrics", "ebmkit.watchers.pictures"),
)


def started(
    words: Sequence[str], processes: int, place: Path, out: Path, environment: dict[str, str]
) -> list[subprocess.Popen[bytes]]:
    """A new Python, or torchrun."""
    start = [sys.executable]
    if processes > 1:
        start += ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    with (out / "stdout").open("ab") as stdout, (out / "stderr").open("ab") as stderr:
        command, environment = [*start, marked.__file__, *words], os.environ | environment
        null = subprocess.DEVNULL
        return [subprocess.Popen(command, cwd=place, env=environment, stdin=null, stdout=stdout, stderr=stderr)]


def forked(
    words: Sequence[str], processes: int, place: Path, out: Path, environment: dict[str, str]
) -> list[BaseProcess]:
    """Processes that are forked from one that has imported everything, with the variables that torchrun would set."""
    context = get_context("forkserver")
    context.set_forkserver_preload(list(IMPORTED))
    environments = [dict(environment) for _ in range(processes)]
    if processes > 1:
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = str(server.getsockname()[1])
        size, ranks = str(processes), enumerate(environments)
        same = {"WORLD_SIZE": size, "LOCAL_WORLD_SIZE": size, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        environments = [one | same | {"RANK": str(rank), "LOCAL_RANK": str(rank)} for rank, one in ranks]
    outputs = [str(out / name) for name in OUTPUTS]
    children = [context.Process(target=marked.in_a_child, args=(words, place, outputs, one)) for one in environments]
    for child in children:
        child.start()
    return children
