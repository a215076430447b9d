"""Features are the same every time and independent of the other examples; settings that cannot work are refused."""

import hashlib
from pathlib import Path

import pytest
import torch
from feature_checks import check_rows, examples, images
from torch import nn

from ebmkit.data.digits import digits
from ebmkit.data.examples import Examples
from ebmkit.errors import UsageError
from ebmkit.features.digits import Digits
from ebmkit.features.pixels import Pixels
from ebmkit.features.protocols import Classifier
from ebmkit.features.torchscript import TorchScript

pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")


def scripted(module, path, shape):
    torch.jit.save(torch.jit.trace(module.eval(), torch.zeros(2, *shape), check_trace=False), str(path))
    return str(path)


@pytest.fixture
def script(tmp_path):
    module = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(12, 5))
    return scripted(module, tmp_path / "mine.pt", (3, 2, 2))


@pytest.fixture(scope="module")
def classifier():
    return Digits(Examples(digits()))


def test_pixels_are_the_examples():
    x = images(3, 2, 4, 4)
    assert torch.equal(check_rows(Pixels(examples(2, 4, 4)), x), x.flatten(1))
    assert torch.equal(check_rows(Pixels(examples(5)), images(3, 5)), images(3, 5))


def test_pixels_of_a_size_are_means_over_squares():
    x = images(3, 1, 4, 4)
    features = Pixels(examples(1, 4, 4), size=2)
    torch.testing.assert_close(check_rows(features, x)[:, 0], x[:, 0, :2, :2].mean((1, 2)))
    assert (features.name, features.preprocessing) == ("pixels 2x2", "averaged to 2x2")


@pytest.mark.parametrize(
    ("shape", "size", "message"),
    [
        ((1, 4, 4), 5, "size must be at least 1 and at most 4, not 5"),
        ((1, 4, 4), 0, "size must be at least 1 and at most 4, not 0"),
        ((2,), 1, "size is 1, but examples of shape (2,) are not images: leave out size"),
    ],
)
def test_a_size_that_does_not_fit_is_refused(shape, size, message):
    with pytest.raises(UsageError) as refused:
        Pixels(examples(*shape), size=size)
    assert str(refused.value) == message


def test_the_classifier_recognises_the_digits_held_out(classifier):
    assert classifier.accuracy > 0.94
    x = Examples(digits()).fetch(torch.arange(20))
    assert check_rows(classifier, x).std(0).min() > 0
    assert isinstance(classifier, Classifier)
    p = classifier.probabilities(x)
    torch.testing.assert_close(p.sum(1), torch.ones(20))
    # The set of scikit-learn begins with the digits in order.
    assert (p.argmax(1) == torch.arange(20) % 10).double().mean() > 0.9


def test_probabilities_are_the_last_layer_of_the_features(classifier):
    x = images(3, 1, 8, 8)
    torch.testing.assert_close(classifier.probabilities(x), classifier.network[-1](classifier(x)).softmax(1))


def test_a_seed_decides_the_network_and_changes_nothing_else(classifier):
    before = torch.get_rng_state()
    x = images(3, 1, 8, 8)
    with torch.inference_mode():
        again = Digits(examples(1, 8, 8), seed=0)(x)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(again, classifier(x))


def test_another_seed_gives_another_network():
    one, other = (Digits(examples(1, 2, 2), seed=seed) for seed in (1, 2))
    assert not torch.equal(one(torch.zeros(1, 1, 2, 2)), other(torch.zeros(1, 1, 2, 2)))


def test_colours_become_grey_and_large_images_are_shrunk():
    features = Digits(examples(3, 8, 40))
    x = images(2, 1, 8, 40)
    assert features.size == (8, 32)
    torch.testing.assert_close(check_rows(features, x.expand(2, 3, 8, 40)), features(x))
    assert features.preprocessing.startswith("grey, scaled to 8x32; a classifier of digits, seed 0, accuracy 9")


@pytest.mark.parametrize("shape", [(2,), (2, 8, 8)])
def test_digits_refuse_other_examples_than_images(shape):
    with pytest.raises(UsageError, match=r"^digits needs images of 1 or 3 channels, not .*: use pixels$"):
        Digits(examples(*shape))


def test_a_torchscript_module_returns_its_features(script):
    features = TorchScript(examples(3, 2, 2), path=script)
    assert features.d == 5
    assert features.name == "torchscript mine.pt"
    assert features.preprocessing == f"none; module sha256 {hashlib.sha256(Path(script).read_bytes()).hexdigest()}"
    check_rows(features, images(4, 3, 2, 2))


def test_a_torchscript_module_is_put_in_evaluation_mode(tmp_path):
    module = torch.jit.script(nn.Sequential(nn.Flatten(), nn.Dropout(0.5)).train())
    torch.jit.save(module, str(tmp_path / "drops.pt"))
    features = TorchScript(examples(3), path=tmp_path / "drops.pt")
    assert torch.equal(features(torch.ones(2, 3)), torch.ones(2, 3))


def test_a_file_other_than_torchscript_is_refused_in_one_line(tmp_path):
    text, tensors = tmp_path / "text.pt", tmp_path / "tensors.pt"
    text.write_text("hello", encoding="utf-8")
    torch.save({"a": torch.zeros(2)}, tensors)
    for path in (text, tensors):
        message = f"path: {path} is not TorchScript: expected a file that torch.jit.save wrote"
        with pytest.raises(UsageError) as refused:
            TorchScript(examples(3, 2, 2), path=path)
        assert str(refused.value) == message
    with pytest.raises(UsageError, match=r" is a folder: expected a file that torch.jit.save wrote"):
        TorchScript(examples(3, 2, 2), path=tmp_path)
    with pytest.raises(UsageError, match=r"^no such file: "):
        TorchScript(examples(3, 2, 2), path=tmp_path / "none.pt")


def test_a_module_that_rejects_the_examples_is_refused(script):
    with pytest.raises(UsageError, match=r"mine.pt does not accept examples of shape \(1, 2, 2\): ") as refused:
        TorchScript(examples(1, 2, 2), path=script)
    assert "\n" not in str(refused.value)


def test_a_module_that_returns_no_vectors_is_refused(tmp_path):
    path = scripted(nn.Identity(), tmp_path / "same.pt", (3, 2, 2))
    with pytest.raises(
        UsageError, match=r"it returns shape \(2, 3, 2, 2\) for 2 examples, expected features \(2, d\)$"
    ):
        TorchScript(examples(3, 2, 2), path=path)
