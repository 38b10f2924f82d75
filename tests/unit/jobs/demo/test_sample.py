"""The sample: as much of it as promised, and what is in the package is what the source says."""

import unicodedata
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq

from jobs.demo.sample import BROKEN, SAMPLE, read_source, write_sample
from jobs.demo.show import SHOWN
from jobs.demo.training.languages import BY_CODE
from jobs.demo.training.sentences import MIN_WORDS, num_words, sentences_of


def test_the_file_is_made_of_the_source() -> None:
    rows = read_source()
    assert pq.read_table(SAMPLE).to_pylist() == [vars(row) for row in rows]
    assert 20_000 <= SAMPLE.stat().st_size <= 100_000


def test_the_same_source_gives_the_same_rows(tmp_path: Path) -> None:
    write_sample(tmp_path / "sample.parquet")
    assert pq.read_table(tmp_path / "sample.parquet").equals(pq.read_table(SAMPLE))


def test_sentences_languages_and_scripts() -> None:
    rows = [row for row in read_source() if row.lang is not None and row.text is not None]
    assert len(rows) >= 300
    assert len({row.text for row in rows}) == len(rows)
    assert {row.lang for row in rows} <= set(BY_CODE)
    assert len({row.lang for row in rows}) >= 60
    scripts = {unicodedata.name(c).split()[0] for row in rows for c in row.text or "" if c.isalpha()}
    assert len(scripts - {"FEMININE", "MASCULINE"}) >= 20
    long = [row for row in rows if len(row.text or "") > 1000]
    assert 3 <= len(long) <= 10


def test_rows_have_ids_of_their_own_and_broken_ones_are_among_them() -> None:
    rows = read_source()
    assert max(Counter(row.id for row in rows).values()) == 1
    broken = [index for index, row in enumerate(rows) if row.lang is None]
    assert [rows[index].text for index in broken] == list(BROKEN)
    assert broken[0] > 50
    assert broken[-1] < len(rows) - 50


def test_the_rows_that_are_shown_exist() -> None:
    assert set(SHOWN) <= {row.id for row in read_source()}


def test_sentences_end_in_every_script() -> None:
    assert sentences_of("One. Two! Three?\nFour") == ["One.", "Two!", "Three?", "Four"]
    assert sentences_of("一。二！三") == ["一。", "二！", "三"]
    assert sentences_of("एक। दो") == ["एक।", "दो"]
    assert sentences_of("3.14 is pi") == ["3.14 is pi"]


def test_words_are_counted_in_every_script() -> None:
    assert num_words("The bus - number 7 - is late.", "en") == 5
    assert num_words("三天的雨之后河水很高", "zh") == MIN_WORDS
    assert num_words("แม่น้ำสูงหลังจากฝนตกสามวัน", "th") >= MIN_WORDS
    assert num_words("", "en") == num_words("", "ja") == 0
