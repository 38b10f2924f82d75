"""What becomes of a column of texts: windows of token ids, and what is wrong with rows."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray


@dataclass(frozen=True)
class Encoded:
    """A spec's column of windows, and for each row its number of tokens (before truncation) and windows.

    `problems`: by row, why it has no windows.
    """

    windows: pa.ListArray
    num_tokens: NDArray[np.int32]
    num_windows: NDArray[np.int32]
    problems: dict[int, str]
