"""The doors to the kit: a decorator for pytest, and one function for each kind."""

from collections.abc import Callable, Mapping
from typing import Any

from ebmkit.testing.kit import Check, Failed, NotPromised, Subject, checks, examine, run
from ebmkit.testing.subjects import subject


def conforms(
    kind: str, target: str | Callable[..., Any], /, *, shape: tuple[int, ...] | None = None, **settings: Any
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a test function one case for each check of a kind, as its argument `check`; it needs pytest.

    A check for something that the part does not promise is skipped with that reason.

    Args:
        kind: energy, sampler, init, data, watcher or features.
        target: The part: a class, function, partial or import string, as its hook gives it.
        shape: Shape of one example, for energies and inits; without it, the first usual one that the part takes.
        settings: Its settings; those left out keep their defaults.

    Raises:
        UsageError: for an unknown kind, or a part that cannot be made with these settings.
    """
    import pytest

    ready = subject(kind, target, shape, settings)
    cases = [pytest.param(_case(check, ready), id=name) for name, check in checks(kind).items()]
    return pytest.mark.parametrize("check", cases)


def _case(check: Check, part: Subject) -> Callable[[], None]:
    def case() -> None:
        __tracebackhide__ = True
        import pytest

        try:
            run(check, part)
        except NotPromised as reason:
            pytest.skip(f"not promised: {reason}")
        except Failed as reason:
            # Raised anew: the check's own source says no more than its reason does.
            raise Failed(str(reason)) from None

    return case


def check_sampler(target: str | Callable[..., Any], /, **settings: Any) -> None:
    """Hold a sampler to the interface and to its `promises`.

    Raises:
        Failed: with one line for each check that failed.
    """
    _hold("sampler", target, None, settings)


def check_energy(target: str | Callable[..., Any], /, *, shape: tuple[int, ...] | None = None, **settings: Any) -> None:
    """Hold an energy to the interface, on examples of one shape.

    Raises:
        Failed: with one line for each check that failed.
    """
    _hold("energy", target, shape, settings)


def check_init(target: str | Callable[..., Any], /, *, shape: tuple[int, ...] | None = None, **settings: Any) -> None:
    """Hold an init distribution to the interface, on examples of one shape.

    Raises:
        Failed: with one line for each check that failed.
    """
    _hold("init", target, shape, settings)


def check_dataset(target: str | Callable[..., Any], /, **settings: Any) -> None:
    """Hold a data set to the interface.

    Raises:
        Failed: with one line for each check that failed.
    """
    _hold("data", target, None, settings)


def check_features(
    target: str | Callable[..., Any], /, *, shape: tuple[int, ...] | None = None, **settings: Any
) -> None:
    """Hold features to the interface, on examples of one shape.

    Raises:
        Failed: with one line for each check that failed.
    """
    _hold("features", target, shape, settings)


def check_watcher(target: str | Callable[..., Any], /, **settings: Any) -> None:
    """Hold a watcher to the interface, around a small training.

    Raises:
        Failed: with one line for each check that failed.
    """
    _hold("watcher", target, None, settings)


def _hold(
    kind: str, target: str | Callable[..., Any], shape: tuple[int, ...] | None, settings: Mapping[str, Any]
) -> None:
    failed = [one for one in examine(subject(kind, target, shape, settings)) if one.verdict == "failed"]
    if failed:
        lines = "\n".join(f"  {one.check}: {one.reason}" for one in failed)
        raise Failed(f"{len(failed)} checks of this {kind} failed:\n{lines}")
