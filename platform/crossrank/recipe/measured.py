"""Queries that a recipe evaluates on, and on which nothing in it may be trained."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

from crossrank import storage
from crossrank.evaluation.judgements import file_of, read_judgements
from crossrank.evaluation.settings import EvaluateSettings
from crossrank.formats import qa_csv
from crossrank.formats.group_files import read_group_queries
from crossrank.formats.lines import json_line
from crossrank.formats.tables import read_queries
from crossrank.records import Rejected
from crossrank.telemetry.progress import say


@dataclass(frozen=True, slots=True)
class MeasuredQueries:
    """Stage that writes these queries as groups without documents, for ``crossrank train --held-out``.

    It has no command of its own, and holds all queries in memory. A ``limit`` of the evaluation takes none away.
    """

    settings: EvaluateSettings
    also: str | None
    """Groups whose queries are held out as well."""
    product: str
    name: str = "measured"
    command: str = ""
    continues: bool = True

    def run(self, afresh: bool) -> None:
        """Write the queries, unless they are there. Every run looks: it takes seconds, and they may have changed."""
        others = read_group_queries(storage.absolute(self.also)) if self.also is not None else ()
        both = chain(measured_queries(self.settings), others)
        queries = dict.fromkeys(query for query in both if query.strip())
        lines = [json_line({"query_id": str(row), "query": query, "docs": []}) for row, query in enumerate(queries)]
        content = "".join(f"{line}\n" for line in lines).encode()
        what = "evaluated on" if self.also is None else f"evaluated on, or in {self.also},"
        say(f"{len(queries):,} queries are {what} and so not trained on; {self.product}")
        if not storage.exists(self.product) or storage.read_bytes(self.product) != content:
            storage.write_bytes(self.product, content)

    def is_done(self) -> bool:
        """Whether the queries were written."""
        return storage.exists(self.product)

    def plan(self) -> None:
        """Say nothing: the stage takes a moment."""


def measured_queries(settings: EvaluateSettings) -> Iterator[str]:
    """The text of every query that the evaluation may measure with."""
    if settings.groups is not None:
        yield from read_group_queries(storage.absolute(settings.groups))
    elif settings.eval_csv is not None:
        for _, group in qa_csv.read_groups(storage.absolute(settings.eval_csv), _ignore):
            yield group.query
    else:
        assert settings.queries is not None
        assert settings.qrels is not None
        judged = read_judgements(file_of(storage.absolute(settings.qrels)), _ignore)
        columns = {"query_id_column": settings.query_id_column, "query_column": settings.query_column}
        for query in read_queries(storage.absolute(settings.queries), _ignore, **columns, with_meta=False):
            if query.query_id in judged:
                yield query.text


def _ignore(_row: Rejected) -> None:
    """Drop a rejected row: the evaluation reports it."""
