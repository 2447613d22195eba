"""The memory as TSV, and back."""

from __future__ import annotations

from pathlib import Path

import pytest

from crossrank.errors import InputError, SettingsError
from crossrank.translation.backend import Outcome
from crossrank.translation.backends.amazon import AmazonBackend
from crossrank.translation.keys import TextKeys
from crossrank.translation.memory.blocks import Entry
from crossrank.translation.memory.store import Memory
from crossrank.translation.memory.tsv import ExportSettings, ImportSettings, export_memory, import_memory


@pytest.fixture(autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CROSSRANK_CACHE", str(tmp_path_factory.mktemp("cache")))


AMAZON = TextKeys(AmazonBackend("en", "ko").identity)


def test_exported_and_imported_it_is_the_same_memory(tmp_path: Path) -> None:
    texts = {"a\tb\nc\\d": "탭\t줄\r\n빗금\\", "two": None, "back \\n slash": "\\t"}
    entries = [
        Entry(AMAZON.of(source), AMAZON.identity, source, translation, None if translation else "invalid")
        for source, translation in texts.items()
    ]
    with Memory.writing(str(tmp_path / "one")) as memory:
        memory.add(entries)
    tsv = str(tmp_path / "memory.tsv.gz")
    assert export_memory(ExportSettings(memory=str(tmp_path / "one"), output=tsv)) == 3
    assert import_memory(ImportSettings(memory=str(tmp_path / "two"), input=tsv)) == 3
    assert sorted(Memory.reading(str(tmp_path / "two")).entries()) == sorted(entries)


def test_what_is_imported_for_amazon_is_not_paid_again(tmp_path: Path) -> None:
    (tmp_path / "m.tsv").write_text("source\ttranslation\n  a cat \t고양이\n")
    import_memory(
        ImportSettings(
            memory=str(tmp_path / "m"), input=str(tmp_path / "m.tsv"), source="en", target="ko", backend="amazon"
        )
    )
    memory = Memory.reading(str(tmp_path / "m"))
    assert memory.answers([AMAZON.of("a cat")]) == [Outcome("고양이")]
    formal = TextKeys(AmazonBackend("en", "ko", "formal").identity)
    assert not memory.has([formal.of("a cat")])[0]


def test_lines_that_are_no_translation_are_told_and_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [
        "source\ttranslation",
        "good\t좋다",
        "one column",
        "a\tb\tc",
        "\t비었다",
        "empty\t ",
        "bad\\q\tx",
        "end\\\tx",
    ]
    (tmp_path / "m.tsv").write_text("\n".join(lines) + "\n")
    kept = import_memory(
        ImportSettings(memory=str(tmp_path / "m"), input=str(tmp_path / "m.tsv"), source="en", target="ko")
    )
    assert kept == 1
    said = capsys.readouterr().err
    for line, why in {
        3: "has 1 columns, and the first line names 2",
        4: "has 3 columns, and the first line names 2",
        5: "has no source, or neither a translation nor an error",
        6: "has no source, or neither a translation nor an error",
        7: "has \\q, which is none of",
        8: "ends with a lone backslash",
    }.items():
        assert f"line {line}: malformed, {why}" in said
    assert "1 translations read, 6 lines left out" in said


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("en\tko\nhi\t안녕\n", "begins with the columns en, ko; its first line names them"),
        (
            "source\ttranslation\nx\n",
            r"holds no translation that can be used \(1 malformed; the first, .*m.tsv line 2: has 1 columns",
        ),
        ("", "is empty; its first line names them"),
    ],
)
def test_a_file_that_is_no_memory_is_refused(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "m.tsv").write_text(content)
    settings = ImportSettings(memory=str(tmp_path / "m"), input=str(tmp_path / "m.tsv"), source="en", target="ko")
    with pytest.raises(InputError, match=message):
        import_memory(settings)
    assert not (tmp_path / "m").exists(), "no memory is made for nothing, not even its lock"


def test_whose_they_are_has_to_be_said(tmp_path: Path) -> None:
    (tmp_path / "m.tsv").write_text("source\ttranslation\na\tb\n")
    with pytest.raises(InputError, match="has no column identity; say whose it is by --source, --target and --backend"):
        import_memory(ImportSettings(memory=str(tmp_path / "m"), input=str(tmp_path / "m.tsv")))
    with pytest.raises(SettingsError, match="--source and --target go together"):
        ImportSettings(memory="m", input="i", source="en")


def test_an_empty_memory_is_not_exported(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no translation; check --memory"):
        export_memory(ExportSettings(memory=str(tmp_path / "none"), output=str(tmp_path / "x.tsv")))
