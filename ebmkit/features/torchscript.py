"""Features of a network of your own, saved as TorchScript."""

import hashlib
from pathlib import Path

import torch
from torch import Tensor

from ebmkit.data.examples import Examples
from ebmkit.data.paths import existing_file
from ebmkit.errors import UsageError


class TorchScript:
    """A module of your own in a TorchScript file: examples `(n, *shape)` in [-1, 1] to features `(n, d)`.

    It is put in evaluation mode. Load only files that you trust: a TorchScript file is a program.

    Args:
        data: The examples; the module is tried on two of them.
        path: The file that `torch.jit.save` wrote.

    Raises:
        UsageError: if the file is not TorchScript, or the module does not return features of these examples.
    """

    def __init__(self, data: Examples, *, path: Path) -> None:
        file = existing_file(path, "a file that torch.jit.save wrote")
        try:
            self.module = torch.jit.load(str(file), map_location="cpu").eval()  # type: ignore[no-untyped-call]
        except (RuntimeError, ValueError, OSError) as error:
            raise UsageError(f"path: {path} is not TorchScript: expected a file that torch.jit.save wrote") from error
        try:
            found = self(data.fetch(torch.zeros(2, dtype=torch.long)))
        except (RuntimeError, TypeError, ValueError) as error:
            # The last line of TorchScript's error is the reason; the others are where it happened.
            reason = (str(error).strip().splitlines() or [type(error).__name__])[-1]
            raise UsageError(f"path: {path} does not accept examples of shape {data.shape}: {reason}") from error
        self.d = found.shape[1]
        self.name = f"torchscript {file.name}"
        self.preprocessing = f"none; module sha256 {hashlib.sha256(file.read_bytes()).hexdigest()}"

    def __call__(self, x: Tensor) -> Tensor:
        """Features `(n, d)` of examples `(n, *shape)`.

        Raises:
            ValueError: if the module returns something else.
        """
        with torch.no_grad():
            features = self.module.to(x.device)(x.float())
        if not isinstance(features, Tensor) or features.ndim != 2 or len(features) != len(x):
            given = f"shape {tuple(features.shape)}" if isinstance(features, Tensor) else type(features).__name__
            raise ValueError(f"it returns {given} for {len(x)} examples, expected features ({len(x)}, d)")
        return features.float()
