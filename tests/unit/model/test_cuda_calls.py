"""What only a CUDA device computes, on tensors without data: torch checks the calls themselves, and their results.

Their arguments, shapes, dtypes and layouts are seen on every machine and with every torch, their numbers in
`tests/gpu` alone.
"""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode

from model import PackedBatch, ShardGroup, XLMRobertaXLConfig
from model.inference.encoder import InferenceEncoder
from model.inference.layer_reader import LayerReader, SliceReaders
from model.inference.quantization import Quantization
from model.kernels import hardware
from model.kernels.attention_gpu import torch_varlen_attention
from model.kernels.linear_fp32 import linear_fp32
from model.kernels.packed_attention import attention_kernel, packed_attention
from model.layers.encoder import Encoder
from model.layers.layer_reads import LayerRead
from model.layers.loss import refuse_wrong_labels

LENGTHS = (40, 3, 64, 1)
NUM_TOKENS = sum(LENGTHS)
CONFIG = XLMRobertaXLConfig(
    hidden_size=320, num_hidden_layers=2, num_attention_heads=4, intermediate_size=512, hidden_dropout_prob=0.0
)
half = pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])


@pytest.fixture(autouse=True)
def without_data(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Tensors have a device, a dtype and a layout, and no elements: kernels of our own could not run on them."""
    monkeypatch.setattr(hardware, "has_triton", lambda: False)
    with FakeTensorMode(), torch.inference_mode():
        yield


def on_cuda(*shape: int, dtype: torch.dtype = torch.bfloat16) -> Tensor:
    return torch.empty(shape, dtype=dtype, device="cuda")


def a_batch() -> PackedBatch:
    ids, positions = (on_cuda(NUM_TOKENS, dtype=torch.int64) for _ in range(2))
    return PackedBatch(ids, positions, on_cuda(len(LENGTHS) + 1, dtype=torch.int32), LENGTHS)


def is_like(found: Tensor, shape: tuple[int, ...], dtype: torch.dtype) -> bool:
    return found.is_cuda and tuple(found.shape) == shape and found.dtype == dtype and found.is_contiguous()


@half
@pytest.mark.parametrize("is_causal", [False, True])
@pytest.mark.parametrize("head_size", [80, 128])
def test_varlen_attention_of_views_of_one_matrix(head_size: int, is_causal: bool, dtype: torch.dtype) -> None:
    q, k, v = on_cuda(NUM_TOKENS, 3, 4, head_size, dtype=dtype).unbind(1)
    assert is_like(packed_attention(q, k, v, a_batch(), is_causal=is_causal), (NUM_TOKENS, 4, head_size), dtype)
    assert attention_kernel(q, is_causal=is_causal) == "varlen"


def test_varlen_attention_does_not_split_where_torch_could(monkeypatch: pytest.MonkeyPatch) -> None:
    """The argument is that of torch 2.12, and 2.11 knows none."""
    calls = []

    def older(*tensors: Tensor, window_size: tuple[int, int]) -> Tensor:
        calls.append({"window_size": window_size})
        return tensors[0]

    def newer(*tensors: Tensor, window_size: tuple[int, int], num_splits: int | None = None) -> Tensor:
        calls.append({"window_size": window_size, "num_splits": num_splits})
        return tensors[0]

    q, k, v = on_cuda(NUM_TOKENS, 3, 4, 80).unbind(1)
    for kernel in (older, newer):
        torch_varlen_attention.cache_clear()
        monkeypatch.setattr("torch.nn.attention.varlen.varlen_attn", kernel)
        packed_attention(q, k, v, a_batch())
    torch_varlen_attention.cache_clear()
    assert calls == [{"window_size": (-1, -1)}, {"window_size": (-1, -1), "num_splits": 1}]


@half
def test_products_with_an_fp32_result(dtype: torch.dtype) -> None:
    x, weight, bias = on_cuda(7, 320, dtype=dtype), on_cuda(1003, 320, dtype=dtype), on_cuda(1003, dtype=dtype)
    assert is_like(linear_fp32(x, weight, bias), (7, 1003), torch.float32)


@half
def test_products_of_states_in_half_precision_and_weights_in_fp32(dtype: torch.dtype) -> None:
    """What autocast leads to; torch's own product refuses them."""
    x, weight, bias = on_cuda(7, 320, dtype=dtype), on_cuda(1003, 320, dtype=torch.float32), on_cuda(1003)
    assert is_like(linear_fp32(x, weight, bias), (7, 1003), torch.float32)


def test_float64_stays_float64() -> None:
    x, weight = on_cuda(7, 320, dtype=torch.float64), on_cuda(1003, 320, dtype=torch.float64)
    assert is_like(linear_fp32(x, weight, None), (7, 1003), torch.float64)


def test_the_host_does_not_wait_for_the_check_of_labels() -> None:
    """It would have to know what the device holds, which is nothing here."""
    labels = on_cuda(7, dtype=torch.int64)
    refuse_wrong_labels(labels, 7, 1003)
    with pytest.raises(DataDependentOutputException):
        bool((labels == 1003).any())


@pytest.mark.parametrize("is_decoder", [False, True])
@pytest.mark.parametrize("quantization", [None, "float8"])
def test_fused_layers(quantization: Quantization | None, is_decoder: bool) -> None:
    usual = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    with torch.device("cuda"):
        config = CONFIG.copy(is_decoder=is_decoder)
        encoder = Encoder(config, ShardGroup()).eval()
    torch.set_default_dtype(usual)
    fused = InferenceEncoder(encoder, quantization, config, ShardGroup())
    all_layers, sizes = (0, 1, 2), {"hidden_size": CONFIG.hidden_size, "dtype": torch.bfloat16}
    tokens, sequences = (on_cuda(num, dtype=torch.int64) for num in (5, 3))
    readers = [
        LayerReader(LayerRead((1,), "max"), sequences, **sizes),
        LayerReader(LayerRead(all_layers, "token", "mix", is_normalized=True), tokens, (0.5, 1.0, 2.0), **sizes),
        LayerReader(LayerRead(all_layers, "mean", "mix", is_normalized=True), sequences, (0.5, 1.0, 2.0), **sizes),
        LayerReader(LayerRead(all_layers, "cls", "mix"), sequences, (0.5, 1.0, 2.0), **sizes),
    ]
    batch = a_batch()
    for num_layers in (2, 1):
        embeddings = on_cuda(NUM_TOKENS, CONFIG.hidden_size)
        hidden = fused.forward_(embeddings, batch, SliceReaders(readers, batch), num_layers)
        assert is_like(hidden, (NUM_TOKENS, CONFIG.hidden_size), torch.bfloat16)
    for reader in readers:
        assert is_like(reader.rows, (len(reader.index), CONFIG.hidden_size), torch.float32)
    assert fused.kernel_names() == {
        "linear": "Float8Linear" if quantization else "InferenceLinear",
        "attention": "varlen",
        "norm": "torch_add_norm",
    }
