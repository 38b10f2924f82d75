"""The metadata in the Parquet schema of each part: the run, and the models and labels of its columns."""

import json
from collections.abc import Mapping, Sequence

from pipeline.heads.resolve import Head
from pipeline.output.manifest import run_digest

RUN_KEY, HEADS_KEY = "xlmr_ray.run", "xlmr_ray.heads"


def part_metadata(identity: Mapping[str, str], heads: Sequence[Head]) -> dict[str, str]:
    """By key: `run` as in `_SUCCESS`; `heads` as JSON: by column its task, digests of its models, and labels."""
    columns = {
        head.name: {
            "task": head.options.task,
            "trunk": identity[f"heads.{head.name}.trunk"],
            "weights": identity[f"heads.{head.name}.weights"],
            "labels": head.task.label_names(head.options, head.config),
        }
        for head in heads
    }
    return {RUN_KEY: run_digest(identity), HEADS_KEY: json.dumps(columns, ensure_ascii=False)}
