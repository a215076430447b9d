"""A run on disk: its configuration, its surroundings, and how it is taken up again."""

import json
import os
import platform
import subprocess
import sys
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

import ebmkit
from ebmkit import config
from ebmkit.config import Layer
from ebmkit.errors import UsageError
from ebmkit.registry import registry
from ebmkit.resolve import Recipe
from ebmkit.settings import NONE

# What a resumed run may change, besides the watchers.
FREE = ("train.iterations", "train.device", "train.threads", "train.precision", "train.compile")
REPORTED = ("shortrun-ebmkit", "torch", "numpy", "einops", "pluggy", "typer", "rich", "pillow", "scikit-learn")


def fresh(recipe: Recipe) -> Path:
    """The first free `runs/<energy>-<sampler>-<init>-NNN`."""
    name = "-".join(recipe.parts[section].name for section in ("energy", "sampler", "init"))
    number = 1
    while (place := Path("runs") / f"{name}-{number:03d}").exists():
        number += 1
    return place


def write(place: Path, recipe: Recipe, device: torch.device) -> None:
    """Make the folder of a new run, with `config.toml` and `env.json` in it.

    Raises:
        UsageError: if it exists or cannot be made.
    """
    texts = {"config.toml": recipe.toml(), "env.json": indented(environment(recipe, device))}
    try:
        contents = {name: text.encode() for name, text in texts.items()}
        place.mkdir(parents=True)
    except FileExistsError:
        raise UsageError(f"{place} exists; go on with it by --resume {place}, or choose another --out") from None
    except (OSError, UnicodeEncodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "a setting holds letters that no file can hold"
        raise UsageError(f"cannot make the run's folder {place}: {reason}") from None
    for name, content in contents.items():
        (place / name).write_bytes(content)


def indented(table: dict[str, Any]) -> str:
    """A table as JSON for people."""
    return json.dumps(table, indent=2) + "\n"


def refuse_existing(place: Path) -> None:
    """Refuse a folder that is there already, or that the system takes for no path.

    Raises:
        UsageError: in both cases.
    """
    try:
        there = place.exists()
    except OSError as error:
        raise UsageError(f"cannot use {place} as a folder: {error.strerror}") from None
    if there:
        raise UsageError(f"{place} exists; go on with it by --resume {place}, or choose another --out")


def environment(recipe: Recipe, device: torch.device) -> dict[str, Any]:
    """What a run was made with: versions, parts with their packages, plug-ins, commit, command line, device."""
    return {
        "ebmkit": ebmkit.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "versions": {name: found for name in REPORTED if (found := version_of(name))},
        "parts": {section: f"{part.name} ({part.plugin})" for section, part in recipe.parts.items()},
        "plugins": [asdict(plugin) for plugin in registry().plugins],
        "git_commit": commit(),
        "command": sys.argv,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else str(device),
        "threads": torch.get_num_threads(),
    }


def version_of(package: str) -> str:
    """The installed version of a package; nothing where it is not installed as one."""
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def commit() -> str | None:
    """The git commit of the current folder, where there is one."""
    try:
        asked = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return asked.stdout.strip() or None


def checkpoint(place: Path) -> dict[str, Any]:
    """Read a run's checkpoint; nothing in it is ever executed.

    Raises:
        UsageError: if there is none, or it is truncated or not ours.
    """
    path = place / "checkpoint.pt"
    if not path.is_file():
        raise UsageError(f"{place} is no run that can be resumed: it has no checkpoint.pt")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for a broken file, and none of them is ours to mend
        reason = " ".join(str(error).split())[:200]
        raise UsageError(f"{path} cannot be read: truncated, or no checkpoint of tensors ({reason})") from None
    if not isinstance(state, dict) or state.get("format") != 1:
        raise UsageError(f"{path} is no checkpoint of this version of ebmkit")
    return state


def saved(place: Path) -> Layer:
    """The configuration of an existing run, as a layer.

    Raises:
        UsageError: if the folder is no run.
    """
    try:
        there = (place / "config.toml").is_file()
    except OSError as error:
        raise UsageError(f"cannot read {place}: {error.strerror}") from None
    if not there:
        raise UsageError(f"{place} is no run: it has no config.toml; --resume takes a run's folder, like runs/a")
    return config.read(place / "config.toml")


def check_same(before: Recipe, after: Recipe) -> None:
    """Refuse to resume with other settings than the run had, but for those that are free.

    Raises:
        UsageError: listing every difference.
    """
    differences = []
    for section in {**before.sections, **after.sections}:
        if section.startswith("watch."):
            continue
        old, new = before.sections.get(section, {}), after.sections.get(section, {})
        for key in {**old, **new}:
            if f"{section}.{key}" not in FREE and old.get(key) != new.get(key):
                differences.append(f"{section}.{key} was {shown(old, key)}, now {shown(new, key)}")
    if differences:
        free = f"{', '.join(FREE)} and watch.* may change"
        raise UsageError(f"--resume cannot change settings: {'; '.join(differences)} (only {free})")


def shown(values: dict[str, Any], key: str) -> str:
    """A value in a message; `absent` where there is none."""
    return "absent" if key not in values else NONE if values[key] is None else str(values[key])


def take_up(place: Path, recipe: Recipe, index: int, device: torch.device) -> None:
    """Make an existing folder ready to go on after step `index`.

    Later lines of metrics go, settings are rewritten, and `env.json` gets what the run goes on with under `resumed`.
    """
    metrics = place / "metrics.jsonl"
    if metrics.exists():
        kept = [
            line
            for line in metrics.read_text(encoding="utf-8", errors="replace").splitlines()
            if not later(line, index)
        ]
        replace(metrics, "".join(f"{line}\n" for line in kept))
    replace(place / "config.toml", recipe.toml())
    try:
        before = dict(json.loads((place / "env.json").read_text(encoding="utf-8")))
    except (OSError, ValueError):
        before = {}
    resumed = [*before.get("resumed", []), {"from_update": index, **environment(recipe, device)}]
    replace(place / "env.json", indented({**before, "resumed": resumed}))


def later(line: str, index: int) -> bool:
    """Whether a line of metrics is of a step after `index`, or was cut off while it was written."""
    try:
        return bool(json.loads(line)["step"] > index)
    except (ValueError, KeyError, TypeError):
        return True


def replace(path: Path, text: str) -> None:
    """Write a file beside and put it in place at once."""
    beside = path.with_name(f".{path.name}.new")
    beside.write_text(text, encoding="utf-8")
    os.replace(beside, path)
