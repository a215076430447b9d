"""Samplers that are wrong on purpose: `FAULTS` has them all, by what they do."""

from faulty import laws, samplers
from faulty.planting import FAULTS

__all__ = ["FAULTS", "laws", "samplers"]
