"""`crossrank score`: a file of pairs in, the same lines with a score out."""

from __future__ import annotations

import math
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, Literal

from crossrank import storage
from crossrank.errors import InputError
from crossrank.formats.lines import json_line, read_json_lines, writing_lines
from crossrank.progress import say
from crossrank.records import Json, Reason, Reject, Rejected
from crossrank.settings import option

CHUNK_PAIRS = 8192
"""Pairs that are scored together, at least; the candidates of one query are never split, for the softmax."""


REJECTED = ".rejected.jsonl"
"""What the file of rejected lines is called, after the output."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoreSettings:
    """What to score, with what, and where to put it."""

    model: str = option(help="Reranker: hub id, folder or s3://.")
    input: str = option(help='Pairs, a JSON object {"query", "document"} a line.')
    output: str | None = option(None, help="File for the scored lines; default standard output.")
    normalize: Literal["none", "sigmoid", "softmax"] = option(
        "none", help="none are logits, softmax runs over consecutive lines with the same query."
    )
    max_length: int = option(512, help="Tokens of query, document and special tokens together.")
    precision: Literal["fp32", "bf16", "fp16"] | None = option(None, help="Default fp32 on CPU and bf16 on GPU.")
    instruction: str | None = option(None, help="What relevant means, for models that read a prompt.")


def score(settings: ScoreSettings) -> dict[str, Any]:
    """Score pairs of a query and a document, one JSON object a line.

    Each line comes out with a "score" more, in the order of the input. A line that cannot be scored goes to
    OUTPUT.rejected.jsonl with its number and reason (to standard error without --output), and is counted.
    """
    if not storage.exists(settings.input):
        raise InputError(f"{settings.input} does not exist; check the path")
    for suffix in ("", REJECTED):
        output = None if settings.output is None else settings.output + suffix
        storage.refuse_overwriting("--output", output, input=settings.input, model=settings.model)
    from crossrank.scoring.reranker import Reranker

    reranker = Reranker.load(
        settings.model, None, settings.precision, settings.max_length, instruction=settings.instruction
    )
    say(str(reranker))
    counts: Counter[str] = Counter()
    with _lines_to(settings.output) as write, _rejected_to(settings.output, counts) as reject:
        for chunk in _chunks(_pairs(settings.input, reject)):
            scores = reranker.score([(row["query"], row["document"]) for _, row in chunk], settings.normalize)
            for (line, row), value in zip(chunk, scores.tolist(), strict=True):
                if math.isfinite(value):
                    write(json_line({**row, "score": value}))
                    counts["scored"] += 1
                else:
                    detail = f"the model gave {value}"
                    reject(Rejected(settings.input, line, None, Reason.SCORE_NOT_FINITE, detail))
    counts.update({what: count for what, count in reranker.cut.items() if count})
    say(", ".join(f"{count:,} {what}" for what, count in counts.items()) or "no lines")
    return dict(counts)


def _pairs(uri: str, reject: Reject) -> Iterator[tuple[int, Json]]:
    """Lines that hold a pair."""
    for line, row in read_json_lines(uri, reject):
        fault = _fault(row)
        if fault is None:
            yield line, row
        else:
            reject(Rejected(uri, line, None, *fault))


def _fault(row: Json) -> tuple[Reason, str] | None:
    for name, empty in (("query", Reason.EMPTY_QUERY), ("document", Reason.EMPTY_DOCUMENT)):
        if not isinstance(row.get(name), str):
            return Reason.MALFORMED, f'"{name}" is missing or not a string'
        if not row[name].strip():
            return empty, f'"{name}" is empty'
    return None


def _chunks(rows: Iterator[tuple[int, Json]]) -> Iterator[list[tuple[int, Json]]]:
    """Rows in chunks that end where the query changes."""
    chunk: list[tuple[int, Json]] = []
    for line, row in rows:
        if len(chunk) >= CHUNK_PAIRS and row["query"] != chunk[-1][1]["query"]:
            yield chunk
            chunk = []
        chunk.append((line, row))
    if chunk:
        yield chunk


@contextmanager
def _lines_to(output: str | None) -> Iterator[Callable[[str], object]]:
    if output is None:
        yield lambda line: sys.stdout.write(line + "\n")
    else:
        with writing_lines(output) as write:
            yield write


@contextmanager
def _rejected_to(output: str | None, counts: Counter[str]) -> Iterator[Reject]:
    """Where rejected lines go, counted by reason. The file is written only if there are some."""
    rows: list[Rejected] = []

    def reject(row: Rejected) -> None:
        counts[row.reason] += 1
        if output is None:
            say(f"{row.source} line {row.line}: {row.reason}, {row.detail}")
        else:
            rows.append(row)

    yield reject
    if output is not None:
        storage.delete(output + REJECTED)  # of an earlier run
    if rows and output is not None:
        with writing_lines(output + REJECTED) as write:
            for row in rows:
                write(json_line(asdict(row)))
