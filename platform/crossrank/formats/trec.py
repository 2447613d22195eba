"""TREC runs (``qid Q0 docid rank score tag``) and judgements (``qid iter docid rel``), as rows and as groups.

A run holds ids, ranks, scores and tags; judgements hold ids, labels and the iteration. Neither holds a text: the groups
they become have an empty query and documents without text. The second column of a run is not read, as in trec_eval.
Columns are separated by any ASCII white space; ids with white space are written as `words` has it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import groupby
from typing import NamedTuple

from crossrank.config.plain_numbers import plain_float
from crossrank.errors import quoted
from crossrank.formats.document_order import has_ranks, initial_order, is_ranked
from crossrank.formats.fields import RANK_LIMIT, RowRefused, accepted, plain_number
from crossrank.formats.foreign import write_groups_as
from crossrank.formats.lines import read_lines
from crossrank.formats.repeated import each_document_once
from crossrank.formats.run_lines import OUR_TAG, run_lines
from crossrank.formats.sources import files_of
from crossrank.formats.words import id_of, word_of
from crossrank.records import Candidate, Group, Reason, Reject
from crossrank.telemetry.progress import say_once

RUN_TAG = "run_tag"
"""Key of `Group.meta`, and of the `Candidate.meta` of documents that have another one than the first of their group."""
ITERATION = "iter"
"""Key of `Candidate.meta` for an iteration other than ``0``."""
RUN_EXTENSIONS = (".trec", ".run", ".txt")
QRELS_EXTENSIONS = (".qrels", ".trec", ".txt", ".tsv")

RANK = "[+-]?[0-9]{1,10}"
"""Pattern of a rank."""

_COLUMNS = re.compile(r"[^ \t\r\n\f\v]+")


class RunRow(NamedTuple):
    """One line of a run."""

    query_id: str
    doc_id: str
    rank: int
    score: float
    tag: str
    line: int


class Qrel(NamedTuple):
    """One judgement."""

    query_id: str
    doc_id: str
    relevance: float
    iteration: str
    line: int


def read_run(uri: str, reject: Reject) -> Iterator[RunRow]:
    """The lines of a run, in the order of the file.

    Rejected: lines without six columns, ranks that are not whole numbers, scores that are not finite numbers.
    """
    return run_rows(read_lines(uri, reject), uri, reject)


def run_rows(lines: Iterable[tuple[int, str]], uri: str, reject: Reject) -> Iterator[RunRow]:
    """Parse the lines of a run at `uri`, given with their numbers; rejects what `read_run` rejects."""
    for _, row in accepted(lines, uri, reject, _run_row, _first_column):
        yield row


def read_qrels(uri: str, reject: Reject) -> Iterator[Qrel]:
    """The lines of a judgement file, in its order. Grades may be negative or have a fraction.

    Rejected: lines without four columns, grades that are not finite numbers.
    """
    for _, row in accepted(read_lines(uri, reject), uri, reject, _qrel, _first_column):
        yield row


def read_run_groups(uri: str, reject: Reject) -> Iterator[tuple[int, Group]]:
    """Read one group for each query of a run, its documents by score, with the line where it begins.

    Equal scores are ordered by rank, then as in the file. Ranks that contradict the scores, or are below 0,
    are counted anew.

    Only one query is held, so its lines have to follow one another: one that comes back is a second group of the
    same id. Rejects what `read_run` rejects.
    """
    for file in files_of(uri, RUN_EXTENSIONS):
        read = contradicted = 0
        for query_id, found in groupby(read_run(file, reject), key=lambda row: row.query_id):
            in_file = list(found)
            rows, is_contradicted = _by_score(in_file)
            read += 1
            contradicted += is_contradicted
            tag = rows[0].tag
            docs = tuple(
                Candidate(row.doc_id, rank=row.rank, score=row.score, meta={} if row.tag == tag else {RUN_TAG: row.tag})
                for row in rows
            )
            yield in_file[0].line, Group(query_id, "", docs, meta={RUN_TAG: tag})
        say_contradicted(file, contradicted, read)


def read_qrels_groups(uri: str, reject: Reject) -> Iterator[tuple[int, Group]]:
    """Read one group for each query of a judgement file, with its first line; otherwise as `read_run_groups`."""
    for file in files_of(uri, QRELS_EXTENSIONS):
        for query_id, found in groupby(read_qrels(file, reject), key=lambda row: row.query_id):
            rows = list(found)
            yield rows[0].line, Group(query_id, "", tuple(map(_judged, rows)))


def write_run(uri: str, groups: Iterable[Group], reject: Reject) -> int:
    """Write the documents of each group, each once; returns the number of groups.

    Documents stand by their ranks. Where there are none, they stand by score, and equal scores as in
    `document_order.initial_order`. The ranks stand where every document has one, else they are the places. A score that
    does not fall is changed, see `run_lines`. The tag is the one it was read with, or ``crossrank``. Left out: texts,
    labels and all else.

    Rejected: groups without documents, documents with neither a score nor a rank, scores that are not finite, tags that
    are no text.
    """
    ranked = (replace(group, docs=_ranking(group)) for group in groups)
    return write_groups_as(uri, each_document_once(ranked, uri), reject, _run_lines)


def write_qrels(uri: str, groups: Iterable[Group], reject: Reject) -> int:
    """Write the judged documents of each group, each once with its highest label; returns the number of groups.

    A document that is left out is unjudged to readers.

    Rejected: groups without a judged document, iterations that are no text.
    """
    return write_groups_as(uri, each_document_once(groups, uri), reject, _qrels_lines)


def say_contradicted(uri: str, contradicted: int, read: int) -> None:
    """Say how many of the queries of a run have ranks that go against their scores, if there are any."""
    if contradicted:
        say_once(
            f"ranks of {uri}",
            f"{uri}: in {contradicted:,} of {read:,} queries the ranks contradict the scores; the scores decide, as in "
            f"trec_eval",
        )


def number_of(text: str, name: str) -> float:
    """A finite number as text files write it."""
    try:
        value = plain_float(text)
    except ValueError:
        raise RowRefused(f"the {name} {quoted(text, 40)} is not a number") from None
    if not math.isfinite(value):
        raise RowRefused(f"the {name} is {text}, which is not finite", Reason.SCORE_NOT_FINITE)
    return value


def _run_row(line: int, content: str) -> RunRow:
    query_id, _, doc_id, rank, score, tag = _columns(content, 6, "qid Q0 docid rank score tag")
    if not re.fullmatch(RANK, rank) or abs(int(rank)) > RANK_LIMIT:
        raise RowRefused(f"the rank {quoted(rank, 40)} is not a whole number up to {RANK_LIMIT}")
    return RunRow(id_of(query_id), id_of(doc_id), int(rank), number_of(score, "score"), id_of(tag), line)


def _qrel(line: int, content: str) -> Qrel:
    query_id, iteration, doc_id, relevance = _columns(content, 4, "qid iter docid rel")
    return Qrel(id_of(query_id), id_of(doc_id), number_of(relevance, "relevance"), id_of(iteration), line)


def _columns(content: str, count: int, layout: str) -> list[str]:
    columns = _COLUMNS.findall(content)
    if len(columns) != count:
        raise RowRefused(f"{len(columns)} columns, and {count} are wanted ({layout})")
    return columns


def _first_column(content: str) -> str | None:
    found = _COLUMNS.search(content)
    return found.group() if found else None


def _by_score(in_file: list[RunRow]) -> tuple[list[RunRow], bool]:
    """The lines of a query, best first, and whether their ranks contradicted that.

    Of a document that is named again, its best line alone is a statement.
    """
    rows = sorted(in_file, key=lambda row: (-row.score, row.rank))
    first = {row.doc_id: row for row in reversed(rows)}
    ranks = [row.rank for row in rows if first[row.doc_id] is row]
    is_contradicted = ranks != sorted(ranks)
    if not is_contradicted and ranks[0] >= 0:
        return rows, False
    return [row._replace(rank=place) for place, row in enumerate(rows, start=1)], is_contradicted


def _judged(row: Qrel) -> Candidate:
    candidate = Candidate(row.doc_id, label=row.relevance)
    return candidate if row.iteration == "0" else replace(candidate, meta={ITERATION: row.iteration})


def _ranking(group: Group) -> tuple[Candidate, ...]:
    """The documents, best first."""
    docs = group.docs
    ordered = [docs[place] for place in initial_order(group.query_id, docs, lambda place: docs[place].own_text)]
    scores = [doc.score for doc in ordered]
    if not has_ranks(docs) and None not in scores:
        ordered.sort(key=lambda doc: -(doc.score or 0))
    return tuple(ordered)


def _run_lines(group: Group) -> list[str]:
    if not group.docs:
        raise RowRefused("has no documents, and a run cannot name a query without one", Reason.NO_CANDIDATES)
    own_tag = group.meta.get(RUN_TAG, OUR_TAG)
    are_ranked = is_ranked(group.docs)
    tags = []
    for doc in group.docs:
        if doc.score is None and not are_ranked:
            raise RowRefused(
                f"document {doc.doc_id} has neither a score nor a rank among others, and a run needs one of them; "
                f"crossrank rerank --run scores it"
            )
        if doc.score is not None and not math.isfinite(doc.score):
            raise RowRefused(f"document {doc.doc_id} has the score {doc.score}", Reason.SCORE_NOT_FINITE)
        tags.append(_text(doc.meta.get(RUN_TAG, own_tag), "run tag"))
    ranks = [doc.rank for doc in group.docs if doc.rank is not None]
    doc_ids, scores = [doc.doc_id for doc in group.docs], [doc.score for doc in group.docs]
    return run_lines(group.query_id, doc_ids, scores, ranks if len(ranks) == len(group.docs) else None, tags)


def _qrels_lines(group: Group) -> list[str]:
    query = word_of(group.query_id)
    lines = [
        f"{query} {word_of(_text(doc.meta.get(ITERATION, '0'), 'iteration'))} {word_of(doc.doc_id)} "
        f"{plain_number(doc.label)}"
        for doc in group.docs
        if doc.label is not None
    ]
    if not lines:
        raise RowRefused("has no judged document", Reason.NO_CANDIDATES)
    return lines


def _text(value: object, what: str) -> str:
    if not isinstance(value, str):
        raise RowRefused(f"the {what} {quoted(value)} is no text")
    return value
