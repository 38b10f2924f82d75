"""Refuse a submitted job with secrets on its command line, which `ray job submit` shows in its log and its API."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence

from pipeline.errors import ConfigError
from pipeline.storage.filesystem_uris import without_secret
from pipeline.storage.printable import printable

# Ray sets it in the jobs that it runs for `ray job submit`.
_JOB_CONFIG = "RAY_JOB_CONFIG_JSON_ENV_VAR"
# `abfs://container@account` and `hdfs://user@host` have no password. One may contain a slash that should have been
# quoted.
_PASSWORD = re.compile(r"://[^/@\s:?]*:[^@\s?]*@")
_OPTIONS = re.compile(r"://[^\s?]*\?(\S*)")
# As before a command, or as the value of an option; names of settings have small letters.
_VARIABLE = re.compile(r"""(?:^|[\s='"])([A-Z][A-Z0-9_]*)=\S""")
_SECRET_NAME = re.compile(r"secret|passw|token|credential|signature|(?:api|access|account)_?key", re.IGNORECASE)


def refuse_shown_secrets(arguments: Sequence[str], environment: Mapping[str, str]) -> None:
    """Raise ConfigError for credentials in the arguments of a submitted job, or in URIs in its `env_vars`."""
    if _JOB_CONFIG not in environment:
        return
    variables = json.loads(environment[_JOB_CONFIG]).get("runtime_env", {}).get("env_vars", {})
    # Proxies are given to all programs in this way.
    uris = [f"{name}={value}" for name, value in variables.items() if not name.upper().endswith("_PROXY")]
    found = [secret for text in (*arguments, *uris) for secret in _secrets_in_uris(text)]
    found += [f"the variable {name}" for text in arguments for name in _secret_variables(text)]
    if found:
        raise ConfigError(
            f"the command line of a submitted job: found {found[0]}, which Ray has shown in its log and its API, "
            "expected no credentials; let the nodes have them (a role, variables of their environment, or a file: "
            "see jobs/annotate/README.md), and replace these ones, as others may know them now"
        )


def _secrets_in_uris(text: str) -> Iterator[str]:
    """A description of URIs that hold credentials, without these."""
    options = [name for options in _OPTIONS.findall(text) for name in re.findall(r"([^=&]+)=", options)]
    if _PASSWORD.search(text) or any(map(_SECRET_NAME.search, options)):
        yield f"credentials in {printable(without_secret(text))}"


def _secret_variables(text: str) -> Iterator[str]:
    return filter(_SECRET_NAME.search, _VARIABLE.findall(text))
