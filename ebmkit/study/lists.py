"""Lists of values on the command line: `sampler.steps=5,10,25`."""

from collections.abc import Sequence

from ebmkit.config.conversion import parse
from ebmkit.config.layers import Layer, Value, check_section, typed
from ebmkit.errors import UsageError, counted

Lists = dict[str, list[Value]]


def split(text: str) -> list[str]:
    """The values of a list: its commas separate them, except in brackets and in quotes.

    >>> split("5,10"), split("[0.0,0.99],[0.9,0.999]"), split('"a,b"')
    (['5', '10'], ['[0.0,0.99]', '[0.9,0.999]'], ['"a,b"'])
    """
    parts, depth, quote = [""], 0, ""
    for letter in text:
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "\"'" and parts[-1].rstrip()[-1:] in ("", "[", ","):  # an apostrophe in a word quotes nothing
            quote = letter
        elif letter in "[{":
            depth += 1
        elif letter in "]}":
            depth -= 1
        elif letter == "," and depth == 0:
            parts.append("")
            continue
        parts[-1] += letter
    return [part.strip() for part in parts]


def typed_lists(pairs: Sequence[str], option: str, least: int) -> tuple[Lists, list[str]]:
    """Texts `section.key=value,value` as lists by `section.key`, and those texts that have fewer than `least` values.

    Raises:
        UsageError: for an empty value, a value or a setting that is given twice, or an unknown section.
    """
    lists: Lists = {}
    single = []
    for pair in pairs:
        path, equals, text = (part.strip() for part in pair.partition("="))
        texts = split(text)
        if len(texts) < least:
            single.append(pair)
            continue
        if not equals or "." not in path:
            raise UsageError(f"{option} takes section.key=value,value, like {option} sampler.steps=5,10, not {pair!r}")
        check_section(path.rpartition(".")[0], f"{option} {pair}")
        if "" in texts:
            raise UsageError(f"{option} {pair} has an empty value; write one value after each comma")
        if path in lists:
            raise UsageError(f"{path} is given twice on the command line")
        lists[path] = [Value(parse(one), f"{option} {path}", one) for one in texts]
    return lists, single


def typed_grid(settings: Sequence[str], zipped: Sequence[str]) -> tuple[Layer, list[Lists]]:
    """The options -s and --zip: settings that are the same in every cell, and the axes of the grid.

    A list of --zip changes together with the list of -s that has as many values.

    Args:
        settings: Texts `section.key=value` or `section.key=value,value`, also of the section `features`.
        zipped: Texts `section.key=value,value`.

    Raises:
        UsageError: for a text of another form, a setting that is given twice, or a list of --zip for which there is
            not exactly one list of -s.
    """
    lists, single = typed_lists(settings, "-s", 2)
    layer = typed(single)
    axes = [{path: values} for path, values in lists.items()]
    along, _ = typed_lists(zipped, "--zip", 1)
    for path, values in along.items():
        section, _, key = path.rpartition(".")
        if path in lists or key in layer.sections.get(section, {}):
            raise UsageError(f"{path} is given twice: by -s and by --zip")
        partners = [axis for axis in axes if len(next(iter(axis.values()))) == len(values)]
        if len(partners) != 1:
            found = ", ".join(f"{one} has {len(lists[one])}" for one in lists) or "there is none"
            many = "; where two are as long, write the lists in a file: [[study.vary]]" if partners else ""
            raise UsageError(
                f"--zip {path} has {counted(len(values), 'value')}, and must have as many as exactly one list of -s "
                f"({found}){many}"
            )
        partners[0][path] = values
    return layer, axes
