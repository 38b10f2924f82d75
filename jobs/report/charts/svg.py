"""Vega-Lite specifications to SVG that takes its colours and its font from the page around it."""

import re
import xml.etree.ElementTree as ET

import vl_convert
from markupsafe import Markup

from jobs.report.charts.frame import COLOURS, Spec

# Left to the style sheet, said once for the whole picture, or the default anyway.
DROPPED = {"aria-hidden", "aria-label", "aria-roledescription", "class", "font-family", "pointer-events", "role"}
DEFAULTS = {("opacity", "1"), ("text-anchor", "start"), ("stroke-width", "1"), ("transform", "translate(0,0)")}
LONG_FRACTION = re.compile(r"(\.\d\d)\d+")


def to_svg(spec: Spec, label: str, css_class: str) -> Markup:
    """The picture as an image with a label for those who cannot see it. No data and no font is fetched."""
    root = ET.fromstring(vl_convert.vegalite_to_svg(spec, allowed_base_urls=[]))
    _tidy(root)
    size = {name: root.attrib[name] for name in ("width", "height", "viewBox")}
    root.attrib = {"class": css_class, **size, "role": "img", "aria-label": label}
    return Markup(ET.tostring(root, encoding="unicode"))


def _tidy(element: ET.Element) -> None:
    """Take out what draws nothing, name colours by their variables, and round coordinates to what can be seen."""
    element.tag = element.tag.rpartition("}")[2]  # needs no namespace within HTML
    for name, value in list(element.items()):
        if name in DROPPED or (name, value) in DEFAULTS:
            del element.attrib[name]
        elif name in ("fill", "stroke"):
            element.set(name, COLOURS.get(value, value))
        elif name in ("d", "transform", "x2", "y2"):
            element.set(name, LONG_FRACTION.sub(r"\1", value))
    for child in list(element):
        _tidy(child)
        if _draws_nothing(child):
            element.remove(child)


def _draws_nothing(element: ET.Element) -> bool:
    is_empty_group = element.tag == "g" and len(element) == 0
    is_frame = element.tag == "path" and {"fill", "stroke"}.isdisjoint(element.keys())
    return is_empty_group or is_frame or element.get("display") == "none"
