"""Print every planted fault with the checks that must fail for it, as Markdown tables; run in tests/."""

from collections.abc import Iterable, Iterator

from test_testing_datasets import FAULTS as DATASETS
from test_testing_energies import FAULTS as ENERGIES
from test_testing_features import FAULTS as FEATURES
from test_testing_inits import FAULTS as INITS
from test_testing_settings import FAULTS as SETTINGS
from test_testing_watchers import FAULTS as WATCHERS

from faulty import FAULTS as SAMPLERS


def tables() -> Iterator[tuple[str, dict[str, set[str]]]]:
    """Each kind's faults, in words, with their checks."""
    yield "Samplers", {name: caught for name, (_, caught) in SAMPLERS.items()}
    yield "Energies", {name: caught for name, (_, caught) in ENERGIES.items()}
    yield "Inits", {name: caught for name, (_, caught) in INITS.items()}
    yield "Data sets", {name: caught for name, (_, caught) in DATASETS.items()}
    yield "Watchers", {fault.__name__.replace("_", " "): caught for fault, caught, _ in WATCHERS}
    yield "Features", {name: caught for name, (_, caught) in FEATURES.items()}
    yield "Settings of any part", {name: caught for name, (_, _, caught) in SETTINGS.items()}


def row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    for kind, faults in tables():
        print(f"### {kind}", "", row(["fault", "checks that fail"]), "| --- | --- |", sep="\n")
        for name, caught in faults.items():
            print(row([name, ", ".join(f"`{check}`" for check in sorted(caught))]))
        print()
