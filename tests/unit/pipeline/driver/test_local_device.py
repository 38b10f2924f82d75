"""A job that this machine cannot run is refused before Ray starts and before the output is begun."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from ray._private import accelerators
from ray._private.resource_and_label_spec import ResourceAndLabelSpec

from pipeline.driver.local_device import count_gpus, require_local_device
from pipeline.errors import ConfigError
from tests.unit.pipeline.compute_fixtures import job_of, tiny_checkpoint


def model(tmp_path: Path, **options: Any) -> Any:
    return job_of(tiny_checkpoint(tmp_path), {"vector": {"task": "embedding"}}, model=options).model


def give(num_gpus: int, monkeypatch: pytest.MonkeyPatch, visible: list[str] | None = None) -> None:
    """Let Ray find so many GPUs."""
    manager = SimpleNamespace(
        get_current_node_num_accelerators=lambda: num_gpus,
        get_current_process_visible_accelerator_ids=lambda: visible,
    )
    monkeypatch.setattr(accelerators, "get_accelerator_manager_for_resource", lambda name: manager)


@pytest.mark.parametrize(
    ("num_gpus", "options"),
    [
        (0, {}),
        (0, {"device": "cpu"}),
        (0, {"dtype": "int8"}),
        (1, {"dtype": "float8"}),
        (1, {"device": "cuda"}),
        (1, {"device": "cpu", "dtype": "int8"}),
    ],
)
def test_what_the_machine_has_is_taken(
    num_gpus: int, options: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    give(num_gpus, monkeypatch)
    require_local_device(model(tmp_path, **options))


@pytest.mark.parametrize(
    ("num_gpus", "options", "message"),
    [
        (0, {"device": "cuda"}, r"model\.device: found no GPU on this machine, expected .*; use model\.device ="),
        (0, {"dtype": "float8"}, r"model\.dtype: found \"float8\" and the device cpu, expected cuda for it; use"),
        (1, {"dtype": "float8", "device": "cpu"}, r"model\.dtype: found \"float8\" and the device cpu"),
        (1, {"dtype": "int8"}, r"model\.dtype: found \"int8\" and the device cuda, expected cpu for it; use"),
    ],
)  # fmt: skip
def test_what_it_lacks_is_refused(
    num_gpus: int, options: dict[str, str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    give(num_gpus, monkeypatch)
    with pytest.raises(ConfigError, match=message):
        require_local_device(model(tmp_path, **options))


def test_gpus_that_the_environment_hides_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    give(2, monkeypatch)
    assert count_gpus() == 2
    give(2, monkeypatch, visible=["0"])
    assert count_gpus() == 1
    give(2, monkeypatch, visible=[])
    assert count_gpus() == 0


def test_the_number_is_that_of_ray_and_torch() -> None:
    _, number = ResourceAndLabelSpec._get_current_node_accelerator(None, {})
    assert count_gpus() == number == torch.cuda.device_count()
