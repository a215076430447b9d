"""The record of what a run was made with."""

import platform
import subprocess
import sys
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch

import ebmkit
from ebmkit.config.recipe import Recipe
from ebmkit.processes import job, known_size
from ebmkit.registry.lookup import get_registry

REPORTED = ("shortrun-ebmkit", "torch", "numpy", "einops", "pluggy", "typer", "rich", "pillow", "scikit-learn")


def environment(recipe: Recipe, device: torch.device) -> dict[str, Any]:
    """Versions, parts with their packages, plug-ins, commit, command line, device and threads, as in `env.json`.

    Of several processes also how many there are, and the `job` that started them.
    """
    return {
        "ebmkit": ebmkit.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "versions": {name: found for name in REPORTED if (found := version_of(name))},
        "parts": {section: f"{part.name} ({part.plugin})" for section, part in recipe.parts.items()},
        "plugins": [asdict(plugin) for plugin in get_registry().plugins],
        "git_commit": commit(),
        "command": sys.argv,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else str(device),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        **({"processes": known_size()} if known_size() > 1 else {}),
        **({"job": job()} if job() else {}),
    }


def version_of(package: str) -> str:
    """The installed version of a package; empty if it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def commit() -> str | None:
    """The git commit of the current folder; None outside a repository."""
    try:
        words = ["git", "rev-parse", "HEAD"]  # the git of the user, wherever it is installed
        asked = subprocess.run(words, capture_output=True, text=True, timeout=5, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return None
    return asked.stdout.strip() or None
