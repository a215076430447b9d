"""The checks of invariant distributions, run on samplers of other libraries and on ours, as a Markdown table.

Run in an environment that has the dependency group `bench`: `python benchmarks/conformance.py`
"""

from importlib.metadata import version

from peers import PEERS

from ebmkit.samplers.hmc import HMC
from ebmkit.testing import Subject, checks, invariance
from ebmkit.testing.kit import outcome


def main() -> None:
    """Print a row for each check, a column for each sampler, and the reasons of failures."""
    promised = {name: check for name, check in checks("sampler").items() if check.__module__ == invariance.__name__}
    samplers = {**PEERS, f"ebmkit {version('shortrun-ebmkit')} HMC": HMC(step_size=0.1, leapfrog=5)}
    print("| check |", " | ".join(samplers), "|")
    print("|---" * (len(samplers) + 1) + "|")
    reasons = []
    for name, check in promised.items():
        outcomes = {who: outcome(name, check, Subject("sampler", lambda one=one: one)) for who, one in samplers.items()}
        print(f"| `{name}` |", " | ".join(one.verdict for one in outcomes.values()), "|")
        reasons += [f"- {who}, `{name}`: {one.reason}" for who, one in outcomes.items() if one.verdict == "failed"]
    print("", *reasons, sep="\n")


if __name__ == "__main__":
    main()
