"""Whether the processes of a run begin with the same settings and data."""

from ebmkit.interfaces import InitDistribution
from ebmkit.runs.parts import RecipeParts


def check_alike(parts: RecipeParts, data: str) -> None:
    """Check that several processes begin with the same settings and data; what the first fitted to these, all use.

    Args:
        parts: The parts of this process.
        data: The fingerprint of its data.

    Raises:
        UsageError: if they do not.
    """
    processes, recipe = parts.processes, parts.recipe
    sections = {section: values for section, values in recipe.plain.items() if section != "data"}
    own = {f"{section}.{key}": value for section, values in sections.items() for key, value in values.items()}
    first = processes.from_first(lambda: own)
    differing = [f"{name}={own.get(name)}" for name in {**own, **first} if own.get(name) != first.get(name)]
    processes.check_same("settings", ", ".join(differing))
    processes.check_same("data", data)
    for _, part, _ in parts.built:
        if isinstance(part, InitDistribution):
            state = processes.from_first(part.state_dict)
            if state and not processes.first:
                part.load_state_dict(state)
