"""What an energy must do so that it can be saved, restored and evaluated by whoever uses it."""

import torch

from ebmkit.errors import UsageError
from ebmkit.interfaces import energy_values, eval_mode
from ebmkit.runs.plain_values import read_back
from ebmkit.runs.reading_back import difference
from ebmkit.testing.globals import seeded
from ebmkit.testing.kit import Subject, require
from ebmkit.testing.making import call, close, new_energy, new_module, uniform


def energies_are_read_back_from_a_checkpoint(subject: Subject) -> None:
    """After a pass in training mode the `state_dict` holds tensors and plain values, and is restored by value."""
    energy, other, x = new_module(subject, 1), new_module(subject, 2), uniform(subject, 4)
    with seeded(0):
        energy_values(energy.train(), x)
    call(other, x)
    state = energy.state_dict()
    try:
        other.load_state_dict(read_back(state, "its state"))
    except UsageError as error:
        return require(False, str(error))
    except Exception as error:
        return require(False, f"load_state_dict raised {type(error).__name__} for the state that state_dict returned")
    place = difference(state, other.state_dict())
    return require(
        not place, f"{place} of its state differs after load_state_dict; restore in set_extra_state what was saved"
    )


def energies_are_the_same_without_gradients(subject: Subject) -> None:
    """E(x) is the same under `torch.no_grad()`, under `torch.inference_mode()`, and with gradients enabled."""
    energy, x = new_energy(subject), uniform(subject, 4)
    with seeded(0), eval_mode(energy):
        expected = energy_values(energy, x).detach()
    for mode in (torch.no_grad, torch.inference_mode):
        with seeded(0), mode(), eval_mode(energy):
            found = energy_values(energy, x)
        require(close(found, expected), f"under torch.{mode.__name__}() E has other values; compute the same there")
