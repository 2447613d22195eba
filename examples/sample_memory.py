"""The two languages of the demo's sample as a translation memory, in the TSV that `crossrank memory import` reads.

    python examples/sample_memory.py sample/en sample/ko en-ko.tsv

Any pair of folders will do whose `corpus.jsonl` and `queries.jsonl` have the same ids.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path


def pairs(source: Path, target: Path) -> Iterator[tuple[str, str]]:
    """Every title and text with its counterpart."""
    for name in ("corpus.jsonl", "queries.jsonl"):
        others = rows(target / name)
        for identifier, row in rows(source / name).items():
            yield from ((row[part], others[identifier][part]) for part in ("title", "text") if part in row)


def rows(file: Path) -> dict[str, dict[str, str]]:
    found = map(json.loads, file.read_text(encoding="utf-8").splitlines())
    return {row["_id"]: row for row in found}


def cell(text: str) -> str:
    """A text as it stands in the TSV."""
    for sign, written in (("\\", "\\\\"), ("\t", "\\t"), ("\n", "\\n"), ("\r", "\\r")):
        text = text.replace(sign, written)
    return text


if __name__ == "__main__":
    source, target, output = map(Path, sys.argv[1:])
    lines = [f"{cell(text)}\t{cell(translation)}\n" for text, translation in dict(pairs(source, target)).items()]
    output.write_text("".join(["source\ttranslation\n", *lines]), encoding="utf-8")
