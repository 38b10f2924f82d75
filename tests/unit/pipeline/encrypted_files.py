"""Parquet files some of whose columns are encrypted."""

import base64
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow.parquet import encryption


class _NoSecrets(encryption.KmsClient):
    """Keys in plain."""

    def __init__(self, config: encryption.KmsConnectionConfig) -> None:
        encryption.KmsClient.__init__(self)

    def wrap_key(self, key: bytes, master: str) -> bytes:
        return base64.b64encode(key)

    def unwrap_key(self, key: bytes, master: str) -> bytes:
        return base64.b64decode(key)


def write_encrypted(path: Path, table: pa.Table, columns: list[str], row_group_size: int = 2) -> Path:
    """Write a table with a plain footer and some Parquet columns encrypted."""
    properties = encryption.CryptoFactory(_NoSecrets).file_encryption_properties(
        encryption.KmsConnectionConfig(),
        encryption.EncryptionConfiguration(footer_key="f", column_keys={"c": columns}, plaintext_footer=True),
    )
    with pq.ParquetWriter(path, table.schema, encryption_properties=properties) as writer:
        writer.write_table(table, row_group_size)
    return path
