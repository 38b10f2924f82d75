"""Contrast in both themes, texts that neither overlap nor are cut, no sideways scrolling, paper."""

import base64
from pathlib import Path

import pytest

from tests.report.conftest import Browser

# All visible texts with their colour and what is behind them, from the page's background up to the text.
CONTRASTS = """
  const parse = (colour) => {
    const [r, g, b, a = 1] = colour.match(/[\\d.]+/g).map(Number);
    return {r, g, b, a};
  };
  const over = (top, bottom) => ({
    r: top.r * top.a + bottom.r * (1 - top.a),
    g: top.g * top.a + bottom.g * (1 - top.a),
    b: top.b * top.a + bottom.b * (1 - top.a), a: 1,
  });
  const channel = (value) => value / 255 <= 0.04045 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4;
  const luminance = ({r, g, b}) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const contrast = (one, other) => {
    const [dark, light] = [luminance(one), luminance(other)].sort((a, b) => a - b);
    return (light + 0.05) / (dark + 0.05);
  };
  const painted = (element) => {
    const style = getComputedStyle(element);
    if (!(element instanceof SVGElement)) return parse(style.backgroundColor);
    if (element.localName !== "path" || style.fill === "none") return parse("rgba(0, 0, 0, 0)");
    const fill = parse(style.fill);
    return {...fill, a: fill.a * Number(style.fillOpacity) * Number(style.opacity)};
  };
  const results = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const element = node.parentElement;
    const isOther = element.closest(".unseen, .skip, script, option");
    const isSeen = node.data.trim() && element.checkVisibility() && !isOther;
    if (!isSeen) continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    const box = range.getBoundingClientRect();
    const [x, y] = [box.left + box.width / 2, box.top + box.height / 2];
    const style = getComputedStyle(element);
    const ink = parse(element instanceof SVGElement ? style.fill : style.color);
    const hit = document.elementsFromPoint(x, y);
    if (!hit.includes(element)) continue; // scrolled out of its table
    const stack = hit.filter((other) => other.localName !== "text").reverse();
    const behind = stack.map(painted).reduce((bottom, top) => over(top, bottom), parse("rgb(255, 255, 255)"));
    results.push([contrast(over(ink, behind), behind), node.data.trim().slice(0, 40)]);
  }
  return results;
"""

COLOURS = """
  const style = getComputedStyle(document.documentElement);
  const probe = document.body.appendChild(document.createElement("i"));
  const sheet = new CSSStyleSheet();
  document.adoptedStyleSheets = [sheet];
  return Object.fromEntries(arguments[0].map((name) => {
    sheet.replaceSync(`i { color: var(--${name}) }`);
    return [name, getComputedStyle(probe).color.match(/\\d+/g).map(Number)];
  }));
"""

# Texts of each picture that is seen, as boxes about as high as their letters, and the picture's own box.
LABELS = """
  return [...document.querySelectorAll("svg.picture")].filter((svg) => svg.checkVisibility()).map((svg) => {
    const own = svg.getBoundingClientRect();
    const texts = [...svg.querySelectorAll("text")].filter((text) => text.textContent.trim()).map((text) => {
      const {left, right, top, bottom} = text.getBoundingClientRect();
      const less = parseFloat(getComputedStyle(text).fontSize) * 0.15;
      const upright = bottom - top > right - left && text.textContent.length > 2;
      const [x, y] = upright ? [less, 0] : [0, less];
      const box = [left - own.left + x, right - own.left - x, top - own.top + y, bottom - own.top - y];
      return [...box, text.textContent];
    });
    return [svg.getAttribute("aria-label"), own.width, own.height, texts];
  });
"""

OUTSIDE = """
  const width = arguments[0];
  return [...document.querySelectorAll("body *")]
    .filter((element) => element.checkVisibility() && !element.closest(".scroll *, .pictures *, .unseen, .skip"))
    .filter((element) => element.getBoundingClientRect().right > width + 0.5)
    .map((element) => element.outerHTML.slice(0, 80));
"""


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("name", ["ordinary", "awkward"])
def test_texts_have_contrast(browser: Browser, pages: dict[str, Path], name: str, theme: str) -> None:
    # High enough that all of it is in the window, where elements can be found by their place.
    browser.open(pages[name], 1000, 18_000, theme)
    contrasts = browser.ask(CONTRASTS)
    assert len(contrasts) > 300
    assert [item for item in contrasts if item[0] < 4.5] == []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_shapes_have_contrast(browser: Browser, pages: dict[str, Path], theme: str) -> None:
    browser.open(pages["ordinary"], theme=theme)
    shapes = ["fill", "summary", "ink", "edge", *(f"mark-{index}" for index in range(4))]
    colours = browser.ask(COLOURS, ["paper", *shapes])
    assert (sum(colours["paper"]) > 3 * 128) == (theme == "light")
    for name in shapes:
        assert contrast(colours[name], colours["paper"]) >= 3, name
    assert contrast(colours["ink"], colours["fill"]) >= 3


def contrast(one: list[int], other: list[int]) -> float:
    """The contrast of two colours by the rule of WCAG 2."""
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: list[int]) -> float:
    parts = [value / 255 for value in colour]
    r, g, b = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


@pytest.mark.parametrize("width", [375, 1000])
@pytest.mark.parametrize("name", ["ordinary", "awkward"])
def test_labels_are_neither_cut_nor_overlap(
    browser: Browser, pages: dict[str, Path], name: str, width: int
) -> None:
    browser.open(pages[name], width)
    pictures = browser.ask(LABELS)
    assert len(pictures) > 5
    for label, picture_width, picture_height, texts in pictures:
        for left, right, top, bottom, text in texts:
            is_inside = left >= -1 and right <= picture_width + 1 and top >= -1 and bottom <= picture_height + 1
            assert is_inside, f"{label}: {text} is cut"
        for index, one in enumerate(texts):
            for other in texts[index + 1 :]:
                is_apart = one[0] >= other[1] or other[0] >= one[1] or one[2] >= other[3] or other[2] >= one[3]
                assert is_apart, f"{label}: {one[4]} and {other[4]} overlap"


@pytest.mark.parametrize("width", [320, 375, 820, 1000])
@pytest.mark.parametrize("name", ["ordinary", "awkward"])
def test_nothing_reaches_beyond_the_window(
    browser: Browser, pages: dict[str, Path], name: str, width: int
) -> None:
    browser.open(pages[name], width)
    assert browser.ask("return document.documentElement.scrollWidth") <= width
    assert browser.ask(OUTSIDE, width) == []


def test_pictures_fit_phones(browser: Browser, pages: dict[str, Path]) -> None:
    """Without scrolling, but for the matrix that has too many labels."""
    browser.open(pages["awkward"], 375)
    boxes = "return [...document.querySelectorAll('.pictures')].map((box) => [box.scrollWidth, box.clientWidth])"
    assert len([box for box in browser.ask(boxes) if box[0] > box[1]]) == 1
    browser.open(pages["ordinary"], 375)
    assert [box for box in browser.ask(boxes) if box[0] > box[1]] == []


def test_right_to_left_text_starts_at_the_right(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["ordinary"])
    directions = browser.ask(
        """return [...document.querySelectorAll(".text")].map((text) =>
             [/^[\\u0600-\\u06ff]/.test(text.textContent), getComputedStyle(text).direction,
              getComputedStyle(text).unicodeBidi])"""
    )
    assert {tuple(item) for item in directions} == {(True, "rtl", "isolate"), (False, "ltr", "isolate")}


@pytest.mark.parametrize("name", ["ordinary", "awkward"])
def test_paper(browser: Browser, pages: dict[str, Path], name: str) -> None:
    browser.open(pages[name], 700, theme="dark", media="print")
    assert browser.ask("return getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    hidden = browser.ask(
        "return ['.controls', '.pager', '.skip', '.narrow'].map((name) =>"
        " document.querySelector(name).checkVisibility())"
    )
    assert hidden == [False] * 4
    assert browser.ask("return document.querySelector('.wide').checkVisibility()")
    for block in browser.ask(
        """return [...document.querySelectorAll('.items')].map((list) =>
             [...list.children].map((item) => item.checkVisibility()))"""
    ):
        assert block == [index < 10 for index in range(len(block))]
    pdf = base64.b64decode(browser.command("Page.printToPDF", preferCSSPageSize=True)["data"])
    assert pdf.startswith(b"%PDF-")
    assert len(pdf) > 30_000
