"""Features of your own network, saved as TorchScript."""

import hashlib

import torch
from torch import Tensor

from ebmkit.data.examples import Examples
from ebmkit.data.images import existing
from ebmkit.errors import UsageError


class TorchScript:
    """Your own module in a TorchScript file: examples `(n, *shape)` in [-1, 1] to features `(n, d)`.

    It is put in evaluation mode. Load only files that you trust: TorchScript is a program.

    Args:
        data: The examples; the module is tried on two of them.
        path: The file that `torch.jit.save` wrote.

    Raises:
        UsageError: if the file is no TorchScript, or the module gives no features of these examples.
    """

    def __init__(self, data: Examples, *, path: str) -> None:
        file = existing(path)
        if not file.is_file():
            raise UsageError(f"path: {path} is a folder: expected a file that torch.jit.save wrote")
        try:
            self.module = torch.jit.load(str(file), map_location="cpu").eval()  # type: ignore[no-untyped-call]
        except (RuntimeError, ValueError, OSError) as error:
            raise UsageError(f"path: {path} is no TorchScript file: expected one that torch.jit.save wrote") from error
        try:
            found = self(data.fetch(torch.zeros(2, dtype=torch.long)))
        except (RuntimeError, TypeError, ValueError) as error:
            reason = (str(error).strip().splitlines() or [type(error).__name__])[-1]
            raise UsageError(f"path: {path} cannot take examples of shape {data.shape}: {reason}") from error
        self.d = found.shape[1]
        self.name = f"torchscript {file.name}"
        self.preprocessing = f"none; module sha256 {hashlib.sha256(file.read_bytes()).hexdigest()}"

    def __call__(self, x: Tensor) -> Tensor:
        """Features `(n, d)` of examples `(n, *shape)`.

        Raises:
            ValueError: if the module gives something else.
        """
        with torch.no_grad():
            features = self.module.to(x.device)(x.float())
        if not isinstance(features, Tensor) or features.ndim != 2 or len(features) != len(x):
            given = f"shape {tuple(features.shape)}" if isinstance(features, Tensor) else type(features).__name__
            raise ValueError(f"it gives {given} for {len(x)} examples, expected features ({len(x)}, d)")
        return features.float()
