"""Inputs of `Reranker` and `rerank_dataset`, checked and turned into plain strings, or refused in one sentence.

An argument is iterated once, and everything after that is counted by position: a pandas Series is indexed by
label, a generator is used up, a dictionary has keys where it is iterated and values where it is indexed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from crossrank.errors import InputError, listed, quoted
from crossrank.records import document_text

LIST_OF_TEXTS = "a list of texts"
LIST_OF_PAIRS = "a list of pairs, such as [(query, document)]"
ID_FIELDS = ("id", "doc_id", "_id")
"""Keys that may hold the id of a document in a dictionary: our records say doc_id, and BEIR _id."""

PANDAS_MISSING = ("NAType", "NaTType")
"""Names of the classes of pandas' missing values; pandas need not be installed."""

Pair = tuple[str, str]
Document = str | Mapping[str, Any]
"""A text, or a dictionary with ``text``, perhaps ``title``, and perhaps ``id`` (or ``doc_id``, or ``_id``)."""


class InputDocument(NamedTuple):
    """A document as the model reads it, and the id that it came with."""

    text: str
    id: Any = None


def in_order(values: Any, name: str, wanted: str) -> Iterable[Any]:
    """Refuse an argument that cannot be iterated or has no order, and return it, to be iterated once.

    Args:
        name: name of the argument, for the sentence that refuses it.
        wanted: what to pass instead.

    Raises:
        InputError: one text, a dictionary, a set, a table, or nothing that can be iterated.
    """
    if isinstance(values, str | bytes):
        raise InputError(f"{name} is one text, {quoted(values)}; pass {wanted}")
    if isinstance(values, Mapping):
        raise InputError(f"{name} is a dictionary, {quoted(values)}; pass {wanted}, for example of its values()")
    if isinstance(values, set | frozenset):
        raise InputError(f"{name} is a set, which has no order, {quoted(values)}; pass {wanted}")
    columns = getattr(values, "columns", None)
    if columns is not None and not callable(columns):
        raise InputError(
            f"{name} is a table ({type(values).__name__}), which gives its columns and not its rows; pass {wanted}, "
            f"made of its columns"
        )
    if hasattr(values, "to_pylist"):  # of Arrow, whose own elements are no Python values
        values = values.to_pylist()
    try:
        iter(values)
    except TypeError:
        raise InputError(f"{name} is {quoted(values)}; pass {wanted}") from None
    ordered: Iterable[Any] = values
    return ordered


def query_of(query: Any, name: str = "query") -> str:
    """A query as a plain string.

    Raises:
        InputError: it is not a string, or not one that can be encoded.
    """
    if not isinstance(query, str):
        raise InputError(f"{name} is {quoted(query)}; a query is one text{_way_out(query)}")
    return _whole(query, name)


def queries_of(queries: Any) -> list[str]:
    """Queries in order, each a plain string; refused as in `in_order` and `query_of`."""
    return [query_of(query, f"query {n}") for n, query in enumerate(in_order(queries, "queries", LIST_OF_TEXTS))]


def documents_of(documents: Any, name: str = "documents", one: str = "document") -> list[InputDocument]:
    """The documents of one query in order, all looked at before any is used.

    Args:
        documents: any iterable of texts, or of dictionaries as `document_of` takes them.
        name: name of the argument, for the sentence that refuses it.
        one: name of one document in such a sentence; its position follows.

    Raises:
        InputError: see `in_order` and `document_of`.
    """
    return [document_of(document, f"{one} {n}") for n, document in enumerate(in_order(documents, name, LIST_OF_TEXTS))]


def lists_of_documents(lists: Any) -> list[list[InputDocument]]:
    """The documents of each of several queries, all looked at before any is used.

    Raises:
        InputError: see `documents_of`; a generator that stands for two lists, which would leave the second empty.
    """
    checked: list[list[InputDocument]] = []
    read_once: list[Any] = []
    for n, documents in enumerate(in_order(lists, "documents", "a list of lists of texts, one for each query")):
        if any(documents is other for other in read_once):
            raise InputError(
                f"documents of query {n} are read already, from the same {type(documents).__name__} as those of a "
                f"query before it; make a list of it first"
            )
        if isinstance(documents, Iterator):
            read_once.append(documents)
        checked.append(documents_of(documents, f"documents of query {n}", f"in the list of query {n}, document"))
    return checked


def document_of(document: Any, name: str) -> InputDocument:
    """A document from its text, or from a dictionary with ``text``, perhaps ``title``, and perhaps ``id``.

    Title and text become one text by `records.document_text`. Other keys are left alone.

    Raises:
        InputError: neither of them; no text in the dictionary, or a title that is not one; two ids.
    """
    if isinstance(document, str):
        return InputDocument(_whole(document, name))
    if not isinstance(document, Mapping):
        raise InputError(
            f"{name} is {quoted(document)}; a document is a text, or a dictionary with text, and perhaps title and id"
            f"{_way_out(document)}"
        )
    if "text" not in document:
        raise InputError(f"{name} has the keys {_listed(document)}, and not text; call what is to be read text")
    title, text = document.get("title"), document["text"]
    if not isinstance(text, str):
        raise InputError(f"the text of {name} is {quoted(text)}; a text is a string{_way_out(text)}")
    if title is not None and not isinstance(title, str):
        raise InputError(f"the title of {name} is {quoted(title)}; a title is a string or None")
    ids = [field for field in ID_FIELDS if field in document]
    if len(ids) > 1:
        raise InputError(f"{name} has two ids, {ids[0]} and {ids[1]}; leave one out")
    return InputDocument(_whole(document_text(title, text), name), document[ids[0]] if ids else None)


def pairs_of(pairs: Any, name: str = "pairs", first: int = 0) -> Iterator[Pair]:
    """Pairs of plain strings.

    What has a length is looked at whole before the first comes out, so that nothing is scored in vain; anything else
    is looked at as it is read, since it may be more than memory holds.

    Args:
        first: position by which a sentence names the first pair.

    Raises:
        InputError: see `in_order`; a pair that is not a query and a document names its position.
    """
    checked = (pair_of(pair, n) for n, pair in enumerate(in_order(pairs, name, LIST_OF_PAIRS), first))
    return checked if num_of(pairs) is None else iter(list(checked))


def pair_of(pair: Any, position: int) -> Pair:
    """A pair of a query and a document (its text, or a dictionary as `document_of` takes it).

    Raises:
        InputError: it is not two, or not texts.
    """
    # A dictionary or a set of two would unpack too, into its keys or in any order.
    if isinstance(pair, tuple | list | np.ndarray) and len(pair) == 2:
        query, document = pair
        if isinstance(document, Mapping):
            document = document_of(document, f"the document of pair {position}").text
        if isinstance(query, str) and isinstance(document, str):
            return _whole(query, f"pair {position}"), _whole(document, f"pair {position}")
    hint = "; for a single pair pass [(query, document)]" if isinstance(pair, str) else ""
    raise InputError(f"pair {position} is {quoted(pair)}; a pair is two strings, the query and the document{hint}")


def num_of(values: Any) -> int | None:
    """Number of values; None where only reading them would show it."""
    try:
        return len(values)
    except TypeError:
        return None


def is_missing(value: Any) -> bool:
    """Whether a value is what Python, Arrow, numpy or pandas have where there is none."""
    return value is None or (isinstance(value, float) and math.isnan(value)) or type(value).__name__ in PANDAS_MISSING


def _whole(text: str, name: str) -> str:
    """The text as a plain string; numpy has a string of its own."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InputError(
            f"{name} holds half a surrogate pair (\\ud800 to \\udfff), which is not text; take it out"
        ) from error
    return str(text)


def _way_out(value: Any) -> str:
    if isinstance(value, bytes):
        return "; decode it first"
    if isinstance(value, list | tuple | np.ndarray):
        return "; for several lists use rank_many"
    return "; leave out what is missing" if is_missing(value) else ""


def _listed(document: Mapping[Any, Any]) -> str:
    return listed(document, 80) or "none"
