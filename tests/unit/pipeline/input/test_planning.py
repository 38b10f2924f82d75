import os
from pathlib import Path

import pyarrow as pa
import pytest

from pipeline.errors import InputError
from pipeline.input.planning import plan_fragments
from pipeline.output.manifest import part_record_path
from pipeline.output.output_folder import staged_path
from tests.shared_data import shared_data
from tests.unit.pipeline.encrypted_files import write_encrypted
from tests.unit.pipeline.input_files import job, read_fragment, rows, write


def test_fragments_are_in_the_order_of_sorted_files(tmp_path: Path) -> None:
    write(tmp_path / "b.parquet", rows(5))
    write(tmp_path / "a/z.parquet", rows(25), row_group_size=10)
    write(tmp_path / "a/c.parquet", rows(3))
    plan = plan_fragments(job(tmp_path, max_fragment_rows=20))
    c, z, b = (file.version[:8] for file in plan.fragments.files)
    assert [(f.part_path, f.first_row, f.num_rows, f.row_groups) for f in plan.fragments] == [
        (f"a/c.{c}.00000-of-00001.parquet", 0, 3, (0,)),
        (f"a/z.{z}.00000-of-00002.parquet", 0, 20, (0, 1)),
        (f"a/z.{z}.00001-of-00002.parquet", 20, 5, (2,)),
        (f"b.{b}.00000-of-00001.parquet", 0, 5, (0,)),
    ]
    assert (plan.num_files, plan.num_rows, plan.failed_files) == (3, 33, ())
    assert plan.read_schema.names == plan.carried_schema.names == ["id", "lang", "text"]
    assert plan == plan_fragments(job(tmp_path, max_fragment_rows=20))


def test_bytes_are_of_the_columns_that_are_read(tmp_path: Path) -> None:
    table = rows(1000).append_column("big", pa.array([os.urandom(5000) for _ in range(1000)]))
    nested = pa.array([{"a": [i], "b": {"c": i}} for i in range(1000)])
    write(tmp_path / "a.parquet", table.append_column("nested", nested))
    all_bytes = plan_fragments(job(tmp_path)).num_bytes
    without_big = plan_fragments(job(tmp_path, columns=["id"]))
    with_nested = plan_fragments(job(tmp_path, columns=["id", "nested"]))
    assert all_bytes > 5_000_000
    assert 10_000 < without_big.num_bytes < 200_000
    assert with_nested.num_bytes > without_big.num_bytes + 2 * 1000
    bounded = plan_fragments(job(tmp_path, max_fragment_bytes=600_000))
    assert len(bounded.fragments) == 9
    assert max(f.num_bytes for f in bounded.fragments) <= 600_000
    assert len(plan_fragments(job(tmp_path, columns=["id"], max_fragment_bytes=600_000)).fragments) == 1


def test_damaged_files_are_listed_and_the_others_go_on(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", rows(5))
    whole = write(tmp_path / "b.parquet", rows(50)).read_bytes()
    (tmp_path / "b.parquet").write_bytes(whole[:-100])
    (tmp_path / "c.parquet").write_bytes(whole[:-60] + b"\xff" * 52 + whole[-8:])
    (tmp_path / "d.parquet").write_bytes(b"")
    (tmp_path / "e.parquet").symlink_to(tmp_path / "gone")
    write(tmp_path / "f.parquet", rows(7))
    plan = plan_fragments(job(str(tmp_path / "*.parquet")))
    assert [f.relative_path for f in plan.fragments] == ["a.parquet", "f.parquet"]
    reasons = {Path(f.path).name: f.reason for f in plan.failed_files}
    assert "cut short" in reasons["b.parquet"]
    assert "damaged footer" in reasons["c.parquet"]
    assert "0 bytes" in reasons["d.parquet"]
    assert plan.num_files == 2 + len(plan.failed_files)
    assert plan.num_rows == 12


def test_encrypted_columns_cost_their_own_files_and_only_where_they_are_read(tmp_path: Path) -> None:
    table = rows(5)
    write(tmp_path / "lang=de/a.parquet", table.drop_columns(["lang"]))
    (tmp_path / "lang=sw").mkdir()
    write_encrypted(tmp_path / "lang=sw/b.parquet", table, ["lang"])
    plan = plan_fragments(job(tmp_path, columns=["id", "lang"]))
    assert [fragment.relative_path for fragment in plan.fragments] == ["lang=de/a.parquet"]
    [failed] = plan.failed_files
    assert failed.relative_path == "lang=sw/b.parquet"
    assert failed.reason == (
        "column 'lang' is encrypted, expected plain ones; decrypt the file, or list the columns to carry, without "
        "it, in input.columns"
    )
    plan = plan_fragments(job(tmp_path, columns=["id"]))
    assert [fragment.num_rows for fragment in plan.fragments] == [5, 5]
    tables = [read_fragment(fragment, plan.read_schema, plan.filesystem) for fragment in plan.fragments]
    assert tables[0].equals(tables[1])
    with pytest.raises(
        InputError,
        match=r"found 1 file that cannot be read, .*: column 'lang' is encrypted",
    ):
        plan_fragments(job(tmp_path / "lang=sw/b.parquet"))


def test_whoever_mends_the_input_is_told_of_files_that_cannot_be_read(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", rows(5).drop_columns(["text"]))
    write(tmp_path / "b.parquet", rows(5)).write_bytes(b"")
    with pytest.raises(InputError) as caught:
        plan_fragments(job(tmp_path))
    first, second = str(caught.value).split("\n")
    assert first.startswith(f"input.text: {tmp_path}/a.parquet: column 'text' is missing")
    assert second == (
        f"  and 1 of 2 files cannot be read; the first, {tmp_path}/b.parquet: no Parquet file: 0 bytes, expected "
        "12 or more"
    )


def test_nothing_readable_at_all_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(b"x" * 100)
    (tmp_path / "b.parquet").write_bytes(b"")
    with pytest.raises(InputError, match=r"found 2 files that cannot be read, .*; the first, .*a\.parquet: "):
        plan_fragments(job(tmp_path))
    with pytest.raises(InputError, match=r"input\.path: .*does not exist"):
        plan_fragments(job(tmp_path / "nothing"))


def test_files_and_row_groups_without_rows_make_no_fragment(tmp_path: Path) -> None:
    write(tmp_path / "empty.parquet", rows(0))
    write(tmp_path / "nothing.parquet", pa.table({}))
    plan = plan_fragments(job(tmp_path))
    assert (plan.fragments, plan.num_files, plan.num_rows) == ((), 2, 0)

    with pa.parquet.ParquetWriter(tmp_path / "gaps.parquet", rows(0).schema) as writer:
        for num_rows in (0, 4, 0, 3, 0):
            writer.write_table(rows(num_rows))
    [fragment] = plan_fragments(job(tmp_path)).fragments
    assert (fragment.row_groups, fragment.num_rows) == ((1, 3), 7)


def test_columns_are_checked_in_every_file(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", rows(5))
    write(tmp_path / "b.parquet", rows(5).drop_columns(["text"]))
    write(tmp_path / "c.parquet", rows(5).set_column(2, "text", pa.array(range(5))))
    with pytest.raises(InputError) as caught:
        plan_fragments(job(tmp_path))
    message = str(caught.value)
    assert f"{tmp_path}/b.parquet: column 'text' is missing" in message
    assert f"{tmp_path}/c.parquet: column 'text' has type int64, expected string" in message


def test_columns_of_every_head_are_checked(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", rows(5))
    heads = {"topic": {"task": "text-classification", "text_pair": "hypothesis"}}
    with pytest.raises(InputError, match="column 'hypothesis' is missing"):
        plan_fragments(job(tmp_path, heads=heads))
    with pytest.raises(InputError, match="column 'lang' has the name of a head"):
        plan_fragments(job(tmp_path, heads={"lang": {"task": "embedding"}}))


def test_unused_columns_may_differ_and_carried_ones_may_not(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", rows(5))
    write(tmp_path / "b.parquet", rows(5).append_column("extra", pa.array(range(5))))
    plan = plan_fragments(job(tmp_path, columns=["lang"]))
    assert plan.carried_schema.names == ["lang"]
    assert plan.read_schema.names == ["lang", "text"]
    with pytest.raises(InputError, match=r"b\.parquet: has a column 'extra', .*a\.parquet has not"):
        plan_fragments(job(tmp_path))


def test_bytes_of_a_field_are_those_of_its_leaf(tmp_path: Path) -> None:
    docs = [
        {"body": f"{i:08}", "raw": os.urandom(5000), "words": [{"w": "x" * 10, "raw": b"y" * 90}]}
        for i in range(100)
    ]
    write(tmp_path / "a.parquet", pa.table({"id": range(100), "doc": docs}), use_dictionary=False)
    body = plan_fragments(job(tmp_path, columns=["id"], text="doc.body"))
    assert 100 * (8 + 8) < body.num_bytes < 100 * 50
    assert body.read_schema == pa.schema([("id", pa.int64()), ("doc.body", pa.string())])
    heads = {"pos": {"task": "token-classification", "words": "doc.words.w"}}
    words = plan_fragments(job(tmp_path, columns=[], heads=heads))
    assert 100 * 10 < words.num_bytes < 100 * 50
    assert words.read_schema == pa.schema([("doc.words.w", pa.list_(pa.string()))])
    assert plan_fragments(job(tmp_path, text="doc.body")).num_bytes > 500_000


def test_partitioned_folders(tmp_path: Path) -> None:
    for lang, year in (("de", 2024), ("sw", 2023)):
        write(tmp_path / f"lang={lang}/year={year}/a.parquet", rows(5).drop_columns(["lang"]))
    plan = plan_fragments(job(tmp_path, columns=["id", "year"], route="lang"))
    assert plan.carried_schema == pa.schema([("id", pa.int64()), ("year", pa.string())])
    assert plan.read_schema.names == ["id", "year", "text", "lang"]
    assert plan.fragments[0].part_path.startswith("lang=de/year=2024/a.")
    assert plan_fragments(job(tmp_path)).read_schema.names == ["id", "text"]
    assert plan_fragments(job(tmp_path, hive=True)).carried_schema.names == ["id", "text", "lang", "year"]
    # Only folders below the root count.
    with pytest.raises(InputError, match="column 'lang' is missing"):
        plan_fragments(job(tmp_path / "lang=de", route="lang"))
    assert plan_fragments(job(f"{tmp_path}/lang=d*", route="lang")).num_files == 1
    with pytest.raises(InputError, match="column 'lang' is missing"):
        plan_fragments(job(tmp_path, route="lang", hive=False))


def test_folders_that_differ_are_refused_where_their_keys_are_needed(tmp_path: Path) -> None:
    table = rows(5).drop_columns(["lang"])
    write(tmp_path / "lang=de/a.parquet", table)
    write(tmp_path / "b.parquet", table)
    assert plan_fragments(job(tmp_path)).num_files == 2
    with pytest.raises(InputError, match=r"/b\.parquet: column 'lang' is missing"):
        plan_fragments(job(tmp_path, route="lang"))
    with pytest.raises(InputError, match=r"input\.hive: .*/b\.parquet: found true, expected a folder"):
        plan_fragments(job(tmp_path, hive=True))


def test_a_column_of_the_file_wins_over_its_folder_where_both_are_equal(tmp_path: Path) -> None:
    table = rows(5).drop_columns(["lang"])
    languages = pa.array(["de"] * 5)
    years = pa.array([7] * 5, pa.int16())
    write(
        tmp_path / "lang=de/year=07/a.parquet", table.append_column("lang", languages).append_column("year", years)
    )
    plan = plan_fragments(job(tmp_path, columns=["lang", "year"]))
    assert plan.carried_schema == pa.schema([("lang", pa.string()), ("year", pa.int16())])
    write(
        tmp_path / "lang=sw/year=07/a.parquet", table.append_column("lang", languages).append_column("year", years)
    )
    with pytest.raises(
        InputError, match=r"lang=sw/.*: column 'lang' is in the file and in the name of its folder"
    ):
        plan_fragments(job(tmp_path, columns=["lang", "year"]))
    assert plan_fragments(job(tmp_path, columns=["lang", "year"], hive=False)).num_files == 2


def test_a_key_that_is_there_twice_matters_only_where_folders_have_keys(tmp_path: Path) -> None:
    write(tmp_path / "a=1/a=2/b.parquet", rows(5))
    with pytest.raises(InputError, match="two folders have the key 'a'"):
        plan_fragments(job(tmp_path))
    assert plan_fragments(job(tmp_path, hive=False)).num_rows == 5


def test_files_whose_parts_would_have_the_same_names_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "en/train.parquet", rows(5))
    write(tmp_path / "fr/train.parquet", rows(5))
    with pytest.raises(InputError) as caught:
        plan_fragments(job([str(tmp_path / "en"), str(tmp_path / "fr")]))
    message = str(caught.value)
    assert f"{tmp_path}/en/train.parquet and {tmp_path}/fr/train.parquet" in message
    assert "train.*.parquet" in message
    assert len(plan_fragments(job(tmp_path)).fragments) == 2

    write(tmp_path / "en/train.parq", rows(5))
    with pytest.raises(InputError, match=r"train\.parq and .*train\.parquet would both"):
        plan_fragments(job(str(tmp_path / "en" / "*")))


@pytest.mark.parametrize(
    ("path", "output", "is_refused"),
    [
        ("in", "in", True),
        ("in", "in/out", True),
        ("in/**/*.parquet", "in/news", True),
        ("in/*", "in/out", True),
        ("in/*/*.parquet", "in/out", False),
        ("in/*.parquet", "in/out", False),
        ("in/a.parquet", "in", False),
        ("in", "in/_out", False),
        ("in", "input", False),
        ("in", "out", False),
    ],
)
def test_an_output_that_would_be_input_is_refused(
    tmp_path: Path, path: str, output: str, is_refused: bool
) -> None:
    write(tmp_path / "in/a.parquet", rows(5))
    write(tmp_path / "in/x/b.parquet", rows(5))
    config = job(tmp_path / path, output=tmp_path / output)
    if is_refused:
        with pytest.raises(InputError, match=r"output\.path: parts like .* would be input too"):
            plan_fragments(config)
    else:
        plan_fragments(config)


def test_an_output_in_an_object_store_is_no_input(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", rows(5))
    plan_fragments(job(tmp_path, output="s3://bucket/x?region=eu-west-1"))


def test_published_layouts_are_planned() -> None:
    root = shared_data("xnli")
    heads = {"nli": {"task": "text-classification", "text": "premise", "text_pair": "hypothesis"}}
    plan = plan_fragments(job(root, heads=heads, columns=["label"]))
    assert plan.num_files == 30
    assert plan.num_rows == 15 * (2490 + 5010)
    assert plan.fragments[0].part_path == "ar/test-00000-of-00001.2ffd5a4c.00000-of-00003.parquet"


@pytest.mark.parametrize("glob", ["", "**/*.parquet", "*"])
@pytest.mark.parametrize("output", ["link", "link/new/deeper", "in/day/out", "outer/new"])
def test_an_output_that_would_be_input_through_links_is_refused(tmp_path: Path, glob: str, output: str) -> None:
    write(tmp_path / "in/a.parquet", rows(5))
    (tmp_path / "in/results").mkdir()
    (tmp_path / "link").symlink_to("in/results")
    (tmp_path / "outer").mkdir()
    (tmp_path / "in/day").symlink_to("../outer")
    with pytest.raises(InputError, match=r"output\.path: parts like .* would be input too"):
        plan_fragments(job(f"{tmp_path}/in/{glob}", output=tmp_path / output))


@pytest.mark.parametrize(("path", "output"), [("in/*.parquet", "link"), ("in", "hidden/out"), ("in/a*", "link")])
def test_an_output_that_links_do_not_make_input_is_not_refused(tmp_path: Path, path: str, output: str) -> None:
    write(tmp_path / "in/a.parquet", rows(5))
    (tmp_path / "in/results").mkdir()
    (tmp_path / "link").symlink_to("in/results")
    (tmp_path / "in/_hidden").mkdir()
    (tmp_path / "hidden").symlink_to("in/_hidden")
    plan_fragments(job(tmp_path / path, output=tmp_path / output))


def test_an_input_that_is_a_link_itself(tmp_path: Path) -> None:
    write(tmp_path / "real/a.parquet", rows(5))
    (tmp_path / "in").symlink_to("real")
    with pytest.raises(InputError, match="would be input too"):
        plan_fragments(job(tmp_path / "in", output=tmp_path / "real/out"))


def test_links_that_lead_nowhere_are_listed_and_the_others_go_on(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", rows(5))
    (tmp_path / "b.parquet").symlink_to("/nowhere/blob")
    (tmp_path / "day").symlink_to("/nowhere/day")
    (tmp_path / "a").symlink_to("/nowhere/a")
    (tmp_path / "_hidden.parquet").touch()
    plan = plan_fragments(job(tmp_path))
    assert [file.relative_path for file in plan.fragments.files] == ["a.parquet"]
    assert [file.relative_path for file in plan.failed_files] == ["a", "b.parquet", "day"]
    assert "link to /nowhere/blob that leads nowhere" in plan.failed_files[1].reason
    assert plan.num_files == 4
    assert plan.passed_over.names == (f"{tmp_path}/_hidden.parquet",)


def test_a_name_that_is_not_utf8_is_listed_in_escaped_form(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", rows(5))
    for name in (b"Caf\xe9.txt", b"Caf\xe9.parquet"):
        with open(os.fsencode(tmp_path) + b"/" + name, "wb"):
            pass
    [failed] = plan_fragments(job(tmp_path)).failed_files
    assert failed.path == f"{tmp_path}/Caf\\xe9.parquet"


def test_messages_show_control_characters_in_escaped_form(tmp_path: Path) -> None:
    write(tmp_path / "new\nline.parquet", rows(5))
    with pytest.raises(InputError, match=r"/new\\nline\.parquet: column 'body' is missing"):
        plan_fragments(job(tmp_path, text="body"))
    (tmp_path / "b\x1b.parquet").write_bytes(b"")
    [failed] = plan_fragments(job(tmp_path)).failed_files
    assert failed.path == f"{tmp_path}/b\\x1b.parquet"


@pytest.mark.parametrize("name", ["長" * 75 + ".parquet", "w" * 247 + ".parquet", "w" * 219 + ".parquet"])
def test_long_names_have_parts_and_records_that_fit(tmp_path: Path, name: str) -> None:
    write(tmp_path / name, rows(5))
    [fragment] = plan_fragments(job(tmp_path)).fragments
    for path in (fragment.part_path, part_record_path(fragment.part_path), staged_path(fragment.part_path)):
        assert len(path.rpartition("/")[2].encode()) <= 255
    assert fragment.part_path.startswith(name[:50])
