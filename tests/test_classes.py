"""Class-conditional energies and JEM: their energies, labels in updates, and samples by class."""

import json

import numpy as np
import pytest
import torch
from commands import invoked
from odd_makes import Once
from torch import Generator, nn
from torch.utils._python_dispatch import TorchDispatchMode

import ebmkit.runs
from ebmkit.data import Examples, arrays, digits
from ebmkit.data.idx import idx
from ebmkit.errors import UsageError
from ebmkit.methods.class_energies import OfClasses, OfLabels
from ebmkit.networks.dense import Dense

SETTINGS = {
    "classifier": {"use": "dense", "width": 32},
    "init": {"use": "gaussian"},
    "sampler": {"steps": 20, "step_size": 0.1, "noise": 0.1},
    "optimizer": {"lr": 0.01},
    "train": {"iterations": 60, "batch_size": 32, "threads": 1},
    "watch": {"pictures": {"every": 0}},
}
CENTRES = np.array([[-1.0, 0.0], [1.0, 0.0], [0.0, 1.5]])


@pytest.fixture(scope="module")
def points(tmp_path_factory):
    """Points around three centres, with the number of the centre as label."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 600)
    x = (CENTRES[labels] + 0.15 * rng.standard_normal((600, 2))).astype(np.float32)
    path = tmp_path_factory.mktemp("points") / "points.npz"
    np.savez(path, x=x, y=labels)
    return {"use": "arrays", "path": str(path), "key": "x", "labels": "y"}


@pytest.fixture(scope="module", params=["class-conditional", "jem"])
def run(request, points, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / request.param
    settings = {**SETTINGS, "data": points, "method": {"use": request.param, "classes": 3}}
    updates = list(ebmkit.runs.train(settings, folder=folder))
    return request.param, folder, updates


def test_energies_of_classes_and_labels():
    network = nn.Linear(2, 3)
    x, labels = torch.randn(5, 2), torch.tensor([0, 2, 1, 1, 0])
    logits = network(x)
    torch.testing.assert_close(OfClasses(network)(x), -logits.exp().sum(1).log())
    torch.testing.assert_close(OfLabels(network, labels, 3)(x), -logits[torch.arange(5), labels])
    assert set(OfLabels(network, labels, 3).state_dict()) == {"network.weight", "network.bias"}


def test_samples_of_a_class_are_near_its_examples(run):
    _, folder, _ = run
    short = ebmkit.load(folder)
    for label, centre in enumerate(CENTRES):
        x = short.of_class(label).sample(100, Generator().manual_seed(0), batch=100)
        distances = (x[:, None] - torch.tensor(CENTRES, dtype=torch.float32)).norm(dim=2)
        assert float((distances.argmin(1) == label).float().mean()) > 0.6, (label, centre)


def test_strips_show_the_classes_in_order(run):
    _, folder, _ = run
    short = ebmkit.load(folder)
    ends, _ = short.trace(60, Generator().manual_seed(0), rows=6)
    nearest = (ends[:, None] - torch.tensor(CENTRES, dtype=torch.float32)).norm(dim=2).argmin(1)
    assert float((nearest == torch.arange(60) % 3).float().mean()) > 0.5


def test_where_no_class_is_chosen_all_occur(run):
    _, folder, _ = run
    x = ebmkit.load(folder).sample(120, Generator().manual_seed(0), batch=60)
    nearest = (x[:, None] - torch.tensor(CENTRES, dtype=torch.float32)).norm(dim=2).argmin(1)
    assert int(nearest.bincount(minlength=3).min()) > 8


def test_updates_report_what_the_method_learns(run):
    name, _, updates = run
    scalars = updates[-1].scalars
    assert {"gap", "real_energy", "fake_energy", "end_gradient"} <= set(scalars)
    assert ("accuracy" in scalars) == (name == "jem")
    if name == "jem":
        assert scalars["accuracy"] > 0.8


def test_the_command_draws_one_class(run, tmp_path):
    _, folder, _ = run
    invoked("sample", folder, "--class", 1, "-n", 20, "--out", tmp_path / "x.npy")
    assert np.load(tmp_path / "x.npy").shape == (20, 2)
    _, stderr = invoked("sample", folder, "--class", 3, "-n", 2, "--out", tmp_path / "y.npy", code=2)
    assert "the classes of this model are 0 to 2, not 3" in stderr


def test_evaluate_judges_the_classifier(run, points, tmp_path):
    _, folder, _ = run
    other = ["--other", "gaussians", "-s", "other.radius=8.0"]
    stdout, _ = invoked("evaluate", folder, "-n", 200, *other, "--json")
    found = {measure["name"]: measure for measure in json.loads(stdout)["measures"]}
    assert found["Accuracy"]["value"] > 0.8
    assert found["Accuracy"]["noise_against_real"] < 0.5
    assert 0 <= found["Expected calibration error"]["value"] < 0.5
    assert found["Out-of-distribution AUROC by -E(x)"]["value"] > 0.5
    assert "Out-of-distribution AUROC by max p(y|x)" in found


def test_labels_of_too_many_classes_and_data_without_labels_are_refused(points):
    few = {**SETTINGS, "data": points, "method": {"use": "jem", "classes": 2}}
    with pytest.raises(UsageError, match=r"at least 3 classes, but method\.classes=2"):
        ebmkit.runs.new_run(few)
    with pytest.raises(UsageError, match="the data have no labels"):
        ebmkit.runs.new_run({**few, "data": {"use": "gaussians"}})
    plain = ebmkit.ShortRun(lambda x: x.sum(1), None, None)
    with pytest.raises(UsageError, match="this model has no classes"):
        plain.of_class(1)


def test_a_label_beyond_the_classes_is_refused_wherever_it_is(tmp_path):
    labels = np.arange(5000) % 2
    labels[4000] = 2
    np.savez(tmp_path / "rare.npz", x=np.zeros((5000, 2), np.float32), y=labels)
    rare = {"use": "arrays", "path": str(tmp_path / "rare.npz"), "key": "x", "labels": "y"}
    settings = {**SETTINGS, "data": rare, "method": {"use": "jem", "classes": 2}}
    with pytest.raises(UsageError, match=r"at least 3 classes, but method\.classes=2"):
        ebmkit.runs.new_run(settings)


class Waits(TorchDispatchMode):
    """Counts how often a whole number of a tensor is asked for, which waits for its device."""

    count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += func is torch.ops.aten._local_scalar_dense.default and not args[0].is_floating_point()
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("method", ["class-conditional", "jem"])
def test_an_update_does_not_wait_for_its_labels(method, points):
    settings = {**SETTINGS, "data": points, "method": {"use": method, "classes": 3}}
    trainer = ebmkit.runs.new_run(settings).trainer
    x, labels = torch.zeros(32, 2), torch.zeros(32, dtype=torch.long)
    trainer.update(x, labels)  # records the passes of the chains
    with Waits() as waits:
        trainer.update(x, labels)
    with Waits() as own:  # on a CPU this function of torch looks at them
        OfLabels(nn.Identity(), labels, 3)
    assert waits.count == (own.count if method == "class-conditional" else 0)


class OnceDifferentiable(Dense):
    """A network whose gradient has no gradient itself."""

    def forward(self, x):
        return super().forward(Once.apply(x))


@pytest.mark.parametrize("method", ["class-conditional", "jem"])
def test_without_a_gradient_penalty_no_second_derivative_is_needed(method, points, registered):
    registered("network", "once", OnceDifferentiable)
    settings = {**SETTINGS, "data": points, "method": {"use": method, "classes": 3}, "classifier": {"use": "once"}}
    settings["train"] = {**SETTINGS["train"], "gradient_penalty": 0.0}
    updates = ebmkit.runs.new_run(settings).updates()
    assert next(updates).index == 1
    settings["train"] = {**SETTINGS["train"], "gradient_penalty": 1.0}
    with pytest.raises(UsageError, match="differentiable"):
        ebmkit.runs.new_run(settings)


def test_data_sets_have_labels(tmp_path, points):
    assert Examples(digits(classes=(3, 7), limit=50)).labels.unique().tolist() == [0, 1]
    data = arrays(path=points["path"], key="x", labels="y")
    examples = Examples(data)
    assert examples.fetch(torch.tensor([4, 1])).shape == (2, 2)
    assert torch.equal(examples.labels, torch.from_numpy(np.load(points["path"])["y"]))
    pixels, marks = np.zeros((5, 2, 2), np.uint8), np.array([3, 1, 3, 0, 1], np.uint8)
    (tmp_path / "t-images-idx3-ubyte").write_bytes(
        bytes([0, 0, 8, 3, *[0, 0, 0, 5], *[0, 0, 0, 2] * 2]) + pixels.tobytes()
    )
    (tmp_path / "t-labels-idx1-ubyte").write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 5]) + marks.tobytes())
    assert Examples(idx(path=tmp_path / "t-images-idx3-ubyte")).labels.tolist() == [2, 1, 2, 0, 1]
    (tmp_path / "t-labels-idx1-ubyte").unlink()
    without = Examples(idx(path=tmp_path / "t-images-idx3-ubyte"))  # labels are read only where they are needed
    with pytest.raises(UsageError, match="labels"):
        _ = without.labels
