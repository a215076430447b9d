"""The speed of chains, compared with a plain loop and other libraries: `make bench`.

Each contender must end where the plain loop ends. Then all take turns in one process, and the result is the median over
rounds of the ratio within a round. Other libraries take part if the dependency group `bench` is installed.
"""

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import conditions
import growth
import machine
import rich
import running
import tables
import typer
from races import MISSING, RACES

from ebmkit.acceleration.precision import arithmetic

Part = Literal["chains", "hmc", "toys", "update", "growth"]
EXPLANATION = (
    "speed: relative to the plain loop, median over rounds; quartiles: over rounds; "
    "from its end: distance to the end of the plain loop, relative to the length of its path; "
    "of the ceiling: FLOP/s relative to matrix products in the same precision, in the same rounds."
)


def main(
    only: Annotated[Part | None, typer.Option(help="Run only this part.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Small networks and few rounds, to see that it runs.")] = False,
    everything: Annotated[bool, typer.Option("--all", help="Also measure emulated bf16; takes hours.")] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print tables as Markdown.")] = False,
    file: Annotated[Path, typer.Option("--json", help="File for all results.")] = Path("bench.json"),
) -> None:
    """Measure, print the tables, and save the results."""
    device = machine.best_device()
    precisions, left_out = machine.precisions(device, everything=everything)
    setup = conditions.Setup(device, precisions, quick)
    left_out += [MISSING] if MISSING else []
    results: dict[str, Any] = {"machine": machine.facts(device), "left out": left_out}

    def show(table: tables.Table) -> None:
        print(table.markdown(), flush=True) if markdown else rich.print(table.rich())

    facts = results["machine"]
    print(
        *left_out, ", ".join(f"{name}: {value}" for name, value in facts.items()), EXPLANATION, sep="\n\n", end="\n\n"
    )
    # By default torch computes convolutions in tf32 on a GPU; here tf32 is a contender of its own.
    with arithmetic("fp32", device):
        for kind, build in RACES.items():
            if only in (None, kind):
                results[kind] = []
                for place in range(len(build(setup))):
                    results[kind].append(running.run(kind, place, setup))
                    show(tables.race_table(results[kind][-1], absolute=device.type == "cuda"))
                    file.write_text(json.dumps(results, indent=1))
        if only in (None, "growth"):
            results["growth"] = growth.run(setup)
            show(tables.growth_table(results["growth"]))
            file.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    typer.run(main)
