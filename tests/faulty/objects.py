"""Faults of a sampler as an object: what it is, what it promises and what it yields."""

from ebmkit.interfaces import Promises
from faulty.planting import fault
from faulty.right import Plain


@fault("states_are_states")
class YieldsNothing(Plain):
    def chain(self, energy, x, rng):
        yield from ()


@fault("promises_are_promises")
class PromisesADictionary(Plain):
    @property
    def promises(self):
        return {"gradients": self.steps}


@fault("promises_are_promises")
class PromisesByAMethod(Plain):
    def promises(self):
        return Promises(gradients=self.steps)


@fault("promises_are_promises")
class PromisesANegativeTemperature(Plain):
    @property
    def promises(self):
        return Promises(temperature=-1.0)


@fault("samplers_are_samplers")
class IsNotASampler:
    # Has all attributes of a sampler, but does not derive from Sampler.

    promises, noiseless = Promises(), None

    def chain(self, energy, x, rng):
        return Plain().chain(energy, x, rng)

    def sample(self, energy, x, rng):
        return Plain().sample(energy, x, rng)
