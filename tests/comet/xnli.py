"""Compare with COMET on parallel sentences: `python -m tests.comet.xnli ENVIRONMENT --data DIR`.

The sentences of XNLI in 15 languages, with the released tokenizer, through the same small checkpoints. `--data`
has the folders `xnli` and `xlm-roberta-tokenizer`, which are no part of the repository.
"""

import argparse
import tempfile
from pathlib import Path

import pyarrow.parquet as pq

from model import ShardGroup, XLMRobertaXLTokenizer
from tests.comet.checkpoints import BY_NAME, Geometry
from tests.comet.comparison import differences_of
from tests.comet.job import convert_all, score
from tests.comet.make_expected import ask, column_of, texts_of_other_ids
from tests.comet.pairs import Pair

RELEASED = Geometry(vocab_size=250_880)


def main() -> None:
    """Compare every checkpoint, without references and with them, and print what differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("environment", type=Path, help="made by tests.comet.environment")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--pairs", type=int, default=600)
    options = parser.parse_args()
    vocab_file = options.data / "xlm-roberta-tokenizer/sentencepiece.bpe.model"
    pairs = parallel_pairs(options.data / "xnli", options.pairs)
    answer = ask(options.environment, pairs, vocab_file, RELEASED)
    other_ids = texts_of_other_ids(XLMRobertaXLTokenizer(vocab_file), answer["ids"])
    compared = [n for n, pair in enumerate(pairs) if not {*texts_of(pair)} & other_ids]
    print(f"{len(compared)} of {len(pairs)} pairs are compared; {len(other_ids)} texts have other ids")
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        convert_all(folder, vocab_file, RELEASED)
        for name in BY_NAME:
            for mode, values in answer["outputs"][name].items():
                found = score(ShardGroup(), folder / name, pairs, with_reference=mode == "with")
                expected = column_of(values).to_pylist()
                differences = [line for n in compared for line in differences_of(found[n], expected[n])]
                largest = max(abs(found[n]["quality"]["score"] - expected[n]["score"]) for n in compared)
                print(f"{name}, {mode} references: {len(differences)} differences; scores within {largest:.1e}")
                print("".join(f"  {line}\n" for line in differences[:5]), end="")


def parallel_pairs(folder: Path, num_pairs: int) -> list[Pair]:
    """Sentences and their translations: each pair of neighbouring languages in turn, with a third as reference."""
    languages = sorted(path.name for path in folder.iterdir() if path.is_dir())
    premises = [
        pq.read_table(next((folder / name).glob("validation*")), columns=["premise"])["premise"].to_pylist()
        for name in languages
    ]
    pairs = []
    for n in range(num_pairs):
        # Each premise stands there three times, beside three hypotheses.
        source, translation, reference = (premises[(n + step) % len(premises)][3 * n] for step in (0, 1, 2))
        pairs.append(Pair(languages[n % len(languages)], source, translation, reference))
    return pairs


def texts_of(pair: Pair) -> tuple[str, str, str]:
    """The texts of a pair."""
    return pair.source, pair.translation, pair.reference


if __name__ == "__main__":
    main()
