"""The mean norm of dE/dx along the chains of every cell of a study, as in table 2 of the paper.

    python examples/paper/gradients.py runs/k-digits

Writes `gradients.json` in the folder of the study: the mean over the steps of the chain and over 64 chains, by cell.
"""

import sys
from pathlib import Path

import torch

from ebmkit import ShortRun, eval_mode, load
from ebmkit.files import indented_json, write_text
from ebmkit.study import Study

NAME = "gradients.json"
CHAINS = 64


def mean_norm(short: ShortRun, rng: torch.Generator) -> float:
    """The mean norm of dE/dx over the steps of the chains."""
    x = short.init.sample(CHAINS, rng)
    with eval_mode(short.energy):
        norms = [
            state.info["gradient"].flatten(1).norm(dim=1).mean() for state in short.sampler.chain(short.energy, x, rng)
        ]
    return float(torch.stack(norms).mean())


def main(folder: Path) -> None:
    """Measure the cells that are done."""
    study = Study(folder)
    found = {}
    for cell in study.cells:
        result = study.result(cell)
        if result is not None and result.status == "done":
            found[cell.name] = mean_norm(load(study.place(cell)), torch.Generator().manual_seed(1))
            print(f"{cell.name}: {found[cell.name]:.4g}")
    write_text(folder / NAME, indented_json(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
