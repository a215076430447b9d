"""Two processes train one run: the same update as one process, one decision, one message, one folder."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from commands import refused
from pair_scenarios import SMALL
from pairs import HERE, Pair
from training_runs import metrics, same, state_of

from ebmkit.data.examples import Examples, batches
from ebmkit.errors import Notice, UsageError
from ebmkit.processes import Processes, joined
from ebmkit.runs.origin import fingerprint
from ebmkit.runs.restarts import restarted
from ebmkit.runs.training import new_run, resume_run


@pytest.fixture(scope="module")
def pair():
    both = Pair()
    yield both
    both.close()


@pytest.mark.parametrize("penalty", [0.0, 1.0])
def test_two_processes_follow_one_with_the_same_noise(pair, penalty):
    for weights, scalars, moved in pair("follow", penalty=penalty):
        assert moved > 0.05
        assert weights < 1e-9
        assert scalars < 1e-6  # scalars are in fp32


def test_buffers_are_those_of_process_0(pair):
    assert pair("buffers") == [pytest.approx(0.2)] * 2


def test_weights_that_only_one_process_uses_are_refused(pair):
    for kind, message in pair("unused"):
        assert kind == "UsageError"
        assert message.startswith("weights have a gradient in only some of the processes: ")


def test_metrics_and_weights_are_the_same_in_both(pair, tmp_path):
    one, other = pair("train", folder=tmp_path / "a")
    assert one["scalars"] == other["scalars"]
    assert len(one["scalars"]) == 6
    assert one["weights"] == other["weights"]
    assert one["bank"] != other["bank"]
    lines = [json.loads(line) for line in (tmp_path / "a/metrics.jsonl").read_text().splitlines()]
    pairs = zip(lines, one["scalars"], strict=True)
    assert all(line[name] == value for line, scalars in pairs for name, value in scalars.items())


def test_a_run_is_resumed_bit_for_bit(pair, tmp_path):
    pair("train", folder=tmp_path / "straight")
    pair("train", folder=tmp_path / "cut", changes=json.dumps({"train": {"iterations": 3, "lr_schedule": "constant"}}))
    one, other = pair("resume", folder=tmp_path / "cut", changes=json.dumps({"train": {"iterations": 6}}))
    assert len(one["scalars"]) == 3
    states = [state_of(tmp_path / name)["trainer"] for name in ("straight", "cut")]
    assert len(states[0]["ranks"]) == 1
    assert same(*states)
    bank = states[1]["ranks"][0]["init"]["bank"]
    assert fingerprint({"bank": bank}) == other["bank"]


def test_one_process_resumes_a_run_of_two(pair, tmp_path):
    pair("train", folder=tmp_path / "a")
    saved = state_of(tmp_path / "a")["trainer"]
    with pytest.warns(Notice, match=r"the number of processes changes \(2 at the last checkpoint, 1 now\)"):
        run = resume_run(tmp_path / "a", {"train": {"iterations": 8}})
    assert same(run.trainer.state_dict(), {name: value for name, value in saved.items() if name != "ranks"})
    assert len(list(run.train())) == 2
    assert "ranks" not in state_of(tmp_path / "a")["trainer"]


def test_two_processes_resume_a_run_of_one(pair, tmp_path):
    run = new_run(SMALL, tmp_path / "a")
    list(run.train())
    one, other = pair("resume", folder=tmp_path / "a", changes=json.dumps({"train": {"iterations": 8}}))
    assert one["scalars"] == other["scalars"]
    assert one["bank"] != other["bank"]
    state = state_of(tmp_path / "a")["trainer"]
    assert state["index"] == 8
    assert len(state["ranks"]) == 1
    assert not torch.equal(state["rng"], state["ranks"][0]["rng"])


def test_two_processes_see_the_examples_of_one():
    source = Examples(torch.rand(50, 1, 4, 4))

    def drawn(**more):
        batch = batches(source, 8, torch.Generator().manual_seed(1), noise=0.1, flip=True, **more)
        return [next(batch) for _ in range(3)]

    halves = [drawn(part=(rank, 2)) for rank in range(2)]
    for whole, *parts in zip(drawn(), *halves, strict=True):
        assert torch.equal(whole, torch.cat(parts))


def test_a_batch_that_cannot_be_divided_is_refused(pair, tmp_path):
    changes = json.dumps({"train": {"batch_size": 9}})
    expected = "train.batch_size must be a multiple of the number of processes, 2, not 9: write 8 or 10"
    assert pair("train", folder=tmp_path / "a", changes=changes) == [["UsageError", expected]] * 2
    assert not (tmp_path / "a").exists()


def test_other_settings_in_one_process_are_refused(pair, tmp_path):
    expected = "process 1 has other settings than process 0: optimizer.lr=0.02"
    assert pair("differing", folder=tmp_path / "a") == [["UsageError", expected]] * 2
    assert not (tmp_path / "a").exists()


WORDS = ["train", "--steps", "2", "--batch-size", "8", "--device", "cpu", "-s", "energy.width=4", "--iterations", "3"]


def test_an_error_of_one_process_is_one_message(pair, tmp_path):
    words = [*WORDS, "--out", str(tmp_path / "a")]
    second = [*words, "--config", str(tmp_path / "missing.toml")]
    (code, stdout, stderr), *other = pair("commands", words=json.dumps(words), second=json.dumps(second))
    assert other == [[2, "", ""]]
    assert (code, stdout) == (2, "")
    assert stderr.startswith("error: process 1 of 2: ")
    assert "missing.toml" in stderr
    assert stderr.count("\n") == 1
    assert not (tmp_path / "a").exists()


def test_a_command_prints_once(pair, tmp_path):
    words = json.dumps([*WORDS, "--out", str(tmp_path / "a"), "--json"])
    (code, stdout, stderr), other = pair("commands", words=words, second=words)
    assert other == [0, "", ""]
    assert code == 0
    assert [json.loads(line).get("update") for line in stdout.splitlines()] == [1, 2, 3, None]
    assert "8 in a batch, 4 in each of 2 processes" in stderr
    again = json.dumps([*WORDS, "--out", str(tmp_path / "a")])
    (code, stdout, stderr), other = pair("commands", words=again, second=again)
    assert (code, stderr.count("\n")) == (2, 1)
    assert other == [2, "", ""]


def test_a_dry_run_makes_one_update_of_both(pair, tmp_path):
    words = json.dumps([*WORDS, "--dry-run", "--json", "-q"])
    (code, stdout, _), other = pair("commands", words=words, second=words)
    assert (code, other) == (0, [0, "", ""])
    assert json.loads(stdout)["network_passes_in_the_chain"] == 2


def test_a_signal_to_one_process_stops_both_after_one_update(pair, tmp_path):
    one, other = pair("stopped", folder=tmp_path / "a")
    message = f"stopped after update 4; resume with: ebmkit train --resume {tmp_path / 'a'}"
    assert one == other == ["Interrupted", message, 4, "interrupted"]
    assert state_of(tmp_path / "a")["trainer"]["index"] == 4


def test_data_that_one_process_cannot_read_end_both(pair, tmp_path):
    one, other = pair("bad_data", folder=tmp_path / "a")
    assert one[0] == other[0] == "ProcessFailed"
    assert one[1] == "process 1 of 2: [Errno 5] the disk is gone"
    assert one[2:] == other[2:] == [3, [f"resume with: ebmkit train --resume {tmp_path / 'a'}"]]
    assert state_of(tmp_path / "a")["trainer"]["index"] == 2


def test_a_bug_is_raised_in_its_own_process(pair, tmp_path):
    one, other = pair("bug", folder=tmp_path / "a")
    assert one[0] == "ProcessFailed"
    assert one[1].startswith("process 1 of 2: AttributeError: 'NoneType'")
    assert other[0] == "AttributeError"


def test_pictures_that_cannot_be_written_end_both_saved(pair, tmp_path):
    one, other = pair("full", folder=tmp_path / "a")
    assert one[0] == other[0] == "Unwritten"
    assert one[2:] == other[2:] == [4, "failed"]
    assert state_of(tmp_path / "a")["trainer"]["index"] == 4


def test_lines_of_metrics_without_room_are_written_when_the_run_is_resumed(pair, tmp_path):
    one, other = pair("full_metrics", folder=tmp_path / "a")
    assert one[0] == other[0] == "Unwritten"
    assert one[2:] == other[2:] == [4, "failed"]
    path = tmp_path / "a/metrics.jsonl"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:2]))  # as on a disk that stayed full
    pair("resume", folder=tmp_path / "a")
    pair("train", folder=tmp_path / "b", changes=json.dumps({"watch.checkpoints": {"every": 0}}))
    assert metrics(tmp_path / "a") == metrics(tmp_path / "b")
    assert len(metrics(tmp_path / "a")) == 6
    assert "unwritten" not in state_of(tmp_path / "a")["memory"]["watch.metrics"]


def test_weights_that_differ_are_not_saved(pair, tmp_path):
    one, other = pair("drifted", folder=tmp_path / "a")
    assert one == other
    assert one[0] == "UsageError"
    assert one[1].startswith("process 1 has other weights than process 0: ")
    assert state_of(tmp_path / "a")["trainer"]["index"] == 2


def test_both_are_rolled_back_and_diverge_alike(pair, tmp_path):
    one, other = pair("diverged", folder=tmp_path / "a")
    assert one == other
    kind, message, status, events, _ = one
    assert (kind, status, len(events)) == ("Diverged", "diverged", 1)
    assert "to go on from update 0, before the turn: ebmkit train --from" in message
    lines = [json.loads(line) for line in (tmp_path / "a/metrics.jsonl").read_text().splitlines()]
    assert [line["event"] for line in lines if "event" in line] == ["rollback", "diverged"]


def test_a_watcher_of_process_0_is_refused_in_a_dry_run(pair):
    words = json.dumps([*WORDS, "--dry-run", "-s", "watch.metrics.every=-1"])
    (code, stdout, stderr), other = pair("commands", words=words, second=words)
    assert (code, stdout, other) == (2, "", [2, "", ""])
    assert stderr == "error: watch.metrics.every must be at least 0, not -1\n"


def test_a_watcher_that_saves_is_refused(pair, tmp_path):
    one, other = pair("refused", folder=tmp_path / "a")
    assert one == other
    assert one[0] == "UsageError"
    assert "asks for `save`" in one[1]
    assert not (tmp_path / "a").exists()


def test_a_process_that_hangs_ends_the_other(tmp_path):
    pair = Pair()
    try:
        (found,) = pair("hung", ranks=(0,), folder=tmp_path / "a")
    finally:
        pair.close()
    resume = f"resume with: ebmkit train --resume {tmp_path / 'a'}"
    assert found == ["ProcessLost", "another process of the run did not answer for 4 s", [resume], "failed"]
    assert state_of(tmp_path / "a")["trainer"]["index"] == 4


def test_one_process_initialises_nothing():
    assert joined().size == 1
    assert not torch.distributed.is_initialized()
    single = Processes()
    values = torch.ones(3)
    assert single.sum(values) is values
    assert single.exchange(5) == [5]
    assert single.gather(5) == [5]
    assert single.from_first(lambda: 5) == 5
    with pytest.raises(UsageError, match="wrong"), single.together():
        raise UsageError("wrong")


def test_a_killed_process_is_restarted_and_the_run_goes_on(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        "2",
        "--max-restarts",
        "1",
    ]
    words = [*WORDS, "-q", "--iterations", "30", "--out", "a", "-s", "watch.pictures.every=0"]
    path = os.pathsep.join([str(HERE.parent), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"PYTHONPATH": path, "EBMKIT_PLUGINS": "none"}
    command += [str(HERE / "victim.py"), "a", *words, "-s", "watch.checkpoints.every=5"]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=500)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines()[-1] == "a"
    assert "Traceback" not in ran.stderr, ran.stderr
    assert "error: another process of the run ended; resume with: ebmkit train --resume a\n" in ran.stderr
    (resumed,) = json.loads(Path("a/env.json").read_text())["resumed"]
    assert resumed["from_update"] > 0
    assert [line["update"] for line in metrics(Path("a"))] == list(range(1, 31))


def test_only_a_folder_of_the_same_job_is_resumed(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "job 1")
    list(new_run(SMALL, tmp_path / "a").train())
    assert not restarted(tmp_path / "a", Processes())
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    assert restarted(tmp_path / "a", Processes())
    assert not restarted(tmp_path / "b", Processes())
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "job 2")
    assert not restarted(tmp_path / "a", Processes())
    assert (tmp_path / "a/checkpoint.pt").exists()
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "job 1")
    (tmp_path / "a/checkpoint.pt").unlink()
    assert not restarted(tmp_path / "a", Processes())
    assert list((tmp_path / "a").iterdir()) == []


def test_restarts_need_a_folder(empty_folder, monkeypatch):
    monkeypatch.setenv("TORCHELASTIC_MAX_RESTARTS", "1")
    assert "needs --out RUN" in refused(*WORDS)
