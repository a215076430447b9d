"""Whether chains in bf16 have the distribution of chains in fp32, and training the same quality: Markdown and JSON.

`python benchmarks/precision.py` trains the demo for each seed in fp32 and in bf16, and draws samples from the models by
chains in fp32, in bf16 and, as a control that F must detect, in float8_e5m2. With hardware units for bf16 the passes of
ebmkit are used; without them these are far too slow, and the rounding of such units is emulated. Finished models and
measures are stored in a folder, from which an interrupted study continues.

t tests a shift that all models share, F a shift of each model of its own. For five seeds and no shift, |t| exceeds 2.8
between chains, 2.3 between trainings, and F exceeds 2.9, with probability 1 in 20.
"""

import copy
import json
import math
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Annotated

import torch
import typer
from torch import Tensor, nn

from ebmkit import Accelerated
from ebmkit.acceleration.precision import supported
from ebmkit.evaluation.measures import as_rows, evaluate, measure_name
from ebmkit.features.digits import Digits
from ebmkit.files import indented_json, write_text
from ebmkit.interfaces import EnergyFn, value_and_grad
from ebmkit.runs.checkpoint import NAME, read_checkpoint
from ebmkit.runs.run import Run
from ebmkit.runs.training import new_run
from ebmkit.shortrun import ShortRun

SAMPLES = 800  # per set; an evaluation compares with two disjoint sets of as many of the 1797 examples
SETS = 4  # sets of samples, each with its own noise seed, for every model and kind of chain
CHAINS, STEPS = 64, (1, 2, 5, 10, 20, 50, 100)  # how many chains are compared step by step, and after which steps
SHOWN = ("Fréchet distance", "Precision", "Recall", "Classifier score")
# The precision of a training, and that of the chains that draw from its model.
DRAWN = (("fp32", "fp32"), ("fp32", "bf16"), ("fp32", "fp8"), ("bf16", "fp32"), ("bf16", "bf16"))
# Pairs of these, and whether the models are the same.
COMPARED = (
    ("models trained in fp32: chains in bf16 against fp32", DRAWN[0], DRAWN[1], True),
    ("models trained in bf16: chains in bf16 against fp32", DRAWN[3], DRAWN[4], True),
    ("control, models trained in fp32: chains in float8_e5m2 against fp32", DRAWN[0], DRAWN[2], True),
    ("training in bf16 against fp32, each by its own chains", DRAWN[0], DRAWN[4], False),
)
Kinds = dict[str, Callable[[nn.Module], EnergyFn]]  # the energy that chains of a kind evaluate
Models = list[list[dict[str, float]]]  # measures by name, for each model and each of its sets of samples


class Emulated:
    """An energy whose passes are rounded as by low-precision hardware: sums in fp32, each result rounded once.

    Weights, the input, the output of every layer and every gradient on its way back are rounded to `dtype`; computation
    is in fp32. The energy must be a sequence of layers.
    """

    def __init__(self, energy: nn.Module, dtype: torch.dtype = torch.bfloat16) -> None:
        self.twin, self.dtype = copy.deepcopy(energy).requires_grad_(False).eval(), dtype
        for layer in self.twin.modules():
            if not list(layer.children()):
                layer.register_forward_hook(lambda layer, inputs, output: self.rounded(output))

    def rounded(self, x: Tensor) -> Tensor:
        """`x` rounded to `dtype`; autograd rounds the gradient in the same way."""
        return x.to(self.dtype).to(x.dtype)

    def refreshed(self, energy: nn.Module) -> "Emulated":
        """Copy the present weights of `energy`, rounded."""
        with torch.no_grad():
            for mine, theirs in zip(self.twin.parameters(), energy.parameters(), strict=True):
                mine.copy_(self.rounded(theirs))
        return self

    def __call__(self, x: Tensor) -> Tensor:
        """Energies `(B,)` of `x` `(B, *shape)`."""
        return self.twin(self.rounded(x))  # type: ignore[no-any-return]


def demo(seed: int) -> Run:
    """The run of `ebmkit train --precision fp32 --seed SEED`, before its first update."""
    return new_run({"train": {"precision": "fp32", "seed": seed}})


def kinds(run: Run) -> Kinds:
    """For each kind of chain, the energy that it evaluates; `native` is bf16 as ebmkit computes it."""
    energy = run.trainer.energy
    emulated, fp8 = (Emulated(energy, dtype).refreshed for dtype in (torch.bfloat16, torch.float8_e5m2))
    native = Accelerated(energy, precision="bf16").refreshed
    bf16 = native if "bf16" in supported(run.trainer.rng.device) else emulated
    return {"fp32": run.trainer.chain_energy, "bf16": bf16, "fp8": fp8, "emulated": emulated, "native": native}


def trained(folder: Path, precision: str, seed: int) -> Run:
    """The demo at the end of its training, restored from the folder if it is already there."""
    run = demo(seed)
    if precision == "bf16":
        run.trainer.accelerate = kinds(run)["bf16"]
    torch.set_num_threads(run.threads)
    if (folder / NAME).exists():
        run.restore(read_checkpoint(folder))
    else:
        for _ in run.updates():
            pass
        run.checkpoint().write(folder)
    run.trainer.energy.requires_grad_(False)
    return run


def measured(file: Path, run: Run, energy: EnergyFn, noise: int, features: Digits) -> dict[str, float]:
    """The measures of one set of samples, by name; read from the file if it is already there."""
    if not file.exists():
        short, rng = ShortRun(energy, run.trainer.sampler, run.trainer.init), run.trainer.rng.manual_seed(noise)
        start = short.init.sample
        found = evaluate(lambda n: short.sample(n, rng), lambda n: start(n, rng), run.examples, features, n=SAMPLES)
        write_text(file, indented_json({row["name"]: row["value"] for row in as_rows(found)}))
    return json.loads(file.read_text(encoding="utf-8"))  # type: ignore[no-any-return]


def parting(run: Run, chains: Kinds) -> Tensor:
    """Rms per pixel between chains in bf16 and fp32, and between fp32 chains of different noise, `(steps, 2)`."""
    (model, sampler, rng), steps = (run.trainer.energy, run.trainer.sampler, run.trainer.rng), [k - 1 for k in STEPS]
    start = run.trainer.init.sample(CHAINS, rng.manual_seed(0))
    one, same, other = (
        torch.stack([state.x for state in sampler.chain(chains[kind](model), start, rng.manual_seed(noise))])[steps]
        for kind, noise in (("fp32", 1), ("bf16", 1), ("fp32", 2))
    )
    return torch.stack([(x - one).double().flatten(1).square().mean(1).sqrt() for x in (same, other)], dim=1).cpu()


def agreement(run: Run, chains: Kinds) -> dict[str, float]:
    """Relative distances of dE/dx between emulated bf16, the kit's own and fp32, at three batches of samples."""
    model, rng = run.trainer.energy, run.trainer.rng.manual_seed(0)
    batches = list(ShortRun(model, run.trainer.sampler, run.trainer.init).samples(96, rng, batch=32))
    names = ("emulated", "native", "fp32")
    found = {name: torch.cat([value_and_grad(chains[name](model), x)[1] for x in batches]) for name in names}
    return {f"{a} - {b}": float((found[a] - found[b]).norm() / found[b].norm()) for a, b in combinations(names, 2)}


def compared(name: str, one: Models, other: Models, paired: bool) -> dict[str, float]:
    """The difference of one measure between two groups of models, each the mean of its sets; spread is over models.

    The t is paired if the models are the same and only the chains differ, with the same starts and noise; else Welch's.
    """
    x, y = (torch.tensor([[s[name] for s in sets] for sets in models], dtype=torch.float64) for models in (one, other))
    levels = torch.stack([x, y, y - x]).mean(2)
    (first, second, difference), (a, b, error) = levels.mean(1).tolist(), (levels.std(1) / len(x) ** 0.5).tolist()
    error = error if paired else math.hypot(a, b)
    row = {"fp32": first, "fp32 error": a, "other": second, "other error": b, "difference": difference, "error": error}
    row |= {"t": difference / error if error else math.nan, "rms of a set": float((y - x).square().mean().sqrt())}
    row["rms of two noise seeds"] = float(x.var(1).mean().mul(2).sqrt())
    own = SETS * (y - x).mean(1).square().mean() / (y - x).var(1).mean()
    return row | {"F": float(own)} if paired else row


def table(title: str, rows: dict[str, dict[str, float]]) -> str:
    """Rows of values by name as a Markdown table under a title."""
    columns = list(next(iter(rows.values())))
    lines = [f"**{title}**", "", f"| | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    lines += [f"| {name} | {' | '.join(f'{row[key]:.4g}' for key in columns)} |" for name, row in rows.items()]
    return "\n".join(lines)


def main(
    seeds: Annotated[int, typer.Option(min=2, help="How many models of each kind.")] = 5,
    out: Annotated[Path | None, typer.Option("--json", help="File for the results.")] = None,
    folder: Annotated[Path, typer.Option(help="Folder of models and measures.")] = Path("runs/precision"),
) -> None:
    """Train, sample, evaluate and compare; print the tables."""
    first = demo(0)
    passes = "native" if "bf16" in supported(first.trainer.rng.device) else "emulated"
    place, features = folder / passes, Digits(first.examples)
    place.mkdir(parents=True, exist_ok=True)
    found: dict[tuple[str, str], Models] = {pair: [] for pair in DRAWN}
    paths = []
    for seed in range(seeds):
        runs, chains = {one: trained(place / f"{one}-{seed}", one, seed) for one in ("fp32", "bf16")}, kinds(first)
        for model, kind in DRAWN:
            files = [place / f"{model}-{seed}-by-{kind}-{noise}.json" for noise in range(SETS)]
            energy, count = chains[kind](runs[model].trainer.energy), enumerate(files)
            found[model, kind].append([measured(file, runs[model], energy, noise, features) for noise, file in count])
        paths.append(parting(runs["fp32"], chains))
    tables = {"dE/dx, relative distances": {"": agreement(runs["fp32"], chains)}}
    for title, one, other, paired in COMPARED:
        names = [measure_name(name, features.name) for name in SHOWN]
        tables[title] = {name: compared(name, found[one], found[other], paired) for name in names}
    rows = zip(STEPS, torch.stack(paths).mean(0).tolist(), strict=True)
    tables["distance between chains"] = {f"{k} steps": {"same noise": x, "another noise": y} for k, (x, y) in rows}
    facts = {"torch": torch.__version__, "bf16": passes, "seeds": seeds, "sets": SETS, "samples": SAMPLES}
    print(facts, *(table(title, rows) for title, rows in tables.items()), sep="\n\n")
    if out is not None:
        kept = {f"{model} by {kind}": sets for (model, kind), sets in found.items()}
        write_text(out, indented_json({**facts, "tables": tables, "measures": kept}))


if __name__ == "__main__":
    typer.run(main)
