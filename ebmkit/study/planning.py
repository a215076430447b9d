"""From what was asked for to the plan of a study: every value converted, every cell checked."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ebmkit.config.layers import Layer, Value, check_section, layer_of
from ebmkit.config.recipe import Recipe
from ebmkit.config.resolution import chosen, merged, named, resolve, resolve_part
from ebmkit.config.sections import roles_of
from ebmkit.errors import UsageError, check
from ebmkit.runs.training import check_settings
from ebmkit.study.measures import DEFAULT, chosen_measures
from ebmkit.study.plan import SEED, Axis, Judging, Plan, labels_of, layer_at, points

FEATURES = "pixels"
SEEDS = 3
MOST = 10_000  # cells of a study, each of which is a run; their settings are all checked before the first begins

Settings = Layer | Sequence[Layer] | Mapping[str, Mapping[str, Any]]
Vary = Mapping[str, Sequence[Any]] | Sequence[Mapping[str, Sequence[Any]]]


def axes_of(vary: Vary) -> tuple[Axis, ...]:
    """The axes of a grid.

    Args:
        vary: Lists of values by `section.key`, each an axis of its own; or several such tables, each an axis whose
            settings change together.

    Raises:
        UsageError: for an axis without values or with lists of different lengths, a setting that varies twice, or one
            that a study cannot vary.
    """
    tables = [{path: values} for path, values in vary.items()] if isinstance(vary, Mapping) else list(vary)
    axes: list[dict[str, tuple[Any, ...]]] = []
    for table in tables:
        for path, values in table.items():
            if isinstance(values, str) or not isinstance(values, Sequence) or not values:
                raise UsageError(f"{path} must vary over a list of values, like [5, 10], not {values!r}")
            if "." in path:
                check_section(path.rpartition(".")[0], path)
            if path == SEED:
                raise UsageError(f"{SEED} does not vary in the grid: say how many seeds there are, by --seeds 3")
            if any(path in axis for axis in axes):
                raise UsageError(f"{path} varies twice; write it in one list")
        if not table or len({len(values) for values in table.values()}) > 1:
            lengths = ", ".join(f"{path} has {len(values)}" for path, values in table.items()) or "there are none"
            raise UsageError(f"settings that change together must have equally many values: {lengths}")
        axes.append({path: tuple(values) for path, values in table.items()})
    return tuple(axes)


def planned(
    layers: Sequence[Layer], axes: tuple[Axis, ...], seeds: int, judging: Judging, measures: tuple[str, ...]
) -> Plan:
    """The plan of a study; every value is converted to the type of its setting, and the recipe of each cell checked.

    Args:
        layers: The settings that are the same in every cell; later layers win.
        axes: What varies.
        seeds: How many seeds.
        judging: How the models are judged.
        measures: The measures that are shown.

    Raises:
        UsageError: for a setting that is unknown, of another type or out of range in some cell, two equal values, or
            more than MOST cells.
    """
    check("seeds", seeds, at_least=1)
    if seeds * math.prod(len(next(iter(axis.values()))) for axis in axes) > MOST:
        raise UsageError(f"the study has more than {MOST:,} cells, each of which is a run: vary fewer values or seeds")
    recipes = [(point, resolve([*layers, layer_at(point)])) for point in points(axes)]
    for _, recipe in recipes:
        check_settings(recipe)
    roles = {name: one for _, recipe in recipes for name, one in roles_of(recipe.parts["method"]).items()}
    varied = {path for axis in axes for path in axis}
    base: dict[str, dict[str, Any]] = {}
    for section in dict.fromkeys(section for layer in layers for section in layer.sections):
        one = roles.get(section)
        given = merged(list(layers), section, [], one)
        if one is not None and any("use" in layer.sections.get(section, {}) for layer in layers):
            given = {"use": chosen(list(layers), section, one), **given}
        base[section] = {
            key: converted([recipe for _, recipe in recipes], section, key, value)
            for key, value in given.items()
            # `use` stays, even if it varies: the other settings of the section are those of that part.
            if key == "use" or f"{section}.{key}" not in varied
        }
    plan = Plan(base, tuple(axis_in(recipes, axis) for axis in axes), seeds, judging, measures)
    refuse_equal(plan)
    return plan


def converted(recipes: Sequence[Recipe], section: str, key: str, value: Value) -> Any:
    """A given value as a recipe has it; as it was given if no recipe uses it, as where all choose another part."""
    for recipe in recipes:
        if key in recipe.sections.get(section, {}) and recipe.origins.get((section, key)) == value.origin:
            return recipe.sections[section][key]
    return value.value


def axis_in(recipes: Sequence[tuple[Mapping[str, Any], Recipe]], axis: Axis) -> Axis:
    """An axis with the values that the recipes have in the place of those given."""
    found: dict[str, list[Any]] = {path: [] for path in axis}
    for i in range(len(next(iter(axis.values())))):
        here = next(r for point, r in recipes if all(point[path] is axis[path][i] for path in axis))
        for path in axis:
            section, _, key = path.rpartition(".")
            found[path].append(here.sections[section][key])
    return {path: tuple(values) for path, values in found.items()}


def refuse_equal(plan: Plan) -> None:
    """Refuse an axis with the same values twice.

    Raises:
        UsageError: naming the values.
    """
    for axis in plan.axes:
        rows = list(zip(*axis.values(), strict=True))
        for i, row in enumerate(rows):
            if row in rows[:i]:
                labels = labels_of(list(axis))
                twice = ", ".join(f"{labels[path]}={value}" for path, value in zip(axis, row, strict=True))
                raise UsageError(f"the grid has {twice} twice; write every value once")


def judging_of(features: str | None, settings: Mapping[str, Value], n: int | None) -> Judging:
    """How models are judged.

    Raises:
        UsageError: for features that do not exist, or settings that these do not have.
    """
    name = FEATURES if features is None else features
    _, complete = resolve_part("features", name, Layer("study", {"features": dict(settings)}))
    if n is not None:
        check("n", n, at_least=1)
    return Judging(name, {key: complete[key] for key in settings}, n)


def plan_of(
    settings: Settings,
    vary: Vary = (),
    *,
    seeds: int = SEEDS,
    features: Mapping[str, Any] | None = None,
    n: int | None = None,
    measures: Sequence[str] = DEFAULT,
) -> Plan:
    """The plan of a study; the arguments are those of `Study`.

    Raises:
        UsageError: for settings that cannot be used in some cell.
    """
    if isinstance(settings, Mapping):
        settings = layer_of(settings, "settings")
    layers = [settings] if isinstance(settings, Layer) else list(settings)
    given = {
        key: value if isinstance(value, Value) else Value(value, f"features.{key}")
        for key, value in (features or {}).items()
    }
    use = named("features", given.pop("use")) if "use" in given else None
    judging = judging_of(use, given, n)
    return planned(layers, axes_of(vary), seeds, judging, chosen_measures(measures))
