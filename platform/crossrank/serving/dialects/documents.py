"""Documents as Cohere, Jina, infinity and mixedbread take them: texts, or objects with a text and perhaps an id."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, cast

from pydantic import ConfigDict, Field
from typing_extensions import TypedDict

from crossrank.errors import in_short
from crossrank.records import document_text
from crossrank.serving.dialects.fields import Text
from crossrank.serving.dialects.validation import MAX_ECHO, shown
from crossrank.serving.errors import Invalid


class RequestDocument(TypedDict, total=False):
    """A document with fields. Any further field counts only where `rank_fields` names it."""

    __pydantic_config__ = ConfigDict(strict=True, extra="allow")  # type: ignore[misc]  # pydantic's way to say it

    id: Text | int | None
    """Id that is given back with the document's result."""
    text: Text | None
    title: Text | None
    """Title that is read before the text, as everywhere in crossrank."""


Documents = Text | Annotated[list[Text | RequestDocument], Field(fail_fast=True)]
"""Documents of a body; a single text is a list of one."""


def listed(documents: Documents) -> Sequence[str | RequestDocument]:
    """Documents, one by one."""
    return [documents] if isinstance(documents, str) else documents


def texts_of(name: str, documents: Sequence[str | RequestDocument], rank_fields: Sequence[str] | None) -> list[str]:
    """Texts that the model reads, one for each document.

    Args:
        name: what the body calls the documents.
        rank_fields: the fields of an object that are read, in this order, joined by a space; None reads title and text.

    Raises:
        Invalid: an object without any of these fields, or with something else than a text in one.
    """
    return [
        document if isinstance(document, str) else _text_of(name, c, document, rank_fields)
        for c, document in enumerate(documents)
    ]


def ids_of(documents: Sequence[str | RequestDocument]) -> list[str | int | None]:
    """The id of each document, None where it has none."""
    return [None if isinstance(document, str) else document.get("id") for document in documents]


def _text_of(name: str, c: int, document: RequestDocument, rank_fields: Sequence[str] | None) -> str:
    if rank_fields:
        return _joined(f"{name}[{c}]", cast("Mapping[str, Any]", document), rank_fields)
    text, title = document.get("text"), document.get("title")
    if text is None:
        raise Invalid(
            f"{name}[{c}] has no text; send one, or name the fields to be read in rank_fields", f"{name}[{c}].text"
        )
    return document_text(title, text) if title else text


def _joined(name: str, document: Mapping[str, Any], rank_fields: Sequence[str]) -> str:
    present = [key for key in rank_fields if document.get(key) is not None]
    if not present:
        raise Invalid(f"{name} has none of the fields in rank_fields, and at least one is wanted", name)
    return " ".join(_field(f"{name}.{in_short(key, MAX_ECHO)}", document[key]) for key in present)


def _field(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise Invalid(f"{name} is {shown(value)}, and a text is wanted", name)
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise Invalid(
            f"{name} holds half a surrogate pair, which is no character; send whole characters", name
        ) from error
    return value
