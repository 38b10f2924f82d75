"""Make the demo's sample: `python -m jobs.demo.sample` writes `sample.parquet` from `sample.txt`."""

import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

SOURCE = Path(__file__).parent / "sample.txt"
SAMPLE = Path(__file__).parent / "sample.parquet"
DOCUMENT = " document"
# Texts of rows that real files contain too and that cannot be annotated.
BROKEN: tuple[str | None, ...] = (None, "", " \n\t ", "\u200b")


@dataclass(frozen=True)
class Row:
    """A row of the sample; `lang` is null for rows without a text."""

    id: str
    lang: str | None
    text: str | None


def read_source() -> list[Row]:
    """The sentences and documents in the order of the file, with the broken rows in between."""
    texts: list[tuple[str, str]] = []
    language = ""
    paragraphs: list[str] = []
    for line in [*SOURCE.read_text(encoding="utf-8").splitlines(), "[end]"]:
        if line.startswith("["):
            if paragraphs:
                texts.append((language, "\n".join(paragraphs)))
            language, paragraphs = line.strip("[]"), []
        elif line and not line.startswith("#"):
            if language.endswith(DOCUMENT):
                paragraphs.append(line)
            else:
                texts.append((language, line))
    counts: Counter[str] = Counter()
    rows = []
    for language, text in texts:
        code = language.removesuffix(DOCUMENT)
        counts[code] += 1
        rows.append(Row(f"{code}-{counts[code]:02}", code, text))
    step = len(rows) // (len(BROKEN) + 1)
    for number in range(len(BROKEN), 0, -1):
        rows.insert(number * step, Row(f"broken-{number:02}", None, BROKEN[number - 1]))
    return rows


def write_sample(path: Path = SAMPLE) -> None:
    """Write the Parquet file."""
    rows = read_source()
    columns = {
        name: pa.array([getattr(row, name) for row in rows], pa.string()) for name in ("id", "lang", "text")
    }
    pq.write_table(pa.table(columns), path, compression="zstd")


if __name__ == "__main__":
    write_sample()
    print(f"{SAMPLE}: {pq.read_metadata(SAMPLE).num_rows} rows, {SAMPLE.stat().st_size:,} bytes")
    sys.exit(0)
