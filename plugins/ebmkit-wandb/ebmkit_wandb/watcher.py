"""Scalars, samples and settings of a run, as a run of Weights & Biases."""

import math
import os
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import wandb as client

from ebmkit import Update, UsageError, check
from ebmkit.pictures import drawable, grid
from ebmkit.watchers import scalars_of

Updates = Iterator[Update]
Mode = Literal["online", "offline", "disabled"]

# The background process of wandb must not end while another thread starts a run in it.
SERVICE = threading.Lock()


def wandb(
    updates: Updates,
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
    """Log scalars, samples and the configuration to Weights & Biases; the files are in `wandb/` in the run's folder.

    The scalars are those of `ebmkit.watchers.scalars_of`, logged at their update. The samples are where the chains of
    an update ended, the whole batch as one picture. The run is finished at the end, when the consumer leaves, and on an
    error, then as failed. Its id is stored in `wandb-id.txt`, and a resumed run has the same.

    Args:
        project: Project that the run belongs to.
        name: Name of the run; none uses the name of its folder.
        mode: Send to the server (online), write only to the run's folder (offline), or log nothing (disabled).
        every: Log the scalars of every N-th update; 0 logs none.
        images: Log the samples of every N-th update, if examples can be drawn; 0 logs none.
        timeout: Seconds to wait for the server at the start and the end; what it did not receive stays in the folder.

    Raises:
        UsageError: if a setting is outside its range; for `online` without an API key or an answer in time.
    """
    check("every", every, at_least=0)
    check("images", images, at_least=0)
    check("timeout", timeout, above=0)
    if not project.strip():
        raise UsageError(f"project must be a name, not {project!r}")
    if mode == "online" and client.run is None:  # a caller with a run of their own is logged in
        check_key()

    def watched() -> Updates:
        if mode == "disabled":
            yield from updates
            return
        run, failed = started(folder, config, project, name, mode, timeout), True
        try:
            for update in updates:
                logged: dict[str, Any] = {}
                if every and update.index % every == 0:
                    logged |= scalars_of(update)
                due = images and update.index % images == 0 and update.fake is not None  # some methods run no chains
                if due and drawable(tuple(update.fake.shape[1:])):
                    columns = math.ceil(math.sqrt(len(update.fake)))
                    logged["samples"] = client.Image(grid(update.fake, columns))
                if logged:
                    run.log(logged, step=update.index)
                yield update
            failed = False
        except GeneratorExit:  # a run that was stopped has not failed
            failed = False
            raise
        finally:
            run.finish(exit_code=int(failed))
            if mode == "offline":
                write_out()

    return watched()


def write_out() -> None:
    """Wait until the files of finished runs are written, which `finish` leaves to wandb's background process.

    That process says so only by ending. It goes on while another run of this process needs it.
    """
    with SERVICE:
        if client.setup().most_recent_active_run is None:
            client.teardown()


def check_key() -> None:
    """Refuse to go online without an API key, which wandb would ask for during the run.

    Raises:
        UsageError: if there is none, or its form is wrong.
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
    """A run of Weights & Biases for this folder: a new one, or the one whose id is stored there.

    Raises:
        UsageError: if the server does not answer in time.
    """
    stored = folder / "wandb-id.txt"
    known = stored.read_text(encoding="utf-8").strip() if stored.exists() else None
    if mode == "offline":  # otherwise wandb reports its own errors and times to its makers, also offline
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
    try:
        with SERVICE:
            run = client.init(
                dir=str(folder.absolute()),
                project=project,
                name=folder.absolute().name if name is None else name,
                config={section: dict(values) for section, values in config.items()},
                mode=mode,
                id=known,
                resume="allow" if mode == "online" and known else None,
                reinit="create_new",  # the caller may have a run of their own
                # Its messages would go to stdout, which only shows the folder of the run.
                settings=client.Settings(init_timeout=timeout, finish_timeout=timeout, console="off", silent=True),
            )
    except client.Error as error:
        reason = " ".join(str(error).split())
        raise UsageError(f"mode is {mode}, but wandb did not start: {reason}; choose offline and sync later") from error
    stored.write_text(f"{run.id}\n", encoding="utf-8")
    return run
