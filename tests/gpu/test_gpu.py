"""What only a CUDA device can show: its kernels against the CPU's numbers, and NCCL between two devices."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from model import (
    PackedBatch,
    ShardGroup,
    XLMRobertaXLConfig,
    XLMRobertaXLForCausalLM,
    XLMRobertaXLForMaskedLM,
    XLMRobertaXLForSequenceClassification,
)
from model.inference.float8_linear import Float8Linear
from model.inference.layer_reader import LayerReader
from model.inference.memory import peak_memory, reset_peak_memory
from model.inference.quantization import Precision
from model.kernels.hardware import has_triton
from model.layers.layer_reads import LayerRead
from model.tokenizer.special_tokens import IGNORE_INDEX
from pipeline.heads.resolve import read_config
from pipeline.replica.memory import rank_memory
from pipeline.replica.token_budget import free_bytes_here
from tests.call_counts import count_calls
from tests.checkpoints import write_random_checkpoint
from tests.distributed.processes import run_on_ranks
from tests.gpu.batches import LENGTHS, to_cuda
from tests.oracle import assert_close, oracle_of, padded_batch, random_ids
from tests.packing import pack
from tests.unit.pipeline.compute_fixtures import make_head

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
    # Said by torch's own compiler.
    pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated:DeprecationWarning"),
]

WHOLE_AND_HALF = (torch.float32, torch.bfloat16)
CONFIG = XLMRobertaXLConfig(
    vocab_size=1003, hidden_size=320, num_hidden_layers=3, num_attention_heads=4, intermediate_size=512,
    max_position_embeddings=130, num_labels=3,
)  # fmt: skip


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return write_random_checkpoint(tmp_path, CONFIG, std=0.06)


def batch_with_labels() -> tuple[Tensor, Tensor, Tensor]:
    input_ids, mask = padded_batch(CONFIG, LENGTHS)
    chosen = (torch.arange(input_ids.numel()).view(input_ids.shape) % 3 == 0) & mask.bool()
    return input_ids, mask, torch.where(chosen, input_ids, IGNORE_INDEX)


def test_fp32_equals_the_cpu(directory: Path) -> None:
    cpu = XLMRobertaXLForMaskedLM.from_pretrained(directory)
    cuda = XLMRobertaXLForMaskedLM.from_pretrained(directory, device="cuda")
    input_ids, mask, labels = batch_with_labels()
    batch = pack(input_ids, mask, pad_token_id=1)
    packed_labels = labels[mask.bool()]
    with torch.inference_mode():
        expected = cpu(input_ids, mask, labels=labels)
        found = cuda(input_ids.cuda(), mask.cuda(), labels=labels.cuda())
        assert_close(found.logits.cpu()[mask.bool()], expected.logits[mask.bool()])
        assert_close(found.loss.cpu(), expected.loss)
        hidden = cuda.roberta.forward_packed(to_cuda(batch))
        assert_close(hidden.cpu(), cpu.roberta.forward_packed(batch))
        nll = cuda.lm_head.nll(hidden, packed_labels.cuda())
        assert_close(nll.cpu(), cpu.lm_head.nll(hidden.cpu(), packed_labels))


def test_gradients_equal_the_cpu(directory: Path) -> None:
    cpu = XLMRobertaXLForSequenceClassification.from_pretrained(directory)
    cuda = XLMRobertaXLForSequenceClassification.from_pretrained(directory, device="cuda")
    input_ids, mask, _ = batch_with_labels()
    labels = torch.arange(len(LENGTHS)) % 3
    cpu(input_ids, mask, labels=labels).loss.backward()
    cuda(input_ids.cuda(), mask.cuda(), labels=labels.cuda()).loss.backward()
    for (name, mine), theirs in zip(cuda.named_parameters(), cpu.parameters(), strict=True):
        assert mine.grad is not None
        assert_close(mine.grad.cpu(), theirs.grad, name=name)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_no_worse_than_the_oracle(directory: Path, dtype: torch.dtype) -> None:
    whole = XLMRobertaXLForMaskedLM.from_pretrained(directory)
    half = XLMRobertaXLForMaskedLM.from_pretrained(directory, device="cuda", dtype=dtype)
    input_ids, mask, _ = batch_with_labels()
    keep = mask.bool()
    with torch.inference_mode():
        expected = whole(input_ids, mask).logits[keep]
        theirs = oracle_of(half).cuda()(input_ids.cuda(), mask.cuda()).logits.float().cpu()[keep]
        padded = half(input_ids.cuda(), mask.cuda()).logits
        assert padded.dtype == torch.float32
        packed = half.roberta.forward_packed(to_cuda(pack(input_ids, mask, pad_token_id=1)))
        packed_logits = half.lm_head.local_logits(packed).cpu()
    their_error = (theirs - expected).abs().mean()
    assert (padded.cpu()[keep] - expected).abs().mean() < 2 * their_error
    assert (packed_logits - expected).abs().mean() < 2 * their_error


def test_float8_layers_are_as_exact_as_their_emulation(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if torch.cuda.get_device_capability() < (8, 9):
        pytest.skip("no float8 on this device")
    whole, cpu = (XLMRobertaXLForMaskedLM.from_pretrained(directory, dtype=t).roberta for t in WHOLE_AND_HALF)
    cuda = XLMRobertaXLForMaskedLM.from_pretrained(directory, dtype=torch.bfloat16, device="cuda").roberta
    input_ids, mask, _ = batch_with_labels()
    batch = pack(input_ids, mask, pad_token_id=1)
    if has_triton():
        from model.kernels import norm_triton  # noqa: PLC0415  # needs Triton

        codes, norms, last_norm = (
            count_calls(monkeypatch, norm_triton, name)
            for name in ("float8_codes", "add_norm_codes", "triton_add_norm")
        )
    cpu.fuse("float8")
    cuda.fuse("float8")
    with torch.inference_mode():
        expected = whole.forward_packed(batch)
        emulated = cpu.forward_packed(batch).float()
        linears = count_calls(monkeypatch, Float8Linear, "forward")
        found = cuda.forward_packed(to_cuda(batch)).float().cpu()
    assert len(linears) == 4 * CONFIG.num_hidden_layers
    assert cuda.fused is not None
    assert cuda.fused.kernel_names() == {
        "linear": "Float8Linear",
        "attention": "triton" if has_triton() else "varlen",
        "norm": "triton_add_norm" if has_triton() else "torch_add_norm",
    }
    if has_triton():
        # Codes of the context and the activations; those of a norm are made with it.
        assert (len(codes), len(norms), len(last_norm)) == (2 * CONFIG.num_hidden_layers,) * 2 + (1,)
    assert (found - expected).norm() < 1.2 * (emulated - expected).norm()


@pytest.mark.parametrize("dtype", ["bfloat16", "float8"])
def test_a_batch_takes_no_more_than_is_planned_with(dtype: str, directory: Path) -> None:
    """Beside it, up to 64 MiB that libraries take to work in."""
    config = read_config(str(directory), "model.path")
    head = make_head("vector", "embedding", trunk=str(directory), config=config)
    planned = rank_memory([head], tensor_parallel_size=1, token_budget=32768, dtype=dtype, device="cuda")
    trunk = XLMRobertaXLForMaskedLM.from_pretrained(directory, dtype=torch.bfloat16, device="cuda").roberta
    trunk.fuse(Precision.named(dtype).quantization)
    lengths = [128] * 256
    batch = PackedBatch.from_lengths(torch.full((32768,), 5), lengths, pad_token_id=1, device="cuda")
    before = torch.cuda.memory_allocated()
    reset_peak_memory("cuda")
    with torch.inference_mode():
        trunk.forward_packed(batch)
    taken = peak_memory("cuda") - before
    assert planned.activations / 3 < taken <= planned.activations + 2**26


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float8"])
def test_layers_are_read_as_on_the_cpu(directory: Path, dtype: str) -> None:
    """Each layer and mixes of all, in one pass; the float8 of a CPU is emulated."""
    if dtype == "float8" and torch.cuda.get_device_capability() < (8, 9):
        pytest.skip("no float8 on this device")
    precision, layers = Precision.named(dtype), tuple(range(CONFIG.num_hidden_layers + 1))
    weights = (0.5, -1.0, 0.25, 2.0)
    reads: list[tuple[LayerRead, tuple[float, ...]]] = [
        *((LayerRead((layer,), "token"), (1.0,)) for layer in layers),
        (LayerRead((1,), "max"), (1.0,)),
        *((LayerRead(layers, pooling, "mix"), weights) for pooling in ("cls", "mean")),
        *((LayerRead(layers, pooling, "mix", is_normalized=True), weights) for pooling in ("token", "mean")),
    ]
    input_ids, mask = padded_batch(CONFIG, LENGTHS)
    batch = pack(input_ids, mask, pad_token_id=1)
    tokens, sequences = torch.arange(2, len(batch.input_ids), 3), torch.tensor([0, 2, 3])
    found: dict[str, list[Tensor]] = {}
    for device in ("cpu", "cuda"):
        loaded = XLMRobertaXLForMaskedLM.from_pretrained(directory, dtype=precision.dtype, device=device)
        trunk = loaded.roberta
        trunk.fuse(precision.quantization)
        readers = [
            LayerReader(
                read,
                (tokens if read.pooling == "token" else sequences).to(device),
                coefficients,
                hidden_size=CONFIG.hidden_size,
                dtype=precision.dtype,
            )
            for read, coefficients in reads
        ]
        with torch.inference_mode():
            states = trunk.forward_packed(batch if device == "cpu" else to_cuda(batch), readers, num_layers=3)
        assert_close(readers[len(layers) - 1].rows, states[tokens.to(device)].float(), tolerance=0)
        found[device] = [reader.rows.cpu() for reader in readers]
    for cuda, cpu in zip(found["cuda"], found["cpu"], strict=True):
        assert (cuda - cpu).norm() < (1e-4 if dtype == "float32" else 0.1) * cpu.norm()


def test_the_free_memory_is_that_of_the_device() -> None:
    before = free_bytes_here()
    held = torch.empty(2**30, dtype=torch.uint8, device="cuda")
    assert 0.9 * 2**30 < before - free_bytes_here() < 1.2 * 2**30
    del held


@pytest.mark.skipif(not has_triton(), reason="no Triton")
@pytest.mark.parametrize("dtype", ["bfloat16", "float8"])
def test_what_is_not_finite_stays_in_its_sequence(directory: Path, dtype: str) -> None:
    trunk = XLMRobertaXLForMaskedLM.from_pretrained(directory, dtype=torch.bfloat16, device="cuda").roberta
    with torch.no_grad():
        trunk.embeddings.word_embeddings.weight[7] = torch.nan
    trunk.fuse(Precision.named(dtype).quantization)
    sequences = [[0, 5, 2], [0, 7, 9, 2], [0, 6, 8, 9, 2]]
    with torch.inference_mode():
        batch = PackedBatch.from_sequences(sequences, pad_token_id=1, device="cuda")
        is_finite = trunk.forward_packed(batch).isfinite().all(dim=1).tolist()
    assert is_finite == [True] * 3 + [False] * 4 + [True] * 5


def test_initial_weights_are_those_of_the_cpu() -> None:
    torch.manual_seed(0)
    expected = XLMRobertaXLForMaskedLM(CONFIG)
    torch.manual_seed(0)
    with torch.device("cuda"):
        found = XLMRobertaXLForMaskedLM(CONFIG)
    for mine, theirs in zip(found.parameters(), expected.parameters(), strict=True):
        assert mine.is_cuda
        assert torch.equal(mine.cpu(), theirs)


@pytest.mark.parametrize("is_fused", [False, True])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_a_sequence_does_not_depend_on_its_neighbours(directory: Path, dtype: torch.dtype, is_fused: bool) -> None:
    model = XLMRobertaXLForMaskedLM.from_pretrained(directory, device="cuda", dtype=dtype).roberta
    if is_fused:
        model.fuse()
    sequence = random_ids(CONFIG, 64).tolist()
    others = [random_ids(CONFIG, n, seed=n).tolist() for n in (64, 64, 5)]
    with torch.inference_mode():
        batches = [
            PackedBatch.from_sequences(sequences, pad_token_id=1, device="cuda")
            for sequences in ([sequence, *others], [sequence, *reversed(others)])
        ]
        first, second = (model.forward_packed(batch)[:64] for batch in batches)
    assert_close(first, second, tolerance=0.0 if dtype == torch.bfloat16 else 1e-5)


@pytest.mark.parametrize("options", [{}, {"num_beams": 3}, {"do_sample": True, "temperature": 2.0, "seed": 5}])
def test_generation_equals_the_cpu(tmp_path: Path, options: dict[str, Any]) -> None:
    write_random_checkpoint(tmp_path, CONFIG.copy(is_decoder=True), std=0.2)
    prompts, mask = padded_batch(CONFIG, [6, 3, 9])
    cpu = XLMRobertaXLForCausalLM.from_pretrained(tmp_path)
    cuda = XLMRobertaXLForCausalLM.from_pretrained(tmp_path, device="cuda")
    expected = cpu.generate(prompts, mask, max_new_tokens=6, **options)
    found = cuda.generate(prompts.cuda(), mask.cuda(), max_new_tokens=6, **options)
    assert torch.equal(found.cpu(), expected)


def test_training_with_dropout_and_checkpointing(directory: Path) -> None:
    model = XLMRobertaXLForSequenceClassification.from_pretrained(directory, device="cuda").train()
    input_ids, mask, _ = batch_with_labels()
    labels = (torch.arange(len(LENGTHS)) % 3).cuda()
    grads = []
    for is_on in (False, True):
        if is_on:
            model.gradient_checkpointing_enable()
        model.zero_grad()
        torch.manual_seed(3)
        model(input_ids.cuda(), mask.cuda(), labels=labels).loss.backward()
        grads.append({name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None})
    for name, grad in grads[0].items():
        assert_close(grads[1][name], grad, tolerance=1e-5, name=name)


def test_saving_and_resizing(directory: Path, tmp_path: Path) -> None:
    model = XLMRobertaXLForMaskedLM.from_pretrained(directory, device="cuda", dtype=torch.bfloat16)
    model.resize_token_embeddings(1010)
    model.prune_heads({0: [1], 2: [0, 3]})
    model.save_pretrained(tmp_path / "out")
    loaded = XLMRobertaXLForMaskedLM.from_pretrained(tmp_path / "out", device="cuda")
    ids = random_ids(CONFIG, 2, 9).cuda()
    with torch.inference_mode():
        assert torch.equal(loaded(ids).logits, model(ids).logits)


def _compare_over_nccl(group: ShardGroup, directory: Path) -> None:
    device = f"cuda:{group.rank}"
    whole = XLMRobertaXLForMaskedLM.from_pretrained(directory, device=device)
    sharded = XLMRobertaXLForMaskedLM.from_pretrained(directory, device=device, group=group)
    input_ids, mask, labels = (x.to(device) for x in batch_with_labels())
    expected, found = whole(input_ids, mask, labels=labels), sharded(input_ids, mask, labels=labels)
    assert_close(found.to_tuple(), expected.to_tuple())
    found.loss.backward()
    expected.loss.backward()
    name = "roberta.encoder.layer.0.attention.self_attn_layer_norm.weight"
    assert_close(sharded.get_parameter(name).grad, whole.get_parameter(name).grad)
    seed = torch.tensor([group.common_seed()], device=device)
    assert torch.equal(group.all_gather(seed, 0, group.size), seed.expand(group.size))


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="fewer than two CUDA devices")
def test_tensor_parallel_over_nccl(directory: Path) -> None:
    run_on_ranks(2, _compare_over_nccl, directory, backend="nccl", timeout_s=180)
