"""XNLI: does a hypothesis follow from a premise, in 15 languages.

The hub has a folder for each language, and `all_languages`, with all of them in each row: `premise` is a struct by
language, `hypothesis` a struct of two lists, the languages and the texts.
"""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jobs.evaluate.benchmarks.parallel import require_parallel
from jobs.evaluate.data.files import FIELD, DataFile, DataFiles
from jobs.evaluate.data.prepare import combined, examples, label_names
from jobs.evaluate.data.reading import Column, Rows, has_column, read_rows, read_schema
from jobs.evaluate.data.subsets import SubsetFolders, choose_subsets, folder_names
from jobs.evaluate.examples import GOLD, WHOLE, Benchmark, BenchmarkTask, Published
from pipeline.errors import InputError

LANGUAGES = ("en", "fr", "es", "de", "el", "bg", "ru", "tr", "ar", "vi", "th", "zh", "hi", "sw", "ur")
"""In the order of the papers."""
LABELS = ("entailment", "neutral", "contradiction")
ALIASES = {"contradictory": "contradiction", "entail": "entailment", "contradict": "contradiction"}
_FOLDERS = SubsetFolders("xnli", folder_names(LANGUAGES, "{}", "xnli.{}"))
_NESTED = SubsetFolders.whole("xnli", "all_languages", or_top=True)
_GOLD = Column("label", "class")

_SETTING = "TRANSLATE-TRAIN-ALL: fine-tuned on English MNLI and its machine translations together"
_SOURCE = "fairseq, examples/xlmr/README.md"
_FIGURES = {
    "XLM-R large": (
        83.6,
        89.1,
        85.1,
        86.6,
        85.7,
        85.3,
        85.9,
        83.5,
        83.2,
        83.1,
        83.7,
        81.5,
        83.7,
        81.6,
        78.0,
        78.1,
    ),
    "XLM-R XL": (85.4, 91.1, 87.2, 88.1, 87.0, 87.4, 87.8, 85.3, 85.2, 85.3, 86.2, 83.8, 85.3, 83.1, 79.8, 78.2),
    "XLM-R XXL": (86.0, 91.5, 87.6, 88.7, 87.8, 87.4, 88.2, 85.6, 85.1, 85.8, 86.3, 83.9, 85.6, 84.6, 81.7, 80.6),
}


def _splits(files: DataFiles) -> tuple[str, ...]:
    return _FOLDERS.splits(files) or _NESTED.splits(files)


def _read(files: DataFiles, split: str, wanted: Sequence[str] | None) -> dict[str, pa.Table]:
    nested = {} if _FOLDERS.of_split(files, split) else _NESTED.of_split(files, split)
    if nested:
        tables = _read_nested(files, nested[WHOLE], split, wanted)
    else:
        found = _FOLDERS.find(files, split, wanted)
        tables = {language: _read_folder(files, chosen) for language, chosen in found.items()}
    require_parallel("xnli", tables)
    return tables


def _read_folder(files: DataFiles, chosen: Sequence[DataFile]) -> pa.Table:
    columns = {"text": Column("premise", "text"), "text_pair": Column("hypothesis", "text"), GOLD: _GOLD}
    rows = read_rows(files, chosen, columns)
    gold = label_names(rows, GOLD, LABELS, ALIASES)
    return examples("classification", rows.num_rows, {**rows.columns, GOLD: gold})


def _read_nested(
    files: DataFiles, chosen: Sequence[DataFile], split: str, wanted: Sequence[str] | None
) -> dict[str, pa.Table]:
    schema = read_schema(files, chosen[0])
    there = [language for language in LANGUAGES if has_column(schema, f"premise.{language}")]
    if not there:
        raise InputError(
            f"{FIELD}: {chosen[0].name}: found columns {', '.join(schema.names)} without texts by language, "
            "expected a column 'premise' that is a struct by language, as in all_languages; name the folder with "
            "those of all languages"
        )
    languages = choose_subsets("xnli", there, LANGUAGES, wanted, files, split)
    premises = {language: Column(f"premise.{language}", "text") for language in languages}
    lists = {name: Column(f"hypothesis.{name}", "texts") for name in ("language", "translation")}
    rows = read_rows(files, chosen, {**premises, **lists, GOLD: _GOLD})
    gold = label_names(rows, GOLD, LABELS, ALIASES)
    hypotheses = _by_language(rows, languages)
    return {
        language: examples(
            "classification",
            rows.num_rows,
            {"text": rows.columns[language], "text_pair": hypotheses[language], GOLD: gold},
        )
        for language in languages
    }


def _by_language(rows: Rows, languages: Sequence[str]) -> dict[str, pa.Array]:
    """The hypotheses by language, null where a row has none."""
    codes, texts = (combined(rows.columns[name]) for name in ("language", "translation"))
    if not pc.list_value_length(codes).equals(pc.list_value_length(texts)):
        raise InputError(
            f"{rows.where('translation')}: found rows with another number of texts than of languages, expected "
            "one for each; fetch the file again"
        )
    row_of_item, flat_codes, flat_texts = (
        pc.list_parent_indices(codes),
        pc.list_flatten(codes),
        pc.list_flatten(texts),
    )
    found = {}
    for language in languages:
        is_of_it = pc.fill_null(pc.equal(flat_codes, language), False)
        of_rows = row_of_item.filter(is_of_it).to_numpy()
        if len(np.unique(of_rows)) < len(of_rows):
            raise InputError(
                f"{rows.where('language')}: found a row with language {language!r} twice, expected once; fetch "
                "the file again"
            )
        places = np.full(rows.num_rows, -1, dtype=np.int64)
        places[of_rows] = np.arange(len(of_rows))
        found[language] = flat_texts.filter(is_of_it).take(pa.array(places, mask=places < 0))
    return found


BENCHMARK = Benchmark(
    "xnli",
    (
        BenchmarkTask(
            name="xnli",
            kind="classification",
            metrics=("accuracy",),
            splits=_splits,
            read=_read,
            labels=LABELS,
            aliases=ALIASES,
            subsets=LANGUAGES,
            is_parallel=True,
            published=tuple(
                Published(
                    system,
                    _SETTING,
                    _SOURCE,
                    "test",
                    "accuracy",
                    dict(zip(("mean", *LANGUAGES), row, strict=True)),
                )
                for system, row in _FIGURES.items()
            ),
        ),
    ),
    notes=(
        "Accuracy, and its mean over languages.",
        "lm-evaluation-harness scores prompts on the validation split: that is another number.",
    ),
)
