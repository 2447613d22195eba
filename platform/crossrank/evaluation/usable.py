"""Refusal of inputs of which nothing could be measured, before anything is written."""

from __future__ import annotations

from crossrank import storage
from crossrank.corpus.store import refuse_empty
from crossrank.evaluation.group_candidates import GroupCandidates
from crossrank.evaluation.inputs import corpus_of, queries_of
from crossrank.evaluation.judgements import read_judgements
from crossrank.evaluation.question_csv import is_usable
from crossrank.evaluation.settings import STAGES, EvaluateSettings
from crossrank.formats import qa_csv
from crossrank.formats.set_aside import SetAside
from crossrank.reranking.candidates import refuse_run_without_candidates
from crossrank.retrieval.analysis import analyser
from crossrank.retrieval.first_stage import language_of


def refuse_unusable(settings: EvaluateSettings) -> None:
    """Refuse inputs of which nothing could be measured, with the first reason, before anything is written.

    Looks no further than the first query that can be measured, but for judgements, which are read whole.
    """
    set_aside = SetAside()
    if settings.eval_csv is not None:
        uri = storage.absolute(settings.eval_csv)
        if not any(is_usable(line, group, uri, set_aside) for line, group in qa_csv.read_groups(uri, set_aside)):
            raise set_aside.nothing_usable(settings.eval_csv, "questions")
        return
    source = corpus_of(settings)
    corpus = source.open() if source else None
    if corpus is not None:
        refuse_empty(corpus, settings.corpus or "", "documents")
    if settings.groups is not None:
        if next(GroupCandidates(settings, corpus, set_aside).groups(), None) is None:
            raise set_aside.nothing_usable(settings.groups, "group to measure on")
        return
    assert corpus is not None, "settings ask for a corpus beside queries"
    queries = queries_of(settings).open()
    refuse_empty(queries, settings.queries or "", "queries")
    read_judgements(storage.absolute(settings.qrels or ""), set_aside)
    if settings.candidates not in STAGES:
        refuse_run_without_candidates(storage.absolute(settings.candidates), queries, corpus, len(queries))
    elif settings.candidates != "dense":
        analyser(language_of(corpus, settings.language).value)
