"""Chain speed against the plain loop and other libraries, honestly: `make bench`.

Contenders take turns in one process, after each was shown to end where the plain loop ends; what counts is the median
over rounds of the ratio within a round. Run in an environment that has the dependency group `bench`.
"""

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import field
import growth
import machine
import rich
import running
import tables
import typer
from races import RACES

from ebmkit.acceleration.precision import arithmetic

Part = Literal["chains", "hmc", "toys", "update", "growth"]
EXPLANATION = (
    "speed: how many times as fast as the plain loop, the median over rounds; quartiles: of the rounds; "
    "from its end: the distance to where the plain loop ends, as a share of its way; "
    "of the ceiling: FLOP/s as a share of those of matrix products in the same precision, in the same rounds."
)


def main(
    only: Annotated[Part | None, typer.Option(help="The only part to run.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Small networks and few rounds: to see that it runs.")] = False,
    everything: Annotated[bool, typer.Option("--all", help="Also bf16 where it is emulated: hours.")] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print tables as Markdown.")] = False,
    file: Annotated[Path, typer.Option("--json", help="Where all figures are kept.")] = Path("bench.json"),
) -> None:
    """Measure, print, and keep the figures."""
    device = machine.best_device()
    precisions, left_out = machine.precisions(device, everything=everything)
    where = field.Field(device, precisions, quick)
    results: dict[str, Any] = {"machine": machine.facts(device), "left out": left_out}

    def show(table: tables.Table) -> None:
        print(table.markdown(), flush=True) if markdown else rich.print(table.rich())

    facts = results["machine"]
    print(
        *left_out, ", ".join(f"{name}: {value}" for name, value in facts.items()), EXPLANATION, sep="\n\n", end="\n\n"
    )
    # torch rounds convolutions in fp32 on a GPU unless told otherwise; here who is faster for that says so.
    with arithmetic("fp32", device):
        for kind, build in RACES.items():
            if only in (None, kind):
                results[kind] = []
                for place in range(len(build(where))):
                    results[kind].append(running.run(kind, place, where))
                    show(tables.race_table(results[kind][-1], absolute=device.type == "cuda"))
                    file.write_text(json.dumps(results, indent=1))
        if only in (None, "growth"):
            results["growth"] = growth.run(where)
            show(tables.growth_table(results["growth"]))
            file.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    typer.run(main)
