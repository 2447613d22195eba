"""TREC runs of the rankings behind a report. Their measures are those of the report: trec_eval sorts them alike."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from crossrank import storage
from crossrank.evaluation.lists import Lists, Rankings
from crossrank.evaluation.rows import slug
from crossrank.formats.lines import writing_lines
from crossrank.formats.run_lines import run_lines

FOLDER = "runs"
INJECTED = "injected"


def run_of(output: str, name: str) -> str:
    """Place of the TREC run of a row, over the candidates as they were retrieved."""
    return storage.join(output, FOLDER, f"{slug(name)}.trec")


def write_runs(lists: Lists, rankings: Rankings, output: str, name: str) -> None:
    """Write the ranking of a row into ``runs/``, over the candidates as they were retrieved.

    Where judged documents were injected, ``runs/injected/`` has the ranking with them.
    """
    _write(run_of(output, name), lists, rankings, lists.retrieved_Q)
    if (lists.lengths_Q > lists.retrieved_Q).any():
        injected = storage.join(output, FOLDER, INJECTED, f"{slug(name)}.trec")
        _write(injected, lists, rankings, lists.lengths_Q)


def _write(uri: str, lists: Lists, rankings: Rankings, lengths_Q: NDArray[np.int64]) -> None:
    with writing_lines(uri) as write:
        for query, ranked in enumerate(rankings.lists()):
            is_wanted = ranked < lengths_Q[query]
            places = ranked[is_wanted] + lists.starts_Q[query]
            scores = rankings.scores_P[rankings.starts_Q[query] : rankings.starts_Q[query + 1]][is_wanted]
            for line in run_lines(lists.query_ids[query], lists.doc_ids_P.take(places).to_pylist(), scores.tolist()):
                write(line)
