"""Figures, samples and settings of a run, as a run of Weights & Biases."""

import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import wandb as client

from ebmkit import Update, UsageError
from ebmkit.errors import check
from ebmkit.pictures import drawable, grid
from ebmkit.watchers.watch import scalars

Updates = Iterator[Update]
Mode = Literal["online", "offline", "disabled"]


def wandb(
    steps: Updates,
    folder: Path,
    config: Mapping[str, Mapping[str, Any]],
    *,
    project: str = "ebmkit",
    name: str | None = None,
    mode: Mode = "offline",
    every: int = 1,
    images: int = 100,
    timeout: float = 90.0,
) -> Updates:
    """Log figures, samples and the configuration to Weights & Biases; its files are in `wandb/` in the run's folder.

    The figures are those of `ebmkit.watchers.watch.measures`, logged at the update that they are of. The samples are where the
    chains of an update ended, the whole batch as one picture. The run is finished at the end, when the consumer leaves,
    and on an error, then as failed. Its id is kept in `wandb-id.txt`, and a run that is taken up again has the same.

    Args:
        project: Project that the run belongs to.
        name: Name of the run; none takes that of its folder.
        mode: Whether to send to the server (online), to keep all in the run's folder (offline), or to log nothing.
        every: Log the figures of each N-th update; 0 logs none.
        images: Log the samples of each N-th update, where examples can be drawn; 0 logs none.
        timeout: Seconds to wait for the server, at the start and at the end; what it did not get stays in the folder.

    Raises:
        UsageError: if a setting is outside its range; for `online` without an API key, or without an answer in time.
    """
    check("every", every, at_least=0)
    check("images", images, at_least=0)
    check("timeout", timeout, above=0)
    if not project.strip():
        raise UsageError(f"project must be a name, not {project!r}")
    if mode == "online" and client.run is None:  # whoever has a run of his own is logged in
        check_key()

    def watched() -> Updates:
        if mode == "disabled":
            yield from steps
            return
        run, failed = started(folder, config, project, name, mode, timeout), True
        try:
            for step in steps:
                logged: dict[str, Any] = {}
                if every and step.index % every == 0:
                    logged |= scalars(step)
                if images and step.index % images == 0 and drawable(tuple(step.fake.shape[1:])):
                    columns = math.ceil(math.sqrt(len(step.fake)))
                    logged["samples"] = client.Image(grid(step.fake, columns))
                if logged:
                    run.log(logged, step=step.index)
                yield step
            failed = False
        except GeneratorExit:  # a run that was stopped has not failed
            failed = False
            raise
        finally:
            run.finish(exit_code=int(failed))

    return watched()


def check_key() -> None:
    """Refuse to go online without an API key, which wandb would ask for in the middle of the run.

    Raises:
        UsageError: if there is none, or one of a wrong form.
    """
    try:
        found = client.login(prompt=False, verify=False)
    except client.Error as error:
        reason = " ".join(str(error).split())
        raise UsageError(f"mode is online, but the API key is refused: {reason}; run `wandb login`") from error
    if not found:
        raise UsageError("mode is online, but there is no API key (or WANDB_MODE is offline): run `wandb login`")


def started(
    folder: Path,
    config: Mapping[str, Mapping[str, Any]],
    project: str,
    name: str | None,
    mode: Literal["online", "offline"],
    timeout: float,
) -> client.Run:
    """A run of Weights & Biases for this folder: a new one, or the one whose id is there.

    Raises:
        UsageError: if the server does not answer in time.
    """
    kept = folder / "wandb-id.txt"
    known = kept.read_text(encoding="utf-8").strip() if kept.exists() else None
    if mode == "offline":  # else wandb would report its own errors and times to its makers, offline too
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
    try:
        run = client.init(
            dir=str(folder.absolute()),
            project=project,
            name=folder.absolute().name if name is None else name,
            config={section: dict(values) for section, values in config.items()},
            mode=mode,
            id=known,
            resume="allow" if mode == "online" and known else None,
            reinit="create_new",  # whoever calls may have a run of his own
            # Its messages would stand on stdout, which is for the run's folder.
            settings=client.Settings(init_timeout=timeout, finish_timeout=timeout, console="off", silent=True),
        )
    except client.Error as error:
        reason = " ".join(str(error).split())
        raise UsageError(f"mode is {mode}, but wandb did not start: {reason}; choose offline and sync later") from error
    kept.write_text(f"{run.id}\n", encoding="utf-8")
    return run
