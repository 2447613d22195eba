"""Sources of texts: when two of them share a store, and what the store holds."""

import json
from pathlib import Path

from crossrank.corpus.source import CorpusSource, QuerySource
from crossrank.records import Reason
from crossrank.storage.content_hash import fingerprint


def corpus_of(path: Path, content: str, **columns: str) -> CorpusSource:
    path.write_text(content)
    return CorpusSource(str(path), fingerprint(str(path)), **columns)


def stores(cache: Path) -> list[Path]:
    return [path for path in (cache / "texts").iterdir() if path.is_dir()]


def test_a_document_is_its_title_and_its_text(tmp_path: Path) -> None:
    source = corpus_of(
        tmp_path / "c.jsonl", '{"_id": "d1", "title": "Cats ", "text": "sleep"}\n{"_id": 2, "text": "x"}\n'
    )
    store = source.open()
    assert store.texts([0, 1]) == ["Cats  sleep", "x"]
    assert store.ids([0, 1]) == ["d1", "2"]
    assert store.place(1) == (str(tmp_path / "c.jsonl"), 2)


def test_a_document_with_a_title_alone_is_not_empty(tmp_path: Path) -> None:
    source = corpus_of(tmp_path / "c.jsonl", '{"_id": "d1", "title": "Cats", "text": ""}\n{"_id": "d2", "text": ""}\n')
    store = source.open()
    assert store.texts([0]) == ["Cats"]
    assert [(row.record_id, row.reason) for row in store.rejected()] == [("d2", Reason.EMPTY_DOCUMENT)]


def test_the_same_content_is_converted_once(tmp_path: Path, cache: Path) -> None:
    content = '{"_id": "d1", "text": "x"}\n'
    first = corpus_of(tmp_path / "c.jsonl", content)
    first.open()
    second = corpus_of(tmp_path / "c.jsonl", content)  # written again: only its time has changed
    second.open()
    assert first.key == second.key
    assert len(stores(cache)) == 1


def test_other_content_or_other_columns_are_another_store(tmp_path: Path, cache: Path) -> None:
    path = tmp_path / "c.jsonl"
    before = corpus_of(path, '{"_id": "d1", "text": "x", "body": "y"}\n')
    assert before.open().texts([0]) == ["x"]
    by_column = corpus_of(path, '{"_id": "d1", "text": "x", "body": "y"}\n', text_column="body")
    assert by_column.open().texts([0]) == ["y"]
    after = corpus_of(path, '{"_id": "d1", "text": "z", "body": "y"}\n')
    assert after.open().texts([0]) == ["z"]
    assert len({before.key, by_column.key, after.key}) == len(stores(cache)) == 3


def test_queries_and_corpus_of_one_file_do_not_share_a_store(tmp_path: Path, cache: Path) -> None:
    path = tmp_path / "both.jsonl"
    corpus = corpus_of(path, '{"_id": "1", "title": "t", "text": "x"}\n{"_id": "2", "text": ""}\n')
    queries = QuerySource(str(path), corpus.fingerprint)
    assert corpus.open().texts([0]) == ["t x"]
    assert queries.open().texts([0]) == ["x"]
    assert [row.reason for row in queries.open().rejected()] == [Reason.EMPTY_QUERY]
    assert len(stores(cache)) == 2


def test_other_columns_of_queries_are_another_store(tmp_path: Path) -> None:
    path = tmp_path / "q.csv"
    path.write_text("_id,n,text,long\nq1,7,cats,cats and dogs\n")
    content = fingerprint(str(path))
    assert QuerySource(str(path), content).open().texts([0]) == ["cats"]
    asked = QuerySource(str(path), content, query_id_column="n", query_column="long").open()
    assert (asked.ids([0]), asked.texts([0])) == (["7"], ["cats and dogs"])


def test_a_row_of_the_second_file_of_a_folder_is_placed_there(tmp_path: Path) -> None:
    for name, identifier in (("a.tsv", "d1"), ("b.tsv", "d2")):
        (tmp_path / name).write_text(f"_id\ttext\n{identifier}\tx\nsame\ty\n")
    store = CorpusSource(str(tmp_path), fingerprint(str(tmp_path))).open()
    assert store.place(2) == (str(tmp_path / "b.tsv"), 2)
    [duplicate] = store.rejected()
    assert (duplicate.source, duplicate.line) == (str(tmp_path / "b.tsv"), 3)
    assert duplicate.detail == f"the id stands in line 3 of {tmp_path / 'a.tsv'} already; that one is kept"


def test_a_text_is_known_without_its_title(tmp_path: Path) -> None:
    rows = [
        {"_id": "both", "title": " Seoul ", "text": "  is large \n"},
        {"_id": "text alone", "text": " 서울은 크다 "},
        {"_id": "no title", "title": None, "text": "plain"},
        {"_id": "title alone", "title": "Seoul", "text": " "},
        {"_id": "blank title", "title": " ", "text": "plain"},
    ]
    store = corpus_of(tmp_path / "c.jsonl", "".join(json.dumps(row) + "\n" for row in rows)).open()
    every = range(len(rows))
    assert store.texts(every) == ["Seoul    is large", "서울은 크다", "plain", "Seoul", "plain"]
    assert store.texts_without_title(every) == ["is large", "서울은 크다", "plain", "", "plain"]
