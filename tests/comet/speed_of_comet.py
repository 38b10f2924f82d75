"""COMET's seconds by dtype: run by the interpreter of its environment, for `tests.comet.speed`."""

# mypy: ignore-errors
# It runs beside other versions of the packages.

import json
import sys
import time
from importlib.metadata import version
from pathlib import Path

import torch
from comet import load_from_checkpoint

# As comet-score has it: batches of 16, and products of float32 as fast as the CPU can do them.
BATCH_SIZE = 16
torch.set_float32_matmul_precision("high")


def main(request: Path, answer: Path) -> None:
    asked = json.loads(request.read_text(encoding="utf-8"))
    torch.set_num_threads(asked["num_threads"])
    model = load_from_checkpoint(asked["checkpoint"], local_files_only=True)
    samples = [{"src": pair["source"], "mt": pair["translation"]} for pair in asked["pairs"]]
    seconds = {}
    for dtype in asked["dtypes"]:
        model.to(getattr(torch, dtype))
        try:
            predict(model, samples[: asked["num_warm_up"]])
        except RuntimeError as error:
            print(f"{dtype}: {error}", file=sys.stderr)
            continue
        begin = time.perf_counter()
        predict(model, samples)
        seconds[dtype] = time.perf_counter() - begin
    found = {"version": version("unbabel-comet"), "seconds": seconds}
    answer.write_text(json.dumps(found), encoding="utf-8")


def predict(model, samples):
    return model.predict(samples, batch_size=BATCH_SIZE, gpus=0, num_workers=0, progress_bar=False)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
