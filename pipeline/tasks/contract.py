"""The contract of a task: each task file defines one `Task`, whose functions the rest of the pipeline calls.

Torch and the model are imported only inside functions that run on a rank, so that a job file can be parsed and
validated without them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
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
    from model.layers.head_layers import HeadLayer
    from model.layers.layer_reads import LayerRead

    HeadLayers = Mapping[str, HeadLayer]
    HeadModules = dict[str, nn.Module]
    """A head's modules in the order in which they are applied, by their names in checkpoints."""
    LayerReads = Mapping[str, LayerRead]

Options = TypeVar("Options", bound=HeadSection)
HeadOutput = tuple[NDArray[np.generic], ...]
"""The results of a head on a batch: arrays whose first axis is as long as the request's index."""

Layout = Literal["text", "words", "pair", "question", "choices", "hypotheses", "prompt", "translation"]
_MAX_FLOAT32 = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class SequenceSpec:
    """Which columns are read, and how they become sequences; heads with equal specs share their sequences.

    A sequence is `<s> body </s>`, or with a companion `<s> body </s></s> companion </s>` (for a question
    `<s> companion </s></s> body </s>`). Windows are cut from the body. A translation is joined with its source,
    and where there is a reference also with that, and with both; see `pipeline.encoding.translations`.

    Attributes:
        columns: of the body, then of the companion; choices may have several.
        window: most tokens of a sequence, special tokens included.
        stride: number of tokens by which neighbouring windows overlap.
        truncate: cut a long text to one window.
        labels: candidate labels of zero-shot classification, if they are not in a column.
        template: makes the companion from a candidate label.
        parses_mask: `<mask>` in a text becomes the mask token, and each text needs one.
        allows_blank: blank texts are read like others, of translations alone.
    """

    layout: Layout
    columns: tuple[str, ...]
    window: int
    stride: int = 0
    truncate: bool = False
    labels: tuple[str, ...] = ()
    template: str = ""
    parses_mask: bool = False
    allows_blank: bool = False

    def companion_name(self, number: int) -> str:
        """How messages call the companion of a row's item `number`."""
        if self.layout == "hypotheses":
            return f"candidate {number}"
        if self.layout == "choices" and len(self.columns) == 2:
            return f"column {self.columns[1]!r}, item {number},"
        return f"column {self.columns[1 + number]!r}"


def text_spec(options: TextHeadSection, max_num_tokens: int) -> SequenceSpec:
    """A single text. Raises ValueError if the window does not fit a model of `max_num_tokens` positions."""
    return SequenceSpec("text", (options.text,), *options.resolve_window(max_num_tokens), options.truncate)


def translation_spec(columns: Sequence[str], max_num_tokens: int, *, allows_blank: bool = False) -> SequenceSpec:
    """A translation, its source, and a reference if there is one, cut to one window each as COMET does."""
    return SequenceSpec("translation", tuple(columns), max_num_tokens, truncate=True, allows_blank=allows_blank)


@dataclass(frozen=True)
class Masking:
    """How tokens are masked. Heads with equal masking share their sequences."""

    probability: float
    strategy: str
    seed: int


@dataclass(frozen=True)
class HeadMemory:
    """The memory that a head needs on a rank besides its weights; anything not listed here is negligible.

    Attributes:
        vocabulary_share: the largest share of a batch's tokens that is projected onto the vocabulary.
        tokens_per_vector: a head that returns vectors returns at most one for this many tokens, or one for each of
            its `reads`.
        max_new_tokens, num_beams: of generation, for the size of the key-value cache.
    """

    vocabulary_share: float = 0.0
    tokens_per_vector: int | None = None
    max_new_tokens: int = 0
    num_beams: int = 1


@dataclass(frozen=True)
class HeadStates:
    """The input of a head on a rank: the trunk's output for a batch, and the head's request.

    Attributes:
        hidden: last hidden states `[T, D]` of the batch's tokens; not computed for a head that has `reads`.
        packed: the batch, with the positions of its sequences.
        index, labels, of_tokens: the `HeadRequest`, `[N]` and on the device; labels are int64.
        modules: the head's modules, as built from its `layers`.
        num_usable_tokens: token ids from here on are never predicted.
        layers: what the head reads, by the names of its `reads`, in fp32: `[N, D]` of the requested tokens, or
            `[M, D]` of their sequences.
        sequence: for a request of tokens, which of the M sequences each is in, int64 `[N]`.
    """

    hidden: Tensor
    packed: PackedBatch
    index: Tensor
    labels: Tensor | None
    of_tokens: bool
    modules: HeadModules
    group: ShardGroup
    num_usable_tokens: int
    layers: Mapping[str, Tensor] = field(default_factory=dict)
    sequence: Tensor | None = None

    @property
    def requested(self) -> Tensor:
        """States `[N, D]` of the requested tokens, or of `<s>` of the requested sequences."""
        return self.hidden[self.index if self.of_tokens else self.packed.first_positions[self.index]]

    def through_modules(self) -> tuple[Tensor]:
        """The requested states after all modules of the head, in fp32; NaN where a state is not finite."""
        states_ND = self.requested
        is_finite = states_ND.isfinite().all(dim=-1, keepdim=True)
        for module in self.modules.values():
            states_ND = module(states_ND)
        # The tanh of classifiers and poolers would turn infinity into 1.
        return (states_ND.float().masked_fill(~is_finite, math.nan),)


@dataclass(frozen=True)
class Prompts:
    """The input of a generating head on a rank.

    Attributes:
        token_ids: int64 `[length]` each, on the host.
        config: of the head's weights.
        seed: for sampling; depends on the rows, not on the run.
        num_usable_tokens: token ids from here on are never generated.
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
        values: as returned by the ranks, arrays with a first axis `[n]`.
        window, position: int64 `[n]`, the window of the head's spec and the token in it.
        windows: all windows of that spec.
        context: one value a row, from `decoding_context`.
        config: of the head's weights.
    """

    values: HeadOutput
    window: NDArray[np.int64]
    position: NDArray[np.int64]
    windows: WindowArrays
    context: pa.Array
    config: XLMRobertaXLConfig
    tokenizer: XLMRobertaXLTokenizer

    @property
    def floats(self) -> NDArray[np.float32]:
        """The first array of values: logits, vectors or losses."""
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
        """The number of tokens that each result's window owns."""
        owned = self.windows.owned_end - self.windows.owned_begin
        return owned[self.window].astype(np.int32)

    @property
    def flat_token(self) -> NDArray[np.int64]:
        """The index of each result's token among the tokens of all windows end to end."""
        return self.windows.ids.starts[self.window] + self.position


def place_rows(column: pa.Array, rows: NDArray[np.integer], num_rows: int) -> pa.Array:
    """A column with value i at row `rows[i]`, and nulls elsewhere."""
    index = np.zeros(num_rows, dtype=np.int64)
    is_null = np.ones(num_rows, dtype=bool)
    index[rows] = np.arange(len(rows))
    is_null[rows] = False
    return column.take(pa.array(index, mask=is_null))


def without_logits(type_: pa.StructType) -> pa.StructType:
    """The type of a column for `logits = false`; decoded columns lose the field when they are cast to it."""
    return pa.struct([field for field in type_ if field.name != "logits"])


def class_labels(config: XLMRobertaXLConfig) -> list[str]:
    """The label names of a classifier, by class id; some configurations have numbers for names."""
    return [str(config.id2label[i]) for i in range(config.num_labels)]


@dataclass(frozen=True)
class Task(Generic[Options]):
    """A task, as functions of a head's options.

    Attributes:
        name: the value of `task` in a job file.
        options: the class of a head's table in a job file, with the columns that it reads.
        output_type: Arrow type of the output column. Raises ValueError, which begins with the option's name, for
            an option that does not fit the weights.
        sequence_spec: what it reads, for a trunk of so many positions. Raises ValueError like `output_type`.
        layers: the layers on top of the trunk, by their names in checkpoints, in the order of their application.
        decode: the output column, one value a row, from output that is not empty.
        reads: the layers and mixes of layers that it reads, by names of its own, in place of the last hidden
            states. Heads of a trunk share a pass whatever they read; layers beyond those that the heads of a batch
            read are not computed.
        compute: runs on a rank; by default the requested states go through the modules. Returns tensors with one
            entry for each entry of the request.
        generate: replaces `compute` in tasks that continue prompts.
        request: the results that it needs of a batch; by default one for each sequence.
        check_weights: raises ConfigError for labels that do not suit the task.
        is_causal: whether it needs a decoder.
        needs_offsets: whether decoding needs character offsets and the texts.
        masking: how tokens are masked, if they are.
        seed: for sampling from prompts.
        max_magnitude: results that are larger than this are reported as not finite.
        unusable: further reasons why results cannot be used, each with the affected entries, bool `[n]`.
        label_names: the closed list that the labels in the output column are from, or nothing.
        labels: the labels in an output column, to be counted: strings and nulls; None where there are none, or the
            rows bring their own.
    """

    name: str
    options: type[Options]
    output_type: Callable[[Options, XLMRobertaXLConfig], pa.DataType]
    sequence_spec: Callable[[Options, int], SequenceSpec]
    layers: Callable[[Options, XLMRobertaXLConfig], HeadLayers]
    decode: Callable[[Options, OrderedHeadOutput], pa.Array]
    reads: Callable[[Options, XLMRobertaXLConfig], LayerReads] = lambda *_: {}
    compute: Callable[[Options, HeadStates], tuple[Tensor, ...]] = lambda _, states: states.through_modules()
    generate: Callable[[Options, Prompts], tuple[Tensor, ...]] | None = None
    request: Callable[[Options, HeadSequences], tuple[HeadRequest, Places]] = lambda _, batch: request_sequences(
        batch
    )
    check_weights: Callable[[Options, XLMRobertaXLConfig], None] = lambda *_: None
    is_causal: bool = False
    needs_offsets: bool = False
    masking: Callable[[Options], Masking | None] = lambda _: None
    seed: Callable[[Options], int] = lambda _: 0
    memory: Callable[[Options], HeadMemory] = lambda _: HeadMemory()
    max_magnitude: float = _MAX_FLOAT32
    unusable: Callable[[Options, HeadOutput], Iterator[tuple[str, NDArray[np.bool_]]]] = lambda *_: iter(())
    label_names: Callable[[Options, XLMRobertaXLConfig], list[str]] = lambda *_: []
    labels: Callable[[Options, pa.Array], pa.Array | None] = lambda *_: None

    @property
    def generates(self) -> bool:
        """Whether its sequences are prompts that are continued token by token."""
        return self.generate is not None
