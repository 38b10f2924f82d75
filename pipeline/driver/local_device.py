"""Refuse a device or dtype that this machine lacks, before Ray is started on it and the output is begun."""

from pipeline.config.job import ModelSection
from pipeline.errors import ConfigError


def require_local_device(model: ModelSection) -> None:
    """Raise ConfigError if a job asks for a device, or a dtype of one, that a run on this machine lacks."""
    if model.device != "cuda" and model.dtype not in ("int8", "float8"):
        return
    # Imported late: it loads Ray, which other jobs do not need before they start it.
    from pipeline.replica.deployment import resolve_dtype  # noqa: PLC0415

    has_gpu = count_gpus() > 0
    if model.device == "cuda" and not has_gpu:
        raise ConfigError(
            "model.device: found no GPU on this machine, expected at least one for 'cuda'; use "
            'model.device = "cpu", join a cluster with --address, or see whether nvidia-smi lists a GPU that '
            "CUDA_VISIBLE_DEVICES hides"
        )
    resolve_dtype(model, ("cuda" if has_gpu else "cpu") if model.device == "auto" else model.device)


def count_gpus() -> int:
    """The number of GPUs of this machine that Ray would find, without those that the environment hides."""
    from ray._private.accelerators import get_accelerator_manager_for_resource  # noqa: PLC0415

    manager = get_accelerator_manager_for_resource("GPU")
    assert manager is not None, "Ray has one for each of its resources"
    number: int = manager.get_current_node_num_accelerators()
    visible = manager.get_current_process_visible_accelerator_ids()
    return number if visible is None else min(number, len(visible))
