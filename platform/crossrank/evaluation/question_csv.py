"""The ko-reranker's evaluation set, ``question,answer,doc_id,doc``, as queries, a corpus and judgements.

The corpus is the set of its documents: each question is asked of all of them, and the document of its row is judged
relevant. A question that stands in several rows is one query with several relevant documents.
"""

from __future__ import annotations

from dataclasses import replace

from crossrank import storage
from crossrank.formats import beir, qa_csv
from crossrank.records import Candidate, Group, Reason, Reject, Rejected


def beir_of(uri: str, folder: str, reject: Reject) -> None:
    """Write the CSV as a BEIR folder, anew. Different texts of one document id get ids of their own."""
    merged: dict[str, Group] = {}
    named: dict[str, dict[str, str]] = {}
    for line, group in qa_csv.read_groups(uri, reject):
        if not is_usable(line, group, uri, reject):
            continue
        [positive] = group.docs
        doc = replace(positive, doc_id=_id_of(positive, named))
        first = merged.setdefault(group.query, replace(group, docs=()))
        if doc.doc_id not in {each.doc_id for each in first.docs}:
            merged[group.query] = replace(first, docs=(*first.docs, doc))
    storage.delete(folder)
    beir.write_groups(folder, merged.values(), reject)


def is_usable(line: int, group: Group, uri: str, reject: Reject) -> bool:
    """Whether a row has a question and a document; otherwise it is rejected."""
    [positive] = group.docs
    fault = None
    if not group.query.strip():
        fault = Reason.EMPTY_QUERY, "the question is empty or white space"
    elif not (positive.text or "").strip():
        fault = Reason.EMPTY_DOCUMENT, "the doc is empty or white space"
    if fault is not None:
        reject(Rejected(uri, line, group.query_id, *fault))
    return fault is None


def _id_of(doc: Candidate, named: dict[str, dict[str, str]]) -> str:
    """The id of the document; the second text of one id is ``ID~2``."""
    of_texts = named.setdefault(doc.doc_id, {})
    text = doc.text or ""
    if text not in of_texts:
        of_texts[text] = doc.doc_id if not of_texts else f"{doc.doc_id}~{len(of_texts) + 1}"
    return of_texts[text]
