"""The page of results as Markdown, from the experiments of experiments.toml and what was measured."""

from itertools import permutations
from typing import Any

import numpy as np
from scipy.stats import rankdata

from ebmkit.study.measures import KINDS
from ebmkit.study.plan import labels_of
from ebmkit.study.rows import Spread
from ebmkit.study.tables import number_text, spread_text

LEVEL = 0.05  # of the permutation test
HEAD = """# Results beside the paper's

Written by `python examples/paper/make_results.py` from studies and figures that were run; no number here is typed by
hand. The paper is Nijkamp, Hill, Zhu, Wu, "Learning Non-Convergent Non-Persistent Short-Run MCMC Toward Energy-Based
Model", NeurIPS 2019 (arXiv 1904.09770). A figure of the paper is *found* in a public source that is named, or
*recalled* from memory of the paper and not checked against it.

Nothing of the paper was run at its own scale yet. What was run are small forms of its experiments, on other data.
Their figures cannot be compared with the paper's as numbers, only in their order: the Fréchet distance here is one of
other features, and not the FID. Where both have a row of values, Spearman's rank correlation says whether the order
agrees; p is the share of all orders that agree at least as well.
"""


def page(experiments: list[dict[str, Any]], measured: dict[str, Any]) -> str:
    """The whole page.

    Args:
        experiments: The tables and figures of the paper, in order.
        measured: What was collected, by the name of the study or of the result.
    """
    return "\n".join([HEAD, *(section(one, measured) for one in experiments)])


def section(one: dict[str, Any], measured: dict[str, Any]) -> str:
    """The section of one table or figure."""
    name = one.get("study") or one.get("result") or ""
    found = measured.get(name)
    parts = [f"## {one['title']}", f"The paper: {one['paper']}."]
    if reported := one.get("reported"):
        lines = [f"| {row['what']} | {row['value']} | {row['mark']} |" for row in reported]
        parts.append("\n".join(["| in the paper | value | mark |", "|---|---|---|", *lines]))
    if found is None:
        parts.append(f"Small form: not run; {one['small_not_run']}." if name else "Small form: that of table 2.")
    else:
        parts += study_part(one, found) if "study" in one else result_part(one, name, found)
    if "command" in one:
        parts.append(commands([one["command"], *([one["gradients"]] if "gradients" in one else [])]))
    if "not_run" in one:
        parts += [f"At full scale: not run; {one['not_run']}.", commands(one["full"])]
    return "\n\n".join(parts) + "\n"


def commands(lines: list[str]) -> str:
    """Commands as a block."""
    return "\n".join(["```console", *(f"$ {line}" for line in lines), "```"])


def image_name(name: str, file: str) -> str:
    """The file of a picture in docs/images."""
    return f"paper-{name}-{file}"


def study_part(one: dict[str, Any], found: dict[str, Any]) -> list[str]:
    """What a study measured: the facts that all rows share, the table, and whether the order agrees."""
    rows, beside = found["rows"], one.get("beside", {})
    updates = sorted({row[key] for row in rows for key in ("updates_least", "updates_most") if row[key] is not None})
    facts = (
        f"Ours: {one['data']}; preset: {one['preset']}; {found['seeds']} seeds; "
        f"{' to '.join(f'{count:,}' for count in updates) or 'no'} updates; n = {found['n']:,} samples, features "
        f"{found['features']}; {found['hardware']}; torch {found['torch']}. ± is the sample standard deviation over "
        f"the seeds that are done; the time is that of one run{one.get('note', '')}."
    )
    orders = [agreement(short, rows, beside) for short in KINDS if short in beside]
    return [facts, study_table(found, beside), *orders, *pictures(one, one["study"])]


def pictures(one: dict[str, Any], name: str) -> list[str]:
    """The pictures of a section, each with its caption below."""
    return [
        f"![{picture['caption']}](images/{image_name(name, picture['file'])})\n\n*{picture['caption']}.*"
        for picture in one.get("images", ())
    ]


def study_table(found: dict[str, Any], beside: dict[str, Any]) -> str:
    """A row for each setting: ours, then the paper's."""
    labels = labels_of(found["varied"])
    heads = list(labels.values())
    for short in found["measures"]:
        heads.append(KINDS[short].title)
        if short in beside:
            heads.append(f"paper's {beside[short][0]} ({beside['mark']})")
    gradients = any(row["gradients"] for row in found["rows"])
    heads += [*(["mean norm of dE/dx"] if gradients else []), "runs", "time"]
    if beside:
        heads.insert(len(labels), "the paper's row")
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for i, row in enumerate(found["rows"]):
        cells = [str(row[path]) for path in labels]
        if beside:
            cells.append(beside["at"][i])
        for short in found["measures"]:
            cells.append(measure_text(row, short))
            if short in beside:
                cells.append(str(beside[short][i + 1]))
        if gradients:
            cells.append(spread_text(Spread(*row["gradients"])) if row["gradients"] else "-")
        seconds = "-" if row["seconds_mean"] is None else f"{row['seconds_mean']:.0f} s"
        lines.append(f"| {' | '.join([*cells, runs_text(row), seconds])} |")
    return "\n".join(lines)


def measure_text(row: dict[str, Any], short: str) -> str:
    """A measure of a row, with that of noise and of real examples."""
    name = short.replace("-", "_")
    if row[f"{name}_mean"] is None:
        return "not run"
    own = spread_text(Spread(row[f"{name}_mean"], row[f"{name}_deviation"]))
    return f"{own} (noise {number_text(row[f'{name}_noise'])}, real {number_text(row[f'{name}_real'])})"


def runs_text(row: dict[str, Any]) -> str:
    """How many runs are done, and how many diverged or failed."""
    parts = [f"{row['done']} of {row['seeds']}"]
    parts += [f"{row[word]} {word}" for word in ("diverged", "failed") if row[word]]
    return ", ".join(parts)


def agreement(short: str, rows: list[dict[str, Any]], beside: dict[str, Any]) -> str:
    """A sentence on whether our order of the rows is the paper's."""
    name, reported = beside[short][0], beside[short][1:]
    own = [row[f"{short.replace('-', '_')}_mean"] for row in rows]
    pairs = [(a, b) for a, b in zip(own, reported, strict=True) if a is not None]
    title = f"{KINDS[short].title} against the paper's {name}"
    if len(pairs) < 3:
        return f"{title}: fewer than three rows are done."
    ours, theirs = (rankdata(values) for values in zip(*pairs, strict=True))
    rho, p = correlation(ours, theirs), share_of_orders(ours, theirs)
    opposite = share_of_orders(-ours, theirs)
    verdict = "the order agrees" if p <= LEVEL else "the order is the opposite" if opposite <= LEVEL else "undecided"
    span, deviation = span_and_deviation(short, rows)
    if deviation is not None and span < deviation:
        both = f"{number_text(span)} against {number_text(deviation)}"
        verdict = f"our rows differ less than seeds do ({both}): undecided"
    return f"{title}: Spearman's rank correlation {rho:.2f} over {len(pairs)} rows, p = {p:.2g}: **{verdict}**."


def span_and_deviation(short: str, rows: list[dict[str, Any]]) -> tuple[float, float | None]:
    """How far the means of the rows are apart, and the mean of their standard deviations over seeds."""
    name = short.replace("-", "_")
    means = [row[f"{name}_mean"] for row in rows if row[f"{name}_mean"] is not None]
    deviations = [one for row in rows if (one := row[f"{name}_deviation"]) is not None]
    return max(means) - min(means), sum(deviations) / len(deviations) if deviations else None


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    """The correlation of two rows of ranks; 0 where one does not vary."""
    return float(np.corrcoef(a, b)[0, 1]) if np.ptp(a) and np.ptp(b) else 0.0


def share_of_orders(a: np.ndarray, b: np.ndarray) -> float:
    """The share of all orders of `a` whose correlation with `b` is at least that of `a`."""
    own = correlation(a, b)
    found = [correlation(np.array(order), b) >= own - 1e-9 for order in permutations(a)]
    return sum(found) / len(found)


def result_part(one: dict[str, Any], name: str, found: dict[str, Any]) -> list[str]:
    """What the script of a figure measured, and its pictures."""
    steps = f"; chains of {found['steps']:,} steps" if "steps" in found else ""
    facts = (
        f"Ours: {one['data']}; preset: {one['preset']}; {found['seeds']} seed; {found['updates']:,} updates{steps}; "
        f"{found['hardware']}; torch {found['torch']}; {found['cpu_seconds']:.0f} s of CPU for the figure and its "
        f"numbers{' and the training' if 'preset' in found else ''}."
    )
    lines = [f"| {what} | {value} |" for what, value in found["values"].items()] if one.get("values", True) else []
    table = ["\n".join(["| ours | value |", "|---|---|", *lines])] if lines else []
    return [facts, *table, *pictures(one, name)]
