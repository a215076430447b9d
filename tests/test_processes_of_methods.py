"""Two processes train methods with several optimisers: the same updates as one process, one decision, one folder."""

import json

import pytest
import torch
from latent_method import Adapting, TinyLatent
from pair_scenarios import LATENT
from pairs import Pair
from training_runs import same, state_of

from ebmkit.errors import Notice
from ebmkit.runs.origin import fingerprint
from ebmkit.runs.ranks import here
from ebmkit.runs.training import new_run, resume_run


@pytest.fixture(scope="module")
def pair():
    both = Pair()
    yield both
    both.close()


@pytest.fixture
def tiny(registered):
    registered("method", "tiny", TinyLatent)
    registered("sampler", "adapting", Adapting)


def test_two_processes_follow_one_with_the_same_noise(pair):
    for weights, scalars, moved in pair("follow_latent"):
        assert moved > 0.05
        assert weights < 1e-9
        assert scalars < 1e-6  # scalars are in fp32


def test_metrics_and_weights_are_the_same_in_both_and_samplers_are_not(pair, tmp_path):
    one, other = pair("train_latent", folder=tmp_path / "a")
    assert len(one["scalars"]) == 6
    assert one["scalars"] == other["scalars"]
    assert one["weights"] == other["weights"]
    assert one["posterior"] != other["posterior"]


def test_a_run_is_resumed_bit_for_bit(pair, tmp_path):
    straight = pair("train_latent", folder=tmp_path / "straight")
    pair("train_latent", folder=tmp_path / "cut", changes=json.dumps({"train": {"iterations": 3}}))
    resumed = pair("resume_latent", folder=tmp_path / "cut", changes=json.dumps({"train": {"iterations": 6}}))
    assert [one["posterior"] for one in resumed] == [one["posterior"] for one in straight]
    states = [state_of(tmp_path / name)["trainer"] for name in ("straight", "cut")]
    assert same(*states)


@pytest.mark.usefixtures("tiny")
def test_one_process_resumes_a_run_of_two(pair, tmp_path):
    pair("train_latent", folder=tmp_path / "a")
    with pytest.warns(Notice, match=r"the number of processes changes \(2 at the last checkpoint, 1 now\)"):
        run = resume_run(tmp_path / "a", {"train": {"iterations": 8}})
    saved = state_of(tmp_path / "a")["trainer"]
    assert same(run.trainer.state_dict(), {name: value for name, value in saved.items() if name != "ranks"})
    assert len(list(run.train())) == 2


@pytest.mark.usefixtures("tiny")
def test_two_processes_resume_a_run_of_one(pair, tmp_path):
    list(new_run(LATENT, tmp_path / "a").train())
    one, other = pair("resume_latent", folder=tmp_path / "a", changes=json.dumps({"train": {"iterations": 8}}))
    assert one["weights"] == other["weights"]
    assert state_of(tmp_path / "a")["trainer"]["index"] == 8


def test_a_process_that_fails_between_two_optimisers_ends_both(pair, tmp_path):
    one, other = pair("broken_between", folder=tmp_path / "a", usual=True)
    assert one == ["ProcessFailed", "process 1 of 2: no more data"]
    assert other == ["ProcessFailed", "no more data"]
    one, other = pair("broken_between", folder=tmp_path / "b", usual=False)
    assert one == ["ProcessFailed", "process 1 of 2: ZeroDivisionError: a bug"]
    assert other == ["ZeroDivisionError", "a bug"]
    assert state_of(tmp_path / "a")["trainer"]["index"] == 2


def test_another_order_of_the_optimisers_in_one_process_is_refused(pair, tmp_path):
    message = "the processes call `descend` with different optimisers in one update"
    assert pair("disordered", folder=tmp_path / "a") == [["UsageError", message]] * 2


def test_a_condition_is_not_shared(pair):
    assert pair("conditioned") == [0.0, 1.0]


def test_a_state_of_plain_values_is_sent_and_compared():
    state = {"size": 0.1, "past": [torch.ones(2), 3], "more": {"name": "a"}}
    assert same(here(state), state)
    assert fingerprint(state) != fingerprint({**state, "size": 0.2})
    assert fingerprint(state) != fingerprint({**state, "past": [torch.zeros(2), 3]})
