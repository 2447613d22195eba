"""The report of a filter: `report.json` for programs, `report.md` for people who read samples."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from crossrank import storage
from crossrank.filtering.tally import Tally
from crossrank.records import Json
from crossrank.resumable.output import write_json

REPORT_FILES = ("report.json", "report.md")


def write_report(folder: str, tally: Tally, languages: tuple[str, str], rejected: Mapping[str, int]) -> None:
    """Write `report.json` and `report.md`.

    Args:
        languages: the source language and the target language.
        rejected: rows of the input that are no groups, by reason.
    """
    write_json(storage.join(folder, "report.json"), as_json(tally, languages, rejected))
    lines = "\n".join(_markdown(tally, languages, rejected))
    storage.write_bytes(storage.join(folder, "report.md"), f"{lines}\n".encode())


def as_json(tally: Tally, languages: tuple[str, str], rejected: Mapping[str, int]) -> dict[str, Any]:
    """The report as one object."""
    return {
        "source": languages[0],
        "target": languages[1],
        "groups": {"total": tally.groups.total(), **_sorted(tally.groups)},
        "documents": {"total": tally.documents.total(), **_sorted(tally.documents)},
        "reasons": _sorted(tally.reasons),
        "reasons_together": _sorted(tally.reasons_together),
        "queries": _sorted(tally.queries),
        "rejected": _sorted(rejected),
        "samples": {reason: [sample for _, sample in found] for reason, found in sorted(tally.samples.items())},
    }


def _sorted(counts: Mapping[str, int]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _markdown(tally: Tally, languages: tuple[str, str], rejected: Mapping[str, int]) -> Iterator[str]:
    yield f"# Translations from {languages[0]} to {languages[1]}: what was flagged"
    yield ""
    for title, counts in (
        (f"{tally.groups.total():,} groups", tally.groups),
        (f"{tally.documents.total():,} documents", tally.documents),
        ("Documents by reason (one may have several)", tally.reasons),
        (f"Documents by all their reasons ({tally.reasons_together.total():,})", tally.reasons_together),
        ("Queries by reason", tally.queries),
        ("Rows that are no groups", rejected),
    ):
        if counts:
            yield from _table(title, counts)
    for reason, found in sorted(tally.samples.items()):
        yield f"## {reason}"
        yield ""
        for _, sample in found:
            yield from _sample(sample)


def _table(title: str, counts: Mapping[str, int]) -> Iterator[str]:
    yield f"## {title}"
    yield ""
    yield "| | |"
    yield "|---|---:|"
    for name, count in _sorted(counts).items():
        yield f"| {name} | {count:,} |"
    yield ""


def _sample(sample: Json) -> Iterator[str]:
    ids = " · ".join(str(sample[name]) for name in ("query_id", "doc_id") if name in sample)
    yield f"- {_code(ids)}, row {sample['row']:,}"
    if "label" in sample:
        yield f"  - label {sample['label']}, query: {_code(sample['query'])}"
    if "teacher" in sample:
        yield f"  - teacher: {sample['teacher']['source']:.2f} before, {sample['teacher']['target']:.2f} after"
    yield f"  - {_code(sample['origin'])}"
    yield f"  - {_code(sample['translation'])}"
    yield ""


def _code(text: str | None) -> str:
    """A text as it is, on one line, whatever of Markdown or of control characters it holds."""
    shown = json.dumps(text, ensure_ascii=False)
    shown = "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in shown)
    fence = "`"
    while fence in shown:
        fence += "`"
    return f"{fence} {shown} {fence}"
