import pyarrow as pa
import pytest

from pipeline.errors import OutputError
from pipeline.failures import FragmentFailure
from pipeline.fragments import Cut, Fragment
from pipeline.stages.blocks import KEY_FIELDS, failure_block, failure_in, whole_fragment, with_keys
from tests.unit.pipeline.input_files import file_fragments, rows

CUTS = [Cut((0,), 0, 0, 6, 60), Cut((1,), 0, 6, 6, 60)]
A, B = file_fragments("/in/a.parquet", "a.parquet", 100, "v", CUTS)


def block(fragment: Fragment = A) -> pa.Table:
    return with_keys(rows(6), fragment)


def test_keys_come_after_the_columns_and_prove_the_block() -> None:
    table = block()
    assert table.schema.equals(pa.schema([*rows(0).schema, *KEY_FIELDS]))
    assert whole_fragment(table) == A


def test_keys_may_be_decoded_and_chunked() -> None:
    table = block().set_column(3, "__fragment", pa.array([A.to_json()] * 6))
    assert whole_fragment(pa.concat_tables([table[:2], table[2:]])) == A


@pytest.mark.parametrize(
    "table",
    [
        block()[:5],
        block()[1:],
        block().take([0, 1, 2, 3, 5, 4]),
        block().take([0, 1, 2, 3, 4, 4]),
        pa.concat_tables([block(), block()]),
    ],
    ids=["first rows", "last rows", "permuted", "doubled row", "doubled"],
)
def test_blocks_that_are_not_whole_are_refused(table: pa.Table) -> None:
    with pytest.raises(OutputError, match=r"a\.v\.00000-of-00002\.parquet: .*not rows 0 to 5"):
        whole_fragment(table)


def test_blocks_of_several_fragments_or_none_are_refused() -> None:
    with pytest.raises(OutputError, match="rows of 2 fragments, expected one"):
        whole_fragment(pa.concat_tables([block()[:3], block(B)[3:]]))
    with pytest.raises(OutputError, match="rows of 0 fragments"):
        whole_fragment(block()[:0])


def test_a_block_says_which_fragment_failed_and_why() -> None:
    failure = FragmentFailure.of(A, "read", "a page is damaged")
    assert failure_in(failure_block(failure, A)) == failure
    table = block()
    assert failure_in(table) is None
    assert whole_fragment(table) == A
