"""Find the encrypted columns of a Parquet file with a plaintext footer.

Arrow aborts the process when it accesses the metadata of such a column, so the footer is parsed here: the Thrift
struct FileMetaData (https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift) in the
compact protocol.
"""

from pipeline.input.thrift_compact import read_struct

_ROW_GROUPS, _COLUMNS, _CRYPTO_METADATA = 4, 1, 8  # of FileMetaData, RowGroup, ColumnChunk


def encrypted_leaves(footer: bytes) -> frozenset[int]:
    """Indices of the leaf columns that are encrypted in some row group, from a valid footer."""
    metadata, _ = read_struct(footer)
    return frozenset(
        leaf
        for group in metadata.get(_ROW_GROUPS, [])
        for leaf, chunk in enumerate(group[_COLUMNS])
        if _CRYPTO_METADATA in chunk
    )
