"""The two phases of `nt-ebm`: what learns in them, between them, and where a run is resumed or starts from another."""

import json
import shutil

import pytest
import torch
from transport_test_runs import command, same, state, trained

from ebmkit.runs import train


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("runs") / "plane", train__average=0.5)


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    return state(trained(tmp_path_factory.mktemp("runs") / "straight", train__lr_schedule="constant"))


def test_the_flow_learns_first_and_then_only_the_tilt(straight, tmp_path):
    flow = state(trained(tmp_path / "a", train__iterations=3, train__lr_schedule="constant"))
    assert same(straight["flow"], flow["flow"])
    assert not same(straight["energy"], flow["energy"])
    assert flow["sampler"]["adaptation"][0] == 0
    assert straight["sampler"]["adaptation"][0] == 3


def test_updates_report_the_density_and_then_the_energies(run):
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [("log_density" in line, "gap" in line, "step_size" in line) for line in lines] == (
        [(True, False, False)] * 3 + [(False, True, True)] * 3
    )
    assert all(line["log_density"] == -line["loss"] for line in lines[:3])


@pytest.mark.parametrize("stop", [2, 3, 4])
def test_a_run_resumes_bit_for_bit_in_both_phases_and_between_them(straight, tmp_path, stop):
    stopped = trained(tmp_path / "stopped", train__lr_schedule="constant", train__iterations=stop)
    list(train({"train": {"iterations": 6}}, resume=stopped))
    assert same(state(stopped), straight)


def test_the_learning_rate_of_the_flow_falls_in_its_own_updates(tmp_path):
    def rates(iterations):
        folder = trained(tmp_path / str(iterations), method__flow_iterations=4, train__iterations=iterations)
        found = state(folder)
        return [found[name]["param_groups"][0]["lr"] for name in ("flow_optimizer", "optimizer")]

    assert rates(4) == [pytest.approx(1e-3 / 3), 1e-3]  # 1, 1, 2/3, 1/3
    assert rates(6)[0] == pytest.approx(1e-3 / 3)


def test_with_an_average_the_tilt_corrects_the_flow_that_the_model_draws_by(run):
    """Else the tilt would be that of the last flow, and the samples those of its average."""
    found = state(run)
    average = {name.removeprefix("module."): value for name, value in found["average"]["flow"].items()}
    assert all(torch.equal(value, average[name]) for name, value in found["flow"].items())


def test_a_dry_run_counts_both_phases(tmp_path):
    words = [word for one in ("sampler.steps=2", "flow.layers=2", "energy.width=4") for word in ("-s", one)]
    stdout = command("train", "--method", "nt-ebm", "--data", "gaussians", *words, "--dry-run", "--json", "-q").stdout
    found = json.loads(stdout)
    assert (found["phase_1_updates"], found["phase_2_updates"]) == (2000, 1000)
    assert found["phase_1_network_passes_per_update"] == 1
    assert found["network_passes_in_the_chain"] >= 3


@pytest.mark.parametrize(("made", "left"), [(2, 1), (5, 0)])
def test_a_run_that_starts_from_another_goes_on_in_its_phase(tmp_path, made, left):
    """Also where its backbone is gone, which gave the flow that the origin has."""
    backbone = trained(tmp_path / "backbone", train__iterations=1)
    origin = trained(tmp_path / "a", method__backbone=str(backbone), train__iterations=made)
    shutil.rmtree(backbone)
    updates = list(train({"train": {"iterations": 2}}, folder=tmp_path / "b", origin=origin))
    assert ["log_density" in update.scalars for update in updates] == [True] * left + [False] * (2 - left)
    flows = [state(place)["flow"] for place in (origin, tmp_path / "b")]
    assert same(*flows) == (left == 0)
