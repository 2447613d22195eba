"""The input files of an evaluation, and their fingerprints."""

from __future__ import annotations

from crossrank import storage
from crossrank.corpus.source import CorpusSource, QuerySource
from crossrank.evaluation.judgements import file_of
from crossrank.evaluation.settings import STAGES, EvaluateSettings
from crossrank.formats.group_files import fingerprint_of_groups
from crossrank.storage.content_hash import fingerprint


def fingerprints(settings: EvaluateSettings) -> dict[str, str]:
    """Fingerprints of all inputs, by setting: a report is gone on with only where they are the same."""
    found = {}
    if settings.groups is not None:
        found["groups"] = fingerprint_of_groups(storage.absolute(settings.groups))
    if settings.queries is not None:
        found["queries"] = QuerySource.fingerprint_of(storage.absolute(settings.queries))
    if settings.corpus is not None:
        found["corpus"] = CorpusSource.fingerprint_of(storage.absolute(settings.corpus))
    if settings.qrels is not None:
        found["qrels"] = fingerprint(file_of(storage.absolute(settings.qrels)))
    if settings.eval_csv is not None:
        found["eval_csv"] = fingerprint(storage.absolute(settings.eval_csv))
    if settings.candidates not in STAGES:
        found["candidates"] = fingerprint(storage.absolute(settings.candidates))
    elif settings.is_dense:
        found["candidates"] = settings.candidates
    return found


def corpus_of(settings: EvaluateSettings) -> CorpusSource | None:
    """The corpus, where documents are named by id."""
    if settings.corpus is None:
        return None
    uri = storage.absolute(settings.corpus)
    columns = (settings.doc_id_column, settings.title_column, settings.text_column)
    return CorpusSource(uri, CorpusSource.fingerprint_of(uri), *columns)


def queries_of(settings: EvaluateSettings) -> QuerySource:
    """The place of the queries."""
    assert settings.queries is not None, "only where they are given"
    uri = storage.absolute(settings.queries)
    return QuerySource(uri, QuerySource.fingerprint_of(uri), settings.query_id_column, settings.query_column)
