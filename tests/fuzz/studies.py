"""The files of the folder of a study: its plan, the results of its cells, claims, and what updates cost."""

import json
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from hypothesis import strategies as st

from ebmkit.claims import claim
from ebmkit.study.cost import Cost
from ebmkit.study.folder import Study
from ebmkit.study.results import Result, write_result
from ebmkit.study.tables import csv_text, markdown
from fuzz.kind import Kind
from fuzz.runs import MEASURE, line_texts, lines
from fuzz.settings import SMALL
from fuzz.values import json_texts

PLAN = """[study]
seeds = 2
n = 5
measures = ["frechet", "precision"]

[study.features]
use = "pixels"

[[study.vary]]
"sampler.steps" = [2, 3]
"sampler.step_size" = [0.1, 0.2]

[[study.vary]]
"energy.width" = [4, 5]

"""


def plan(place: Path) -> list[bytes]:
    """The plan of a study."""
    (place / "study").mkdir(exist_ok=True)
    return [f"{PLAN}{SMALL}".encode()]


def plans() -> st.SearchStrategy[bytes]:
    """Plans in which one value is another one."""
    odd = st.sampled_from(ODD)
    words = st.sampled_from(
        ["2", "5", '"frechet"', '"pixels"', "[2, 3]", "[0.1, 0.2]", "[4, 5]", '"sampler.steps"', "study"]
    )
    return st.builds(
        lambda old, new: f"{PLAN}{SMALL}".replace(old, new, 1).encode("utf-8", "surrogatepass"), words, odd
    )


ODD = ["0", "-1", "9" * 19, "9" * 5000, "1e400", "nan", "[]", "[[]]", "{}", '""', '"x"', '"../x"', "[1, 1]", '["a", 1]']
ODD += [
    "true",
    "[2, 3, 4]",
    "[nan, 2]",
    "1979-05-27",
    '"train.seed"',
    '"data.path"',
    '"use"',
    '"watch.x.y"',
    "[" * 3000,
]
ODD += [str([*range(2, 60)]), f'"{"a" * 5000}"', '"sampler.steps\\u0000"', '"energy.use"', '"data.limit"']


def study(place: Path) -> Study:
    """The study in a folder."""
    return Study(place / "study")


def read_plan(place: Path) -> None:
    """Open the study, name its cells, and write its plan again."""
    found = study(place)
    for cell in found.cells[:20]:
        assert found.place(cell).resolve().is_relative_to((place / "study").resolve())
    markdown(found.plan, found.rows())


def results(place: Path) -> list[bytes]:
    """The result of a cell, in a study."""
    content = plan(place)[0]
    (place / "study" / "study.toml").write_bytes(content)
    names = [cell.name for cell in study(place).cells]
    done = Result(names[0], "done", 3, 9, 1.5, 0.1, (MEASURE, {**MEASURE, "value": None, "note": "n is too small"}))
    ended = [done, Result(names[0], "diverged", 2, 4, 1.0), Result(names[0], "failed", 0, 0, 0.0, error="x", trace="y")]
    write_result(place / "study", Result(names[1], "done", 3, 9, 1.5, 0.1, (MEASURE,)))
    found = []
    for result in ended:
        write_result(place / "study", result)
        found.append((place / "study" / "results" / f"{names[0]}.json").read_bytes())
    (place / "study" / "results" / f"{names[0]}.json").rename(place / RESULT)
    return found


RESULT = "study/results/steps=2,step_size=0.1,width=4,seed=0.json"


def read_results(place: Path) -> None:
    """The table of the study, as Markdown and as CSV; the study itself is not read again."""
    found = opened(place)
    rows = found.rows()
    markdown(found.plan, rows)
    csv_text(found.plan, rows)


@cache
def opened(place: Path) -> Study:
    """The study in a folder, whose plan stays as it is."""
    return study(place)


def result_texts() -> st.SearchStrategy[bytes]:
    """Results with wrong values."""
    cell = RESULT.rpartition("/")[2].removesuffix(".json")
    fields = {"cell": cell, "status": "done", "updates": 3, "passes": 9, "seconds": 1.5, "evaluation_seconds": 0.1}
    return json_texts({**fields, "measures": [MEASURE], "error": "", "trace": ""})


def claimed(place: Path) -> list[bytes]:
    """A claim of a process that is dead, and of another host."""
    return [json.dumps({"host": host, "pid": 1}).ljust(400).encode() for host in ("", "elsewhere")]


def read_claim(place: Path) -> None:
    """Claim it."""
    with claim(place / "claim"):
        pass


def costs(place: Path) -> list[bytes]:
    """What updates cost."""
    return [lines(*({"update": index, "passes": 9 * index, "seconds": 0.5} for index in range(4)))]


def read_costs(place: Path) -> None:
    """What the updates up to the second cost."""
    Cost.restored(cast(Any, SimpleNamespace(path=place / "cost.jsonl")), 2)


COST = {"update": 1, "passes": 9, "seconds": 0.5}
KINDS = [
    Kind("study", "study/study.toml", plan, read_plan, plans(), words=("study", "study", "--list"), share=0.5),
    Kind("study-result", RESULT, results, read_results, result_texts(), words=("study", "study", "--table"), share=0.5),
    Kind("study-claim", "claim", claimed, read_claim, json_texts({"host": "elsewhere", "pid": 1})),
    Kind("study-cost", "cost.jsonl", costs, read_costs, line_texts(COST)),
]
