"""Pairs of the command line, and the remedies that messages write in this form."""

import shlex

import pytest

from jobs.evaluate.labels import labels_remedy
from jobs.evaluate.pairs import parse_pairs, written_pairs
from jobs.evaluate.settings import load_settings
from pipeline.errors import ConfigError

ODD = {"a,b": "LABEL_0", "c=d": "very good", 'it"s': "don't", "naïve": "x\\y", "science/technology": "b,=c"}


def test_pairs() -> None:
    assert parse_pairs("--labels", " a = x ,b=y=z") == {"a": "x", "b": "y=z"}


def test_names_may_hold_commas_and_equals_signs() -> None:
    [argument] = shlex.split(written_pairs(ODD))
    assert parse_pairs("--labels", argument) == ODD


@pytest.mark.parametrize("text", ["", "a", "a=", "=x", "a=x,", "a=x,b", ",a=x"])
def test_what_is_no_pair_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"--labels: found .*, expected NAME=VALUE,NAME=VALUE,…; correct it"):
        parse_pairs("--labels", text)


def test_a_name_given_twice_is_refused() -> None:
    with pytest.raises(ConfigError, match="found a twice in 'a=x,a=y', expected each name once"):
        parse_pairs("--model", "a=x,a=y")


def test_remedies_are_read_as_they_are_written() -> None:
    option, argument = shlex.split(labels_remedy(ODD))
    assert (option, parse_pairs(option, argument)) == ("--labels", ODD)
    option, argument = shlex.split(labels_remedy(ODD, "tasks.mnli.labels"))
    assert option == "--set"
    settings = load_settings(None, {"benchmark": "glue"}, [argument])
    assert settings.of_task("mnli").labels == ODD
    assert settings.of_task("cola").labels is None
