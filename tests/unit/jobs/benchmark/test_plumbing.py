from jobs.benchmark.plumbing import COLUMNS, Run, figures, null_config, rows
from jobs.benchmark.timing import Case


def run(name: str, num_rows: int, num_fragments: int, num_tokens: int, seconds: list[float]) -> Run:
    return Run(Case(name, lambda: None, num_tokens, 0, "plumbing", seconds=seconds), num_rows, num_fragments)


def test_the_start_is_taken_off_round_by_round() -> None:
    few = run("few", 4, 1, 20, [10.0, 30.0, 20.0])
    found = figures(run("rows x 4", 4000, 8, 100_000, [12.0, 34.0, 23.0]), few)
    assert found["seconds"] == [2.0, 4.0, 3.0]
    assert (found["median_s"], found["tokens_per_s"], found["ms_per_fragment"]) == (3.0, 100_000 / 3, 375.0)
    [cells] = rows([found])
    assert cells == ("rows x 4", "4,000", "8", "100,000", "3.0", "33,333", "375.0", "67%")
    assert len(cells) == len(COLUMNS)


def test_what_reads_no_tokens_tells_none() -> None:
    bare = figures(run("bare chain", 500, 250, 0, [15.0]), run("few", 4, 1, 0, [5.0]))
    assert rows([bare]) == [("bare chain", "500", "250", "", "10.0", "", "40.0", "0%")]


def test_the_null_trunk_has_the_path_of_xl_and_no_size() -> None:
    config = null_config(250_880)
    assert config.vocab_size == 250_880
    assert (config.num_hidden_layers, config.hidden_size) == (1, 8)
