"""The lines of `metrics.jsonl` that a run writes itself: its divergences and rollbacks; and what it removes."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ebmkit.evaluation.training_curves import METRICS
from ebmkit.files import json_line, json_of, write_text, writing


def rewrite_metrics(folder: Path, index: int, events: Sequence[Mapping[str, Any]]) -> None:
    """Remove the lines of updates after `index`; lines of events stay, and missing ones of `events` are added."""
    metrics = folder / METRICS
    lines = metrics.read_text(encoding="utf-8-sig", errors="replace").splitlines() if metrics.exists() else []
    kept = [line for line in lines if not is_later(line, index)]
    kept += [line for line in map(json_line, events) if line not in kept]
    if lines or kept:
        write_text(metrics, "".join(f"{line}\n" for line in kept))


def is_later(line: str, index: int) -> bool:
    """Whether a line of metrics is of an update after `index`, or was cut off while it was written."""
    try:
        values = json_of(line)
        return "event" not in values and bool(values["update"] > index)
    except (ValueError, KeyError, TypeError):
        return True


def add_event(folder: Path, event: Mapping[str, Any]) -> None:
    """Append a line about an event to the metrics.

    Raises:
        Unwritten: if it cannot be written.
    """
    with writing(folder / METRICS), (folder / METRICS).open("a", encoding="utf-8") as file:
        file.write(json_line(event) + "\n")


def has_diverged(folder: Path) -> bool:
    """Whether the run in a folder ended because it diverged: then the last line of its metrics says so."""
    try:
        lines = (folder / METRICS).read_text(encoding="utf-8-sig", errors="replace").splitlines()
        return bool(json_of(lines[-1]).get("event") == "diverged")
    except (OSError, ValueError, IndexError, AttributeError):
        return False


def rolled_back(event: Mapping[str, Any]) -> str:
    """What a rollback did, in words."""
    return (
        f"rolled back to update {event['to_update']}, with a new seed of the chains, learning rate {event['lr']:g} and "
        f"gradient penalty {event['gradient_penalty']:g}"
    )
