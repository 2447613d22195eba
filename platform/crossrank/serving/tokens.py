"""`/tokenize`, as text-embeddings-inference answers it."""

from __future__ import annotations

from typing import Any, NotRequired

from pydantic import ConfigDict, with_config
from typing_extensions import TypedDict

from crossrank.serving.errors import Empty, Invalid

MAX_CHARACTERS = 200_000
"""Characters of all texts together: the JSON of a token is a hundred times as long as what it stands for."""


class TokenizeRequest(TypedDict):
    """Body that `read_texts` reads."""

    inputs: str | list[str]
    add_special_tokens: NotRequired[bool | None]
    """Whether special tokens are shown too; default true."""


@with_config(ConfigDict(extra="forbid"))
class ShownToken(TypedDict):
    """A token with the characters of its text from and to, null for special ones."""

    id: int
    text: str
    special: bool
    start: int | None
    stop: int | None


ShownTokens = list[list[ShownToken]]
"""Tokens of each text, as `shown_tokens` makes them."""


def read_texts(body: Any, most: int) -> tuple[list[str], bool]:
    """The texts of ``{"inputs": str | [str], "add_special_tokens": bool = true}``, and whether with special tokens."""
    if not isinstance(body, dict):
        raise Invalid('the body is no JSON object; send {"inputs": "a text"}')
    inputs = body.get("inputs")
    texts = [inputs] if isinstance(inputs, str) else inputs
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise Invalid("inputs is no text and no list of texts", "inputs")
    if not texts:
        raise Empty("inputs is empty; send at least one text", "inputs")
    if len(texts) > most:
        raise Invalid(f"inputs holds {len(texts):,} texts, over the limit of {most:,}; send fewer at once", "inputs")
    for number, text in enumerate(texts):
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise Invalid(f"inputs[{number}] holds half a surrogate pair, which is not text", "inputs") from error
    num_characters = sum(map(len, texts))
    if num_characters > MAX_CHARACTERS:
        raise Invalid(
            f"inputs holds {num_characters:,} characters, over the limit of {MAX_CHARACTERS:,}; send less at once",
            "inputs",
        )
    special = body.get("add_special_tokens")
    if special is not None and not isinstance(special, bool):
        raise Invalid("add_special_tokens is neither true nor false", "add_special_tokens")
    return texts, special is not False


def shown_tokens(tokenizer: Any, texts: list[str], special: bool) -> list[list[dict[str, Any]]]:
    """Tokens of each text: id, text, whether special, and the characters from and to (null for special ones)."""
    shown = []
    for text, encoding in zip(
        texts, tokenizer.backend_tokenizer.encode_batch(texts, add_special_tokens=special), strict=True
    ):
        tokens = []
        for number, (start, end), is_special, spelled in zip(
            encoding.ids, encoding.offsets, encoding.special_tokens_mask, encoding.tokens, strict=True
        ):
            where = {"start": None, "stop": None} if is_special else {"start": start, "stop": end}
            tokens.append(
                {"id": number, "text": spelled if is_special else text[start:end], "special": bool(is_special), **where}
            )
        shown.append(tokens)
    return shown
