"""The table of a study: as cells of text, as Markdown, as CSV."""

import csv
import io
import math
from collections.abc import Sequence
from typing import Any

from ebmkit.study.measures import KINDS
from ebmkit.study.plan import Plan, labels_of, written
from ebmkit.study.rows import Row, Score, Spread

SMALL = 1e-3  # values below it get one digit
SPREAD = "mean ± sample standard deviation over seeds"


def labels(plan: Plan) -> list[str]:
    """The headings of what varies."""
    return list(labels_of([path for axis in plan.axes for path in axis]).values())


def titles(plan: Plan) -> list[str]:
    """The headings of the measures that are shown."""
    return [KINDS[short].title for short in plan.measures]


def spread_text(value: Spread | None) -> str:
    """`0.512 ± 0.021`; without the second where there is one value, a dash where there is none."""
    if value is None:
        return "-"
    if value.deviation is None:
        return number_text(value.mean)
    scale = max(abs(value.mean), value.deviation)
    return f"{number_text(value.mean, scale)} ± {number_text(value.deviation, scale)}"


def number_text(value: float | None, scale: float | None = None) -> str:
    """A value with as many decimals as give `scale`, by default the value itself, three digits; a dash if None."""
    if value is None:
        return "-"
    scale = abs(value) if scale is None else scale
    if scale < SMALL:
        return f"{value:.1g}"
    return f"{value:,.{max(0, 2 - math.floor(math.log10(scale)))}f}"


def score_texts(score: Score | None) -> tuple[str, str, str]:
    """A measure of the models, of noise, and of real examples."""
    if score is None:
        return "-", "-", "-"
    return spread_text(score.model), number_text(score.noise), number_text(score.real)


def runs_text(row: Row) -> str:
    """How many runs are done, of how many, and how the others ended."""
    parts = [f"{row.done} of {row.seeds}"]
    if row.diverged:
        parts.append(f"{len(row.diverged)} diverged at update {', '.join(map(str, row.diverged))}")
    if row.failed:
        parts.append(f"{row.failed} failed")
    return "; ".join(parts)


def updates_text(row: Row) -> str:
    """How many updates the runs made, from the fewest to the most."""
    if not row.updates:
        return "-"
    least, most = min(row.updates), max(row.updates)
    return f"{least:,}" if least == most else f"{least:,} to {most:,}"


def passes_text(row: Row) -> str:
    """Passes of one run."""
    return "-" if row.passes is None else f"{round(row.passes):,}"


def seconds_text(row: Row) -> str:
    """The time of one run."""
    return "-" if row.seconds is None else f"{row.seconds.mean:.1f} s"


def notes(plan: Plan, rows: Sequence[Row]) -> list[str]:
    """What the table shows, in a few lines; warnings where runs are missing."""
    judging = plan.judging
    n = "half of the data, at most 5000" if judging.n is None else str(judging.n)
    lines = [
        f"{SPREAD}, over the runs that are done; noise: draws like the starts of new chains, in place of samples; "
        "real: other real examples in place of samples",
        f"n={n}, features={judging.features} (MMD², energy distance and diversity: pixels); passes and time are those "
        "of one run",
    ]
    missing = sum(row.seeds - row.done - len(row.diverged) - row.failed for row in rows)
    lines += dict.fromkeys(remark for row in rows for remark in row.remarks)
    return [*lines, *([f"{missing} of {sum(row.seeds for row in rows)} runs have not ended"] if missing else [])]


def markdown(plan: Plan, rows: Sequence[Row]) -> str:
    """The table in Markdown; the times are the last column, for they differ each time."""
    heads = [*labels(plan), *titles(plan), "runs", "updates", "passes", "time"]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for row in rows:
        scores = [
            "-" if one == "-" else f"{one} (noise {noise}, real {real})"
            for one, noise, real in (score_texts(row.scores.get(short)) for short in plan.measures)
        ]
        cells = [
            *(escaped(written(value)) for value in row.settings.values()),
            *scores,
            *(runs_text(row), updates_text(row), passes_text(row), seconds_text(row)),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, "", *(f"- {note}" for note in notes(plan, rows)), ""])


def escaped(text: str) -> str:
    """A text without what would end a cell of a Markdown table."""
    return text.replace("|", "\\|")


def csv_text(plan: Plan, rows: Sequence[Row]) -> str:
    """The table as CSV with every measure, in full precision; the columns of times are the last."""
    file = io.StringIO()
    writer = csv.DictWriter(file, list(record(plan, rows[0])), lineterminator="\n")
    writer.writeheader()
    writer.writerows(record(plan, row) for row in rows)
    return file.getvalue()


def record(plan: Plan, row: Row) -> dict[str, Any]:
    """A row as plain values by column; None where there is none."""
    values: dict[str, Any] = {path: written(value) for path, value in row.settings.items()}
    values |= {
        "seeds": row.seeds,
        "done": row.done,
        "diverged": len(row.diverged),
        "diverged_at": " ".join(map(str, row.diverged)),
        "failed": row.failed,
        "updates_least": min(row.updates, default=None),
        "updates_most": max(row.updates, default=None),
        "passes": row.passes,
    }
    for short in KINDS:
        score, name = row.scores.get(short), short.replace("-", "_")
        values |= {
            f"{name}_mean": score.model.mean if score else None,
            f"{name}_deviation": score.model.deviation if score else None,
            f"{name}_noise": score.noise if score else None,
            f"{name}_real": score.real if score else None,
        }
    return values | {
        "seconds_mean": row.seconds.mean if row.seconds else None,
        "seconds_deviation": row.seconds.deviation if row.seconds else None,
        "evaluation_seconds_mean": row.evaluation_seconds,
    }
