"""Contenders that train: ebmkit by its own recipes, and the paper's loop written plainly.

Those of other libraries are in `other_learners.py`, so that this module needs only ebmkit.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path

import torch
from contenders import plain_langevin, plain_update
from learning import DRAWN, Learner, Make, Task, in_chunks, real_batches, uniform
from torch import Generator, Tensor

from ebmkit.acceleration.choice import Asked
from ebmkit.config import layers
from ebmkit.config.recipe import Recipe
from ebmkit.config.resolution import resolve
from ebmkit.files import write_text
from ebmkit.interfaces import eval_mode
from ebmkit.runs.build import seeds_of
from ebmkit.runs.run import Run
from ebmkit.runs.training import new_run
from ebmkit.shortrun import ShortRun

CONFIG = "config.toml"
WARM_UP, MEASURED = 2, 5  # updates before, and at least while the speed of a recipe is measured
TRIAL = 0.02  # the part of the time of a race that its speed is measured for


def plain(task: Task, seed: int, folder: Path) -> Learner:
    """The paper's loop, its updates written in torch as in `contenders.plain_update`."""
    recipe, energy, shape = task.paper(seed), task.network(seed), task.shape
    rule, train, seeds = recipe.build("sampler"), recipe.train, seeds_of(recipe)
    optimizer = torch.optim.Adam(energy.parameters(), lr=recipe.settings("optimizer")["lr"])
    step, chain = plain_update(lambda _: optimizer, energy, rule), plain_langevin(energy, rule)
    rng, unused = Generator().manual_seed(seeds.batches), Generator()

    def update() -> bool:
        step(real_batches(task.images, train.batch_size, train.data_noise, rng), rule.steps, unused)
        return True

    def start(n: int) -> Tensor:
        return uniform(n, shape)

    torch.manual_seed(seeds.chains)
    return Learner(
        f"uniform starts, K = {rule.steps}, Adam {optimizer.defaults['lr']:g}, batch {train.batch_size}",
        energy,
        update,
        lambda n: in_chunks(lambda x: chain(x, rule.steps, unused), start, n),
        start,
        {"energy": energy, "optimizer": optimizer},
        {"batches": rng},
    )


def paper(precision: Asked, task: Task, seed: int, folder: Path) -> Learner:
    """The paper's recipe by ebmkit."""
    return of_run(kept_run(lambda: task.paper(seed, precision), folder / CONFIG))


def default(task: Task, seed: int, folder: Path) -> Learner:
    """The preset of the task by ebmkit, its schedules stretched to as many updates as the time allows."""
    run = kept_run(lambda: stretched(task, seed), folder / CONFIG)
    learner, name = of_run(run), task.preset or "default settings"
    mine, others = ([*energy.parameters()] for energy in (learner.energy, task.network(seed)))
    same = len(mine) == len(others) and all(map(torch.equal, mine, others))
    words = f"{name}: {learner.recipe}, {run.recipe.train.iterations} updates planned"
    return replace(learner, recipe=words if same else f"{words}, OTHER INITIAL WEIGHTS than the other contenders")


def kept_run(recipe: Callable[[], Recipe], file: Path) -> Run:
    """A new run, whose recipe is read from the file if there is one: what was measured is then not measured again."""
    run = new_run(resolve([layers.read(file)]) if file.exists() else recipe())
    write_text(file, run.recipe.toml())
    return run


def stretched(task: Task, seed: int) -> Recipe:
    """The recipe of the task for as many updates as its seconds allow, which a part of that time measures."""
    asked = task.recipe(task.preset, seed)
    trial, count, seconds = new_run(asked).updates(), 0, 0.0
    for _ in islice(trial, WARM_UP):
        pass
    began = task.clock()
    for _ in trial:
        count, seconds = count + 1, task.clock() - began
        if count >= MEASURED and seconds >= TRIAL * task.seconds:
            break
    updates = max(1, round(task.seconds * count / seconds))
    schedule_from = round(asked.train.schedule_from * updates / asked.train.iterations)
    return task.recipe(task.preset, seed, iterations=updates, schedule_from=schedule_from)


def of_run(run: Run) -> Learner:
    """The updates of a run, without its folder and watchers; samples are drawn by the model that it would keep."""
    updates, trainer = run.updates(), run.trainer

    def short() -> tuple[ShortRun, Generator]:
        rng = Generator()
        rng.set_state(torch.get_rng_state())  # the same noise as contenders that draw from the global state
        return ShortRun(trainer.chain_energy(trainer.model), trainer.sampler, trainer.init), rng

    def sample(n: int) -> Tensor:
        model, rng = short()
        with eval_mode(trainer.model):
            return model.sample(n, rng, batch=DRAWN)

    def start(n: int) -> Tensor:
        model, rng = short()
        return model.starts(n, rng, batch=DRAWN)

    train, settings = run.recipe.train, run.recipe.settings("optimizer")
    return Learner(
        f"{run.recipe.parts['init'].name} starts, K = {trainer.sampler.steps}, {run.recipe.parts['optimizer'].name} "
        f"{settings['lr']:g}, batch {train.batch_size}, chains in {run.choice}",
        trainer.energy,
        lambda: next(updates, None) is not None,
        sample,
        start,
        {"trainer": trainer},
        {"batches": run.batch_rng},
    )


LEARNERS: dict[str, tuple[str, Make]] = {
    "default": ("ebmkit, default", default),
    "paper": ("ebmkit, paper, fp32", partial(paper, "fp32")),
    "paper-auto": ("ebmkit, paper, auto", partial(paper, "auto")),
    "plain": ("plain loop", plain),
}
