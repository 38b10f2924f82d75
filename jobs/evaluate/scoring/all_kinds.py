"""How each kind of example is scored."""

from collections.abc import Callable, Mapping

from jobs.evaluate.examples import BenchmarkTask, Kind
from jobs.evaluate.predictions import Predictions
from jobs.evaluate.scoring.answers import score_answers
from jobs.evaluate.scoring.choices import score_choices
from jobs.evaluate.scoring.classification import score_classes
from jobs.evaluate.scoring.multi_label import score_label_sets
from jobs.evaluate.scoring.regression import score_values
from jobs.evaluate.scoring.subset_scores import SubsetScores
from jobs.evaluate.scoring.translations import score_translations
from jobs.evaluate.scoring.words import score_words

SCORERS: dict[Kind, Callable[[BenchmarkTask, Mapping[str, str], Predictions, str], SubsetScores]] = {
    "classification": score_classes,
    "multi-label": score_label_sets,
    "regression": score_values,
    "multiple-choice": score_choices,
    "question-answering": score_answers,
    "words": score_words,
    "translation-quality": score_translations,
}
"""By kind, a function of task, benchmark's names of the head's labels, rows with a gold, and subset."""
