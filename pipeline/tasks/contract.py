"""What a task is to the rest of the pipeline. A file of this folder fills in one `Task`.

Torch and the model are imported only inside the functions that a rank runs, so that a job file can be read, and
refused, without them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Literal, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.arrays.ragged import offsets_of
from pipeline.arrays.windows import WindowArrays
from pipeline.tasks.requests import HeadRequest, HeadSequences, Places, request_sequences
from pipeline.tasks.sections import HeadSection, TextHeadSection

if TYPE_CHECKING:
    from torch import Tensor, nn

    from model import PackedBatch, ShardGroup, XLMRobertaXLConfig, XLMRobertaXLModel, XLMRobertaXLTokenizer

    HeadModules = dict[str, nn.Module]
    """A head's modules in the order in which they are applied, by their names in checkpoints."""

Options = TypeVar("Options", bound=HeadSection)
HeadOutput = tuple[NDArray[np.generic], ...]
"""What a head has computed on a batch: arrays with a first axis as long as the request's index."""

Layout = Literal["text", "words", "pair", "question", "choices", "hypotheses", "prompt"]
_MAX_FLOAT32 = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class SequenceSpec:
    """Which columns are read, and how they become sequences; heads with equal specs share them.

    A sequence is `<s> body </s>`, or with a companion `<s> body </s></s> companion </s>` (for a question
    `<s> companion </s></s> body </s>`). The body is what windows are cut from.

    Attributes:
        columns: of the body, then of the companion; choices may have several.
        window: most tokens of a sequence, special tokens included.
        stride: by how many tokens neighbouring windows overlap.
        truncate: one window, cut, in place of several.
        labels: candidates of zero-shot classification where they are not in a column.
        template: makes the companion from a candidate.
        parses_mask: `<mask>` in a text is that token, and a text needs one.
    """

    layout: Layout
    columns: tuple[str, ...]
    window: int
    stride: int = 0
    truncate: bool = False
    labels: tuple[str, ...] = ()
    template: str = ""
    parses_mask: bool = False

    def companion_name(self, number: int) -> str:
        """What a message calls the companion of a row's item `number`."""
        if self.layout == "hypotheses":
            return f"candidate {number}"
        if self.layout == "choices" and len(self.columns) == 2:
            return f"column {self.columns[1]!r}, item {number},"
        return f"column {self.columns[1 + number]!r}"


def text_spec(options: TextHeadSection, max_num_tokens: int) -> SequenceSpec:
    """A text alone. Raises ValueError where the window does not fit a model that takes `max_num_tokens` tokens."""
    return SequenceSpec("text", (options.text,), *options.resolve_window(max_num_tokens), options.truncate)


@dataclass(frozen=True)
class Masking:
    """How tokens are masked; heads with equal masking share their sequences."""

    probability: float
    strategy: str
    seed: int


@dataclass(frozen=True)
class HeadMemory:
    """What a head takes on a rank beside its weights; what is not named here is little.

    Attributes:
        vocabulary_share: of a batch's tokens, how many at most are projected onto the vocabulary.
        tokens_per_vector: one vector of the trunk's width leaves the rank for so many tokens of a batch, at most.
        max_new_tokens, num_beams: of generation, whose keys and values are cached.
    """

    vocabulary_share: float = 0.0
    tokens_per_vector: int | None = None
    max_new_tokens: int = 0
    num_beams: int = 1


@dataclass(frozen=True)
class HeadStates:
    """What a head computes from on a rank: a batch that has passed the trunk, and what is asked of it.

    Attributes:
        hidden: last states `[T, D]` of the batch's tokens.
        packed: where its sequences lie.
        index, labels: `[N]`, of the `HeadRequest`, on the device; labels are int64.
        modules: the head's, as `build_modules` has made them.
        num_usable_tokens: ids from here on are never predicted.
    """

    hidden: Tensor
    packed: PackedBatch
    index: Tensor
    labels: Tensor | None
    modules: HeadModules
    group: ShardGroup
    num_usable_tokens: int

    @property
    def of_tokens(self) -> Tensor:
        """States `[N, D]` of the tokens that are asked for."""
        return self.hidden[self.index]

    @property
    def of_first_tokens(self) -> Tensor:
        """States `[N, D]` of `<s>` of the sequences that are asked for."""
        return self.hidden[self.packed.first_positions[self.index]]

    def through_modules(self, states_ND: Tensor) -> tuple[Tensor]:
        """What the modules make of the states one after the other, in fp32; NaN for states that are not finite."""
        is_finite = states_ND.isfinite().all(dim=-1, keepdim=True)
        for module in self.modules.values():
            states_ND = module(states_ND)
        # The tanh of classifier and pooler makes 1 of infinity.
        return (states_ND.float().masked_fill(~is_finite, math.nan),)


@dataclass(frozen=True)
class Prompts:
    """What a head generates from on a rank.

    Attributes:
        token_ids: int64 `[length]` each, on the host.
        config: of the head's weights.
        modules: the head's.
        seed: of draws; depends on the rows, not on the run.
        num_usable_tokens: ids from here on are never predicted.
    """

    token_ids: list[Tensor]
    trunk: XLMRobertaXLModel
    config: XLMRobertaXLConfig
    modules: HeadModules
    group: ShardGroup
    device: str
    seed: int
    num_usable_tokens: int


@dataclass(frozen=True)
class OrderedHeadOutput:
    """All results of a head over a fragment, in the order of windows and tokens.

    Attributes:
        values: what the ranks returned, arrays with a first axis `[n]`.
        window, position: int64 `[n]`, the window of the head's spec and the token in it.
        windows: of that spec.
        context: by row, what `decoding_context` kept.
    """

    values: HeadOutput
    window: NDArray[np.int64]
    position: NDArray[np.int64]
    windows: WindowArrays
    context: pa.Array

    @property
    def floats(self) -> NDArray[np.float32]:
        """The first of the values: logits, vectors or losses."""
        return np.asarray(self.values[0], dtype=np.float32)

    @property
    def row(self) -> NDArray[np.int64]:
        """The row of each result."""
        return self.windows.row[self.window]

    @property
    def num_rows(self) -> int:
        """Rows of the fragment."""
        return len(self.context)

    @property
    def row_offsets(self) -> NDArray[np.int64]:
        """Where the results of each row begin, int64 `[rows + 1]`."""
        return offsets_of(np.bincount(self.row, minlength=self.num_rows))

    @property
    def weight(self) -> NDArray[np.int32]:
        """Tokens that each result's window owns."""
        owned = self.windows.owned_end - self.windows.owned_begin
        return owned[self.window].astype(np.int32)

    @property
    def flat_token(self) -> NDArray[np.int64]:
        """Where each result's token is among those of all windows end to end."""
        return self.windows.ids.starts[self.window] + self.position


def place_rows(column: pa.Array, rows: NDArray[np.integer], num_rows: int) -> pa.Array:
    """Value i to row `rows[i]`, null elsewhere."""
    index = np.zeros(num_rows, dtype=np.int64)
    is_null = np.ones(num_rows, dtype=bool)
    index[rows] = np.arange(len(rows))
    is_null[rows] = False
    return column.take(pa.array(index, mask=is_null))


def class_labels(config: XLMRobertaXLConfig) -> list[str]:
    """Names of a classifier's labels, by class id."""
    return [config.id2label[i] for i in range(config.num_labels)]


def _whole_sequences(_: object, batch: HeadSequences) -> tuple[HeadRequest, Places]:
    return request_sequences(batch)


def _nothing(*_: object) -> None:
    return None


def _zero(_: object) -> int:
    return 0


def _no_reasons(*_: object) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    return iter(())


@dataclass(frozen=True)
class Task(Generic[Options]):
    """A task: functions of a head's options, and for some of the configuration of its weights.

    Attributes:
        name: `task` in a job file.
        options: the class of its table in a job file, with the columns that it reads.
        output_type: Arrow type of its column. Raises ValueError for an option that does not fit the weights; the
            message begins with its name.
        sequence_spec: what it reads, over a trunk that takes so many tokens. Raises ValueError like `output_type`.
        build_modules: the modules that it needs on a trunk, which are loaded by these names; on the meta device.
        compute: on a rank, what it makes of the states that it asked for: as many entries as the request has.
        generate: in place of `compute` for a task that goes on from prompts.
        decode: the column, one value for each row of the fragment, from output that is not empty.
        request: what it asks of a batch: by default one result a sequence.
        check_weights: raises ConfigError for labels that it cannot be done with.
        is_causal: it needs a decoder.
        needs_offsets: its results are places in the text.
        masking: how tokens are masked for it.
        seed: of what it draws from prompts.
        memory: see `HeadMemory`.
        max_magnitude: larger numbers among what ranks return cannot be used.
        unusable: further reasons why they cannot: each with bool `[n]`, the entries that it holds for.
    """

    name: str
    options: type[Options]
    output_type: Callable[[Options, XLMRobertaXLConfig], pa.DataType]
    sequence_spec: Callable[[Options, int], SequenceSpec]
    build_modules: Callable[[Options, XLMRobertaXLConfig, XLMRobertaXLModel], HeadModules]
    decode: Callable[[Options, XLMRobertaXLConfig, OrderedHeadOutput, XLMRobertaXLTokenizer], pa.Array]
    compute: Callable[[Options, HeadStates], tuple[Tensor, ...]] | None = None
    generate: Callable[[Options, Prompts], tuple[Tensor, ...]] | None = None
    request: Callable[[Options, HeadSequences], tuple[HeadRequest, Places]] = _whole_sequences
    check_weights: Callable[[Options, XLMRobertaXLConfig], None] = _nothing
    is_causal: bool = False
    needs_offsets: bool = False
    masking: Callable[[Options], Masking | None] = _nothing
    seed: Callable[[Options], int] = _zero
    memory: Callable[[Options], HeadMemory] = lambda _: HeadMemory()
    max_magnitude: float = _MAX_FLOAT32
    unusable: Callable[[Options, HeadOutput], Iterator[tuple[str, NDArray[np.bool_]]]] = _no_reasons

    @property
    def generates(self) -> bool:
        """Whether its sequences are prompts that it goes on from, token by token."""
        return self.generate is not None
