"""Public data as labelled rows, and settings that jobs.fit takes."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.demo.training.studies import STUDIES, main
from jobs.fit.settings import load_settings


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), path)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A few rows in the layout of the hub."""
    root, shard = tmp_path / "data", "00000-of-00001.parquet"
    for lang in ("en", "de"):
        tagged = [{"tokens": ["Ada", "sleeps"], "ner_tags": ["B-PER", "O"]}] * 3
        write(root / f"wikiann/{lang}/validation-{shard}", tagged)
        pairs = [{"premise": f"p{n}", "hypothesis": "h", "label": n % 3} for n in range(20)]
        write(root / f"xnli/{lang}/validation-{shard}", pairs)
        write(root / f"xnli/{lang}/test-{shard}", pairs)
    alike = [{"sentence1": "a", "sentence2": "b", "label": 2.5}]
    write(root / f"glue/stsb/validation-{shard}", alike)
    return root


def test_studies_are_written(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    names = ["entities", "kinds", "nli", "similarity"]
    assert main([*names, "--data", str(data), "--out", str(out), "--model", "m"]) == 0
    told = capsys.readouterr().out.splitlines()
    assert told == ["entities: 6 rows", "kinds: 6 rows", "nli: 44 rows", "similarity: 1 rows"]
    found = {name: pq.read_table(out / f"{name}.parquet").to_pylist() for name in names}
    assert found["kinds"][0] == {"text": "Ada sleeps", "kinds": ["PER"], "lang": "de"}
    assert found["nli"][1]["label"] == "neutral"
    assert {row["split"] for row in found["nli"]} == {"train", "test"}
    assert len({row["group"] for row in found["nli"]}) == 22
    for name in names:
        settings = load_settings(out / f"{name}.toml")
        [head] = settings.heads.values()
        columns = {head.label, settings.input.language, settings.input.split, settings.input.group} - {None}
        assert columns <= found[name][0].keys()


def test_an_unknown_study_is_refused(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["nothing", "--data", str(data), "--out", str(tmp_path)])
    assert "expected one of entities, kinds" in capsys.readouterr().err
    assert set(STUDIES) == {"entities", "kinds", "nli", "similarity", "languages", "parts_of_speech"}
