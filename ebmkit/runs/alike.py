"""Whether the processes of a run begin with the same settings and data."""

from ebmkit.config.recipe import Recipe
from ebmkit.data.examples import Examples
from ebmkit.interfaces import InitDistribution
from ebmkit.processes import Processes


def check_alike(recipe: Recipe, examples: Examples, init: InitDistribution, processes: Processes) -> None:
    """Check that several processes begin with the same settings and data; what the first fitted to these, all use.

    Raises:
        UsageError: if they do not.
    """
    sections = {section: values for section, values in recipe.plain.items() if section != "data"}
    own = {f"{section}.{key}": value for section, values in sections.items() for key, value in values.items()}
    first = processes.from_first(lambda: own)
    differing = [f"{name}={own.get(name)}" for name in {**own, **first} if own.get(name) != first.get(name)]
    processes.check_same("settings", ", ".join(differing))
    processes.check_same("data", examples.fingerprint)
    state = processes.from_first(init.state_dict)
    if state and not processes.first:
        init.load_state_dict(state)
