"""The words of docs/glossary.md: the retired ones appear nowhere else."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
RETIRED = {
    "left the numbers": r"\bleft the (finite )?numbers\b|\bleave the numbers\b",
    "no law is left as it is": r"\bno law\b|\blaw (is|as) left\b",
    "goes on without": r"\bgo(es)? on without\b",
    "pass through the network in": r"\bpass(es)? through the network in\b",
    "as well as it goes": r"\bas well as it goes\b",
    "tell, tells, told": r"\btold\b|\btells?\b(?! (apart|\w+ apart))",
    "anew": r"\banew\b",
    "alone": r"\balone\b",
    "shall": r"\bshall\b",
    "aloud": r"\baloud\b",
    "so many": r"\bso many\b",
    "take up": r"\b(take|takes|taken|took|taking) up\b|\b(take|takes|took) (it|them) up\b",
    "go on by": r"\bgo on by\b",
    "write anew": r"\bwritten? anew\b",
    "but for": r"\bbut for\b",
}
KINDS = {".py", ".md", ".txt", ".toml", ".html", ".yml"}
PLACES = ("ebmkit", "plugins", "docs", "examples", "benchmarks", "tests", "README.md", "CONTRIBUTING.md", "Makefile")
# The page that lists them, a plug-in of version 0.1 word for word, and this test.
HOMES = {ROOT / "docs" / "glossary.md", ROOT / "tests" / "api1.py", Path(__file__)}


def pages():
    for place in PLACES:
        path = ROOT / place
        files = [path] if path.is_file() else sorted(path.rglob("*"))
        yield from (one for one in files if one.is_file() and (one.suffix in KINDS or one.name == "Makefile"))


def found(pattern, text):
    return [number for number, line in enumerate(text.splitlines(), start=1) if re.search(pattern, line, re.IGNORECASE)]


@pytest.mark.parametrize("word", RETIRED)
def test_a_retired_word_appears_nowhere(word):
    places = [
        f"{page.relative_to(ROOT)}:{number}"
        for page in pages()
        if page not in HOMES and ".venv" not in page.parts
        for number in found(RETIRED[word], page.read_text(encoding="utf-8"))
    ]
    assert places == []


def test_every_retired_word_stands_in_the_glossary():
    glossary = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8").partition("## Retired words")[2]
    listed = re.findall(r"^\| ([^|]+?) \| [^|]+ \|$", glossary, re.MULTILINE)[1:]
    assert all(any(re.search(pattern, word) for pattern in RETIRED.values()) for word in listed if word != "---")


def test_the_patterns_find_their_words():
    assert found(RETIRED["alone"], "by gradients alone") == [1]
    assert found(RETIRED["tell, tells, told"], "it is told of") == [1]
    assert found(RETIRED["tell, tells, told"], "nobody can tell them apart") == []
