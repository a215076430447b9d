"""The end of a process that has trained with others: its group ends before Python does."""

import json
import os
import socket
import subprocess
import sys

from pairs import HERE


def test_the_threads_of_a_group_end_before_python_does():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    path = os.pathsep.join([str(HERE.parent), os.environ.get("PYTHONPATH", "")])
    usual = {**os.environ, "PYTHONPATH": path, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2"}
    command = [sys.executable, str(HERE / "leaver.py")]
    ranks = [
        subprocess.Popen(command, env={**usual, "RANK": str(rank)}, stdout=subprocess.PIPE, text=True)
        for rank in range(2)
    ]
    for one in ranks:
        found = json.loads(one.communicate(timeout=100)[0])
        # A thread that is left may abort the process when Python has ended.
        assert found["released"]
        assert found["left"] == []
        assert found["joined"] or sys.platform != "linux"
        assert one.returncode == 0
