"""What the line about an alarm says: the value, its usual range, the cause and the settings to type."""

import pytest

from ebmkit.config.layers import typed
from ebmkit.config.resolution import resolve
from ebmkit.runs.diverging import lower_rate
from ebmkit.watchers.alarms import Alarm, Seen
from ebmkit.watchers.causes import explained, remedies

USUAL = Seen(1.0, 0.9, 1.1)
RISEN = {"displacement": Seen(4.4, 0.9, 1.1), "gap": Seen(44.0, 0.1, 1.1)}


def line(name: str, seen: dict[str, Seen], *pairs: str, gap: float = -40.0, noise: float | None = 0.32) -> str:
    config = resolve([typed(["optimizer.lr=5e-4", *pairs])]).plain
    return explained(Alarm(name, seen, seen[name].now, gap), config, noise)


def test_it_names_the_value_and_its_usual_range():
    text = line("displacement", RISEN)
    assert text.startswith("displacement is 4.4, usually 0.9 to 1.1, 0.32 by noise only: the energy has become steeper")
    assert text.endswith("; try train.gradient_penalty=1, optimizer.lr=0.0001")
    assert "noise" not in line("displacement", RISEN, noise=None)


def test_without_a_past_only_the_value_is_named():
    text = explained(Alarm("displacement", {}, 30.0, -1.0), {"optimizer": {"lr": 0.1}}, None)
    assert text.startswith("displacement is 30: ")
    assert "optimizer.lr=0.001" in text


@pytest.mark.parametrize(
    ("name", "seen", "pairs", "gap", "reason", "settings"),
    [
        (
            "gradient_norm",
            {"gradient_norm": Seen(90.0, 1.0, 9.0)},
            (),
            -4.0,
            "the learning rate is too high",
            "lr=0.0001",
        ),
        (
            "energy",
            {"energy": Seen(90.0, 1.0, 2.0)},
            (),
            -4.0,
            "energies grow without bound",
            "try train.energy_l2=0.1,",
        ),
        (
            "energy",
            {"energy": Seen(90.0, 1.0, 2.0)},
            ("train.energy_l2=0.1",),
            0.0,
            "energies grow",
            "try train.energy_l2=1,",
        ),
        ("gap", RISEN, ("train.data_noise=0.0",), 40.0, "the data noise is too small", "try train.data_noise=0.05,"),
        ("gap", RISEN, ("train.data_noise=0.0",), -40.0, "learning rate is too high", "train.data_noise=0.05"),
    ],
)
def test_the_cause_that_fits_is_named(name, seen, pairs, gap, reason, settings):
    text = line(name, seen, *pairs, gap=gap)
    assert reason in text
    assert settings in text
    assert "\n" not in text


def test_a_penalty_that_is_set_is_to_be_ten_times_as_strong():
    assert "train.gradient_penalty=1," in line("displacement", RISEN, "train.gradient_penalty=0.05")
    assert "train.gradient_penalty=10," in line("displacement", RISEN, "train.gradient_penalty=1")


def test_values_that_are_not_finite_call_for_more_than_the_run_has():
    config = resolve([typed(["train.gradient_penalty=1", "train.energy_l2=0.1"])]).plain
    text = remedies(config)
    assert text.startswith("try train.gradient_penalty=10, a lower optimizer.lr")
    assert text.endswith("train.energy_l2=1")


def test_an_optimiser_without_a_rate_gets_no_value():
    text = explained(Alarm("gap", RISEN, 44.0, -40.0), {"optimizer": {}, "train": {"gradient_penalty": 0.0}})
    assert "try a lower optimizer.lr, " in text


@pytest.mark.parametrize(("rate", "lower"), [(5e-4, 1e-4), (1e-3, 2e-4), (0.5, 1e-3), (1e30, 1e-3), (3.3e-5, 6.6e-6)])
def test_the_lower_rate_is_a_fifth_and_at_most_1e_3(rate, lower):
    assert lower_rate(rate) == lower
