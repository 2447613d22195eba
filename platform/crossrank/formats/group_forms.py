"""The contents of a file that is given as groups, known by its keys: groups, what is read as groups, or something else.

**Read as it stands** is a row that carries its query, its texts and what is known of them: our record, FlagEmbedding's
and MS MARCO's, both of sentence-transformers. **Refused with the way out** is what needs another file beside it
(BEIR, TREC), what another flag or verb takes (passages, queries, pairs), and what could be read in several ways.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from typing import NamedTuple

from crossrank.errors import InputError, listed
from crossrank.formats import flagembedding, groups_jsonl, groups_parquet, st_labelled, st_triplets
from crossrank.formats.dataset_columns import columns_of
from crossrank.formats.parquet import WantedColumns
from crossrank.formats.pos_neg import own_keys
from crossrank.formats.sources import file_name
from crossrank.records import Group, Json

TEXTS = frozenset(("text", "contents", "passage"))
IDS = frozenset(("_id", "id", "doc_id", "docid", "query_id", "qid"))
QUERIES = frozenset(("query", "question", "anchor"))
_EXTENSION = re.compile(r"(?:\.[A-Za-z]\w{0,7})+$")


class GroupForm(NamedTuple):
    """A form of rows that become groups as they stand."""

    name: str
    """Name of the format in `FORMATS`."""
    group_of: Callable[[Json, str], Group]
    """Function that makes a group of a row and its place, which no other row of the input has."""
    columns: Callable[[Collection[str]], WantedColumns]
    """Function that says which of a Parquet file's columns are read."""
    query: str = "query"
    """The column of the query."""


def _listed(names: Collection[str]) -> Callable[[Collection[str]], WantedColumns]:
    return lambda columns: {name: None for name in columns if name in names}


OURS = GroupForm("groups", lambda row, _: groups_jsonl.group_of_row(row), lambda _: groups_parquet.GROUP_COLUMNS)
FLAGEMBEDDING = GroupForm("flagembedding", flagembedding.group_of_row, _listed(own_keys(scored=True)))
TRIPLETS = GroupForm(
    "st-triplets",
    st_triplets.group_of_row,
    lambda columns: {name: None for name in columns if st_triplets.is_own(name)},
    query="anchor",
)
LABELLED = GroupForm("st-labelled", st_labelled.group_of_row, _listed(st_labelled.OWN_KEYS))
AS_THEY_STAND = ("groups", "groups-jsonl", "flagembedding", "msmarco-triplets", "st-triplets", "st-labelled")
"""Formats of ``convert`` whose files have one of these forms."""


def form_of(columns: Collection[str], docs_are_objects: bool) -> GroupForm | None:
    """The form of rows with these columns; None where it is none that is read as it stands."""
    names = set(columns)
    if {"query", "docs", "labels"} <= names and not docs_are_objects:
        return LABELLED
    if {"query_id", "docs"} <= names:
        return OURS
    if {"query", "pos"} <= names:
        return FLAGEMBEDDING
    return TRIPLETS if {"anchor", "positive"} <= names else None


def refusal(uri: str, columns: Collection[str]) -> InputError:
    """The error about a file with these columns, whose rows are of no form."""
    names = set(columns)
    if {"query", "document"} <= names:
        return InputError(
            f"{uri} holds pairs of a query and a document, not groups; score them with crossrank score --input, or "
            f"make lines of query, docs and labels of them"
        )
    if names.isdisjoint(QUERIES) and names & TEXTS and names & IDS:
        is_corpus = names & {"title", "contents", "passage", "doc_id", "docid"}
        held, flag = ("passages", "--corpus") if is_corpus else ("passages or queries", "--corpus or --queries")
        return InputError(f"{uri} holds {held} ({listed(columns)}), not groups; give it as {flag}")
    if names & QUERIES and names & IDS and len(names) <= 2:
        return InputError(f"{uri} holds queries without documents, not groups; give it as --queries, beside --corpus")
    try:
        columns_of(list(columns), uri)
    except InputError:
        missing = next((name for name in ("query_id", "query", "docs") if name not in names), "docs")
        return InputError(
            f"{uri} does not hold groups: its rows have {listed(columns)} and no {missing}, and a group has "
            f"query_id, query and docs; crossrank convert --help names the formats that groups are made of"
        )
    return InputError(
        f"{uri} does not hold groups but the rows of a data set ({listed(columns)}); run {command('dataset', uri, uri)}"
    )


def command(name: str, source: str, uri: str) -> str:
    """The command that makes groups of a file of the format `name`."""
    stem = _EXTENSION.sub("", file_name(uri)) or "out"
    return f"crossrank convert --from {name} --to groups {source} {stem}-groups.parquet"
