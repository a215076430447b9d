"""Print every planted fault with the checks that must fail, as Markdown tables; run in tests/."""

from collections.abc import Iterable, Iterator

from faulty import FAULTS as SAMPLERS
from faulty.datasets import FAULTS as DATASETS
from faulty.energies import FAULTS as ENERGIES
from faulty.features import FAULTS as FEATURES
from faulty.inits import FAULTS as INITS
from faulty.methods import FAULTS as METHODS
from faulty.networks import FAULTS as NETWORKS
from faulty.settings import FAULTS as SETTINGS
from faulty.watchers import FAULTS as WATCHERS


def tables() -> Iterator[tuple[str, dict[str, set[str]]]]:
    """The faults of each kind, in words, with their checks."""
    yield "Samplers", {name: caught for name, (_, caught) in SAMPLERS.items()}
    yield "Energies", {name: caught for name, (_, caught) in ENERGIES.items()}
    yield "Inits", {name: caught for name, (_, caught) in INITS.items()}
    yield "Data sets", {name: caught for name, (_, caught) in DATASETS.items()}
    yield "Watchers", {fault.__name__.replace("_", " "): caught for fault, caught, _ in WATCHERS}
    yield "Features", {name: caught for name, (_, caught) in FEATURES.items()}
    yield "Methods", {name: caught for name, (_, caught) in METHODS.items()}
    yield "Networks", {name: caught for name, (_, caught) in NETWORKS.items()}
    yield "Settings of any part", {name: caught for name, (_, _, caught) in SETTINGS.items()}


def row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    for kind, faults in tables():
        print(f"### {kind}", "", row(["fault", "checks that fail"]), "| --- | --- |", sep="\n")
        for name, caught in faults.items():
            print(row([name, ", ".join(f"`{check}`" for check in sorted(caught))]))
        print()
