"""The resources of ranks, and a placement group for each replica.

The driver creates and removes the placement groups, and an actor tells each leader which one is its own: a group
that was created inside an actor would outlive that actor, and keep its CPUs and GPUs until the job ends.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import ray
from ray.util.placement_group import PlacementGroup, placement_group, remove_placement_group

from pipeline.config.job import ModelSection
from pipeline.errors import ConfigError


@dataclass(frozen=True)
class RankResources:
    """The resources that one rank requests of Ray."""

    num_cpus: float
    num_gpus: float

    @property
    def bundle(self) -> dict[str, float]:
        """As a bundle of a placement group."""
        return {"CPU": self.num_cpus} | ({"GPU": self.num_gpus} if self.num_gpus else {})

    @property
    def num_threads(self) -> int:
        """Torch threads of a rank: its whole CPUs, at least one."""
        return max(1, int(self.num_cpus))


def rank_resources(model: ModelSection, device: str, cores_per_node: int, num_replicas: int = 1) -> RankResources:
    """CPUs and GPUs of a rank.

    A rank with a GPU needs one core. On CPUs, the ranks of all replicas share the cores of a node, unless
    `model.cpus_per_rank` is set; a rank gets less than a core only if one replica has more ranks than cores.
    """
    if model.cpus_per_rank is not None:
        num_cpus = float(model.cpus_per_rank)
    elif device == "cuda":
        num_cpus = 1.0
    else:
        num_local = min(num_replicas, max(1, cores_per_node // model.tensor_parallel_size))
        share = cores_per_node / (model.tensor_parallel_size * num_local)
        num_cpus = float(int(share)) if share >= 1 else round(share, 3)
    return RankResources(num_cpus, 1.0 if device == "cuda" else 0.0)


def lay_out(
    model: ModelSection, device: str, cores_per_node: int, num_fragments: int
) -> tuple[RankResources, int]:
    """Resources of a rank, and the number of replicas: as configured, but no more than fragments, or than fit.

    Raises ConfigError if `model.replicas` is "auto" and not one fits.
    """
    is_auto = model.replicas == "auto"
    num_wanted = num_fragments if model.replicas == "auto" else min(model.replicas, num_fragments)
    resources = rank_resources(model, device, cores_per_node, num_replicas=1 if is_auto else num_wanted)
    num_fitting = replicas_that_fit(model.tensor_parallel_size, resources)
    if is_auto and num_fitting == 0:
        raise ConfigError(
            f"model.replicas: no node holds a shard group of {model.tensor_parallel_size} ranks with "
            f"{resources.bundle} each; lower model.tensor_parallel_size or model.cpus_per_rank, or add larger "
            "nodes"
        )
    # If none fits now, one replica waits for room.
    return resources, min(num_wanted, max(1, num_fitting))


def describe_fewer_replicas(model: ModelSection, num_replicas: int, num_fragments: int) -> str | None:
    """A message for the user if there are fewer replicas than configured."""
    if model.replicas == "auto" or model.replicas <= num_replicas:
        return None
    reason = "as many as there are fragments" if num_replicas == num_fragments else "as many as the cluster holds"
    return f"model.replicas: {model.replicas} asked for, {num_replicas} used, {reason}"


# Torch then requests huge pages, which makes a trunk on a CPU 3 to 4 % faster.
CPU_RANK_ENVIRONMENT = {"THP_MEM_ALLOC_ENABLE": "1"}


def rank_environment(device: str) -> dict[str, dict[str, str]] | None:
    """Ray's runtime environment of a rank: variables that are not set in this process, for torch to find.

    None if there are none: then a process that is there already can become the rank.
    """
    if device != "cpu":
        return None
    missing = {name: value for name, value in CPU_RANK_ENVIRONMENT.items() if name not in os.environ}
    return {"env_vars": missing} if missing else None


class LeaderPlaces:
    """Gives each leader of a dataset a number of its own, and the same again when the leader restarts."""

    def __init__(self) -> None:
        self._places: dict[int, dict[str, int]] = {}

    def place(self, dataset: int, leader_id: str) -> int:
        """The number of the leader with this actor id, from 0. Ray restarts an actor under its old id."""
        places = self._places.setdefault(dataset, {})
        return places.setdefault(leader_id, len(places))


@contextmanager
def replica_placement(
    num_replicas: int, tensor_parallel_size: int, resources: RankResources, *, timeout_s: float
) -> Iterator[list[PlacementGroup]]:
    """Create one placement group per replica, on one node each.

    Raises ConfigError if the cluster has no room for all of them within `timeout_s`.
    """
    groups = [
        placement_group([resources.bundle] * tensor_parallel_size, strategy="STRICT_PACK")
        for _ in range(num_replicas)
    ]
    try:
        _wait_until_ready(groups, tensor_parallel_size, resources, timeout_s)
        yield groups
    finally:
        for group in groups:
            remove_placement_group(group)


def _wait_until_ready(groups: list[PlacementGroup], size: int, resources: RankResources, timeout_s: float) -> None:
    refs = [group.ready() for group in groups]
    ready, _ = ray.wait(refs, num_returns=len(refs), timeout=timeout_s)
    if len(ready) < len(refs):
        free = {k: v for k, v in ray.available_resources().items() if k in ("CPU", "GPU")}
        raise ConfigError(
            f"model.replicas, model.tensor_parallel_size: found room for {len(ready)} of {len(groups)} shard "
            f"groups of {size} ranks with {resources.bundle} each on one node after {timeout_s:.0f} s "
            f"(free: {free}); lower them, or add nodes"
        )


def replicas_that_fit(tensor_parallel_size: int, resources: RankResources) -> int:
    """The number of shard groups that fit on the cluster, leaving one core per node to read and tokenize."""
    count = 0
    for node in ray.nodes():
        if not node["Alive"]:
            continue
        have = node["Resources"]
        fits = [(have.get("CPU", 0.0) - 1) / resources.num_cpus] if resources.num_cpus else []
        if resources.num_gpus:
            fits.append(have.get("GPU", 0.0) / resources.num_gpus)
        count += max(0, int(min(fits) / tensor_parallel_size))
    return count
