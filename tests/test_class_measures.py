"""Accuracy, calibration and the area under the ROC curve against values known by hand."""

import pytest
import torch

from ebmkit.errors import UsageError
from ebmkit.evaluation.classes import accuracy, auroc, calibration_error


def logits_of(confidences, guesses, classes=2):
    """Logits whose softmax has these largest probabilities at these classes."""
    p = torch.full((len(guesses), classes), 0.0)
    for row, (confidence, guess) in enumerate(zip(confidences, guesses, strict=True)):
        p[row] = (1 - confidence) / (classes - 1)
        p[row, guess] = confidence
    return p.log()


def test_accuracy_is_the_share_of_right_guesses():
    assert accuracy(logits_of([0.9, 0.6, 0.8, 0.7], [0, 1, 1, 0]), torch.tensor([0, 1, 0, 0])) == 0.75


def test_the_calibration_error_by_hand():
    # Three examples of confidence 0.9, of which two are right, and one of 0.55, which is wrong.
    logits = logits_of([0.9, 0.9, 0.9, 0.55], [0, 0, 0, 1])
    labels = torch.tensor([0, 0, 1, 0])
    expected = (3 / 4) * abs(2 / 3 - 0.9) + (1 / 4) * 0.55
    assert calibration_error(logits, labels) == pytest.approx(expected, abs=1e-6)
    one_bin = abs(2 / 4 - (3 * 0.9 + 0.55) / 4)
    assert calibration_error(logits, labels, bins=1) == pytest.approx(one_bin, abs=1e-6)


def test_a_perfect_classifier_is_calibrated():
    logits = 100 * torch.eye(3)
    assert calibration_error(logits, torch.arange(3)) == pytest.approx(0, abs=1e-9)


def test_the_area_is_the_probability_of_the_right_order():
    own, other = torch.tensor([3.0, 2.0, 1.0]), torch.tensor([0.0, 2.0, 2.5])
    pairs = [(a > b).float() + 0.5 * (a == b).float() for a in own for b in other]
    assert auroc(own, other) == pytest.approx(float(torch.stack(pairs).mean()))
    assert auroc(own + 10, other) == 1.0
    with pytest.raises(UsageError, match="finite scores"):
        auroc(own, torch.tensor([float("nan")]))
