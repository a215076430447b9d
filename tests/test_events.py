"""The lines of `metrics.jsonl` about events: how they are written, kept on resuming, read and shown."""

import json

import pytest
import torch
from commands import invoked, train
from diverging_runs import PLANTED, ROLLBACK, TOY, planted

from ebmkit.errors import UsageError
from ebmkit.evaluation.training_curves import read_events, read_metrics
from ebmkit.files import json_line
from ebmkit.report.value_sections import happened
from ebmkit.runs.events import add_event, has_diverged, rewrite_metrics

BACK = {"event": "rollback", "update": 7, "to_update": 2, "reason": "diverged at update 7: <gap> is 40", "lr": 5e-4}
END = {"event": "diverged", "update": 9, "reason": "diverged at update 9: loss is nan"}


def write(folder, *lines):
    (folder / "metrics.jsonl").write_text("".join(f"{json_line(line)}\n" for line in lines))


def read(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_readers_of_curves_skip_events(tmp_path):
    write(tmp_path, {"update": 1, "gap": 0.5}, BACK, {"update": 2, "gap": 0.25}, END)
    values = read_metrics(tmp_path)
    assert set(values) == {"update", "gap"}
    assert torch.equal(values["gap"], torch.tensor([0.5, 0.25], dtype=torch.float64))


def test_a_file_of_events_only_has_no_values(tmp_path):
    write(tmp_path, END)
    with pytest.raises(UsageError, match="has no values yet"):
        read_metrics(tmp_path)


def test_events_are_read_from_among_the_updates(tmp_path):
    assert read_events(tmp_path) == []
    write(tmp_path, {"update": 1, "gap": 0.5}, BACK, {"update": 2, "gap": 0.25}, END)
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('[1]\n{"update": 3, "gap')
    assert read_events(tmp_path) == [BACK, END]


def test_metrics_with_a_byte_order_mark_are_read(tmp_path):
    lines = "".join(f"{json_line(line)}\n" for line in (BACK, {"update": 1, "gap": 0.5}))
    (tmp_path / "metrics.jsonl").write_text(lines, encoding="utf-8-sig")
    assert read_events(tmp_path) == [BACK]
    assert read_metrics(tmp_path)["gap"].tolist() == [0.5]


def test_later_updates_are_removed_and_events_stay(tmp_path):
    write(tmp_path, {"update": 1}, BACK, {"update": 2}, {"update": 3}, END)
    rewrite_metrics(tmp_path, 2, [BACK])
    assert read(tmp_path) == [{"update": 1}, BACK, {"update": 2}, END, {"event": "resumed", "update": 2}]
    assert not has_diverged(tmp_path)


def test_an_event_that_is_missing_is_added(tmp_path):
    write(tmp_path, {"update": 1}, {"update": 3})
    rewrite_metrics(tmp_path, 2, [BACK])
    rewrite_metrics(tmp_path, 2, [BACK])
    assert read(tmp_path) == [{"update": 1}, BACK]


@pytest.mark.parametrize("end", ["", '{"update": 9, "ga'])
def test_an_event_gets_a_line_of_its_own(tmp_path, end):
    write(tmp_path, {"update": 8})
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write(end)
    add_event(tmp_path, END)
    assert has_diverged(tmp_path)
    assert read_events(tmp_path) == [END]
    assert (tmp_path / "metrics.jsonl").read_text().count("\n") == (3 if end else 2)


def test_an_event_may_be_the_first_line(tmp_path):
    add_event(tmp_path, END)
    assert read(tmp_path) == [END]


def test_without_metrics_nothing_is_written(tmp_path):
    rewrite_metrics(tmp_path, 2, [])
    assert list(tmp_path.iterdir()) == []


def test_a_run_has_diverged_if_its_last_line_says_so(tmp_path):
    assert not has_diverged(tmp_path)
    write(tmp_path, {"update": 1}, BACK)
    assert not has_diverged(tmp_path)
    add_event(tmp_path, END)
    assert has_diverged(tmp_path)
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"update": 10}\n')
    assert not has_diverged(tmp_path)


def test_the_report_says_what_happened():
    back = "Update 7: diverged: <gap> is 40; rolled back to update 2, with learning rate 0.0005"
    assert happened(BACK) == f"{back}."
    assert happened({**BACK, "gradient_penalty": 10.0}) == f"{back} and gradient penalty 10.0."
    assert happened(END) == "Update 9: diverged: loss is nan."
    assert happened({"event": "resumed", "update": 2}) == "Resumed from update 2."


@pytest.mark.usefixtures("empty_folder")
def test_a_rollback_is_shown_at_once_and_at_the_end():
    planted()
    settings = {**TOY, **PLANTED, **ROLLBACK, "train.iterations": "80"}
    words = [text for key, value in settings.items() for text in ("-s", f"{key}={value}")]
    stdout, stderr = train(*words, "--out", "a", "--json", quiet=False)
    warned, summed = (line for line in stderr.splitlines() if "rolled back to update 20" in line)
    assert warned.startswith("warning: diverged at update 78: ")
    assert summed.startswith("rollback  at update 78: rolled back to update 20")
    last = json.loads(stdout.splitlines()[-1])
    assert last["status"] == "done"
    assert [event["to_update"] for event in last["events"]] == [20]
    stderr = invoked("train", "--resume", "a", "--iterations", 81)[1]
    assert stderr.index("rollback  at update 78") < stderr.index("update=81/81")
