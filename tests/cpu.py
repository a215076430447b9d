"""Prints what torch and oneDNN take this CPU to be, so that a log says where it was made."""

import os
import subprocess
import sys

import torch

# An operation that is oneDNN's wherever torch has it, and has it say what it may use.
PROBE = """
import torch
torch.mkldnn_convolution(torch.ones(4, 8, 16, 16), torch.ones(8, 8, 3, 3), None, (0, 0), (1, 1), (1, 1), 1)
"""


def instructions() -> str:
    """What oneDNN may use of this CPU."""
    if not torch.backends.mkldnn.is_available():
        return "not in this build"
    environment = {**os.environ, "ONEDNN_VERBOSE": "1"}
    said = subprocess.run([sys.executable, "-c", PROBE], env=environment, capture_output=True, text=True, check=False)
    return next((line.split("isa:")[1] for line in said.stdout.splitlines() if ",isa:" in line), "it does not say")


if __name__ == "__main__":
    capability = torch.backends.cpu.get_cpu_capability()
    bf16 = torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    units = "units" if bf16 else "no units"
    print(f"torch {torch.__version__}, {capability}; oneDNN: {instructions()}; {units} for bf16", flush=True)
