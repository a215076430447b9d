"""The test kit: what every part must do, one function for each requirement; the built-in parts must pass it too.

With pytest, each check is a test of its own:

    from ebmkit.testing import conforms

    @conforms("sampler", Annealed, steps=20)
    def test_annealed(check):
        check()

Without pytest, `check_sampler(Annealed)` raises with all that failed, and `ebmkit plugins --check NAME` prints a table.
"""

from ebmkit.testing.conform import (
    check_dataset,
    check_energy,
    check_features,
    check_init,
    check_method,
    check_network,
    check_sampler,
    check_watcher,
    conforms,
)
from ebmkit.testing.kit import Failed, NotPromised, Outcome, Subject, checks, examine
from ebmkit.testing.subjects import subject
from ebmkit.testing.training import Training

__all__ = [
    "Failed",
    "NotPromised",
    "Outcome",
    "Subject",
    "Training",
    "check_dataset",
    "check_energy",
    "check_features",
    "check_init",
    "check_method",
    "check_network",
    "check_sampler",
    "check_watcher",
    "checks",
    "conforms",
    "examine",
    "subject",
]
