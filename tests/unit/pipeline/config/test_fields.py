from pipeline.config.fields import field_at, section_at, value_at
from pipeline.config.job import InputSection, JobConfig
from pipeline.tasks.embedding import EmbeddingHead

DATA = {"input": {"text": "body"}, "heads": {"a": {"task": "embedding"}, "b": {"task": "no such"}, "c": 5}}


def test_the_sections_of_keys() -> None:
    assert section_at([], DATA, JobConfig) is JobConfig
    assert section_at(["input"], DATA, JobConfig) is InputSection
    assert section_at(["heads", "a"], DATA, JobConfig) is EmbeddingHead
    for keys in (
        ["heads"],
        ["heads", "b"],
        ["heads", "c"],
        ["heads", "d"],
        ["heads", "a", "x"],
        ["zzz"],
        ["input", "x"],
    ):
        assert section_at(keys, DATA, JobConfig) is None


def test_fields_and_values() -> None:
    assert field_at(["heads", "a", "pooling"], DATA, JobConfig) is EmbeddingHead.model_fields["pooling"]
    assert field_at(["input"], DATA, JobConfig) is JobConfig.model_fields["input"]
    assert value_at(DATA, ["input", "text"]) == "body"
    assert value_at(DATA, ["input", "text", "x"]) is None
    assert value_at(DATA, ["output"]) is None
