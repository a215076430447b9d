"""How the kit is used: a decorator for pytest, and one function for each kind of part."""

from collections.abc import Callable, Mapping
from typing import Any

from ebmkit.testing.kit import Check, Failed, NotPromised, Subject, checks, examine, run
from ebmkit.testing.subjects import subject


def conforms(
    kind: str, target: str | Callable[..., Any], /, *, shape: tuple[int, ...] | None = None, **settings: Any
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Parametrize a test function by the checks of a kind, passed as its argument `check`; needs pytest.

    A check of something that the part does not promise is skipped, with the reason.

    Args:
        kind: energy, sampler, init, data, watcher, features, method or network.
        target: The part: a class, function, partial or import string, as its hook returns it.
        shape: Shape of one example, for energies and inits; without it, the first usual one that the part takes.
        settings: Its settings by name; the others keep their defaults.

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
            # Raised here, so that pytest shows the reason and not the source of the check.
            raise Failed(str(reason)) from None

    return case


def check_sampler(target: str | Callable[..., Any], /, **settings: Any) -> None:
    """Check a sampler against the interface and its own `promises`.

    Raises:
        Failed: with one line for each check that failed.
    """
    _check_all("sampler", target, None, settings)


def check_energy(target: str | Callable[..., Any], /, *, shape: tuple[int, ...] | None = None, **settings: Any) -> None:
    """Check an energy against the interface, on examples of one shape.

    Raises:
        Failed: with one line for each check that failed.
    """
    _check_all("energy", target, shape, settings)


def check_init(target: str | Callable[..., Any], /, *, shape: tuple[int, ...] | None = None, **settings: Any) -> None:
    """Check an init distribution against the interface, on examples of one shape.

    Raises:
        Failed: with one line for each check that failed.
    """
    _check_all("init", target, shape, settings)


def check_dataset(target: str | Callable[..., Any], /, **settings: Any) -> None:
    """Check a data set against the interface.

    Raises:
        Failed: with one line for each check that failed.
    """
    _check_all("data", target, None, settings)


def check_features(
    target: str | Callable[..., Any], /, *, shape: tuple[int, ...] | None = None, **settings: Any
) -> None:
    """Check features against the interface, on examples of one shape.

    Raises:
        Failed: with one line for each check that failed.
    """
    _check_all("features", target, shape, settings)


def check_watcher(target: str | Callable[..., Any], /, **settings: Any) -> None:
    """Check a watcher against the interface, in a short training.

    Raises:
        Failed: with one line for each check that failed.
    """
    _check_all("watcher", target, None, settings)


def check_method(target: str | Callable[..., Any], /, *, shape: tuple[int, ...] | None = None, **settings: Any) -> None:
    """Check a method of training against the interface, with the parts of its roles, on examples of one shape.

    Raises:
        Failed: with one line for each check that failed.
    """
    _check_all("method", target, shape, settings)


def check_network(
    target: str | Callable[..., Any], /, *, shape: tuple[int, ...] | None = None, **settings: Any
) -> None:
    """Check a network against the interface, from examples of one shape to outputs of the same shape.

    Raises:
        Failed: with one line for each check that failed.
    """
    _check_all("network", target, shape, settings)


def _check_all(
    kind: str, target: str | Callable[..., Any], shape: tuple[int, ...] | None, settings: Mapping[str, Any]
) -> None:
    failed = [one for one in examine(subject(kind, target, shape, settings)) if one.verdict == "failed"]
    if failed:
        lines = "\n".join(f"  {one.check}: {one.reason}" for one in failed)
        raise Failed(f"{len(failed)} checks of this {kind} failed:\n{lines}")
