"""Pages with what pages really have to hold: ordinary figures, awkward ones, and the texts of a corpus."""

import random

from jobs.report.page import (
    Bar,
    Bars,
    Bin,
    Binned,
    CalibrationBin,
    Column,
    Examples,
    Histogram,
    Matrix,
    Page,
    Prose,
    Reference,
    Reliability,
    Section,
    Table,
)

LANGUAGES = ["en", "fr", "es", "de", "el", "bg", "ru", "tr", "ar", "vi", "th", "zh", "hi", "sw", "ur"]
LABELS = ("entailment", "neutral", "contradiction")
TAGS = (
    "ADJ",
    "ADP",
    "ADV",
    "AUX",
    "CCONJ",
    "DET",
    "INTJ",
    "NOUN",
    "NUM",
    "PART",
    "PRON",
    "PROPN",
    "PUNCT",
    "VERB",
    "X",
)
NAN = float("nan")

ATTACK = "</script></style><script>alert(1)</script><img src=http://evil.example/x onerror=alert(2)>\"'&amp;"
TEXTS = {
    "attack": ATTACK,
    "comment": "<!-- <script> --!> <![CDATA[ ]]> {{ 7 * 7 }} {% raw %}",
    "right to left": "هذا نص عربي (with English) و 123, ثم نهاية.",
    "unclosed override": "abc \u202e fed cba \u2067 more",
    "control characters": "a\x00b\x07c\x1bd\x7fe\x85f\u2028g\u2029h\ti\r\nj",
    "lone surrogates": "high \ud83d low \ude00 pair \U0001f600",
    "noncharacters": "\ufffe\uffff\ufdd0",
    "long word": "x" * 100_000,
    "marks": "Z" + "\u0310\u0345\u0359" * 40 + "algo",
    "chinese": "这是一个没有空格的很长的句子" * 20,
    "empty": "",
    "newlines": "one\n\n\n\ntwo",
}


def language_bars(languages: list[str], title: str = "Accuracy by language") -> Bars:
    """Bars with intervals, three published rows and the majority class."""
    draw = random.Random(title)
    values = {name: round(92 - 14 * draw.random(), 1) for name in languages}
    bars = [Bar(name, value, (value - 0.9, value + 0.8)) for name, value in values.items()]
    bars.append(Bar("mean", sum(values.values()) / len(values), is_summary=True))
    return Bars(
        title,
        "accuracy, %",
        bars,
        references=[
            Reference(name, {language: values[language] + more for language in languages})
            for name, more in (("XLM-R large", -2.1), ("XLM-R XL", 0.4), ("XLM-R XXL", 1.3))
        ],
        baseline=Reference("majority class", dict.fromkeys(languages, 33.3)),
        domain=(0, 100),
        caption="Published rows: XNLI test, translate-train-all.",
    )


def confusion(labels: tuple[str, ...], title: str = "Confusions") -> Matrix:
    draw = random.Random(title)
    counts = [[draw.randint(900, 1500) if i == j else draw.randint(0, 200) for j in labels] for i in labels]
    return Matrix(title, labels, counts)


def length_bins(num_bins: int, *, is_open: bool = True) -> list[Bin]:
    """Bins of doubling width; one of them is empty, one has no interval."""
    bins = []
    for index in range(num_bins):
        high = None if is_open and index == num_bins - 1 else float(2 ** (index + 1))
        value = 88 - 1.5 * index
        bins.append(Bin(2**index, high, 4_000 // (index + 1) ** 2, value, (value - 1 - index, value + 1 + index)))
    if num_bins > 3:
        bins[2] = Bin(bins[2].low, bins[2].high, 0)
        bins[3] = Bin(bins[3].low, bins[3].high, 1, 100.0)
    return bins


def calibration() -> Reliability:
    bins = [
        CalibrationBin(0.35 + i / 15, 0.3 + i / 15, 30 * 2**i, (0.26 + i / 15, 0.34 + i / 15)) for i in range(10)
    ]
    bins[1] = CalibrationBin(None, None, 0)
    return Reliability("Reliability", bins, 0.0432)


def errors(num_rows: int) -> Examples:
    """Examples whose texts are those of `TEXTS` in turn, labels and languages among them too."""
    kinds = list(TEXTS.items())
    rows = []
    for index in range(num_rows):
        kind, text = kinds[index % len(kinds)]
        language = LANGUAGES[index % len(LANGUAGES)]
        gold, predicted = LABELS[index % 3], LABELS[(index + 1 + index % 2) % 3]
        score = NAN if index == 5 else 0.99 - index / (num_rows + 1)
        rows.append((language, gold, predicted, score, f"row {index}: {kind}", text))
    columns = [
        Column("language"),
        Column("gold"),
        Column("predicted"),
        Column("score", is_numeric=True, decimals=3),
        Column("premise"),
        Column("hypothesis"),
    ]
    return Examples(
        "Worst errors",
        columns,
        rows,
        filters=("language", "gold", "predicted"),
        texts=("premise", "hypothesis"),
        num_total=12_345,
        caption="Wrong predictions, the surest first.",
    )


def ordinary_page() -> Page:
    """What an evaluation shows."""
    table = Table(
        "Results",
        [Column("model"), *(Column(name, is_numeric=True) for name in ["mean", *LANGUAGES])],
        [("this model", 84.2, *(90.0 - i for i in range(15))), ("XLM-R XL", 85.4, *(91.0 - i for i in range(15)))],
        caption="Accuracy, %.",
    )
    return Page(
        "XNLI test",
        "Accuracy by the official rules, 75,150 rows in 15 languages",
        [
            ("model", "models/xlm-roberta-xl-xnli (sha256 5f3a…)"),
            ("data", "s3://benchmarks/xnli/" + "very-long-folder/" * 6),
            ("seed", "0"),
        ],
        [
            Section(
                "Results",
                "results",
                [
                    Prose("The mean is over 15 languages.\n\nFailed rows count as wrong."),
                    table,
                    language_bars(LANGUAGES),
                ],
            ),
            Section("Confusions", "confusions", [confusion(LABELS), confusion(TAGS, "Tags")]),
            Section(
                "How sure, how long",
                "calibration",
                [
                    calibration(),
                    Binned("Accuracy by length", "accuracy, %", "tokens", length_bins(10), domain=(0, 100)),
                    Histogram("Lengths", "tokens", length_bins(12)),
                ],
            ),
            Section("Errors", "errors", [errors(143)]),
        ],
    )


def awkward_page() -> Page:
    """What charts and tables must bear: many, one and none; names of any length and content; missing values."""
    named = [Bar(name, 10.0 * i, (9.0 * i, 11.0 * i)) for i, name in enumerate(TEXTS.values())]
    gaps = [Bar("none", None), Bar("not a number", NAN, (NAN, 1.0)), Bar("below zero", -0.4, (-0.9, 0.2))]
    longest = ("a label that goes on and on, far beyond the room there is", *LABELS, ATTACK)
    return Page(
        "Awkward " + ATTACK,
        TEXTS["right to left"] + TEXTS["unclosed override"],
        [(ATTACK, TEXTS["long word"][:300]), (TEXTS["control characters"], TEXTS["lone surrogates"])],
        [
            Section(
                "Bars " + ATTACK,
                "bars",
                [
                    Prose("\n\n".join(text[:500] for text in TEXTS.values())),
                    language_bars(
                        [f"{first}{second}" for first in "abcdefgh" for second in "nrstz"], "Forty languages"
                    ),
                    Bars("One", "accuracy, %", [Bar("en", 90.0, (88.0, 91.0))], domain=(0, 100)),
                    Bars("None", "accuracy, %", []),
                    Bars(
                        "Names",
                        "a measure whose name is rather long as well: tokens of correctly answered questions",
                        named,
                        references=[Reference(ATTACK, {TEXTS["attack"]: 42.0})],
                        caption=ATTACK,
                    ),
                    Bars("Gaps", "Matthews correlation", gaps, decimals=3),
                    Bars("Large", "tokens", [Bar("en", 123_456_789.0), Bar("de", 3.0)], decimals=0),
                ],
            ),
            Section(
                "Matrices",
                "matrices",
                [
                    confusion(longest, "Long labels"),
                    confusion(tuple(f"label {i}" for i in range(40)), "Forty labels"),
                    confusion(tuple(f"label {i}" for i in range(41)), "Too many labels"),
                    Matrix("One label", ["only"], [[1_234_567]]),
                    Matrix("No rows", LABELS, [[0] * 3] * 3),
                ],
            ),
            Section(
                "Bins",
                "bins",
                [
                    Reliability("No bins", [], 0.0),
                    Reliability("All sure", [CalibrationBin(1.0, 0.5, 1_234_567, (0.2, 0.8))], 0.5),
                    Binned("No bins by length", "accuracy, %", "tokens", []),
                    Binned("One bin", "accuracy, %", "tokens", [Bin(0, None, 7, 50.0, (20.0, 80.0))]),
                    Binned(
                        "Sixty bins",
                        "perplexity",
                        "characters",
                        [Bin(20 * i, 20 * i + 20, 9, 80 - i, (75 - i, 85 - i)) for i in range(60)],
                    ),
                    Histogram("Empty histogram", "tokens", [Bin(0, 1, 0), Bin(1, 2, 0)]),
                    Histogram("Scores", "score", [Bin(i / 40, (i + 1) / 40, i * i * 997) for i in range(40)]),
                ],
            ),
            Section("Tables", "tables", [Table("Empty", [Column("nothing")], [])]),
            Section("Examples", "examples", [errors(1), errors(400), Examples("No examples", [Column("a")], [])]),
        ],
    )
