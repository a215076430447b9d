"""A study that exists, and what is asked of it now: the same, an extension, or another study."""

from collections.abc import Mapping
from typing import Any

from ebmkit.errors import UsageError
from ebmkit.study.plan import Axis, Plan, Sections, written


def extended(before: Plan, after: Plan) -> Plan:
    """The plan of a study that was planned as `before` and is now asked for as `after`.

    More seeds and more values of what varies are added; the values that were there keep their order. The measures that
    are shown are those of `after`.

    Raises:
        UsageError: for any other difference; all of them are named.
    """
    differences = [
        *differences_of(before.base, after.base),
        *axis_differences(before.axes, after.axes),
        *([f"seeds were {before.seeds}, now {after.seeds}"] if after.seeds < before.seeds else []),
        *differences_of({"features": features_of(before)}, {"features": features_of(after)}),
        *(
            [f"n was {given(before.judging.n)}, now {given(after.judging.n)}"]
            if before.judging.n != after.judging.n
            else []
        ),
    ]
    if differences:
        moved = "if the data have moved, change their path in study.toml; "
        raise UsageError(
            f"this folder has another study: {'; '.join(differences)} (seeds and values may be added; to go on with "
            f"it, leave out all settings; {moved if any(one.startswith('data.') for one in differences) else ''}"
            "for another study name another folder)"
        )
    axes = tuple(longer(old, new) for old, new in zip(before.axes, after.axes, strict=True))
    return Plan(before.base, axes, after.seeds, before.judging, after.measures)


def features_of(plan: Plan) -> dict[str, Any]:
    """The features of a plan, as a section of settings."""
    return {"use": plan.judging.features, **plan.judging.settings}


def differences_of(before: Sections, after: Sections) -> list[str]:
    """A line for every setting of the base that differs."""
    old, new = flat(before), flat(after)
    return [
        f"{path} was {shown(old, path)}, now {shown(new, path)}"
        for path in {**old, **new}
        if path not in old or path not in new or plain(old[path]) != plain(new[path])
    ]


def flat(sections: Sections) -> dict[str, Any]:
    """Settings by `section.key`."""
    return {f"{section}.{key}": value for section, values in sections.items() for key, value in values.items()}


def given(count: int | None) -> str:
    """A number in a message, which may not have been given."""
    return "not given" if count is None else str(count)


def shown(values: Mapping[str, Any], path: str) -> str:
    """A value in a message."""
    return written(values[path]) if path in values else "not given"


def plain(value: Any) -> Any:
    """A value as TOML gives it back: a tuple is a list, a path is a text, and None is the word none."""
    if isinstance(value, tuple | list):
        return [plain(one) for one in value]
    return written(value) if value is None or not isinstance(value, bool | int | float) else value


def axis_differences(before: tuple[Axis, ...], after: tuple[Axis, ...]) -> list[str]:
    """A line for every way in which the grid is not an extension of the former one."""
    names = [" with ".join(axis) for axis in before], [" with ".join(axis) for axis in after]
    if names[0] != names[1]:
        old, new = (" x ".join(one) or "nothing" for one in names)
        return [f"it varies {old}, not {new}"]
    lines = []
    for name, old_axis, new_axis in zip(names[0], before, after, strict=True):
        old_rows, new_rows = rows_of(old_axis), rows_of(new_axis)
        lost = [row for row in old_rows if row not in new_rows]
        if lost:
            lines.append(f"{name} had {', '.join(' with '.join(map(written, row)) for row in lost)} too")
    return lines


def rows_of(axis: Axis) -> list[list[Any]]:
    """The values of an axis: those that belong together in one list."""
    return [[plain(value) for value in row] for row in zip(*axis.values(), strict=True)]


def longer(before: Axis, after: Axis) -> Axis:
    """The former values of an axis, then those that are new."""
    known = rows_of(before)
    new = [i for i, row in enumerate(rows_of(after)) if row not in known]
    return {path: (*values, *(after[path][i] for i in new)) for path, values in before.items()}
