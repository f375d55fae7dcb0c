"""Reading a folder of migrations: the manifest, line ends, the marker, and what is refused."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from tenure.errors import MigrationError, MigrationFileError, MigrationFolderError
from tenure.migrations import read_folder


def make(folder: Path, manifest: str | bytes | None, **files: str | bytes) -> Path:
    """Write *files* (``a`` becomes ``a.sql``) and the *manifest* into *folder*."""
    for name, content in files.items():
        (folder / f"{name}.sql").write_bytes(content.encode() if isinstance(content, str) else content)
    if manifest is not None:
        (folder / "manifest").write_bytes(manifest.encode() if isinstance(manifest, str) else manifest)
    return folder


def test_order_is_the_manifests_and_two_files_may_share_a_number(tmp_path: Path) -> None:
    names = ["008_schema.sql", "008_files.sql", "007_first.sql"]
    for name in names:
        (tmp_path / name).write_text("select 1;")
    (tmp_path / "manifest").write_text("# order\n\n" + "\n".join(f"{name}  # why" for name in names))

    folder = read_folder(tmp_path)

    assert [(file.position, file.name) for file in folder.files] == list(enumerate(names, start=1))
    assert (folder.unlisted, folder.absent) == ((), ())


def test_manifest_takes_windows_line_ends_a_byte_order_mark_and_no_last_newline(tmp_path: Path) -> None:
    make(tmp_path, "\ufeffa.sql\r\nb.sql".encode(), a="", b="")
    assert [file.name for file in read_folder(tmp_path).files] == ["a.sql", "b.sql"]


def test_names_may_hold_blanks_and_number_signs(tmp_path: Path) -> None:
    (tmp_path / "01 años#2.sql").write_text("")
    (tmp_path / "manifest").write_text("01 años#2.sql # a comment\n")
    assert [file.name for file in read_folder(tmp_path).files] == ["01 años#2.sql"]


def test_disagreement_is_reported_in_each_direction(tmp_path: Path) -> None:
    folder = read_folder(make(tmp_path, "a.sql\nghost.sql\n", a="", stray="", HAND=""))
    assert folder.absent == ((2, "ghost.sql"),)
    assert folder.unlisted == ("HAND.sql", "stray.sql")


def test_a_file_can_be_left_to_other_tools_by_name(tmp_path: Path) -> None:
    folder = read_folder(make(tmp_path, "a.sql\n! hand.sql  # psql\n!rendered-later.sql\n", a="", hand=""))
    assert [file.name for file in folder.files] == ["a.sql"]
    assert (folder.unlisted, folder.absent) == ((), ())


def test_other_kinds_of_file_and_subfolders_do_not_count(tmp_path: Path) -> None:
    make(tmp_path, "a.sql\n", a="")
    (tmp_path / "README.md").write_text("")
    (tmp_path / "x.cypher").write_text("")
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "z.sql").write_text("")
    (tmp_path / "folder.sql").mkdir()
    assert read_folder(tmp_path).unlisted == ()


@pytest.mark.parametrize(
    ("manifest", "line", "words"),
    [
        ("a.sql\na.sql\n", 2, "named twice"),
        ("a.sql\n\n!a.sql\n", 3, "named twice"),
        ("../a.sql\n", 1, "not the name"),
        ("# c\nsub/a.sql\n", 2, "not the name"),
        ("a.cypher\n", 1, "ending in .sql"),
        ("!\n", 1, "not the name"),
        (b"a.sql\n\xff.sql\n", 2, "not UTF-8"),
    ],
)
def test_a_manifest_that_is_no_list_of_names_is_refused_with_its_line(
    tmp_path: Path, manifest: str | bytes, line: int, words: str
) -> None:
    with pytest.raises(MigrationFileError, match=words) as caught:
        read_folder(make(tmp_path, manifest, a=""))
    assert caught.value.fields["line"] == line
    assert caught.value.exit_code == 2


def test_no_folder_and_no_manifest_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(MigrationFolderError, match="no such folder"):
        read_folder(tmp_path / "nowhere")
    with pytest.raises(MigrationFolderError, match=r"it holds a\.sql.*Write one"):
        read_folder(make(tmp_path, None, a=""))


@pytest.mark.parametrize("ends", ["\r\n", "\r"])
def test_checksum_and_text_are_the_same_for_every_line_end(tmp_path: Path, ends: str) -> None:
    text = "create function f() returns text as $$\n select 'ñ'\n$$ language sql;\n"
    make(tmp_path, "a.sql\nb.sql\nc.sql\n", a=text, b=text.replace("\n", ends), c="\ufeff" + text)
    plain, other, marked = read_folder(tmp_path).files
    assert plain.checksum == other.checksum == marked.checksum == hashlib.sha256(text.encode()).hexdigest()
    assert plain.text == other.text == marked.text == text


def test_checksum_differs_for_everything_else(tmp_path: Path) -> None:
    make(tmp_path, "a.sql\nb.sql\nc.sql\n", a="select 1;\n", b="select 1;", c="select  1;\n")
    assert len({file.checksum for file in read_folder(tmp_path).files}) == 3


@pytest.mark.parametrize(
    ("text", "transactional"),
    [
        ("-- tenure: no-transaction\nselect 1;", False),
        ("\n-- why\n\n  --tenure:no-transaction\r\nselect 1;", False),
        ("-- TENURE: No-Transaction", False),
        ("-- the words tenure: no-transaction in prose\nselect 1;", True),
        ("select '\n-- tenure: no-transaction\n';", True),
        ("", True),
    ],
)
def test_the_marker_counts_in_the_comment_lines_at_the_top(tmp_path: Path, text: str, transactional: bool) -> None:
    (file,) = read_folder(make(tmp_path, "a.sql", a=text)).files
    assert file.transactional is transactional


@pytest.mark.parametrize(
    ("content", "line", "words"),
    [
        ("-- c\n-- tenure: no-transactions\n", 2, "not known"),
        (b"select 1;\nselect '\xe9';", 2, "not UTF-8"),
        ("select 1;\n\0drop table x;", 2, "NUL"),
    ],
)
def test_files_that_would_run_otherwise_than_they_look_are_refused(
    tmp_path: Path, content: str | bytes, line: int, words: str
) -> None:
    with pytest.raises(MigrationError, match=words) as caught:
        read_folder(make(tmp_path, "a.sql", a=content))
    assert caught.value.fields["line"] == line
