"""The lines of `metrics.jsonl` that a run writes itself, about what happened to it; and what it removes."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ebmkit.evaluation.training_curves import METRICS, metric_lines, values_in
from ebmkit.files import json_line, write_text, writing


def rewrite_metrics(folder: Path, index: int, events: Sequence[Mapping[str, Any]]) -> None:
    """Remove the lines of updates after `index`, and damaged ones.

    Lines of events stay, and missing ones of `events` are added. A run that diverged also gets the event `resumed`.

    Raises:
        Unwritten: if the file cannot be written.
    """
    lines = metric_lines(folder) if (folder / METRICS).exists() else []
    kept = [line for line, values in lines if values is not None and ("event" in values or values["update"] <= index)]
    kept += [line for line in map(json_line, events) if line not in kept]
    if has_diverged(folder):
        kept.append(json_line({"event": "resumed", "update": index}))
    if lines or kept:
        write_text(folder / METRICS, "".join(f"{line}\n" for line in kept))


def add_event(folder: Path, event: Mapping[str, Any]) -> None:
    """Append a line about an event to the metrics, whose last line may have been cut off by a full disk.

    Raises:
        Unwritten: if it cannot be written.
    """
    path = folder / METRICS
    with writing(path), path.open("ab+") as file:
        file.seek(max(0, file.seek(0, 2) - 1))
        end = b"" if file.read(1) in (b"", b"\n") else b"\n"
        file.write(end + json_line(event).encode() + b"\n")


def has_diverged(folder: Path) -> bool:
    """Whether the run in a folder ended because it diverged: then the last line of its metrics says so."""
    path = folder / METRICS
    try:
        lines = path.read_text(encoding="utf-8-sig", errors="replace").splitlines() if path.is_file() else []
    except OSError:
        return False
    last = values_in(lines[-1]) if lines else None
    return last is not None and last.get("event") == "diverged"


def rolled_back(event: Mapping[str, Any]) -> str:
    """What a rollback did, in words."""
    penalty = event["gradient_penalty"]  # None for a method without one
    rates = [f"{name}.lr {rate:g}" for name, rate in event.get("rates", {}).items()]
    changes = [
        "a new seed of the chains",
        *(rates or [f"learning rate {event['lr']:g}"]),
        *([] if penalty is None else [f"gradient penalty {penalty:g}"]),
    ]
    return f"rolled back to update {event['to_update']}, with {', '.join(changes[:-1])} and {changes[-1]}"
