from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.fragments import Cut, Fragment, PartName, RowGroup, cut_file, part_stem
from tests.unit.pipeline.input_files import file_fragments

ROW_GROUPS = st.lists(st.builds(RowGroup, num_rows=st.integers(0, 60), num_bytes=st.integers(0, 500)), max_size=12)


def rows_of(cut: Cut, row_groups: list[RowGroup]) -> list[tuple[int, int]]:
    """The (row group, row) pairs that reading a cut gives, as a reader would go through them."""
    pairs = [(group, row) for group in cut.row_groups for row in range(row_groups[group].num_rows)]
    return pairs[cut.row_group_offset : cut.row_group_offset + cut.num_rows]


@given(row_groups=ROW_GROUPS, max_rows=st.integers(1, 80), max_bytes=st.integers(1, 600))
@example(row_groups=[RowGroup(3, 10**12)], max_rows=5, max_bytes=1)
@example(row_groups=[RowGroup(10**3, 0)], max_rows=10**2, max_bytes=1)
@example(row_groups=[RowGroup(1, 1)] * 9, max_rows=3, max_bytes=2)
@settings(deadline=None)
def test_every_row_is_in_one_cut_in_order_and_bounds_hold(
    row_groups: list[RowGroup], max_rows: int, max_bytes: int
) -> None:
    cuts = cut_file(row_groups, max_rows=max_rows, max_bytes=max_bytes)
    expected = [(i, row) for i, group in enumerate(row_groups) for row in range(group.num_rows)]
    assert [pair for cut in cuts for pair in rows_of(cut, row_groups)] == expected
    assert [cut.first_row for cut in cuts] == [sum(cut.num_rows for cut in cuts[:i]) for i in range(len(cuts))]
    for cut in cuts:
        assert 1 <= cut.num_rows <= max_rows
        assert cut.num_bytes <= max_bytes or cut.num_rows == 1
        assert all(row_groups[group].num_rows > 0 for group in cut.row_groups)
        assert cut.row_group_offset == 0 or len(cut.row_groups) == 1
        assert 0 <= cut.row_group_offset < row_groups[cut.row_groups[0]].num_rows


@given(row_groups=ROW_GROUPS, max_rows=st.integers(1, 80), max_bytes=st.integers(1, 600))
@settings(deadline=None)
def test_row_groups_are_gathered_as_far_as_they_fit(
    row_groups: list[RowGroup], max_rows: int, max_bytes: int
) -> None:
    def fits(index: int) -> bool:
        group = row_groups[index]
        return group.num_rows <= max_rows and group.num_bytes <= max_bytes

    cuts = cut_file(row_groups, max_rows=max_rows, max_bytes=max_bytes)
    for before, after in pairwise(cuts):
        following = after.row_groups[0]
        if all(map(fits, before.row_groups)) and fits(following):
            assert (
                before.num_rows + row_groups[following].num_rows > max_rows
                or before.num_bytes + row_groups[following].num_bytes > max_bytes
            )


def test_gathers_small_row_groups_and_slices_large_ones() -> None:
    row_groups = [RowGroup(4, 40), RowGroup(0, 0), RowGroup(4, 40), RowGroup(25, 250), RowGroup(1, 10)]
    assert cut_file(row_groups, max_rows=10, max_bytes=1000) == [
        Cut(row_groups=(0, 2), row_group_offset=0, first_row=0, num_rows=8, num_bytes=80),
        Cut(row_groups=(3,), row_group_offset=0, first_row=8, num_rows=9, num_bytes=90),
        Cut(row_groups=(3,), row_group_offset=9, first_row=17, num_rows=9, num_bytes=90),
        Cut(row_groups=(3,), row_group_offset=18, first_row=26, num_rows=7, num_bytes=70),
        Cut(row_groups=(4,), row_group_offset=0, first_row=33, num_rows=1, num_bytes=10),
    ]


def test_cuts_by_bytes() -> None:
    cuts = cut_file([RowGroup(10, 1000)], max_rows=10, max_bytes=350)
    assert [cut.num_rows for cut in cuts] == [3, 3, 3, 1]


def test_a_file_without_rows_has_no_cuts() -> None:
    assert cut_file([], max_rows=1, max_bytes=1) == []
    assert cut_file([RowGroup(0, 9)], max_rows=1, max_bytes=1) == []


def fragment(relative_path: str, index: int, num_fragments: int) -> Fragment:
    cut = Cut(row_groups=(3, 4), row_group_offset=0, first_row=70, num_rows=9, num_bytes=99)
    cuts = [cut] * num_fragments
    return list(file_fragments("/in/" + relative_path, relative_path, 5, "0123456789abcdef", cuts, "mark"))[index]


def test_part_paths_are_under_the_relative_folders_of_the_input() -> None:
    path = fragment("news/part-00000.parquet", 0, 3).part_path
    assert path == "news/part-00000.01234567.00000-of-00003.parquet"
    assert fragment("a.snappy.parquet", 1, 2).part_path == "a.snappy.01234567.00001-of-00002.parquet"
    assert part_stem("x/lang=de/b") == "x/lang=de/b"


@pytest.mark.parametrize("stem", ["a", "x/lang=de/b", "a.01234567.00000-of-00001", "line\nfeed", "ä.parquet"])
@pytest.mark.parametrize(("index", "num_parts"), [(0, 1), (99_999, 100_000), (123_456, 1_234_567)])
def test_the_path_of_a_part_tells_its_name(stem: str, index: int, num_parts: int) -> None:
    name = PartName(stem, "0123abcd", index, num_parts)
    assert PartName.parse(name.path) == name


@pytest.mark.parametrize(
    "path",
    [
        "a.parquet",
        "a.00000-of-00001.parquet",
        "a.0123abcd.00000-of-00001.parquet.staged",
        "a.0123abcd.00001-of-00001.parquet",
        "a.0123abcd.000000-of-00001.parquet",
        "a.0123ABCD.00000-of-00001.parquet",
        ".0123abcd.00000-of-00001.parquet",
    ],
)
def test_other_paths_are_no_names_of_parts(path: str) -> None:
    assert PartName.parse(path) is None


def test_json_gives_the_same_fragment_back() -> None:
    original = fragment("näch/b.parquet", 1, 2)
    text = original.to_json()
    assert Fragment.from_json(text) == original
    assert Fragment.from_json(text).to_json() == text
    assert "\n" not in text


@pytest.mark.parametrize("name", ["w" * 218, "長" * 72 + "ab"])
def test_names_that_fit_are_left_alone(name: str) -> None:
    assert part_stem(f"x/{name}.parquet") == f"x/{name}"


@pytest.mark.parametrize("name", ["w" * 219, "長" * 73, "x" + "é" * 120, "ab" + "🙂" * 60])
def test_longer_names_are_cut_at_a_character_and_told_apart_by_their_whole_path(name: str) -> None:
    stem = part_stem(f"x/{name}.parquet")
    folder, _, short = stem.partition("/")
    assert folder == "x"
    assert 190 <= len(short.encode()) <= 200
    assert name.startswith(short[:-17])
    assert short[-17] == "-"
    others = [f"x/{name}.parq", f"y/{name}.parquet", f"x/{name}b.parquet", f"{name}.parquet"]
    assert len({part_stem(other).rpartition("/")[2] for other in others} | {short}) == 5
    assert part_stem(f"x/{name}.parquet") == stem
    assert PartName.parse(PartName(stem, "0123abcd", 0, 1).path) == PartName(stem, "0123abcd", 0, 1)


def test_the_digest_of_a_long_name_does_not_change() -> None:
    assert part_stem("x/" + "w" * 230 + ".parquet") == "x/" + "w" * 183 + "-6c597197f6590168"
