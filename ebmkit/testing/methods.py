"""What a method must do: count its updates, move every weight, resume bit for bit, and be drawn from without effect."""

import copy
import math

import torch
from torch import nn

from ebmkit.methods.method import Method
from ebmkit.runs.plain_values import read_back
from ebmkit.testing.globals import changed_by
from ebmkit.testing.kit import Subject, require
from ebmkit.testing.recipes import Trained
from ebmkit.testing.training import same

UPDATES = 3


def methods_are_methods(subject: Subject) -> None:
    """It is an `ebmkit.Method`, and each part of a role is an attribute with the name of the role."""
    trained = _trained(subject)
    require(
        isinstance(trained.method, Method), f"it is a {type(trained.method).__name__}; derive it from ebmkit.Method"
    )
    for role, part, _ in trained.parts.built:
        require(
            getattr(trained.method, role, None) is part,
            f"the part of the role '{role}' is not its attribute `{role}`; write self.{role} = parts.{role}(...)",
        )


def updates_are_counted_and_described(subject: Subject) -> None:
    """Update i has the index i, and its scalars are finite; `finish` does both."""
    trained = _trained(subject)
    updates = trained.updates(UPDATES)
    counted = [update.index for update in updates]
    due = list(range(1, UPDATES + 1))
    require(counted == due, f"the first updates have the indices {counted}, not {due}; end with self.finish(...)")
    for name, value in updates[-1].scalars.items():
        require(math.isfinite(value), f"the scalar {name} is {value} on uniform noise in [-1, 1]")


def updates_leave_the_batch_unchanged(subject: Subject) -> None:
    """An update does not write to the examples that it is given."""
    trained = _trained(subject)
    x, facts = trained.batch()
    given = x.clone()
    trained.method.update(x, **facts)
    require(torch.equal(x, given), "the batch was written to; make new tensors")


def updates_draw_only_from_their_rng(subject: Subject) -> None:
    """An update changes no global random state: all noise is drawn from `self.rng`."""
    trained = _trained(subject)
    drawn = changed_by(lambda: trained.updates(1))
    require(not drawn, f"an update changed the global random state of {drawn}; draw from self.rng")


def every_weight_is_trained_or_frozen(subject: Subject) -> None:
    """Each weight belongs to an optimiser or is frozen by requires_grad_(False), and each trained network moves."""
    trained = _trained(subject)
    method = trained.method
    held = {id(one) for each in method.optimizers.values() for group in each.param_groups for one in group["params"]}
    before = {name: copy.deepcopy(network.state_dict()) for name, network in method.networks.items()}
    trained.updates(UPDATES)
    for name, network in method.networks.items():
        weights = {key: one for key, one in network.named_parameters() if one.requires_grad}
        for key, weight in weights.items():
            require(id(weight) in held, f"no optimiser has {name}.{key}; give it to one, or freeze it")
        moved = not weights or any(not torch.equal(one, before[name][key]) for key, one in weights.items())
        require(moved, f"no weight of {name} moved in {UPDATES} updates; descend a loss that depends on it")


def states_are_read_back_without_code(subject: Subject) -> None:
    """The state has only tensors and plain values: a checkpoint is read with `weights_only`."""
    trained = _trained(subject)
    trained.updates(1)
    read_back(trained.method.state_dict(), "the state of the method")


def methods_resume_bit_for_bit(subject: Subject) -> None:
    """Restored from its state, a method makes the same updates as if it had not been interrupted."""
    straight, resumed = _trained(subject), _trained(subject)
    straight.updates(2)
    resumed.updates(1)  # whatever it did before must not count
    resumed.method.load_state_dict(read_back(straight.method.state_dict(), "the state of the method"))
    one, other = straight.updates(UPDATES), resumed.updates(UPDATES)
    advice = "make what it depends on an attribute with a state_dict, or override state_dict and load_state_dict"
    require(
        [update.scalars for update in one] == [update.scalars for update in other],
        f"the updates after a resume have other values; {advice}",
    )
    first, second = straight.method.state_dict(), resumed.method.state_dict()
    changed = [name for name in first if not same(first[name], second.get(name))]
    require(not changed, f"{', '.join(changed)} ended differently after a resume; {advice}")


def drawing_changes_nothing(subject: Subject) -> None:
    """Drawing from the model leaves the state of the training and the global random state as they are."""
    trained = _trained(subject)
    trained.updates(1)
    before = copy.deepcopy(trained.method.state_dict())
    drawn = changed_by(trained.drawn)
    require(not drawn, f"drawing changed the global random state of {drawn}; draw from the generator that is passed")
    after = trained.method.state_dict()
    changed = [name for name in before if not same(before[name], after[name])]
    require(not changed, f"drawing changed {', '.join(changed)}; do not use self.rng in short_run_of")


def samples_are_examples(subject: Subject) -> None:
    """Samples have the shape of examples and are finite."""
    trained = _trained(subject)
    trained.updates(1)
    x = trained.drawn()
    due = (3, *subject.shape)
    require(tuple(x.shape) == due, f"3 samples have shape {tuple(x.shape)}, not {due}; give ShortRun a `decode`")
    require(bool(x.isfinite().all()), "samples of a model after one update on uniform noise are not finite")


def opened_models_draw_the_same(subject: Subject) -> None:
    """Built without optimisers and given the states of its model, it draws the same samples."""
    trained, opened = _trained(subject), Trained(subject.target, subject.settings, subject.shape, training=False)
    trained.updates(UPDATES)
    for name in trained.method.drawn_from:
        opened.method.stateful[name].load_state_dict(trained.method.stateful[name].state_dict())
    same_samples = torch.equal(trained.drawn(), opened.drawn())
    require(same_samples, "opened, the model draws other samples; what it draws with must be an attribute with a state")


def models_are_drawn_with_the_networks_given(subject: Subject) -> None:
    """`short_run_of` draws with the networks that it is given, which may be moving averages."""
    trained = Trained(subject.target, subject.settings, subject.shape, average=0.5)
    trained.updates(1)
    other = {name: _scaled(network) for name, network in trained.method.networks.items()}
    rng = torch.Generator()
    plain = trained.method.short_run_of(trained.method.networks).sample(3, rng.manual_seed(2))
    scaled = trained.method.short_run_of(other).sample(3, rng.manual_seed(2))
    require(
        not torch.equal(plain, scaled),
        "other networks give the same samples; use those of the argument `networks`, not those of self",
    )


def _trained(subject: Subject) -> Trained:
    return Trained(subject.target, subject.settings, subject.shape)


def _scaled(network: nn.Module) -> nn.Module:
    """A copy of a network with its weights doubled."""
    scaled = copy.deepcopy(network)
    for weight in scaled.parameters():
        weight.data.mul_(2)
    return scaled
