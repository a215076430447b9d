"""What a preset says of itself: the comment at its head, and those beside its values."""

import re

from ebmkit.config.layers import loads
from ebmkit.config.toml_text import line_of
from ebmkit.errors import UsageError
from ebmkit.registry.presets import Preset

LABELS = ("Source", "Exact", "Not known", "Cost", "Data")  # what the head of every packaged preset says


def head_of(text: str) -> str:
    r"""The comment at the head of a preset, without its signs.

    >>> head_of("# The digits.\n#\n# Cost: a minute\n\n[train]\n")
    'The digits.\n\nCost: a minute'
    """
    lines = []
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.removeprefix("#").removeprefix(" "))
    return "\n".join(lines)


def summary_of(preset: Preset) -> str:
    """The first line of the head of a preset; why it cannot be read, if it cannot."""
    try:
        return head_of(preset.text()).partition("\n")[0]
    except UsageError as error:
        return str(error)


def comments_of(text: str) -> dict[str, str]:
    """The comment beside each value of a preset, by `section.key`; empty where there is none."""
    lines = text.splitlines()
    found = {}
    for section, values in loads(text, "preset").sections.items():
        for key in values:
            beside = re.search(r"\s#\s*(.*)$", lines[line_of(text, section, key) - 1])
            found[f"{section}.{key}"] = beside[1] if beside else ""
    return found
