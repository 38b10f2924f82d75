"""Train the demo model from scratch: `python -m jobs.demo.training.train --data DIR --out DIR`.

The same command resumes an interrupted training. `python -m jobs.demo.training.evaluate` measures the result.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from jobs.demo.training.batches import BatchSource
from jobs.demo.training.network import DemoNetwork
from jobs.demo.training.recipe import Recipe
from jobs.demo.training.texts import Split, read_split
from jobs.demo.training.tokens import (
    SENTENCEPIECE_FILE,
    tokenize,
    tokenize_split,
    tokenize_written,
    train_tokenizer,
)
from jobs.terminal.streams import accept_any_text
from model import XLMRobertaXLTokenizer

STATE_FILE = "training.pt"
LOG_FILE = "training.jsonl"
SAVE_EVERY = 250
LOG_EVERY = 50


def learning_rate(step: int, recipe: Recipe) -> float:
    """Linear warm-up, constant, linear decay: steps before the decay do not depend on `num_steps`."""
    warmup = (step + 1) / recipe.num_warmup_steps
    decay = (recipe.num_steps - step) / recipe.num_decay_steps
    return recipe.peak_learning_rate * min(1.0, warmup, decay)


def batch_source(split: Split, recipe: Recipe, tokenizer: XLMRobertaXLTokenizer) -> BatchSource:
    """Tokenize the training data once."""
    return BatchSource(
        recipe,
        tokenizer.vocab_size,
        split.texts,
        tokenize(split.texts, tokenizer),
        split.tagged,
        [tokenize_split(split.tagged, tokenizer), tokenize_written(split.tagged, tokenizer)],
    )


class Training:
    """The state of a training: network, optimizer, step and time."""

    def __init__(self, recipe: Recipe, vocab_size: int, out: Path) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe = recipe
        self.out = out
        self.network = DemoNetwork(recipe, recipe.config(vocab_size))
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(), lr=0.0, betas=(0.9, 0.98), weight_decay=recipe.weight_decay, fused=True
        )
        self.step = 0
        self.seconds = 0.0

    def resume(self) -> None:
        """Load the state written by `save`, if there is one."""
        path = self.out / STATE_FILE
        if path.exists():
            state = torch.load(path, weights_only=True)
            if _until(state["step"], state["recipe"]) != _until(state["step"], self._recipe_as_read()):
                raise SystemExit(f"{path}: was trained with another recipe; choose another --out")
            self.network.load_state_dict(state["network"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.step, self.seconds = state["step"], state["seconds"]

    def save(self) -> None:
        """Write the checkpoint of the demo, and the state to resume from."""
        self.network.save(self.out)
        state = {
            "recipe": self._recipe_as_read(),
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
        }
        torch.save(state, self.out / f"{STATE_FILE}.tmp")
        os.replace(self.out / f"{STATE_FILE}.tmp", self.out / STATE_FILE)

    def _recipe_as_read(self) -> dict[str, Any]:
        return json.loads(json.dumps(asdict(self.recipe)))

    def take_step(self, source: BatchSource) -> dict[str, float]:
        """Train on one batch; returns the losses."""
        began = time.perf_counter()
        torch.manual_seed(self.recipe.seed * 1_000_003 + self.step)  # of dropout
        batch = source.batch(self.step)
        self.network.train(batch.phase.has_dropout)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.step, self.recipe)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            losses = self.network.losses(batch)
        self.network.total(losses, batch.phase).backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.recipe.max_gradient_norm)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.step += 1
        self.seconds += time.perf_counter() - began
        return {name: loss.item() for name, loss in losses.items()} | {"tokens": float(len(batch.input_ids))}


def _until(step: int, recipe: dict[str, Any]) -> dict[str, Any]:
    """What earlier steps depend on: no later phases and, before the decay, not the number of steps."""
    phases = [phase for phase in recipe["phases"] if phase["first_step"] < step]
    is_level = step <= recipe["num_steps"] - recipe["num_decay_steps"]
    return recipe | {"phases": phases} | ({"num_steps": None} if is_level else {})


def train(training: Training, source: BatchSource) -> None:
    """Take all remaining steps; logs and saves at intervals."""
    recent: list[dict[str, float]] = []
    while training.step < training.recipe.num_steps:
        recent.append(training.take_step(source))
        if training.step % LOG_EVERY == 0:
            names = recent[-1]
            means = {name: round(sum(entry.get(name, 0.0) for entry in recent) / len(recent), 4) for name in names}
            line = {"step": training.step, "seconds": round(training.seconds, 1), **means}
            print(json.dumps(line), flush=True)
            with (training.out / LOG_FILE).open("a", encoding="utf-8") as log:
                log.write(json.dumps(line) + "\n")
            recent = []
        if training.step % SAVE_EVERY == 0:
            training.save()
    training.save()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    accept_any_text()
    parser = argparse.ArgumentParser(prog="python -m jobs.demo.training.train", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="directory with corpus/ and udpos/")
    parser.add_argument("--out", type=Path, required=True, help="where the model goes")
    parser.add_argument("--threads", type=int, default=1, help="cores to use; another number, other rounding")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    recipe = Recipe()
    split = read_split(options.data)
    print(
        f"{len(split.texts):,} texts and {len(split.tagged):,} tagged sentences; held out are "
        f"{len(split.held_out_texts):,} and {len(split.held_out_tagged):,}; "
        f"{split.num_dropped:,} that repeat these are dropped",
        flush=True,
    )
    if (options.out / SENTENCEPIECE_FILE).exists():
        tokenizer = XLMRobertaXLTokenizer.from_pretrained(options.out)
    else:
        tokenizer = train_tokenizer(split, recipe, options.out)
    training = Training(recipe, tokenizer.vocab_size, options.out)
    training.resume()
    num_parameters = sum(parameter.numel() for parameter in training.network.parameters())
    print(f"{num_parameters:,} parameters; from step {training.step} of {recipe.num_steps}", flush=True)
    train(training, batch_source(split, recipe, tokenizer))
    return 0


if __name__ == "__main__":
    sys.exit(main())
