"""What the passes through a network depend on besides the values of its weights: when it changes, so do they."""

from typing import Any, NamedTuple

from torch import Tensor, nn

# What every module has of torch's own.
OWN = {"training", *vars(nn.Module())}
PLAIN = (bool, int, float, str, type(None))


class Fact(NamedTuple):
    """One such thing: where it is, what it is, and how often it was written to if it is a tensor."""

    place: tuple[str, str]
    value: Any
    version: int = 0


def facts(energy: nn.Module) -> list[Fact]:
    """The shapes of an energy's weights and buffers, and its own attributes, those of submodules included."""
    tensors = [*energy.named_parameters(), *energy.named_buffers()]
    found = [Fact(("", name), (*one.shape, str(one.dtype), str(one.device))) for name, one in tensors]
    for name, module in energy.named_modules():
        for key, value in vars(module).items():
            if key in OWN:
                continue
            # A list may be changed where it stands.
            kept = tuple(value) if isinstance(value, list) and _plain(tuple(value)) else value
            counted = isinstance(value, Tensor) and not value.is_inference()
            found.append(Fact((name, key), kept, value._version if counted else 0))
    return found


def same(before: list[Fact], now: list[Fact]) -> bool:
    """Whether these are the same facts: the same objects, or plain values that are equal."""
    return len(before) == len(now) and all(
        a.place == b.place
        and a.version == b.version
        and (a.value is b.value or (_plain(a.value) and _plain(b.value) and a.value == b.value))
        for a, b in zip(before, now, strict=True)
    )


def _plain(value: Any) -> bool:
    return isinstance(value, PLAIN) or (isinstance(value, tuple) and all(isinstance(one, PLAIN) for one in value))
