"""The nightly increment: only what is new or changed is done, and the output is as that of a first run."""

import json
import os
import shutil
from pathlib import Path

import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from pipeline.errors import OutputError
from pipeline.fragments import PartName
from tests.integration.night import Night
from tests.integration.output_runs import Options
from tests.unit.pipeline.input_files import tree


def test_nothing_is_done_twice(night: Night) -> None:
    before, times = tree(night.output), night.times()
    assert night.run(on_part=lambda: pytest.fail("a part was written"))
    assert (tree(night.output), night.times()) == (before, times)


def test_only_what_is_new_or_changed_is_done(night: Night) -> None:
    before = night.times()
    night.write("x/b", 6)
    night.write("new/d", 11)
    assert night.run()
    assert tree(night.output) == night.fresh()
    after = night.times()
    assert {PartName.parse(str(path.relative_to(night.output))).stem for path in after.keys() - before} == {
        "x/b",
        "new/d",
    }
    assert {path for path, changed in before.items() if after.get(path) == changed} == {
        path for path in before if path.name.startswith(("a.", "c."))
    }


def test_new_parts_of_a_changed_file_are_seen_when_all_are_there_and_old_ones_are_not_any_more(
    night: Night,
) -> None:
    old = night.versions("a")
    night.write("a", 35, first=3)
    seen: list[set[str]] = []
    assert night.run(on_part=lambda: seen.append(night.versions("a")))
    assert seen == [old] * 4
    assert len(night.versions("a")) == 1
    assert night.versions("a") != old
    assert tree(night.output) == night.fresh()


@pytest.mark.parametrize("num_rows", [0, 1, 25, 60])
def test_a_file_may_become_shorter_or_longer_or_lose_all_its_rows(night: Night, num_rows: int) -> None:
    night.write("a", num_rows, first=1)
    assert night.run()
    assert tree(night.output) == night.fresh()


def test_a_file_that_is_as_it_was_before_the_last_run_is_done_again(night: Night) -> None:
    original = (night.inputs / "a.parquet").read_bytes()
    before = night.versions("a")
    night.write("a", 35)
    assert night.run()
    (night.inputs / "a.parquet").write_bytes(original)
    assert night.run()
    assert night.versions("a") == before
    assert tree(night.output) == night.fresh()


def test_another_file_under_the_same_stem_replaces_the_one_that_is_gone(night: Night) -> None:
    (night.inputs / "a.parquet").rename(night.inputs / "a.snappy.parquet")
    (night.inputs / "x/b.parquet").rename(night.inputs / "x/b.pq.parquet")
    night.write("a", 8, first=2)
    assert night.run(Options(prunes=True))
    assert tree(night.output) == night.fresh()


def test_parts_of_removed_files_are_kept_and_counted_until_they_are_pruned(night: Night) -> None:
    (night.inputs / "a.parquet").unlink()
    shutil.rmtree(night.inputs / "x" / "lang=de")
    before = night.times()
    assert night.run()
    assert night.times() == before
    summary = json.loads((night.output / "_SUCCESS").read_text())
    assert summary["removed"] == {"files": 2, "parts": 5, "rows": 37}
    assert summary["rows"] == 5
    assert night.run(Options(prunes=True))
    assert tree(night.output) == night.fresh()
    assert not (night.output / "x" / "lang=de").exists()


def test_parts_of_a_file_that_leaves_the_input_half_done_go_with_it(night: Night) -> None:
    path = night.write("new", 25)

    def die_once_a_part_is_there() -> None:
        if night.versions("new"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        night.run(on_part=die_once_a_part_is_there)
    assert night.versions("new")
    path.unlink()
    assert night.run()
    assert not night.versions("new")
    assert tree(night.output) == night.fresh()


def test_a_linked_folder_of_staged_parts_is_not_emptied(night: Night, tmp_path: Path) -> None:
    assert night.run()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/victim.parquet").write_bytes(b"1")
    (night.output / "_staged").symlink_to(tmp_path / "elsewhere")
    night.write("a", 35)
    with pytest.raises(OutputError, match=r"_staged.* is a symbolic link, expected a folder"):
        night.run()
    (night.output / "_staged").unlink()
    assert night.run()
    (night.output / "_staged").symlink_to(tmp_path / "elsewhere")
    night.write("later", 5)
    assert night.run()
    assert tree(tmp_path / "elsewhere") == {"victim.parquet": b"1"}
    assert tree(night.output) == night.fresh()


def test_a_file_that_cannot_be_read_now_is_not_removed_and_nothing_is_said_to_be_done(night: Night) -> None:
    before = night.times()
    content = (night.inputs / "a.parquet").read_bytes()
    stat = (night.inputs / "a.parquet").stat()
    (night.inputs / "a.parquet").write_bytes(content[:-10])
    night.write("new/d", 3)
    assert not night.run(Options(prunes=True))
    assert not (night.output / "_SUCCESS").exists()
    assert before.items() <= night.times().items()
    (night.inputs / "a.parquet").write_bytes(content)
    os.utime(night.inputs / "a.parquet", ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert night.run(on_part=lambda: pytest.fail("a part was written"))
    assert tree(night.output) == night.fresh()


def test_files_below_a_link_that_leads_nowhere_are_not_removed(night: Night) -> None:
    night.write("x/d", 3)
    assert night.run()
    before = night.times()
    (night.inputs / "x").rename(night.inputs.parent / "disk")
    (night.inputs / "x").symlink_to("../away")
    assert not night.run(Options(prunes=True))
    assert night.times() == before
    assert not (night.output / "_SUCCESS").exists()
    (night.inputs.parent / "disk").rename(night.inputs.parent / "away")
    assert night.run(Options(prunes=True), lambda: pytest.fail("a part was written"))
    assert night.times() == before


def test_long_names_are_done_changed_and_restarted(night: Night) -> None:
    names = ["長" * 75, "w" * 247, "w" * 217, "w" * 218, f"x/{'v' * 219}"]
    for name in names:
        night.write(name, 15)
    assert night.run()
    for name in names:
        night.write(name, 25)
    assert night.run()
    assert tree(night.output) == night.fresh()
    assert night.run(Options(identity={"model": "b"}, is_restart=True))
    assert tree(night.output) == night.fresh(Options(identity={"model": "b"}))


class TestTouchedFiles:
    """Size and footer are the same, the time is not."""

    def touch(self, night: Night) -> None:
        os.utime(night.inputs / "a.parquet", ns=(0, 10**18))

    def test_are_done_again_as_a_footer_need_not_show_every_change(self, night: Night) -> None:
        path = night.inputs / "a.parquet"
        plain = pq.read_table(path)
        pq.write_table(plain, path, compression="none", use_dictionary=False, write_statistics=False)
        assert night.run()
        content = path.read_bytes()
        path.write_bytes(content.replace(b"row 7 ", b"row 8 "))
        self.touch(night)
        assert night.run()
        assert tree(night.output) == night.fresh()
        texts = ds.dataset(night.output, format="parquet").to_table(filter=ds.field("id") == 7)["text"].to_pylist()
        assert any(text.startswith("row 8") for text in texts)

    def test_one_that_is_restored_half_way_is_as_it_was(self, night: Night) -> None:
        """Its parts are of one time or of the other, never of both, at every moment and in the end."""
        path = night.inputs / "a.parquet"
        plain = pq.read_table(path)
        pq.write_table(plain, path, compression="none", use_dictionary=False, write_statistics=False)
        assert night.run()
        before, content, time_ns = tree(night.output), path.read_bytes(), path.stat().st_mtime_ns
        path.write_bytes(content.replace(b"row 1", b"ROW 1"))
        self.touch(night)
        parts_written = 0

        def die_at_the_second() -> None:
            nonlocal parts_written
            parts_written += 1
            texts = ds.dataset(night.output, format="parquet").to_table()["text"].to_pylist()
            assert not any(text.startswith("ROW") for text in texts)
            if parts_written == 2:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            night.run(on_part=die_at_the_second)
        path.write_bytes(content)
        os.utime(path, ns=(time_ns, time_ns))
        assert night.run()
        assert tree(night.output) == before

    def test_are_kept_if_that_is_asked_for_and_then_known(self, night: Night) -> None:
        self.touch(night)
        before = night.times()
        assert night.run(Options(keeps_touched=True), lambda: pytest.fail("a part was written"))
        assert night.run(on_part=lambda: pytest.fail("a part was written"))
        assert night.times() == before


@pytest.mark.parametrize("damage", ["part", "short part", "record", "file record", "both records"])
def test_what_is_lost_is_done_again(night: Night, damage: str) -> None:
    before = tree(night.output)
    part = next(path for path in night.output.glob("a.*.parquet"))
    record = night.output / "_manifest/parts" / f"{part.name}.json"
    file_record = night.output / "_manifest/files/a.json"
    if damage == "part":
        part.unlink()
    elif damage == "short part":
        part.write_bytes(part.read_bytes()[:-1])
    elif damage == "record":
        record.unlink()
    if "file" in damage or "both" in damage:
        file_record.write_text("{")
    if "both" in damage:
        record.write_text('{"part_path": 1}')
    num_parts = []
    assert night.run(on_part=lambda: num_parts.append(1))
    assert len(num_parts) == (0 if damage in ("record", "file record") else 1)
    if damage == "record":
        # Nobody asks for it while the record of the file is there.
        before.pop(str(record.relative_to(night.output)))
    assert tree(night.output) == before


def test_success_is_there_while_everything_is_done(night: Night) -> None:
    success = night.output / "_SUCCESS"
    assert json.loads(success.read_text()) | {"bytes": 0, "run": ""} == {
        "format": 2,
        "run": "",
        "files": 4,
        "parts": 6,
        "rows": 42,
        "bytes": 0,
        "errors": sum(ds.dataset(night.output, format="parquet").to_table()["error"].is_valid().to_pylist()),
        "tokens": sum(ds.dataset(night.output, format="parquet").to_table()["num_tokens"].to_pylist()),
        "windows": 42,
        "errors_by_kind": {"other": 7},
        "removed": {"files": 0, "parts": 0, "rows": 0},
    }
    night.write("new", 3)
    assert night.run(on_part=lambda: pytest.fail("still there") if success.exists() else None)
    assert success.exists()
