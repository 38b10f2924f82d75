import os
from pathlib import Path

import pytest

from pipeline.config.expanded_paths import expanded_path
from tests.unit.pipeline.config.test_job import MINIMAL, load
from tests.unit.pipeline.config.test_messages import problems

ENVIRONMENT = {"DATA": "/data", "RUN_2": "r2", "EMPTY": "", "MORE": "$DATA", "TILDE": "~/x"}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("corpus/*.parquet", "corpus/*.parquet"),
        ("$DATA/in", "/data/in"),
        ("${DATA}in/$RUN_2", "/datain/r2"),
        ("s3://b/$RUN_2/x?region=y", "s3://b/r2/x?region=y"),
        ("a/$$DATA/$", "a/$DATA/$"),
        ("lang=$1/x", "lang=$1/x"),
        # The value of a variable is not searched for others.
        ("$MORE/x", "$DATA/x"),
        ("./~x", "./~x"),
        ("a~/~", "a~/~"),
    ],
)
def test_variables_become_their_values(path: str, expected: str) -> None:
    assert expanded_path(path, ENVIRONMENT) == expected


@pytest.mark.parametrize("path", ["~", "~/corpus", "$TILDE"])
def test_a_tilde_is_the_home_folder(path: str) -> None:
    found = expanded_path(path, ENVIRONMENT)
    assert found == os.path.expanduser(path.replace("$TILDE", "~/x"))
    assert found.startswith("/")


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("$DATAS/in", r"^found '\$DATAS/in', where \$DATAS is not set, expected .*; set it"),
        ("x/${EMPTY}", r"^found 'x/\$\{EMPTY\}', where \$EMPTY is empty, expected .*; set it"),
        ("${DATA:-x}", r"^found .* begins no \$\{NAME\}, expected the name"),
        ("${DATA", r"^found .* begins no \$\{NAME\}, expected the name"),
        ("~nobody-here/x", r"^found '~nobody-here/x', expected ~ .*; write \./~nobody-here/x "),
    ],
)
def test_what_has_no_value_is_refused(path: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        expanded_path(path, ENVIRONMENT)


def test_every_path_of_a_job_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELS", "/models")
    monkeypatch.setenv("OUT", "s3://bucket/out")
    text = """
[model]
path = "$MODELS/xl"
[input]
path = ["$MODELS/a", "~/b"]
text = "$MODELS"
[output]
path = "elsewhere"
[heads.topic]
task = "text-classification"
weights = "${MODELS}/topic"
trunk = "${MODELS}/trunk"
[heads.vector]
task = "embedding"
"""
    job = load(tmp_path, text, "output.path=$OUT/x")
    assert job.model.path == job.heads["vector"].weights == "/models/xl"
    assert job.input.path == ("/models/a", os.path.expanduser("~/b"))
    assert job.input.text == "$MODELS"
    assert job.output.path == "s3://bucket/out/x"
    assert (job.heads["topic"].weights, job.heads["topic"].trunk) == ("/models/topic", "/models/trunk")
    assert job.heads["vector"].trunk is None


def test_each_wrong_path_is_named_once_with_its_source(tmp_path: Path) -> None:
    text = MINIMAL.replace("models/xl", "$NO_MODELS/xl")
    first, second = problems(tmp_path, text, "output.path=$NO_OUT")
    assert first.startswith("model.path: found '$NO_MODELS/xl', where $NO_MODELS is not set")
    assert second.startswith("output.path (from --set output.path=$NO_OUT): found '$NO_OUT', where ")
