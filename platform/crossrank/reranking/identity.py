"""The identity of a job: the inputs and settings that have to be the same when it is resumed."""

from __future__ import annotations

from typing import Any

from crossrank import storage
from crossrank.corpus.source import CorpusSource, QuerySource
from crossrank.formats.group_files import fingerprint_of_groups
from crossrank.reranking.prepare import Sources
from crossrank.reranking.settings import RerankSettings
from crossrank.resumable.settings import that_affect_output
from crossrank.scoring.spec import ScorerSpec
from crossrank.storage.content_hash import fingerprint

FORMAT = 2
"""Version of plans, blocks and parts. Raise it when a change makes it impossible to go on with an output that was
begun before."""


def identify(settings: RerankSettings, spec: ScorerSpec) -> tuple[Sources, dict[str, Any]]:
    """The places of the inputs, and the identity that has to be the same when the job is resumed."""
    uris = {
        "queries": settings.queries,
        "corpus": settings.corpus,
        "groups": settings.groups,
        "candidates": None if settings.candidates == "bm25" or settings.groups else settings.candidates,
    }
    fingerprints = {name: _fingerprint(name, storage.absolute(uri)) for name, uri in uris.items() if uri is not None}
    queries = corpus = None
    if settings.queries is not None:
        queries = QuerySource(
            storage.absolute(settings.queries), fingerprints["queries"], settings.query_id_column, settings.query_column
        )
    if settings.corpus is not None:
        corpus = CorpusSource(
            storage.absolute(settings.corpus),
            fingerprints["corpus"],
            settings.doc_id_column,
            settings.title_column,
            settings.text_column,
        )
    # Where the model and the inputs lie does not matter, only what they hold.
    by_content = {"model", *fingerprints}
    kept = {name: value for name, value in that_affect_output(settings).items() if name not in by_content}
    return Sources(queries, corpus), {
        "format": FORMAT,
        "settings": kept,
        "model_revision": spec.revision,
        "inputs": fingerprints,
    }


def _fingerprint(name: str, uri: str) -> str:
    """Hash of the files that are read; others in the same folder, such as the output, do not matter."""
    if name == "queries":
        return QuerySource.fingerprint_of(uri)
    if name == "corpus":
        return CorpusSource.fingerprint_of(uri)
    return fingerprint_of_groups(uri) if name == "groups" else fingerprint(uri)
