"""A page as one HTML file that needs nothing else."""

import base64
import hashlib
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from jobs.report.charts.drawing import draw
from jobs.report.examples import MAX_BYTES, shown_examples
from jobs.report.page import Block, Cell, Examples, Page, Prose, Table
from jobs.report.text import number, plain_data, shortened

MAX_CELL_CHARS = 200
TEMPLATES = Path(__file__).parent / "templates"
POLICY = (
    "default-src 'none'; style-src 'sha256-{style}'; script-src 'sha256-{script}'; img-src data:; "
    "base-uri 'none'; form-action 'none'"
)
"""The page's own style and script are all that a browser lets it have."""


def render_page(page: Page) -> str:
    """The page as HTML; the same data gives the same text.

    Of examples the first are shown, 300 at most of a block and 1 MB in all; the page says how many it left out.
    """
    page = plain_data(page)
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": number, "cell": _cell}
    macros: Any = environment.get_template("blocks.html").module
    blocks = [block for section in page.sections for block in section.blocks]
    budget = MAX_BYTES // max(1, sum(isinstance(block, Examples) for block in blocks))
    style, script = (Markup((TEMPLATES / name).read_text("utf-8")) for name in ("style.css", "script.js"))
    return environment.get_template("page.html").render(
        page=page,
        sections=[
            (
                section,
                [_block(macros, block, f"{section.anchor}-{n}", budget) for n, block in enumerate(section.blocks)],
            )
            for section in page.sections
        ],
        policy=Markup(POLICY.format(style=_digest(style), script=_digest(script))),
        style=style,
        script=script,
    )


def _block(macros: Any, block: Block, anchor: str, max_bytes: int) -> Markup:
    match block:
        case Prose():
            paragraphs = [paragraph for paragraph in block.text.split("\n\n") if paragraph.strip()]
            return Markup(macros.prose(paragraphs))
        case Table():
            return Markup(macros.table(block, anchor))
        case Examples():
            shown = shown_examples(block, macros.example, max_bytes)
            return Markup(macros.examples(block, shown, anchor))
        case _:
            return Markup(macros.chart(block, draw(block), anchor))


def _cell(value: Cell, decimals: int) -> str:
    """A cell of a table: names may come from the data, and be of any length."""
    return shortened(number(value, decimals), MAX_CELL_CHARS)


def _digest(text: str) -> str:
    """The hash by which a content security policy knows an inlined style or script."""
    return base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")
