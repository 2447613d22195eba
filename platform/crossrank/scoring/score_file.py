"""`crossrank score`: a file of pairs in, the same lines with a score out."""

from __future__ import annotations

import math
import sys
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from itertools import chain
from threading import Lock
from typing import TYPE_CHECKING, Any, Literal

from crossrank import storage
from crossrank.config.settings import CheckedSettings, option
from crossrank.errors import JobFailed
from crossrank.formats.lines import json_line, read_json_lines, writing_lines
from crossrank.formats.set_aside import SetAside
from crossrank.formats.sources import JSON_LINES, refuse_other_extension
from crossrank.provenance import provenance
from crossrank.records import Json, Reason, Reject, Rejected
from crossrank.scoring.flags import instruction_flag, max_length_flag, precision_flag
from crossrank.scoring.normalize import normalize_runs
from crossrank.scoring.precision import Precision
from crossrank.telemetry.figures import counted
from crossrank.telemetry.progress import Progress, Waiting, say
from crossrank.telemetry.verb_scope import verb_scope

if TYPE_CHECKING:
    from crossrank.scoring.reranker import Reranker

CHUNK_PAIRS = 2048
"""Pairs that are scored together, at least; the candidates of one query are never split, for the softmax."""

WANTED = 'write {"query": "...", "document": "..."} on each line'
"""Way out for a file without a pair."""
REJECTED = ".rejected.jsonl"
"""Suffix of the output's name for the file of rejected lines."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoreSettings(CheckedSettings):
    """Settings of `crossrank score`: the pairs, the model, and where the scores go."""

    model: str = option(help="Reranker: hub id, folder or s3://.")
    input: str = option(help='Pairs, a JSON object {"query", "document"} a line.')
    output: str | None = option(None, help="File for the scored lines; default standard output.")
    normalize: Literal["none", "sigmoid", "softmax"] = option(
        "none", help="Scale of the scores: none gives logits, softmax runs over consecutive lines with the same query."
    )
    max_length: int = max_length_flag()
    precision: Precision | None = precision_flag()
    instruction: str | None = instruction_flag()


@verb_scope("score")
def score(settings: ScoreSettings) -> dict[str, Any]:
    """Score pairs of a query and a document, one JSON object a line.

    Each line comes out with a "score" more, in the order of the input. A line that cannot be scored goes to
    OUTPUT.rejected.jsonl with its number and reason (to standard error without --output), and is counted.
    """
    say(str(provenance()))
    if not storage.exists(settings.input):
        raise storage.absent(settings.input)
    for suffix in ("", REJECTED):
        output = None if settings.output is None else settings.output + suffix
        storage.refuse_overwriting("--output", output, input=settings.input, model=settings.model)
    if settings.output is not None:
        refuse_other_extension("--output", settings.output, "scored lines", (*JSON_LINES, ".json"))
        storage.check_writable(settings.output)
    counts: Counter[str] = Counter()
    with _rejected_to(settings.output, counts) as reject:
        aside = SetAside(reject)
        located = _pairs(settings.input, aside)
        first = next(located, None)  # before a model is loaded for nothing
        aside.refuse_if_all(first is not None, settings.input, "pair", WANTED)
        assert first is not None, "or it was refused"
        with Waiting("loading the model"):
            from crossrank.scoring.reranker import Reranker

            reranker = Reranker.load(
                settings.model, None, settings.precision, settings.max_length, instruction=settings.instruction
            )
        say(str(reranker))
        _score(settings, reranker, chain([first], located), reject, counts)
    counts.update({what: count for what, count in reranker.cut.items() if count})
    others = {what: count for what, count in counts.items() if what != "scored"}
    say(", ".join([f"{counts['scored']:,} scored", *([counted(others)] if others else [])]))
    return dict(counts)


def _score(
    settings: ScoreSettings,
    reranker: Reranker,
    located: Iterator[tuple[int, Json]],
    reject: Reject,
    counts: Counter[str],
) -> None:
    """Score pairs with their lines, and write them as they come."""
    read: deque[list[tuple[int, Json]]] = deque()
    """Chunks that were read and are not written yet: one, and on a GPU the next."""

    def pairs() -> Iterator[list[tuple[str, str]]]:
        for chunk in _chunks(located):
            read.append(chunk)
            yield [(row["query"], row["document"]) for _, row in chunk]

    with _lines_to(settings.output) as write, Progress("pairs", None) as progress:
        for logits in reranker.score_chunks(pairs()):
            chunk = read.popleft()
            scores = normalize_runs(logits, [row["query"] for _, row in chunk], settings.normalize)
            for (line, row), logit, value in zip(chunk, logits.tolist(), scores.tolist(), strict=True):
                if math.isfinite(value):
                    write(json_line({**row, "score": value}))
                    counts["scored"] += 1
                else:
                    its_own = f"the model gave {logit}"
                    detail = "another document of the query has no score" if math.isfinite(logit) else its_own
                    reject(Rejected(settings.input, line, None, Reason.SCORE_NOT_FINITE, detail))
            progress.advance(len(chunk))
        if not counts["scored"]:
            raise JobFailed(
                f"{settings.model} gave no pair of {settings.input} a score that is a number ({counted(counts)}); try "
                f"--precision fp32, or another model"
            )


def _pairs(uri: str, reject: Reject) -> Iterator[tuple[int, Json]]:
    """Numbers and rows of the lines that hold a pair; the others are rejected."""
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
    """Yield a function that writes rejected lines as they come and counts them by reason; none make no file."""
    write: Callable[[str], object] | None = None
    one_at_a_time = Lock()  # on a GPU lines are read in a thread, while scores come in another
    with ExitStack() as stack:

        def reject(row: Rejected) -> None:
            nonlocal write
            with one_at_a_time:
                counts[row.reason] += 1
                if output is None:
                    say(f"{row.source} line {row.line}: {row.reason}, {row.detail}")
                    return
                if write is None:
                    write = stack.enter_context(writing_lines(output + REJECTED))
                write(json_line(asdict(row)))

        yield reject
    if output is not None and write is None:
        storage.delete(output + REJECTED)  # of an earlier run
