"""Parts with planted faults, by kind; `FAULTS` has those of samplers, by what is wrong with them."""

from faulty import invariant, objects, samplers
from faulty.planting import FAULTS

__all__ = ["FAULTS", "invariant", "objects", "samplers"]
