"""What COMET says: run by the interpreter of its environment, `python -m tests.comet.oracle REQUEST ANSWER`.

REQUEST is JSON: `pairs`, each with source, translation and reference, and `checkpoints`, a `model.ckpt` by name.
ANSWER is JSON, too: the ids that COMET's tokenizer gives to each text, and the outputs of each checkpoint, without
references and with them where it takes them. Values are float32 that JSON keeps exactly.
"""

# mypy: ignore-errors
# It runs beside other versions of the packages, and Lightning has types of its own.

import json
import sys
from importlib.metadata import version
from pathlib import Path

from comet import load_from_checkpoint

PACKAGES = ("unbabel-comet", "torch", "transformers", "tokenizers", "sentencepiece", "entmax", "numpy")
BATCH_SIZE = 16


def main(request: Path, answer: Path) -> None:
    asked = json.loads(request.read_text(encoding="utf-8"))
    outputs, ids = {}, {}
    for name, file in asked["checkpoints"].items():
        model = load_from_checkpoint(file, local_files_only=True)
        outputs[name] = outputs_of(model, asked["pairs"])
        ids = ids or ids_of(model, asked["pairs"])
    found = {"versions": {name: version(name) for name in PACKAGES}, "ids": ids, "outputs": outputs}
    answer.write_text(json.dumps(found), encoding="utf-8")


def outputs_of(model, pairs):
    """The columns of a checkpoint, by whether there were references."""
    found = {"without": predict(model, pairs, with_reference=False)}
    if "ref" in model.hparams.input_segments:
        found["with"] = predict(model, pairs, with_reference=True)
    return found


def predict(model, pairs, *, with_reference):
    samples = [
        {"src": pair["source"], "mt": pair["translation"]} | ({"ref": pair["reference"]} if with_reference else {})
        for pair in pairs
    ]
    output = model.predict(samples, batch_size=BATCH_SIZE, gpus=0, num_workers=0, progress_bar=False)
    return {"score": output["scores"], **dict(output.get("metadata") or {})}


def ids_of(model, pairs):
    """The ids of each text by the tokenizer, without special ones and without a limit."""
    texts = sorted({text for pair in pairs for text in pair.values()})
    return dict(zip(texts, model.encoder.tokenizer(texts, add_special_tokens=False)["input_ids"], strict=True))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
