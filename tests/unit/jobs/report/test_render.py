"""The page as a file: nothing of its data is markup, nothing is loaded, screen readers find their way."""

import base64
import hashlib
import os
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

pytest.importorskip("jinja2")
pytest.importorskip("vl_convert")

from jobs.report.page import Column, Examples, Page, Prose, Section, Table
from jobs.report.render import render_page
from jobs.report.text import NOT_SHOWN, readable
from tests.report.pages import ATTACK, TEXTS, awkward_page, errors, ordinary_page
from tests.unit.jobs.report.parsed_page import Element, parsed

ROOT = Path(__file__).resolve().parents[4]
URL_ATTRIBUTES = {"href", "src", "srcset", "action", "formaction", "poster", "data", "xlink:href", "background"}


@pytest.fixture(scope="module", params=[ordinary_page, awkward_page], ids=["ordinary", "awkward"])
def html(request: pytest.FixtureRequest) -> str:
    return render_page(request.param())


@pytest.fixture(scope="module")
def page(html: str) -> Element:
    return parsed(html)


def page_of(*blocks: Prose | Table | Examples) -> Element:
    return parsed(render_page(Page("t", "", [], [Section("s", "s", blocks)])))


def test_data_is_never_markup(page: Element) -> None:
    tags = [element.tag for element in page.all()]
    assert tags.count("script") == tags.count("style") == tags.count("title") == 1
    assert not {"img", "iframe", "object", "embed", "form", "base", "foreignobject", "image", "use"} & set(tags)
    for element in page.all():
        assert not [name for name in element.attributes if name.startswith("on") or name == "style"]


def test_nothing_is_loaded(page: Element) -> None:
    ids = {element.attributes["id"] for element in page.all() if "id" in element.attributes}
    for element in page.all():
        for name, value in element.attributes.items():
            if name in URL_ATTRIBUTES:
                assert value == "data:," or value.removeprefix("#") in ids, f"{element.tag} {name}={value}"
            assert "url(" not in value
    assert "url(" not in page.one("style").text
    assert "@import" not in page.one("style").text


def test_policy_allows_the_own_script_and_style_alone(page: Element) -> None:
    (policy,) = (meta.attributes["content"] for meta in page.all("meta") if "http-equiv" in meta.attributes)
    directives = dict(part.strip().split(" ", 1) for part in policy.split(";"))
    assert directives == {
        "default-src": "'none'",
        "style-src": f"'sha256-{digest(page.one('style').text)}'",
        "script-src": f"'sha256-{digest(page.one('script').text)}'",
        "img-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
    }


def digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode()


def test_the_file_can_be_written_and_is_small(html: str) -> None:
    assert len(html.encode("utf-8")) < 2_000_000
    assert not NOT_SHOWN.search(html)


def test_texts_of_the_corpus_arrive(page: Element) -> None:
    shown = {text.text for text in page.all("div", "text")}
    for kind, text in TEXTS.items():
        if len(text) < 600 and len(page.all("div", "text")) > 2 * len(TEXTS):
            assert readable(text) in shown, kind


def test_each_text_has_its_own_direction(page: Element) -> None:
    for text in page.all("div", "text"):
        assert text.attributes["dir"] == "auto"
    assert ".text {" in page.one("style").text
    assert "unicode-bidi: isolate" in page.one("style").text


def test_structure(page: Element) -> None:
    assert page.one("html").attributes["lang"] == "en"
    levels = [int(element.tag[1]) for element in page.all() if re.fullmatch("h[1-6]", element.tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(deeper <= level + 1 for level, deeper in pairwise(levels))
    ids = [element.attributes["id"] for element in page.all() if "id" in element.attributes]
    assert len(set(ids)) == len(ids)
    for element in page.all():
        if "aria-labelledby" in element.attributes:
            assert element.attributes["aria-labelledby"] in ids
    links = [link.attributes["href"] for link in page.one("nav").all("a")]
    assert links == [f"#{section.attributes['id']}" for section in page.all("section")]


def test_tables_have_headers_with_scope(page: Element) -> None:
    for header in page.all("th"):
        assert header.attributes["scope"] in ("col", "row")
    for table in page.all("table"):
        width = len(table.one("thead").all("th"))
        for row in table.one("tbody").all("tr"):
            tags = [cell.tag for cell in row.children if isinstance(cell, Element)]
            assert tags == ["th"] + ["td"] * (width - 1)


def test_pictures_have_a_label_and_their_figures(page: Element) -> None:
    for picture in page.all("svg", "picture"):
        assert picture.attributes["role"] == "img"
        assert len(picture.attributes["aria-label"]) > 20
    for figure in page.all("figure"):
        assert figure.all("table") or "There are no values." in figure.text


def test_controls_have_labels_and_wait_for_the_script(page: Element) -> None:
    for tag in ("select", "input"):
        assert len([control for label in page.all("label") for control in label.all(tag)]) == len(page.all(tag))
    for controls in page.all("div", "controls") + page.all("div", "pager"):
        assert "hidden" in controls.attributes
    assert not [item for item in page.all("li") if "hidden" in item.attributes]


def test_filters_lead_to_the_values_of_the_rows() -> None:
    page = page_of(errors(100))
    options = [
        {option.attributes["value"]: option.text.rpartition(" (")[0] for option in select.all("option")}
        for select in page.all("select")
    ]
    for item in page.one("ol", "items").all("li"):
        shown = [value.text for value in item.all("bdi")][:3]
        chosen = item.attributes["data-choices"].split(" ")
        assert [options[index][key] for index, key in enumerate(chosen)] == shown


def test_what_is_left_out_is_said() -> None:
    page = page_of(errors(400))
    assert len(page.one("ol", "items").all("li")) == 300
    caption = " ".join(page.all("p", "caption")[-1].text.split())
    assert caption == "12,345 rows in all; the first 300 are in this page, 12,045 are left out."
    assert "left out" not in page_of(Examples("t", [Column("a")], [("b",)])).one("main").text


def test_many_large_examples_stay_within_the_bound() -> None:
    columns = [Column(name) for name in "abc"]
    block = Examples("t", columns, [("<&\"'" * 500,) * 3] * 400, texts=tuple("abc"))
    html = render_page(Page("t", "", [], [Section("s", f"s{i}", [block]) for i in range(7)]))
    assert 500_000 < len(html.encode("utf-8")) < 1_200_000
    assert [len(items.all("li")) > 5 for items in parsed(html).all("ol", "items")] == [True] * 7


def test_cells() -> None:
    columns = [Column("name"), Column("n", is_numeric=True), Column("x", is_numeric=True, decimals=3)]
    table = page_of(Table("t", columns, [("a" * 500, 1234567, 0.5), (ATTACK, None, float("nan"))])).one("table")
    rows = [[cell.text for cell in row.all() if cell.tag in ("td", "th")] for row in table.all("tr")]
    assert rows == [["name", "n", "x"], ["a" * 199 + "…", "1,234,567", "0.500"], [ATTACK, "–", "nan"]]
    assert [cell.attributes.get("class") for cell in table.all("td")] == ["numeric"] * 4


def test_paragraphs() -> None:
    prose = page_of(Prose("one\nline\n\n\n\n<b>two</b>")).one("div", "prose")
    assert [paragraph.text.strip() for paragraph in prose.all("p")] == ["one\nline", "<b>two</b>"]


def test_the_same_data_gives_the_same_bytes() -> None:
    code = (
        "import hashlib; from jobs.report.render import render_page; from tests.report.pages import awkward_page; "
        "print(hashlib.sha256(render_page(awkward_page()).encode()).hexdigest())"
    )
    other = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=os.environ | {"PYTHONHASHSEED": "7"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert other.stdout.strip() == hashlib.sha256(render_page(awkward_page()).encode()).hexdigest()


def test_the_page_needs_neither_ray_nor_torch() -> None:
    code = "import sys, jobs.report.render; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not {"torch", "ray", "pyarrow", "numpy"} & set(loaded.stdout.split())
