"""A report shows hostile text as text: in a browser nothing of it is markup, and nothing is run or fetched."""

import json
import re

import pytest
from report_pages import SMALL, VOID, Page, examples, model

from ebmkit.config.tables import dumps
from ebmkit.report.page import write_page

HOSTILE = [
    "</script><script>alert(1)</script>",
    "</pre></title></style></svg><img src=x onerror=alert(1)>",
    '" onmouseover=alert(1) x="\'><iframe src=javascript:alert(1)>',
    "<!-- ]]> --> &lt;script&gt; ${sections} $$ {{x}}",
]
ALLOWED = {"html", "head", "meta", "title", "style", "body", "header", "h1", "p", "nav", "ul", "li", "a", "main"} | {
    *("section", "h2", "div", "figure", "figcaption", "img", "table", "thead", "tbody", "tr", "th", "td", "pre"),
    *("details", "summary", "svg", "g", "path", "defs", "clippath", "rect", "use", "text", "metadata", "tspan"),
    *("rdf:rdf", "cc:work", "dc:type", "dc:format", "dc:creator", "dc:date", "dc:title", "cc:agent"),
}


@pytest.fixture(scope="module", params=range(len(HOSTILE)))
def page(request, tmp_path_factory):
    """A report in which every text that comes from outside is hostile."""
    text = HOSTILE[request.param]
    place = tmp_path_factory.mktemp("reports") / text.replace("/", "∕")
    place.mkdir()
    (place / "config.toml").write_text(dumps({"energy": {"use": text, text: text}}), encoding="utf-8")
    versions = {"versions": {text: text}, "command": [text], "plugins": [{"package": text, "error": text}]}
    (place / "env.json").write_text(json.dumps(versions), encoding="utf-8")
    events = [{"event": "rollback", "update": text, "reason": text, "to_update": text, "lr": text}]
    events += [{"event": text, "update": text, "reason": text}, {"event": text}]
    rows = [{"update": n, "gap": 0.1, "real_energy": 1.0, text: 2.0} for n in (1, 2)]
    (place / "metrics.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in [*rows, *events]), encoding="utf-8")
    path = write_page(model(), examples(), place, scores={text: text, "a": 1.0}, **SMALL)
    return text, Page(path.read_text(encoding="utf-8"))


def test_hostile_text_is_shown_as_text(page):
    text, found = page
    for section in ("Measures", "Training", "Provenance"):
        assert text in found.sections[section], section
    assert json.dumps(text, ensure_ascii=False) in found.sections["Configuration"]


def test_hostile_text_makes_no_tag_and_no_attribute(page):
    _, found = page
    assert {tag for tag, _ in found.tags} <= ALLOWED
    for tag, attributes in found.tags:
        assert not [name for name in attributes if name.startswith("on")], (tag, attributes)
        for name in ("src", "href", "xlink:href", "action", "data"):
            assert re.match(r"#|data:image/png;base64,[A-Za-z0-9+/=]+$", attributes.get(name, "#")), (tag, attributes)


def test_the_policy_allows_no_script_and_no_address(page):
    _, found = page
    (policy,) = (one["content"] for one in found.all("meta") if one.get("http-equiv") == "Content-Security-Policy")
    rules = dict(rule.strip().partition(" ")[::2] for rule in policy.split(";"))
    assert rules == {
        "default-src": "'none'",
        "img-src": "data:",
        "style-src": "'unsafe-inline'",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    before = found.text[: found.text.index("Content-Security-Policy")]
    assert "<style" not in before, "a policy applies to what follows it"
    assert "<title" not in before
    assert {"meta"} <= VOID


def test_a_report_shows_no_file_outside_of_the_folder(tmp_path):
    secret = tmp_path / "secret.json"
    secret.write_text('{"versions": {"password": "hunter2"}}')
    (tmp_path / "a").mkdir()
    for name in ("config.toml", "env.json"):
        (tmp_path / "a" / name).symlink_to(secret)
    path = write_page(model(), examples(), tmp_path / "a", full=False, **SMALL)
    found = Page(path.read_text(encoding="utf-8"))
    assert "hunter2" not in found.text
    for section in ("Configuration", "Provenance"):
        assert "is a link to another file, which is not shown" in found.sections[section]
