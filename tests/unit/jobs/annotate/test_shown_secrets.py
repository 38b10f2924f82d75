import json
from collections.abc import Callable

import pytest

from jobs.annotate.command import main as annotate
from jobs.annotate.shown_secrets import refuse_shown_secrets
from jobs.evaluate.command import main as evaluate
from pipeline.errors import ConfigError

SUBMITTED = {"RAY_JOB_CONFIG_JSON_ENV_VAR": json.dumps({"runtime_env": {}, "metadata": {}})}
SECRET = "wJalrXUtnFEMI/K7MDENG"


@pytest.mark.parametrize(
    ("argument", "shown"),
    [
        (f"output.path=s3://AKIA:{SECRET}@bucket/out", "credentials in output.path=s3://bucket/out"),
        (
            f"--set=output.path=s3://AKIA:{SECRET}@bucket/out?region=x",
            "credentials in --set=output.path=s3://bucket/out",
        ),
        (f'input.path=["s3://b/a", "s3://:{SECRET}@b/b"]', "credentials in"),
        (f"output.path=abfs://c@a/x?client_secret={SECRET}", "credentials in output.path=abfs://a/x"),
        (f"output.path=s3://b/x?region=r&session_token={SECRET}", "credentials in output.path=s3://b/x"),
        (
            f"output.path=s3://b/x?endpoint_override=http://k:{SECRET}@h:9000",
            "credentials in output.path=s3://b/x",
        ),
        (f"AWS_SECRET_ACCESS_KEY={SECRET}", "the variable AWS_SECRET_ACCESS_KEY"),
        (f"--set=HF_TOKEN={SECRET}", "the variable HF_TOKEN"),
        (f"env AWS_SESSION_TOKEN={SECRET} python", "the variable AWS_SESSION_TOKEN"),
    ],
)
def test_secrets_on_the_command_line_of_a_submitted_job_are_refused(argument: str, shown: str) -> None:
    arguments = ["python -m jobs.annotate", "job.toml", "--set", argument]
    with pytest.raises(ConfigError, match=r"^the command line of a submitted job: found ") as refused:
        refuse_shown_secrets(arguments, SUBMITTED)
    assert shown in str(refused.value)
    assert SECRET not in str(refused.value)
    # Elsewhere only this machine sees them.
    refuse_shown_secrets(arguments, {})


@pytest.mark.parametrize(
    "argument",
    [
        "model.token_budget=8192",
        "output.path=s3://bucket/out?region=eu-west-1&endpoint_override=http://localhost:9000",
        "output.path=abfss://container@account.dfs.core.windows.net/out",
        "output.path=hdfs://user@host:8020/out",
        "input.path=corpus/lang=de/*.parquet",
        'input.columns=["id"]',
        "run.name=a:b@c",
    ],
)
def test_other_arguments_are_not(argument: str) -> None:
    refuse_shown_secrets(["job.toml", "--set", argument], SUBMITTED)


def test_uris_in_variables_of_the_submission_are_refused_but_not_proxies() -> None:
    def submitted(**variables: str) -> dict[str, str]:
        return {"RAY_JOB_CONFIG_JSON_ENV_VAR": json.dumps({"runtime_env": {"env_vars": variables}})}

    with pytest.raises(ConfigError, match=r"found credentials in OUT=s3://bucket/x, "):
        refuse_shown_secrets(["job.toml"], submitted(OUT=f"s3://AKIA:{SECRET}@bucket/x"))
    refuse_shown_secrets(["job.toml"], submitted(https_proxy="http://me:mine@proxy:3128", AWS_REGION="eu-west-1"))


@pytest.mark.parametrize("main", [annotate, evaluate])
def test_the_commands_end_with_2(
    main: Callable[[list[str]], int], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_JOB_CONFIG_JSON_ENV_VAR", SUBMITTED["RAY_JOB_CONFIG_JSON_ENV_VAR"])
    assert main(["nowhere.toml", "--set", f"output.path=s3://AKIA:{SECRET}@bucket/out"]) == 2
    out, err = capsys.readouterr()
    assert err.startswith(
        "refused: the command line of a submitted job: found credentials in output.path=s3://bucket"
    )
    assert SECRET not in out + err
