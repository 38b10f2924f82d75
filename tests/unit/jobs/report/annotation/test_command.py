"""`python -m jobs.report`: figures of the parts and calls of an output, as a page, and a copy with the card."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import fs

from jobs.report.annotation.command import main
from jobs.report.annotation.figures import read_figures
from pipeline.output.call_history import CallHistory
from pipeline.output.card import CARD
from pipeline.output.failure_log import FailureLog
from pipeline.output.manifest import Manifest
from pipeline.output.output_folder import OutputFolder
from pipeline.output.part_writer import encode_part
from tests.unit.pipeline.output.test_status import FAILURE, RUNNING, put

SECRET = "Geheimnis"
HEADS = {
    "topic": {"task": "text-classification", "labels": ["sport", "music"]},
    "tags": {"task": "text-classification", "labels": ["a", "b"]},
    "ner": {"task": "token-classification", "labels": ["PER"]},
    "zero": {"task": "zero-shot-classification", "labels": ["x", "y"]},
    "asked": {"task": "zero-shot-classification", "labels": []},
    "loss": {"task": "masked-lm-loss", "labels": []},
    "vector": {"task": "embedding", "labels": []},
}
ROWS = [
    {
        "lang": lang,
        "text": SECRET,
        "num_tokens": tokens,
        "num_windows": 1,
        "error": None,
        "topic": {"label": topic, "score": score},
        "tags": {"labels": tags, "scores": [0.1, 0.9]},
        "ner": [{"entity": "PER", "score": 0.5}] * len(tags),
        "zero": {"labels": ["y", "x"], "scores": [0.8, 0.2]},
        "asked": {"labels": [SECRET], "scores": [1.0]},
        "loss": {"loss": score * 2, "nll": 1.0},
        "vector": [0.5],
    }
    for lang, tokens, topic, score, tags in (
        ("de", 5, "sport", 0.5, ["a", "b"]),
        ("sw", 40, "music", 0.75, ["b"]),
        ("de", 600, "sport", 1.0, []),
    )
]
BAD = dict.fromkeys(ROWS[0]) | {
    "lang": "sw",
    "num_tokens": 0,
    "num_windows": 0,
    "error": "column 'text' is null, expected text",
}


@pytest.fixture
def output(tmp_path: Path) -> OutputFolder:
    """Two parts, one of them with a row that has an error."""
    folder = OutputFolder(fs.LocalFileSystem(), str(tmp_path / "out"))
    Manifest(folder).begin({"model": "a"})
    table = pa.Table.from_pylist([*ROWS, BAD])
    for number, part in enumerate((table[:2], table[2:])):
        metadata = {"xlmr_ray.heads": json.dumps(HEADS)}
        folder.put(f"x/a.01234567.0000{number}-of-00002.parquet", encode_part(part, "zstd", metadata))
    folder.put(CARD, b"---\n---\n")
    put(folder, RUNNING)
    FailureLog(folder).record(FAILURE)
    return folder


def test_figures_are_those_of_the_rows(output: OutputFolder) -> None:
    figures = read_figures(output)
    assert (figures.num_parts, figures.num_rows, figures.num_tokens, figures.num_windows) == (2, 4, 645, 3)
    assert (figures.errors, figures.languages) == ({"no_text": 1}, {"de": 2, "sw": 2})
    assert figures.lengths.tolist() == [1, 1, 0, 1, 0, 0, 0, 1, 0, 0, 0]
    labels = {name: dict(head.labels) for name, head in figures.heads.items()}
    assert labels == {
        "topic": {"sport": 2, "music": 1},
        "tags": {"a": 1, "b": 2},
        "ner": {"PER": 3},
        "zero": {"y": 3},
        "asked": {},
        "loss": {},
    }
    assert figures.heads["tags"].labels_by_language == {"de": {"a": 1, "b": 1}, "sw": {"b": 1}}
    assert figures.heads["ner"].labels_by_language == {"de": {"PER": 2}, "sw": {"PER": 1}}
    scores = {name: np.concatenate(head.scores).tolist() for name, head in figures.heads.items()}
    assert scores["topic"] == [0.5, 0.75, 1.0]
    assert scores["loss"] == [1.0, 1.5, 2.0]
    assert scores["tags"] == [0.9, 0.9, 0.9]


def test_the_page_shows_them_and_no_text(
    output: OutputFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.html"
    assert main([output.root, "--page", str(page)]) == 0
    assert capsys.readouterr().out == f"written: {page}\n"
    html = page.read_text(encoding="utf-8")
    for text in (
        "no_text",
        "a page is damaged",
        "Quantiles of topic.score",
        "Labels by lang",
        "Quantiles of loss.loss",
    ):
        assert text in html
    assert SECRET not in html
    assert main([output.root, "--page", str(page), "--by", "text"]) == 0
    assert main([output.root, "--page", str(page), "--by", "moon"]) == 2
    assert "--by: found 'moon'" in capsys.readouterr().err


def test_an_output_of_format_1_shows_the_labels_that_its_types_tell(output: OutputFolder) -> None:
    root = Path(output.root)
    for path in root.rglob("*.parquet"):
        path.write_bytes(encode_part(pq.read_table(path), "zstd").to_pybytes())
    labels = {name: dict(head.labels) for name, head in read_figures(output).heads.items() if head.labels}
    # Lists of labels may be text of the rows.
    assert labels == {"topic": {"sport": 2, "music": 1}, "ner": {"PER": 3}}


def test_the_card_goes_with_a_copy_of_a_complete_output(
    output: OutputFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "copy"
    assert main([output.root, "--card", str(copy)]) == 2
    assert "is not complete" in capsys.readouterr().err
    assert not copy.exists()
    output.put("_SUCCESS", b'{"parts": 2, "rows": 4}')
    assert main([output.root, "--card", str(copy)]) == 0
    found = {str(path.relative_to(copy)) for path in copy.rglob("*") if path.is_file()}
    assert found == {"README.md", *(f"x/a.01234567.0000{n}-of-00002.parquet" for n in range(2))}
    assert (copy / "x/a.01234567.00000-of-00002.parquet").read_bytes() == output.read(
        "x/a.01234567.00000-of-00002.parquet"
    )
    assert main([output.root, "--card", str(copy)]) == 2
    assert "is not empty" in capsys.readouterr().err


def test_what_is_no_output_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith("refused: OUTPUT: found no output in ")
    assert not CallHistory(OutputFolder(fs.LocalFileSystem(), str(tmp_path))).calls()
