import pytest

from pipeline.tasks.label_schemes import read_labels


def read(labels: list[str]) -> list[tuple[str | None, str]]:
    """(type, what its label says of borders) of each label."""
    scheme = read_labels(labels)
    borders = [
        "".join(name for name, holds in zip("BFL", flags, strict=True) if holds)
        for flags in zip(scheme.begins, scheme.is_first, scheme.is_last, strict=True)
    ]
    types = [None if i < 0 else scheme.types[i] for i in scheme.type_of]
    return list(zip(types, borders, strict=True))


def test_bio() -> None:
    labels = ["O", "B-PER", "I-PER", "I-LOC", "B-date-time"]
    assert read(labels) == [(None, ""), ("PER", "B"), ("PER", ""), ("LOC", ""), ("date-time", "B")]


def test_bioes_and_bilou_and_bmes() -> None:
    labels = ["B-X", "I-X", "E-X", "S-X", "L-X", "U-X", "M-X", "W-X", "O"]
    borders = ["B", "", "L", "FL", "L", "FL", "", "FL"]
    assert read(labels) == [*(("X", border) for border in borders), (None, "")]


def test_prefixes_may_have_an_underscore() -> None:
    assert read(["B_E-MAIL", "I_E-MAIL", "O"]) == [("E-MAIL", "B"), ("E-MAIL", ""), (None, "")]


@pytest.mark.parametrize(
    "labels",
    [["S-Bahn", "E-mail", "NOUN"], ["date-time", "LABEL_0", "X", "MISC"], ["B", "I", "N"], ["S", "M", "L"]],
)
def test_plain_names_stay_whole(labels: list[str]) -> None:
    assert read(labels) == [(label, "") for label in labels]


def test_plain_names_beside_prefixed_ones() -> None:
    assert read(["B-PER", "PER", "date-time"]) == [("PER", "B"), ("PER", ""), ("date-time", "")]


def test_prefixes_without_a_type() -> None:
    assert read(["O", "B", "I"]) == [(None, ""), ("", "B"), ("", "")]
    assert read(["B", "I", "E", "S"]) == [("", "B"), ("", ""), ("", "L"), ("", "FL")]


@pytest.mark.parametrize("name", ["O", "o", "OUTSIDE", "Out", "none", "[PAD]", "<pad>", " O "])
def test_names_that_mark_no_entity(name: str) -> None:
    assert read(["B-X", name]) == [("X", "B"), (None, "")]
    assert read_labels(["B-X", name, "O"]).outside_label == 1


def test_a_set_may_mark_nothing_or_everything() -> None:
    assert read_labels(["NOUN", "VERB"]).outside_label is None
    assert read_labels(["O"]).types == ()
