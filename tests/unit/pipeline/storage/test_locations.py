import time

import pytest
from pyarrow import fs

from pipeline.errors import InputError
from pipeline.storage import locations
from pipeline.storage.filesystem_uris import endpoint_of, is_same_store
from pipeline.storage.locations import ask_store, resolve_path, with_suffix


@pytest.mark.parametrize(
    "uri", ["http://host/x.parquet", "https://me:secret@host/x?token=secret", "HTTPS://host/x"]
)
def test_web_addresses_are_refused(uri: str) -> None:
    with pytest.raises(InputError, match=r"input\.path: found https?://host/x.*, a web address") as caught:
        resolve_path(uri, "input.path")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("uri", ["s3://?region=eu-west-1", "gs://anonymous@", "memory://"])
def test_stores_without_a_bucket_are_refused(uri: str) -> None:
    with pytest.raises(InputError, match=r"output\.path: found .*://, which names no bucket, expected one"):
        resolve_path(uri, "output.path")


def test_schemes_may_be_in_capitals() -> None:
    filesystem, path = resolve_path("S3://bucket/X?region=eu-west-1", "input.path")
    assert (filesystem.type_name, path) == ("s3", "bucket/X")
    assert resolve_path("file:///", "input.path") == (fs.LocalFileSystem(), "/")


@pytest.mark.parametrize("path", ["/x/caf\udce9", "/x/\0"])
def test_local_paths_that_no_file_system_takes(path: str) -> None:
    with pytest.raises(InputError, match=r"output\.path: found /x/(caf\\xe9|\\x00), which is not valid UTF-8"):
        resolve_path(path, "output.path")


@pytest.mark.parametrize("error", [OSError("HTTP status 403"), KeyError("credentials"), RuntimeError()])
def test_whatever_a_client_raises_is_one_line_that_names_the_endpoint(error: Exception) -> None:
    def fail() -> None:
        raise error

    uri = "s3://key:secret@bucket/x?scheme=http&endpoint_override=host:9000"
    with pytest.raises(InputError) as caught:
        ask_store(fail, "input.path", uri)
    message = str(caught.value)
    assert message.startswith("input.path: s3://bucket/x cannot be listed: ")
    assert "(http://host:9000); expected " in message
    assert "secret" not in message
    assert "\n" not in message


def test_whoever_waits_is_told_for_what(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(locations, "SLOW_S", 0.4)
    assert ask_store(lambda: 1, "output.path", "s3://bucket/x") == 1
    time.sleep(0.5)
    assert capsys.readouterr().err == ""
    ask_store(lambda: time.sleep(0.9), "output.path", "s3://k:s@bucket/x?endpoint_override=host:9")
    told = capsys.readouterr().err
    assert told.startswith("output.path: s3://bucket/x: still waiting for https://host:9 after 0.4 s; ")
    assert told.count("\n") == 1


def test_endpoints(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    monkeypatch.delenv("AWS_ENDPOINT_URL_S3", raising=False)
    assert endpoint_of("s3://bucket/x?region=eu-west-1") == "Amazon S3"
    assert endpoint_of("gs://bucket/x") == "Google Cloud Storage"
    assert endpoint_of("sftp://host/x") == "the store of sftp://"
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://10.0.0.1:9000")
    assert endpoint_of("s3://bucket/x") == "http://10.0.0.1:9000"
    assert endpoint_of("s3://bucket/x?endpoint_override=host:9") == "https://host:9"
    assert endpoint_of("gs://bucket/x") == "Google Cloud Storage"


def test_stores_are_the_same_whatever_their_options() -> None:
    assert is_same_store("s3://a/x?region=eu-west-1", "S3://k:s@b/y?allow_bucket_creation=true")
    assert not is_same_store("s3://a/x?endpoint_override=host:9", "s3://a/x")
    assert not is_same_store("s3://a/x", "gs://a/x")
    assert not is_same_store("abfs://c@one/x", "abfs://c@two/x")
    assert not is_same_store("/in", "/in")


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("annotated", "annotated.preview"),
        ("a/b/", "a/b.preview"),
        ("what?", "what?.preview"),
        ("s3://bucket/x/?region=eu&scheme=http", "s3://bucket/x.preview?region=eu&scheme=http"),
        ("gs://bucket/x", "gs://bucket/x.preview"),
    ],
)
def test_a_suffix_belongs_to_the_path_of_a_uri(path: str, expected: str) -> None:
    assert with_suffix(path, ".preview") == expected
