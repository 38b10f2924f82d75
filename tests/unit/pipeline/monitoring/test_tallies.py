from pipeline.monitoring.progress_counter import ProgressCounter
from pipeline.monitoring.tallies import Tallies, Tally
from pipeline.row_errors import ErrorKind

A = Tally(5, {ErrorKind.NO_TEXT: 2}, {"topic": {"sport": 3, "music": 1}, "genre": {"poem": 1}}, {"topic": 4})
B = Tally(2, {ErrorKind.CRASHED: 1, ErrorKind.NO_TEXT: 1}, {"topic": {"music": 4, "art": 3}}, {"topic": 7, "v": 1})


def test_tallies_add_up() -> None:
    tallies = Tallies()
    tallies.put("a", A)
    tallies.put("b", B)
    total = tallies.total()
    assert total.num_windows == 7
    assert list(total.errors.items()) == [("no_text", 3), ("crashed", 1)]
    assert list(total.labels["topic"].items()) == [("music", 5), ("art", 3), ("sport", 3)]
    assert total.results == {"topic": 11, "v": 1}
    assert total.most_frequent(1) == {"topic": {"music": 5}, "genre": {"poem": 1}}


def test_a_part_that_is_written_again_counts_once() -> None:
    tallies = Tallies()
    for tally in (B, A):
        tallies.put("a", tally)
    assert tallies.total() == A
    tallies.settle()
    assert tallies.total() == A


def test_the_counter_tells_the_tally_of_its_parts() -> None:
    counter = ProgressCounter()
    counter.finish_part("a", 10, 2, A)
    counter.finish_part("b", 10, 0)
    counter.settle()
    assert counter.tally() == A
