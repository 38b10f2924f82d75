from pathlib import Path

import pytest

from pipeline.config.job import load_job_config
from pipeline.errors import ConfigError
from tests.unit.pipeline.config.test_job import MINIMAL


def problems(tmp_path: Path, text: str, *overrides: str) -> list[str]:
    """The lines of the message that refuses a job, without the file's name."""
    path = tmp_path / "job.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_job_config(path, overrides)
    first, *others = str(caught.value).split("\n  ")
    assert first.startswith(f"{path}: ")
    if others:
        assert first == f"{path}: {len(others)} problems"
    return others or [first.removeprefix(f"{path}: ")]


@pytest.mark.parametrize(
    ("override", "key", "found"),
    [
        ('model.tensor_parallel_size="8"', "model.tensor_parallel_size", '"8" (string)'),
        ("model.tensor_parallel_size=0", "model.tensor_parallel_size", "0 (integer)"),
        ("model.tensor_parallel_size=2.0", "model.tensor_parallel_size", "2.0 (float)"),
        ("model.tensor_parallel_size=true", "model.tensor_parallel_size", "true (boolean)"),
        ("model.token_budget=511", "model.token_budget", "511 (integer)"),
        ("model.replicas=0", "model.replicas", "0 (integer)"),
        ("model.replicas=many", "model.replicas", '"many" (string)'),
        ("model.path={a=1}", "model.path", "a table"),
        ('model.path=""', "model.path", '"" (string)'),
        ("model.cpus_per_rank=0", "model.cpus_per_rank", "0 (integer)"),
        ("input.path=[]", "input.path", "[] (array)"),
        ("input.path=['a', 5]", "input.path", '["a", 5] (array)'),
        ("input.columns=[1979-05-27]", "input.columns", '["1979-05-27"] (array)'),
        ("heads.vector.dimensions=1979-05-27", "heads.vector.dimensions", '"1979-05-27" (date)'),
        ("output.compression=2026", "output.compression", "2026 (integer)"),
        ("input.max_fragment_rows=0", "input.max_fragment_rows", "0 (integer)"),
        ("output.compression=brotli", "output.compression", '"brotli" (string)'),
        ("heads.vector.pooling=median", "heads.vector.pooling", '"median" (string)'),
        ("heads.vector.normalize=1", "heads.vector.normalize", "1 (integer)"),
        ('heads.vector.text=""', "heads.vector.text", '"" (string)'),
        ("heads.vector.window=15", "heads.vector.window", "15 (integer)"),
        ("heads.vector.stride=-1", "heads.vector.stride", "-1 (integer)"),
        ("heads.vector.dimensions=0", "heads.vector.dimensions", "0 (integer)"),
        ("heads.vector.layer=all", "heads.vector.layer", '"all" (string)'),
        ("heads.vector.layers=12", "heads.vector.layers", "12 (integer)"),
        ("heads.vector.layers=[]", "heads.vector.layers", "[] (array)"),
        ("heads.vector.layers=[1.5]", "heads.vector.layers", "[1.5] (array)"),
        ("heads.vector.layers=every", "heads.vector.layers", '"every" (string)'),
        ("input.hive=yes", "input.hive", '"yes" (string)'),
    ],
)
def test_one_line_for_a_wrong_value(tmp_path: Path, override: str, key: str, found: str) -> None:
    [line] = problems(tmp_path, MINIMAL, override)
    assert line.startswith(f"{key} (from --set {override}): found {found}, expected ")
    assert f"; write for example {key.rpartition('.')[2]} = " in line


@pytest.mark.parametrize("value", ["0", "-0.1", "1.5", "nan", "inf"])
def test_probabilities_are_in_bounds(tmp_path: Path, value: str) -> None:
    loss = f'[heads.loss]\ntask = "masked-lm-loss"\nmask_probability = {value}\n'
    [line] = problems(tmp_path, MINIMAL + loss)
    assert line.startswith("heads.loss.mask_probability: found ")
    assert "more than 0 and at most 1" in line


@pytest.mark.parametrize(
    ("override", "key", "nearest"),
    [
        ("model.token_buget=1024", "model.token_buget", "token_budget"),
        ("input.tekst=a", "input.tekst", "text"),
        ("outputs.path=a", "outputs", "output"),
        ("heads.vector.poling=cls", "heads.vector.poling", "pooling"),
    ],
)
def test_unknown_keys_name_the_nearest(tmp_path: Path, override: str, key: str, nearest: str) -> None:
    [line] = problems(tmp_path, MINIMAL, override)
    assert line.startswith(key)
    assert f"unknown key; did you mean '{nearest}'? Known keys: " in line


def test_an_unknown_key_like_no_other_lists_the_known_ones(tmp_path: Path) -> None:
    [line] = problems(tmp_path, MINIMAL, "output.zzz=1")
    assert line.endswith("unknown key; Known keys: path, compression, lease_timeout_s")


def test_an_option_of_another_task_is_unknown(tmp_path: Path) -> None:
    [line] = problems(tmp_path, MINIMAL, "heads.vector.choices=b")
    assert line.startswith("heads.vector.choices")
    assert line.endswith(
        "Known keys: weights, trunk, window, stride, truncate, text, task, pooling, normalize, level, dimensions, "
        "dtype, layer, layers, words, text_pair, joined, scale"
    )


def test_unknown_and_missing_tasks_list_the_known_ones(tmp_path: Path) -> None:
    known = (
        '"text-classification", "token-classification", "question-answering", "multiple-choice", "embedding", '
        '"fill-mask", "masked-lm-loss", "causal-lm-loss", "text-generation", "zero-shot-classification", '
        '"translation-quality"'
    )
    heads = '[heads.a]\ntask = "embeding"\n[heads.b]\npooling = "cls"\n[heads.c]\ntask = 5\n'
    a, b, c = problems(tmp_path, MINIMAL + heads)
    assert a == (f'heads.a.task: found "embeding" (string), expected one of {known}; did you mean "embedding"?')
    assert b.startswith(f"heads.b.task: is missing, expected one of {known}; write for example ")
    assert c.startswith(f"heads.c.task: found 5 (integer), expected one of {known}")


def test_missing_keys_and_tables_say_what_to_add(tmp_path: Path) -> None:
    lines = problems(tmp_path, "[model]\n")
    assert lines[0].startswith("model.path: is missing, expected a model directory")
    assert lines[0].endswith('add for example path = "models/xlm-roberta-xl" under [model]')
    assert [line.partition(":")[0] for line in lines[1:]] == ["input", "output", "heads"]
    assert lines[1].endswith("add [input]")


def test_values_in_the_place_of_tables(tmp_path: Path) -> None:
    lines = problems(tmp_path, 'model = "m"\ninput = 1\noutput = []\nheads = 2\n')
    assert [line.split(",")[0] for line in lines] == [
        'model: found "m" (string)',
        "input: found 1 (integer)",
        "output: found [] (array)",
        "heads: found 2 (integer)",
    ]
    [line] = problems(tmp_path, MINIMAL, "heads.other=5")
    assert line.startswith("heads.other (from --set heads.other=5): found 5 (integer), expected a table")


def test_all_errors_are_reported_together(tmp_path: Path) -> None:
    lines = problems(
        tmp_path,
        MINIMAL + "[heads.error]\ntask = 'embedding'\n",
        "model.dtype=int4",
        "input.path=[5]",
        "heads.vector.pooling=2",
    )
    assert len(lines) == 4
    assert {line.split()[0].rstrip(":") for line in lines} == {
        "model.dtype",
        "input.path",
        "heads.vector.pooling",
        "heads.error",
    }


ZERO_SHOT = '[heads.zero]\ntask = "zero-shot-classification"\n'
CHOICE = '[heads.choice]\ntask = "multiple-choice"\n'


@pytest.mark.parametrize(
    ("heads", "key"),
    [
        (ZERO_SHOT + "labels = []", "heads.zero.labels"),
        (ZERO_SHOT + 'labels = "sports"', "heads.zero.labels"),
        (ZERO_SHOT + 'labels = ["a", " "]', "heads.zero.labels"),
        (ZERO_SHOT + 'labels = ["a", "b", "a"]', "heads.zero.labels"),
        (ZERO_SHOT + 'labels_column = ""', "heads.zero.labels_column"),
        (ZERO_SHOT + 'labels = ["a"]\nhypothesis_template = "This is it."', "heads.zero.hypothesis_template"),
        (ZERO_SHOT + 'labels = ["a"]\nhypothesis_template = "{} or {}."', "heads.zero.hypothesis_template"),
        (CHOICE + 'choices = ["only"]', "heads.choice.choices"),
        (CHOICE + 'choices = ["same", "same"]', "heads.choice.choices"),
        (CHOICE + "choices = 3", "heads.choice.choices"),
    ],
)
def test_one_line_for_a_wrong_list_or_template(tmp_path: Path, heads: str, key: str) -> None:
    [line] = problems(tmp_path, MINIMAL + heads)
    assert line.startswith(f"{key}: found ")
    assert f"; write for example {key.rpartition('.')[2]} = " in line


def test_options_that_do_not_go_together_are_named_with_what_set_them(tmp_path: Path) -> None:
    override = 'heads.vector.dtype="ubinary"'
    lines = problems(
        tmp_path,
        MINIMAL + 'dimensions = 100\nlevel = "token"\npooling = "cls"\nwindow = 64\n' + ZERO_SHOT,
        override,
        "heads.vector.stride=32",
    )
    assert lines == [
        "heads.vector.stride (from --set heads.vector.stride=32): found 32, expected less than half of the window "
        "of 64 tokens; write for example stride = 16",
        'heads.vector.pooling: found "cls", expected none where level is token, as every token keeps its vector; '
        "remove it",
        "heads.vector.dimensions: found 100, expected a multiple of 8 where dtype is ubinary, which packs 8 "
        "dimensions in a byte; write for example dimensions = 256",
        "heads.zero.labels: is missing, expected it or labels_column; add for example "
        'labels = ["sports", "politics"], or labels_column = "labels"',
    ]


@pytest.mark.parametrize("task", ["question-answering", "multiple-choice"])
def test_a_text_is_an_unknown_key_where_the_task_has_columns_of_its_own(tmp_path: Path, task: str) -> None:
    [line] = problems(tmp_path, MINIMAL + f'[heads.x]\ntask = "{task}"\ntext = "body"\n')
    assert line.startswith("heads.x.text: unknown key; ")


@pytest.mark.parametrize("depth", [2_000, 100_000])
def test_a_job_that_is_nested_too_deeply_is_refused(tmp_path: Path, depth: int) -> None:
    deep = "[" * depth + "]" * depth
    assert problems(tmp_path, f"a = {deep}") == ["not a TOML file: nested too deeply; correct it there"]
    (tmp_path / "job.toml").write_text(MINIMAL, encoding="utf-8")
    for override, told in ((f"model.path={deep}", "--set model.path: "), (f"{deep}=1", "--set [[[")):
        with pytest.raises(ConfigError) as caught:
            load_job_config(tmp_path / "job.toml", [override])
        assert str(caught.value).startswith(told)
        assert len(str(caught.value)) < 1000


def test_a_key_with_the_name_of_a_place_of_pydantic_is_an_unknown_key(tmp_path: Path) -> None:
    for table in ("model", "output", "heads.vector"):
        [line] = problems(tmp_path, MINIMAL, f'{table}."[key]"=1')
        assert line.startswith(f'{table}.[key] (from --set {table}."[key]"=1): unknown key')


def test_long_values_and_keys_are_shown_shortened(tmp_path: Path) -> None:
    long = "x" * 100_000
    for override in (
        f"model.dtype={long}",
        f"model.{long}=1",
        f'input.hive=["{long}"]',
        f"{long}",
        f'model.path=["{long}',
    ):
        (tmp_path / "job.toml").write_text(MINIMAL, encoding="utf-8")
        with pytest.raises(ConfigError) as caught:
            load_job_config(tmp_path / "job.toml", [override])
        assert len(str(caught.value)) < 2000


def test_long_values_of_options_that_do_not_go_together_are_shown_shortened(tmp_path: Path) -> None:
    long = "x" * 100_000
    heads = f'[heads.kind]\ntask = "zero-shot-classification"\nlabels = ["a", "b"]\nlabels_column = "{long}"'
    [line] = problems(tmp_path, f"{MINIMAL}\n{heads}")
    assert line.startswith('heads.kind.labels_column: found "xxx')
    assert " … " in line
    assert line.endswith(", expected one of the two; remove one")
    assert len(line) < 1000


def test_of_many_problems_the_first_are_told(tmp_path: Path) -> None:
    path = tmp_path / "job.toml"
    path.write_text("".join(f"a{i} = 1\n" for i in range(500)) + MINIMAL, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_job_config(path)
    first, *lines = str(caught.value).split("\n  ")
    assert (first, len(lines), lines[-1]) == (f"{path}: 500 problems", 11, "and 490 more")


def test_messages_hold_the_first_sentence_of_a_description(tmp_path: Path) -> None:
    file = tmp_path / "job.toml"
    file.write_text("[model]\ndevice = 5", encoding="utf-8")
    with pytest.raises(ConfigError) as error:
        load_job_config(file)
    assert 'model.device: found 5 (integer), expected "auto", "cpu" or "cuda"; write for' in str(error.value)
