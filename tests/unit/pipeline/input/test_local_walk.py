"""Symbolic links and mounts: each file once, under one name."""

import subprocess
from pathlib import Path

import pytest

from pipeline.input.file_listing import list_input_files
from tests.unit.pipeline.input.listed_files import listed, problems, write_tree


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return write_tree(tmp_path)


def test_a_loop_gives_each_file_once(tree: Path) -> None:
    expected = listed(tree)
    (tree / "news/up").symlink_to("..")
    (tree / "news/2024/self").symlink_to(".")
    assert listed(tree) == listed(tree / "**/*.parquet") == expected
    aliases = list_input_files([str(tree)]).passed_over.aliases
    assert aliases == ((f"{tree}/news/2024/self", f"{tree}/news/2024"), (f"{tree}/news/up", str(tree)))


def test_a_folder_with_two_names_is_read_under_the_one_without_links(tree: Path) -> None:
    expected = listed(tree)
    (tree / "a-link").symlink_to("news/2024")
    (tree / "zz").symlink_to(tree / "news")
    assert listed(tree) == expected
    assert len(list_input_files([str(tree)]).passed_over.aliases) == 2


def test_an_outer_folder_is_read_once_under_the_first_of_its_names(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "in/news/2025").rename(tmp_path / "outer")
    for name in ("2025", "latest"):
        (tree / "news" / name).symlink_to(tmp_path / "outer")
    assert listed(tree / "news") == ["2024/x.parquet", "2025/y.parquet", "z[1].parquet"]


def test_a_glob_takes_the_link_where_it_matches_that_alone(tree: Path) -> None:
    (tree / "latest").symlink_to("news/2025")
    assert listed(tree / "lat*") == ["latest/y.parquet"]
    assert listed(tree / "lat*", tree / "news/2025") == ["latest/y.parquet"]
    assert listed(tree / "*/*/*.parquet") == listed(tree / "*/202?/*.parquet") != []


def test_a_link_to_a_file_of_the_input_is_the_same_file(tree: Path, tmp_path: Path) -> None:
    expected = listed(tree)
    (tree / "0.parquet").symlink_to("a.parquet")
    assert listed(tree) == expected
    assert listed(tree / "0.parquet", tree / "a.parquet") == ["a.parquet"]
    assert listed(tree / "0.parquet") == ["0.parquet"]
    (tree / "1.parquet").symlink_to("0.parquet")
    assert listed(tree) == expected
    aliases = list_input_files([str(tree)]).passed_over.aliases
    assert aliases == tuple((f"{tree}/{link}.parquet", f"{tree}/a.parquet") for link in (0, 1))


def test_links_to_one_file_elsewhere_are_files_of_their_own(tree: Path, tmp_path: Path) -> None:
    """Caches name files by content: two files of equal content are links to one."""
    expected = listed(tree)
    (tmp_path / "blob").touch()
    for name in ("p.parquet", "q.parquet"):
        (tree / name).symlink_to(tmp_path / "blob")
    assert set(listed(tree)) - set(expected) == {"p.parquet", "q.parquet"}
    (tree / "latest.parquet").symlink_to("q.parquet")
    assert set(listed(tree)) - set(expected) == {"p.parquet", "q.parquet"}
    assert list_input_files([str(tree)]).passed_over.aliases == ((f"{tree}/latest.parquet", f"{tree}/q.parquet"),)


def test_links_that_give_rows_another_value_are_read_too(tmp_path: Path) -> None:
    for name in ("en", "de"):
        (tmp_path / f"in/lang={name}").mkdir(parents=True)
    (tmp_path / "in/lang=en/p.parquet").touch()
    (tmp_path / "in/lang=de/p.parquet").symlink_to("../lang=en/p.parquet")
    (tmp_path / "in/lang=de/q.parquet").symlink_to("p.parquet")
    (tmp_path / "in/lang=fr").symlink_to("lang=en")
    (tmp_path / "in/latest").symlink_to("lang=en")
    (tmp_path / "in/lang=en/up").symlink_to("..")
    (tmp_path / "in/lang=de/up").symlink_to("../lang=en/up")
    expected = ["lang=de/p.parquet", "lang=en/p.parquet", "lang=fr/p.parquet", "latest/p.parquet"]
    assert listed(tmp_path / "in") == expected


def test_hard_links_are_files_of_their_own(tree: Path) -> None:
    (tree / "b.parquet").hardlink_to(tree / "a.parquet")
    assert listed(tree / "*.parquet")[:2] == ["a.parquet", "b.parquet"]


def test_folders_that_all_lead_to_each_other_are_searched_in_no_time(tmp_path: Path) -> None:
    for i in range(12):
        (tmp_path / f"{i:02}").mkdir()
        (tmp_path / f"{i:02}/p.parquet").touch()
        for j in range(12):
            (tmp_path / f"{i:02}/to{j}").symlink_to(f"../{j:02}")
    for glob in ("", "**/*.parquet", "*/*/*.parquet", "*/to*/**"):
        assert len(listed(f"{tmp_path}/{glob}")) == 12


def test_links_that_lead_nowhere_are_listed(tree: Path) -> None:
    (tree / "gone.parquet").symlink_to("/nowhere/blob")
    (tree / "news/2026").symlink_to("/nowhere/2026")
    (tree / "self.parquet").symlink_to("self.parquet")
    (tree / "paper.pdf").symlink_to("/nowhere/paper")
    (tree / "_gone.parquet").symlink_to("/nowhere/blob")
    found = problems(tree)
    assert set(found) == {"gone.parquet", "news/2026", "self.parquet"}
    assert "a symbolic link to /nowhere/blob that leads nowhere" in found["gone.parquet"]
    assert list_input_files([str(tree)]).passed_over.broken_links == (f"{tree}/paper.pdf",)
    assert set(problems(tree / "gone.parquet")) == {"gone.parquet"}
    assert set(problems(tree / "**/*.parquet")) == set(found)
    assert set(problems(tree / "*.parquet")) == {"gone.parquet", "self.parquet"}


def test_a_mount_is_another_name(tree: Path) -> None:
    (tree / "zz").mkdir()
    mount = ["mount", "--bind", str(tree / "news"), str(tree / "zz")]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting takes rights")
    try:
        assert not [path for path in listed(tree) if path.startswith("zz")]
    finally:
        subprocess.run(["umount", str(tree / "zz")], check=True)
