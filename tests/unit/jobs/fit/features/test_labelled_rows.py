"""Labels, groups, languages and parts of rows and words, and who is left out for which reason."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.fit.features.annotated_parts import AnnotatedParts
from jobs.fit.features.feature_source import source_of
from jobs.fit.features.labelled_rows import NO_LABEL, OTHER_COUNT, LabelledRows, labelled_rows
from jobs.fit.settings import FitSettings
from pipeline.errors import InputError

NAME = "a.0a1b2c3d.00000-of-00001.parquet"


def read(
    folder: Path, columns: dict[str, Any], is_there: list[bool], head: dict[str, Any] | None = None, **options: Any
) -> LabelledRows:
    num_rows = len(next(iter(columns.values())))
    errors = pa.array(columns.pop("error", [None] * num_rows), pa.string())
    pq.write_table(pa.table({**columns, "error": errors}), folder / NAME)
    (folder / "_SUCCESS").write_text("{}")
    settings = FitSettings.model_validate(
        {
            "model": {"path": "m"},
            "input": {"path": "in", **options},
            "output": {"path": "out"},
            "heads": {"x": {"label": "y", **(head or {})}},
        }
    )
    parts = AnnotatedParts.open(folder, "output.path")
    return labelled_rows(parts, settings, "x", source_of(settings, settings.heads["x"]), np.array(is_there))


def test_rows_without_label_or_features_are_left_out_and_counted(tmp_path: Path) -> None:
    columns = {
        "text": ["One  text", "one text", " ", None, "two", "three"],
        "y": ["b", "a", "a", "b", None, "b"],
        "lang": ["en", "en", None, "de", "de", "de"],
        "error": [None, None, "column 'text' is blank", "column 'text' is null", None, None],
    }
    found = read(tmp_path, columns, [True, True, False, False, True, True], language="lang")
    assert found.targets.names == ("a", "b")
    assert found.targets.values.tolist() == [1, 0, -1, -1, -1, 1]
    assert found.left_out == {"with an error (no_text)": 2, NO_LABEL: 1}
    assert found.facts.languages == ["en", "en", "", "de", "de", "de"]
    groups = list(found.facts.groups)
    assert groups[0] == groups[1], "equal but for case and spaces"
    assert len({groups[0], groups[4], groups[5]}) == 3


def test_groups_and_parts_are_given(tmp_path: Path) -> None:
    columns = {
        "text": list("abcdef"),
        "y": [1.0, 2.0, 3.0, float("nan"), 5.0, 6.0],
        "doc": [7, 7, None, None, 8, 8],
        "part": ["train", "train", "test", "validation", "calibrate", None],
    }
    found = read(tmp_path, columns, [True] * 6, group="doc", split="part")
    groups = list(found.facts.groups)
    assert groups[:2] == [7, 7]
    assert groups[2] != groups[3]
    assert found.facts.parts == ["fit", "fit", "test", "choose", "calibrate", ""]
    assert found.targets.is_known.tolist() == [True, True, True, False, True, True]
    assert found.left_out == {NO_LABEL: 1}


def test_words_have_labels_of_their_own(tmp_path: Path) -> None:
    columns = {
        "tokens": [["a", "b"], ["c"], ["d", "e"], None, ["f", ""]],
        "y": [["O", "B-X"], ["O", "O"], ["B-X", "O"], ["O"], None],
        "lang": ["en", "de", "fr", "it", "es"],
        "error": [None, None, None, "column 'tokens' is null, expected a list of text", None],
    }
    is_there = [True, True, True, True, False, True, False]
    head = {"task": "token-classification"}
    found = read(tmp_path, columns, is_there, head, words="tokens", language="lang")
    assert found.targets.names == ("B-X", "O")
    assert found.targets.values.tolist() == [1, 0, -1, 0, -1, -1, -1]
    assert found.facts.sentences is not None
    assert found.facts.sentences.tolist() == [0, 0, 1, 2, 2, 4, 4]
    assert found.facts.words == ["a", "b", "c", "d", "e", "f", ""]
    assert found.facts.languages == ["en", "en", "de", "fr", "fr", "es", "es"]
    assert found.left_out == {OTHER_COUNT: 1, NO_LABEL: 1, "with an error (no_text)": 1}


def test_a_column_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"^input\.group: found no column 'doc' in .*expected it among its columns"
    ):
        read(tmp_path, {"text": ["a", "b"], "y": ["a", "b"]}, [True, True], group="doc")


def test_one_label_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^heads\.x\.label: column 'y' has 1 label in 2 rows with one"):
        read(tmp_path, {"text": ["a", "b"], "y": ["a", "a"]}, [True, True])
