"""The formats that groups are read from and written to, one file each, and queries and corpora (`tables`).

Every reader yields ``(line, group)`` and calls `reject` for each row that it sets aside; every writer calls it for
each group that its format cannot hold. Both go one group at a time, in memory that does not grow with their number;
only `beir` holds more, and says what.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from crossrank.formats import (
    beir,
    corpus_jsonl,
    dataset,
    flagembedding,
    groups_jsonl,
    groups_parquet,
    msmarco_triplets,
    qa_csv,
    st_labelled,
    st_triplets,
    trec,
)
from crossrank.formats.group_files import read_group_files
from crossrank.formats.sources import CSV, JSON_LINES, PARQUET, has_extension
from crossrank.records import Group, Reject

ReadGroups = Callable[[str, Reject], Iterator[tuple[int, Group]]]
WriteGroups = Callable[[str, Iterable[Group], Reject], int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """A form in which groups are stored."""

    name: str
    description: str
    read: ReadGroups | None
    """Reader of groups, each with its line, at a URI; None where the format is only written."""
    write: WriteGroups | None
    """Writer of groups to a URI, which returns their number; None where the format is only read."""
    extensions: tuple[str, ...] = ()
    """Extensions that a written file may have, of those that say what a file holds; none for a folder."""

    @property
    def reads_groups(self) -> bool:
        """Whether `crossrank convert --from` takes it."""
        return self.read is not None

    @property
    def writes_groups(self) -> bool:
        """Whether `crossrank convert --to` takes it."""
        return self.write is not None


def _read_groups(uri: str, reject: Reject) -> Iterator[tuple[int, Group]]:
    return ((line, group) for _, line, group in read_group_files(uri, reject))


def _write_groups(uri: str, groups: Iterable[Group], reject: Reject) -> int:
    """Write JSON lines where the name says so, else Parquet."""
    if has_extension(uri, JSON_LINES):
        return groups_jsonl.write_groups(uri, groups, reject)
    return groups_parquet.write_groups(uri, groups)


def _format(
    name: str,
    description: str,
    read: ReadGroups | None,
    write: WriteGroups | None,
    extensions: tuple[str, ...] = JSON_LINES,
) -> tuple[str, Format]:
    return name, Format(name=name, description=description, read=read, write=write, extensions=extensions)


FORMATS: dict[str, Format] = dict(
    (
        _format(
            "groups",
            "groups as every stage reads them: Parquet, or JSON lines in a file that is called .jsonl",
            _read_groups,
            _write_groups,
            (*PARQUET, *JSON_LINES),
        ),
        _format("groups-jsonl", "groups as JSON lines", groups_jsonl.read_groups, groups_jsonl.write_groups),
        _format(
            "flagembedding",
            "JSON lines of query, pos, neg, pos_scores, neg_scores",
            flagembedding.read_groups,
            flagembedding.write_groups,
            flagembedding.EXTENSIONS,
        ),
        _format(
            "st-triplets",
            "sentence-transformers: JSON lines of anchor, positive, negative(_1 ...)",
            st_triplets.read_groups,
            st_triplets.write_groups,
        ),
        _format(
            "st-labelled",
            "sentence-transformers: JSON lines of query, docs, labels",
            st_labelled.read_groups,
            st_labelled.write_groups,
        ),
        _format(
            "msmarco-triplets",
            "MS MARCO triplets: .jsonl.gz of query, pos, neg",
            msmarco_triplets.read_groups,
            msmarco_triplets.write_groups,
        ),
        _format("beir", "BEIR folder: corpus.jsonl, queries.jsonl, qrels", beir.read_groups, beir.write_groups, ()),
        _format(
            "trec-run",
            "TREC run: qid Q0 docid rank score tag",
            trec.read_run_groups,
            trec.write_run,
            trec.RUN_EXTENSIONS,
        ),
        _format(
            "trec-qrels",
            "TREC judgements: qid iter docid rel",
            trec.read_qrels_groups,
            trec.write_qrels,
            trec.QRELS_EXTENSIONS,
        ),
        _format(
            "dataset", "what the datasets library reads: hf://owner/name, a folder or a file", dataset.read_groups, None
        ),
        _format("corpus", "JSON lines of _id, title, text: the passages of groups", None, corpus_jsonl.write_groups),
        _format("qa-csv", "CSV of question, answer, doc_id, doc", qa_csv.read_groups, qa_csv.write_groups, CSV),
    )
)
