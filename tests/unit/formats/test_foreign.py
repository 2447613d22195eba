"""FlagEmbedding, MS MARCO and sentence-transformers rows, and question CSV: what they become, and what is refused."""

import json
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path
from typing import Any

import pytest

from crossrank.errors import InputError
from crossrank.formats import FORMATS
from crossrank.records import Candidate, Group, Json, Reason, Rejected

WriteFile = Callable[[str, str | bytes], str]


def digest(text: str) -> str:
    return blake2b(text.encode(), digest_size=8).hexdigest()


def read(name: str, uri: str, rejected: list[Rejected]) -> list[Group]:
    form = FORMATS[name]
    assert form.read is not None
    return [group for _, group in form.read(uri, rejected.append)]


def written(name: str, path: Path, groups: list[Group], rejected: list[Rejected]) -> list[Json]:
    form = FORMATS[name]
    assert form.write is not None
    count = form.write(str(path), groups, rejected.append)
    assert count == len(groups) - len(rejected)
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n")[:-1]]


def group(*docs: Candidate, **others: Any) -> Group:
    return Group("q", "question", docs, **others)


POSITIVE = Candidate("d1", "yes", label=1.0)
NEGATIVE = Candidate("d2", "no", label=0.0)


def test_a_flagembedding_row_becomes_its_positives_and_then_its_negatives(
    write: WriteFile, rejected: list[Rejected]
) -> None:
    row = {
        "query": "질문",
        "pos": ["b", "a"],
        "neg": ["c", "a"],
        "pos_scores": [0.5, 2],
        "neg_scores": [-1.25, 0],
        "prompt": "p",
        "qid": 7,
    }
    uri = write("train.jsonl", json.dumps(row))
    (found,) = read("flagembedding", uri, rejected)
    assert found.query == "질문"
    assert found.meta == {"prompt": "p", "qid": 7}
    assert [(doc.text, doc.label, doc.teacher_score) for doc in found.docs] == [
        ("b", 1.0, 0.5),
        ("a", 1.0, 2.0),
        ("c", 0.0, -1.25),
        ("a", 0.0, 0.0),
    ]


def test_documents_without_an_id_get_one_from_their_text_and_equal_queries_stay_two(
    write: WriteFile, rejected: list[Rejected]
) -> None:
    row = '{"query": "x", "pos": ["yes"], "neg": []}\n'
    first, second = read("flagembedding", write("train.jsonl", row + row), rejected)
    assert first.docs[0].doc_id == second.docs[0].doc_id == digest("yes")
    assert len(first.docs[0].doc_id) == 16
    assert first.query_id != second.query_id


def test_equal_queries_on_the_same_line_of_two_files_stay_two(write: WriteFile, rejected: list[Rejected]) -> None:
    row = '{"query": "x", "pos": ["yes"], "neg": []}\n'
    folder = str(Path(write("folder/a.jsonl", row)).parent)
    write("folder/b.jsonl", row)
    first, second = read("flagembedding", folder, rejected)
    assert first.query_id != second.query_id


@pytest.mark.parametrize(
    ("change", "detail"),
    [
        ({"query": ...}, "query is missing, and a string is wanted"),
        ({"query": None}, "query is null, and a string is wanted"),
        ({"query": ["x"]}, "query is a list, and a string is wanted"),
        ({"pos": ...}, "pos is missing, and a list is wanted"),
        ({"pos": None}, "pos is null, and a list is wanted"),
        ({"pos": "a"}, "pos is a string, and a list is wanted"),
        ({"pos": ["a", 5]}, "pos[1] is a whole number, and a string is wanted"),
        ({"neg": [None]}, "neg[0] is null, and a string is wanted"),
        ({"pos_scores": [1.0, 2.0]}, "pos_scores has 2 numbers, and pos has 1 texts"),
        ({"neg_scores": []}, "neg_scores has 0 numbers, and neg has 2 texts"),
        ({"neg_scores": [0.1, "high"]}, "neg_scores[1] is a string, and a number is wanted"),
        ({"neg_scores": [0.1, None]}, "neg_scores[1] is null, and a number is wanted"),
        ({"_shape": {}}, "has the key _shape, which crossrank uses itself; rename it"),
    ],
)
def test_a_flagembedding_row_with_anything_wrong_is_rejected_and_the_others_are_read(
    write: WriteFile, rejected: list[Rejected], change: Json, detail: str
) -> None:
    good: Json = {"query": "x", "pos": ["a"], "neg": ["b", "c"]}
    bad = {key: value for key, value in (good | change).items() if value is not ...}
    uri = write("train.jsonl", "\n".join(map(json.dumps, (good, bad, good))))
    assert len(read("flagembedding", uri, rejected)) == 2
    assert rejected == [Rejected(uri, 2, None, Reason.MALFORMED, detail)]


@pytest.mark.parametrize(
    "row",
    [
        {"query": "x", "pos": ["a"], "neg": []},
        {"query": "x", "pos": ["a"]},
        {"query": "x", "pos": ["a"], "neg": None},
        {"query": "x", "pos": [], "neg": ["b"]},
        {"query": "x", "pos": ["a"], "neg": ["b"], "pos_scores": None, "neg_scores": None},
        {"query": "x", "pos": ["a"], "neg": [], "pos_scores": [0.1], "neg_scores": []},
        {"query": "x", "pos": ["a"], "neg": ["b"], "pos_scores": [0.1]},
        {"query": "", "pos": ["", " a\n", ""], "neg": ["b"], "prompt": None, "type": {"x": [1, 2.5, "값"]}},
    ],
)
def test_what_a_flagembedding_row_had_absent_null_or_empty_is_so_again(
    tmp_path: Path, write: WriteFile, rejected: list[Rejected], row: Json
) -> None:
    groups = read("flagembedding", write("in.jsonl", json.dumps(row)), rejected)
    assert written("flagembedding", tmp_path / "out.jsonl", groups, rejected) == [row]


def test_scores_found_later_win_over_a_null_that_was_read(
    tmp_path: Path, write: WriteFile, rejected: list[Rejected]
) -> None:
    uri = write("in.jsonl", '{"query": "x", "pos": ["a"], "neg": [], "pos_scores": null}')
    (found,) = read("flagembedding", uri, rejected)
    scored = Group(found.query_id, found.query, (Candidate("d", "a", label=1.0, teacher_score=0.5),), meta=found.meta)
    assert written("flagembedding", tmp_path / "out.jsonl", [scored], rejected) == [
        {"query": "x", "pos": ["a"], "neg": [], "pos_scores": [0.5]}
    ]


def test_a_title_is_written_in_front_of_the_text_as_the_model_reads_it(
    tmp_path: Path, rejected: list[Rejected]
) -> None:
    docs = Candidate("d1", "text", "Title", label=2.0), Candidate("d2", " no ", "", label=0.0)
    assert written("flagembedding", tmp_path / "out.jsonl", [group(*docs)], rejected) == [
        {"query": "question", "pos": ["Title text"], "neg": [" no "]}
    ]


CANNOT_BE_HELD = [
    (group(Candidate("d", None, label=1.0)), Reason.MALFORMED, "d has no text"),
    (group(POSITIVE, Candidate("d", "x")), Reason.MALFORMED, "d is unjudged"),
    (group(POSITIVE, Candidate("d", "x", label=0.0, flags=("same",))), Reason.MALFORMED, "d is flagged same"),
]


@pytest.mark.parametrize("name", ["flagembedding", "msmarco-triplets", "st-triplets", "st-labelled", "qa-csv"])
@pytest.mark.parametrize(("bad", "reason", "detail"), CANNOT_BE_HELD)
def test_a_group_that_would_come_out_changed_is_rejected_and_the_others_are_written(
    tmp_path: Path, rejected: list[Rejected], name: str, bad: Group, reason: Reason, detail: str
) -> None:
    form = FORMATS[name]
    assert form.write is not None
    uri = str(tmp_path / "out.csv")
    assert form.write(uri, [group(POSITIVE), bad, group(POSITIVE)], rejected.append) == 2
    assert [(row.source, row.record_id, row.reason) for row in rejected] == [(uri, "q", reason)]
    assert detail in rejected[0].detail
    assert len(read(name, uri, rejected)) == 2


def test_scores_that_only_some_documents_have_cannot_be_written(tmp_path: Path, rejected: list[Rejected]) -> None:
    half = group(Candidate("d1", "a", label=1.0, teacher_score=1.0), Candidate("d2", "b", label=1.0))
    assert written("flagembedding", tmp_path / "out.jsonl", [half], rejected) == []
    assert rejected[0].detail == "1 of 2 documents have no teacher score, and pos_scores needs all or none"


def test_a_key_of_meta_that_the_format_would_take_for_its_own_is_refused(
    tmp_path: Path, rejected: list[Rejected]
) -> None:
    assert written("st-labelled", tmp_path / "out.jsonl", [group(POSITIVE, meta={"labels": "x"})], rejected) == []
    assert rejected[0].detail == "meta holds labels, which means something else in this format"


def test_msmarco_triplets_are_packed_and_hold_no_scores(
    tmp_path: Path, write: WriteFile, rejected: list[Rejected]
) -> None:
    row = {"query": "x", "pos": ["a"], "neg": ["b", "b"], "extra": 1}
    groups = read("msmarco-triplets", write("in.jsonl.gz", json.dumps(row)), rejected)
    form = FORMATS["msmarco-triplets"]
    assert form.write is not None
    uri = str(tmp_path / "out.jsonl.gz")
    assert form.write(uri, groups, rejected.append) == 1
    assert Path(uri).read_bytes()[:2] == b"\x1f\x8b"
    assert read("msmarco-triplets", uri, rejected) == groups


@pytest.mark.parametrize(
    "row",
    [
        {"anchor": "x", "positive": "a"},
        {"anchor": "x", "positive": "a", "negative": "b"},
        {"anchor": "x", "positive": "a", "negative_1": "b"},
        {"anchor": "x", "positive": "a", "negative_2": "c", "negative_1": "b", "label": 0.5},
    ],
)
def test_triplets_keep_the_names_of_their_negatives(
    tmp_path: Path, write: WriteFile, rejected: list[Rejected], row: Json
) -> None:
    groups = read("st-triplets", write("in.jsonl", json.dumps(row)), rejected)
    assert [doc.text for doc in groups[0].docs] == ["a", "b", "c"][: len(groups[0].docs)]
    assert written("st-triplets", tmp_path / "out.jsonl", groups, rejected) == [row]


def test_several_positives_become_several_triplets(tmp_path: Path, rejected: list[Rejected]) -> None:
    many = group(NEGATIVE, POSITIVE, Candidate("d3", "also", label=3.0), meta={"k": 1})
    assert written("st-triplets", tmp_path / "out.jsonl", [many], rejected) == [
        {"anchor": "question", "positive": "yes", "negative": "no", "k": 1},
        {"anchor": "question", "positive": "also", "negative": "no", "k": 1},
    ]


def test_a_group_without_a_positive_makes_no_triplet(tmp_path: Path, rejected: list[Rejected]) -> None:
    assert written("st-triplets", tmp_path / "out.jsonl", [group(NEGATIVE)], rejected) == []
    assert rejected[0].reason == Reason.NO_CANDIDATES


@pytest.mark.parametrize(
    ("row", "detail"),
    [
        ({"positive": "a"}, "anchor is missing, and a string is wanted"),
        ({"anchor": "x"}, "positive is missing, and a string is wanted"),
        ({"anchor": "x", "positive": ["a"]}, "positive is a list, and a string is wanted"),
        ({"anchor": "x", "positive": "a", "negative": None}, "negative is null, and a string is wanted"),
        (
            {"anchor": "x", "positive": "a", "negative_1": "b", "negative_3": "c"},
            "has negative_1, negative_3; negatives are called negative, or negative_1 and so on",
        ),
        (
            {"anchor": "x", "positive": "a", "negative": "b", "negative_1": "c"},
            "has negative, negative_1; negatives are called negative, or negative_1 and so on",
        ),
    ],
)
def test_a_triplet_with_anything_wrong_is_rejected(
    write: WriteFile, rejected: list[Rejected], row: Json, detail: str
) -> None:
    uri = write("in.jsonl", '{"anchor": "x", "positive": "a"}\n' + json.dumps(row))
    assert len(read("st-triplets", uri, rejected)) == 1
    assert rejected == [Rejected(uri, 2, None, Reason.MALFORMED, detail)]


def test_labelled_lists_keep_their_order_and_their_grades(
    tmp_path: Path, write: WriteFile, rejected: list[Rejected]
) -> None:
    content = '{"query": "x", "docs": ["b", "a", "b"], "labels": [0, 2, 0.5], "id": "k"}\n'
    groups = read("st-labelled", write("in.jsonl", content), rejected)
    assert [(doc.text, doc.label) for doc in groups[0].docs] == [("b", 0.0), ("a", 2.0), ("b", 0.5)]
    written("st-labelled", tmp_path / "out.jsonl", groups, rejected)
    assert (tmp_path / "out.jsonl").read_text() == content


@pytest.mark.parametrize(
    ("row", "detail"),
    [
        ({"query": "x", "docs": ["a"], "labels": [1, 0]}, "labels has 2 numbers, and docs has 1 texts"),
        ({"query": "x", "docs": ["a"], "labels": [None]}, "labels[0] is null, and a number is wanted"),
        ({"query": "x", "docs": ["a"]}, "labels is missing, and a list is wanted"),
        ({"query": "x", "docs": [["a"]], "labels": [1]}, "docs[0] is a list, and a string is wanted"),
    ],
)
def test_a_labelled_list_with_anything_wrong_is_rejected(
    write: WriteFile, rejected: list[Rejected], row: Json, detail: str
) -> None:
    uri = write("in.jsonl", json.dumps(row))
    assert read("st-labelled", uri, rejected) == []
    assert rejected == [Rejected(uri, 1, None, Reason.MALFORMED, detail)]


def test_a_question_row_is_a_group_with_its_document_as_the_positive(
    write: WriteFile, rejected: list[Rejected]
) -> None:
    uri = write("eval.csv", '\ufeffquestion,answer,doc_id,doc\r\n왜?,because,d7,"a ""b"",\nc"\r\n언제?,,,now\r\n')
    why, when = read("qa-csv", uri, rejected)
    assert (why.query, why.meta) == ("왜?", {"answer": "because"})
    assert why.docs == (Candidate("d7", 'a "b",\nc', label=1.0),)
    assert when.docs[0].doc_id == digest("now")
    assert rejected == []


def test_a_question_file_without_one_of_its_columns_is_refused(write: WriteFile, rejected: list[Rejected]) -> None:
    with pytest.raises(InputError, match="has no column doc_id; it has question, answer, doc, and"):
        read("qa-csv", write("eval.csv", "question,answer,doc\na,b,c\n"), rejected)


def test_a_question_row_holds_one_positive_and_nothing_else(tmp_path: Path, rejected: list[Rejected]) -> None:
    form = FORMATS["qa-csv"]
    assert form.write is not None
    groups = [
        group(POSITIVE, meta={"topic": "a"}),
        group(POSITIVE, NEGATIVE, meta={"topic": "a"}),
        group(meta={"topic": "a"}),
        group(POSITIVE),
        group(POSITIVE, meta={"topic": 5}),
        group(POSITIVE, meta={"topic": "b", "answer": "so"}),
    ]
    assert form.write(str(tmp_path / "out.csv"), groups, rejected.append) == 2
    assert (tmp_path / "out.csv").read_text() == (
        "question,answer,doc_id,doc,topic\nquestion,,d1,yes,a\nquestion,so,d1,yes,b\n"
    )
    assert [row.detail for row in rejected] == [
        "has 1 positives and 1 negatives; a row holds one positive",
        "has 0 positives and 0 negatives; a row holds one positive",
        "has the columns question, answer, doc_id, doc, and the file has question, answer, doc_id, doc, topic",
        "meta.topic is not text, and CSV holds nothing else",
    ]
