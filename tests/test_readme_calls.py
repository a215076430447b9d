"""The reader of ```py blocks finds what does not exist, and nothing else."""

import pytest
from readme_calls import problems

GOOD = """
```py
import json as words
import os.path
from dataclasses import replace

from ebmkit import ShortRun, load
from ebmkit.samplers import Langevin

model = load("runs/a", weights="last")
found = model.any_method(1).x
sampler = Langevin(steps=3, noise=0.1)
x = sampler.sample(energy, x, rng)
for state in sampler.chain(energy, x, rng):
    state.x, os.path.join("a", *names), words.dumps({})
```

```py
sampler.with_steps(4).anything
model = replace(sampler, steps=2)
```

```python
import no_such_module
```
"""


def test_what_exists_is_found():
    assert problems(GOOD) == []


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("import ebmkit.nowhere", "No module named 'ebmkit.nowhere'"),
        ("from ebmkit.samplers import Langevine", "No module named 'ebmkit.samplers.Langevine'"),
        ("import ebmkit; ebmkit.loaded('a')", "has no attribute 'loaded'"),
        ("import ebmkit.data; print(ebmkit.data.digitz)", "has no attribute 'digitz'"),
        ("load('a', wieghts='last')", "unexpected keyword argument 'wieghts'"),
        ("load()", "missing a required argument: 'place'"),
        ("Langevin(3)", "too many positional arguments"),
        ("Langevin(steps=3).samples(energy, x, rng)", "has no attribute 'samples'"),
        ("s = Langevin(steps=3)\ns.sample(energy, x)", "missing a required argument: 'rng'"),
        ("for one in [load('a', 'b')]: ...", "too many positional arguments"),
    ],
)
def test_what_does_not_exist_is_a_problem(line, problem):
    start = "from ebmkit import load\nfrom ebmkit.samplers import Langevin"
    found = problems(f"```py\n{start}\n{line}\n```\n")
    assert len(found) >= 1
    assert problem in found[0]
