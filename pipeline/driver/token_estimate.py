"""Estimate the tokens of a job by tokenizing a sample of its rows, without a cluster."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from pipeline.batching.fragment_columns import prepare
from pipeline.config.job import JobConfig
from pipeline.driver.row_selection import read_rows, rows_in_few_fragments
from pipeline.encoding.fragment import encode_fragment
from pipeline.errors import FragmentError
from pipeline.heads.resolve import Head
from pipeline.heads.tokenizer import load_tokenizer
from pipeline.input.planning import Plan

_MAX_ROWS, _MAX_FRAGMENTS, _MAX_BYTES = 1000, 32, 4 * 2**20


@dataclass(frozen=True)
class PassEstimate:
    """What goes through a trunk for heads that share their sequences: sequences and tokens per row."""

    heads: tuple[str, ...]
    sequences_per_row: float
    tokens_per_row: float


@dataclass(frozen=True)
class TokenEstimate:
    """The tokens that go through trunks, as the mean over sampled rows.

    `num_rows` are those that were tokenized; `is_exact`: they are all rows of the input.
    """

    passes: tuple[PassEstimate, ...]
    num_rows: int
    is_exact: bool

    @property
    def tokens_per_row(self) -> float:
        """Over all passes."""
        return sum(each.tokens_per_row for each in self.passes)


def estimate_tokens(job: JobConfig, heads: Sequence[Head], plan: Plan) -> TokenEstimate | None:
    """Tokenize at most 1,000 rows of at most 32 fragments; None if none of them can be read.

    All sequences are counted, with overlaps of windows, special tokens and repetitions for `strategy = "all"`, but
    no tokens that are generated.
    """
    num_fitting = _MAX_BYTES * plan.num_rows // max(1, plan.num_bytes)
    num_rows = min(_MAX_ROWS, max(_MAX_FRAGMENTS, num_fitting))
    selection = rows_in_few_fragments(plan.fragments, num_rows, _MAX_FRAGMENTS)
    texts = {column for head in job.heads.values() for column in head.text_columns}
    schema = pa.schema([field for field in plan.read_schema if field.name in {*texts, job.input.route}])
    found = read_rows(selection, schema, plan.filesystem)
    tables = [table for table in found if not isinstance(table, FragmentError)]
    if not tables:
        return None
    rows = pa.concat_tables(tables).combine_chunks()
    # Which tokens are masked does not matter, so neither does the place of the rows.
    fragment = replace(selection[0].fragment, first_row=0, num_rows=rows.num_rows)
    tokenizer = load_tokenizer(job.model.path)
    encoded = encode_fragment(rows, heads, tokenizer, route=job.input.route, kept_columns=())
    prepared = prepare(encoded, fragment, heads, tokenizer)
    passes, sequences = prepared.passes, prepared.sequences
    num_sequences = np.bincount(sequences.trunk_pass, minlength=len(passes))
    num_tokens = np.bincount(sequences.trunk_pass, weights=sequences.length, minlength=len(passes))
    return TokenEstimate(
        tuple(
            PassEstimate(
                tuple(heads[index].name for index in trunk_pass.heads),
                num_sequences[i] / rows.num_rows,
                num_tokens[i] / rows.num_rows,
            )
            for i, trunk_pass in enumerate(passes)
        ),
        rows.num_rows,
        is_exact=rows.num_rows == plan.num_rows,
    )
