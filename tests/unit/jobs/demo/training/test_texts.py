"""The split: what is held out shares no sentence with what is trained on."""

from collections import defaultdict
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.demo.training.languages import BY_CODE, LANGUAGES
from jobs.demo.training.texts import TaggedSentence, Text, letters, read_split
from tests.unit.jobs.demo.conftest import corpus_rows


def test_languages_have_a_code_of_their_own_and_come_from_different_places() -> None:
    assert len(BY_CODE) == len(LANGUAGES) >= 60
    for attribute in ("sib", "udhr"):
        places = [place for language in LANGUAGES for place in getattr(language, attribute)]
        assert len(places) == len(set(places))


def test_a_sentence_is_on_one_side_in_all_its_languages(data: Path) -> None:
    split = read_split(data)
    sides = defaultdict(set)
    for side, texts in (("train", split.texts), ("held out", split.held_out_texts)):
        for text in texts:
            if text.concept is not None:
                sides[text.concept].add(side)
    assert sides
    assert all(len(found) == 1 for found in sides.values())
    assert {side for found in sides.values() for side in found} == {"train", "held out"}


def test_both_sides_have_tagged_sentences_of_every_treebank_and_none_in_common(data: Path) -> None:
    split = read_split(data)
    sides = [{(x.language, x.words) for x in side} for side in (split.tagged, split.held_out_tagged)]
    assert not sides[0] & sides[1]
    assert {language for language, _ in sides[0]} == {language for language, _ in sides[1]}


def test_what_repeats_a_held_out_text_is_not_trained_on(data: Path, tmp_path: Path) -> None:
    split = read_split(data)
    held_out = split.held_out_texts[0]
    assert held_out.source == "sib200-test"
    copies = [
        {"source": "ud-ewt-doc", "id": "ud-ewt-doc:en:1", "lang": "en", "text": text}
        for text in (
            "Something before. " + held_out.text.upper().replace(" ", "  ").replace(",", " ;") + " And behind.",
            held_out.text[10 : len(held_out.text) // 2 + 30],
            "Nothing of this stands in any of the other texts of this corpus, in whatever case.",
        )
    ]
    (tmp_path / "corpus").mkdir()
    pq.write_table(pa.Table.from_pylist(corpus_rows() + copies), tmp_path / "corpus" / "part-0.parquet")
    (tmp_path / "udpos").symlink_to(data / "udpos")
    found = read_split(tmp_path)
    assert [x.text for x in found.texts if x.source == "ud-ewt-doc"] == [copies[2]["text"]]
    assert found.num_dropped == split.num_dropped + 2


def test_no_forty_letters_are_on_both_sides(data: Path) -> None:
    split = read_split(data)
    held_out = {x.text: letters(x.text) for x in split.held_out_texts}
    pieces = {text[i : i + 41] for text in held_out.values() for i in range(len(text) - 40)}
    for text in split.texts:
        trained = letters(text.text)
        assert not any(trained[i : i + 41] in pieces for i in range(len(trained) - 40))


def test_other_languages_are_left_out(data: Path) -> None:
    assert {x.language for x in read_split(data).texts} == {"de", "en", "fr"}


@pytest.mark.parametrize(("text", "expected"), [("Straße, Nr. 5!", "strassenr5"), ("你好，世界。", "你好世界")])
def test_letters(text: str, expected: str) -> None:
    assert letters(text) == expected


def test_records_are_values() -> None:
    assert Text("a", "en", "b") == Text("a", "en", "b")
    assert TaggedSentence("en", ("a",), ("X",)) == TaggedSentence("en", ("a",), ("X",))
