"""XNLI in folders by language, and with all languages in each row."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from jobs.evaluate.benchmarks.xnli import LANGUAGES
from pipeline.errors import InputError
from tests.shared_data import shared_data
from tests.unit.jobs.evaluate.benchmarks.reading import read_task, task_of
from tests.unit.jobs.evaluate.hub_files import NLI, SHARD, class_label, nli, write

FEATURES = {"label": class_label(*NLI)}
HYPOTHESIS = pa.struct({"language": pa.list_(pa.string()), "translation": pa.list_(pa.string())})


def nested(hypotheses: list[Any], premises: list[Any], labels: list[int | None]) -> pa.Table:
    languages = sorted({language for premise in premises for language in premise or ()})
    type_ = pa.struct({language: pa.string() for language in languages})
    return pa.table(
        {
            "premise": pa.array(premises, type_),
            "hypothesis": pa.array(hypotheses, HYPOTHESIS),
            "label": pa.array(labels, pa.int64()),
        }
    )


def hypothesis(**texts: str | None) -> dict[str, list[str | None]]:
    return {"language": list(texts), "translation": list(texts.values())}


NESTED = nested(
    [hypothesis(en="e0", de="d0"), hypothesis(de="d1", en="e1"), hypothesis(en="e2"), None],
    [{"en": "E0", "de": "D0"}, {"en": "E1", "de": None}, None, {"en": "E3", "de": "D3"}],
    [0, 2, -1, None],
)


def test_folders_by_language(tmp_path: Path) -> None:
    for language in ("de", "en"):
        write(tmp_path / language / SHARD.format("test"), nli(language, (0, 2, -1)), FEATURES)
        write(tmp_path / language / SHARD.format("train"), nli("train", (0,)), FEATURES)
    tables = read_task("xnli", tmp_path)
    assert list(tables) == ["en", "de"]
    assert tables["de"].to_pylist() == [
        {"row": 0, "text": "de0", "text_pair": "de0?", "gold": "entailment"},
        {"row": 1, "text": "de1", "text_pair": "de1?", "gold": "contradiction"},
        {"row": 2, "text": "de2", "text_pair": "de2?", "gold": None},
    ]
    assert list(read_task("xnli", tmp_path, wanted=["de"])) == ["de"]
    assert list(read_task("xnli", tmp_path / "de")) == ["de"]


@pytest.mark.parametrize("folder", ["all_languages", "", "data"])
def test_all_languages_in_each_row(tmp_path: Path, folder: str) -> None:
    write(tmp_path / folder / SHARD.format("test"), NESTED, FEATURES)
    tables = read_task("xnli", tmp_path)
    assert list(tables) == ["en", "de"]
    gold = ["entailment", "contradiction", None, None]
    for language, premises, hypotheses in (
        ("en", ["E0", "E1", None, "E3"], ["e0", "e1", "e2", None]),
        ("de", ["D0", None, None, "D3"], ["d0", "d1", None, None]),
    ):
        assert tables[language]["text"].to_pylist() == premises
        assert tables[language]["text_pair"].to_pylist() == hypotheses
        assert tables[language]["gold"].to_pylist() == gold
    assert list(read_task("xnli", tmp_path, wanted=["de"])) == ["de"]


def test_folders_are_taken_where_both_layouts_are_there(tmp_path: Path) -> None:
    write(tmp_path / "all_languages" / SHARD.format("test"), NESTED)
    write(tmp_path / "de" / SHARD.format("test"), nli("de"))
    assert list(read_task("xnli", tmp_path)) == ["de"]


def test_language_that_the_struct_lacks_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "all_languages" / SHARD.format("test"), NESTED)
    with pytest.raises(InputError, match=r"--languages: found 'sw', of which .*; expected some .*: en, de; leave"):
        read_task("xnli", tmp_path, wanted=["sw"])


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (
            nested(
                [hypothesis(de="d0"), {"language": ["de", "de"], "translation": ["a", "b"]}],
                [{"de": "D"}] * 2,
                [0, 1],
            ),
            "found a row with language 'de' twice, expected once; fetch",
        ),
        (
            nested([{"language": ["de", "en"], "translation": ["a"]}], [{"de": "D"}], [0]),
            "another number of texts than of languages, expected one for each; fetch",
        ),
        (
            pa.table(nli()),
            "--data: test.*: found columns premise, hypothesis, label without texts by language, exp",
        ),
    ],
)
def test_wrong_nesting_is_refused(tmp_path: Path, table: pa.Table, message: str) -> None:
    write(tmp_path / SHARD.format("test"), table)
    with pytest.raises(InputError, match=message):
        read_task("xnli", tmp_path)


def test_languages_with_other_numbers_of_rows_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "en" / SHARD.format("test"), nli())
    write(tmp_path / "de" / SHARD.format("test"), nli(labels=(0, 1)))
    with pytest.raises(InputError, match=r"--data: xnli de: found 2 rows, expected 3 as in en, .*; fetch"):
        read_task("xnli", tmp_path)


def test_files_of_another_task_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "en" / SHARD.format("test"), nli(), {"label": class_label("no", "maybe", "yes")})
    with pytest.raises(InputError, match=r"--data: column 'label' of en/.*: found the class names no, maybe, yes"):
        read_task("xnli", tmp_path)


def test_published_figures() -> None:
    published = task_of("xnli").published
    assert [figures.system for figures in published] == ["XLM-R large", "XLM-R XL", "XLM-R XXL"]
    for figures in published:
        assert figures.split == "test"
        mean = sum(figures.values[language] for language in LANGUAGES) / len(LANGUAGES)
        assert mean == pytest.approx(figures.values["mean"], abs=0.051)


def test_shared_files_are_parallel() -> None:
    folder = shared_data("xnli")
    for split, num_rows in (("test", 5010), ("validation", 2490)):
        tables = read_task("xnli", folder, split)
        assert set(tables) == set(LANGUAGES)
        gold = tables["en"]["gold"]
        assert {table.num_rows for table in tables.values()} == {num_rows}
        assert all(table["gold"].equals(gold) for table in tables.values())
        assert {gold.to_pylist().count(label) for label in NLI} == {num_rows // 3}
