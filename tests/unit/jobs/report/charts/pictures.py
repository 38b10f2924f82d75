"""What a picture shows, read back from its SVG: texts and shapes with their places in the plot, in pixels."""

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Shape:
    """A drawn element at its place in the plot."""

    tag: str
    x: float
    y: float
    attributes: dict[str, str]
    text: str


def shapes(svg: str) -> list[Shape]:
    """All that is drawn, with the translations of its groups added up but for the plot's own margin."""
    root = ET.fromstring(svg)
    return list(_shapes(root[0], 0, 0))


def _shapes(parent: ET.Element, x: float, y: float) -> Iterator[Shape]:
    for element in parent:
        moved = re.match(r"translate\(([-\d.]+),([-\d.]+)\)", element.get("transform", ""))
        left, top = (x + float(moved[1]), y + float(moved[2])) if moved else (x, y)
        if element.tag == "g":
            yield from _shapes(element, left, top)
        else:
            yield Shape(element.tag, left, top, dict(element.attrib), "".join(element.itertext()))


def texts(svg: str) -> list[str]:
    """All texts in the order they are drawn."""
    return [shape.text for shape in shapes(svg) if shape.tag == "text"]


def rectangles(svg: str, colour: str) -> list[tuple[float, float, float, float]]:
    """Left, top, width and height of what is filled with this colour."""
    found = []
    for shape in shapes(svg):
        box = re.fullmatch(r"M([-\d.]+),([-\d.]+)h([-\d.]+)v([-\d.]+)h[-\d.]+Z", shape.attributes.get("d", ""))
        if box and shape.attributes.get("fill") == f"var(--{colour})":
            found.append((shape.x + float(box[1]), shape.y + float(box[2]), float(box[3]), float(box[4])))
    return found


def symbols(svg: str, kind: str, colour: str) -> list[tuple[float, float]]:
    """Places of the symbols that are filled or stroked with this colour."""
    return [
        (shape.x, shape.y)
        for shape in shapes(svg)
        if shape.tag == "path"
        and shape.attributes.get(kind) == f"var(--{colour})"
        and "transform" in shape.attributes
    ]


def lines(svg: str, colour: str) -> list[tuple[float, float, float, float]]:
    """Beginning and extent of the straight lines of this colour."""
    return [
        (shape.x, shape.y, float(shape.attributes.get("x2", 0)), float(shape.attributes.get("y2", 0)))
        for shape in shapes(svg)
        if shape.tag == "line" and shape.attributes.get("stroke") == f"var(--{colour})"
    ]
