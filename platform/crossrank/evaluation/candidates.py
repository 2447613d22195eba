"""Candidates that every model ranks: one group a judged query, with what the first stage found and what was judged.

The groups are written once and are the input of a rerank job for each model, so all rows of the table are about the
very same documents. Judged documents that the first stage missed stand behind those it found (`injected`): measured
without them, a row says what a user would get; with them, what the model can tell apart.
"""

from __future__ import annotations

from dataclasses import dataclass

from crossrank.errors import InputError
from crossrank.evaluation.group_candidates import GroupCandidates
from crossrank.evaluation.inputs import corpus_of
from crossrank.evaluation.query_candidates import QueryCandidates
from crossrank.evaluation.settings import STAGES, EvaluateSettings
from crossrank.evaluation.wording import counted
from crossrank.formats import groups_parquet
from crossrank.formats.set_aside import SetAside
from crossrank.records import Reject
from crossrank.retrieval.encoder import EncoderSpec
from crossrank.storage.lease import Lease
from crossrank.telemetry.progress import say


@dataclass(frozen=True, slots=True)
class WrittenCandidates:
    """The candidates of an evaluation, as the output holds them."""

    groups: str
    corpus: str | None
    queries: int
    has_order: bool
    """Whether every document says its initial rank, so that there is a first stage to measure."""
    first_stage: str
    """Name of the first stage in words, for the report."""
    set_aside: dict[str, int]
    """Rows that could not be used, by reason."""
    is_hashed: bool = False
    """Whether what has no initial rank stands in an order by a hash; an earlier version left it as it was listed."""
    query_documents: int = 0
    """Candidates that were the query itself and were left out; 0 in outputs of versions that left none out."""


def write_candidates(
    settings: EvaluateSettings, uri: str, reject: Reject, encoder: EncoderSpec | None = None, lease: Lease | None = None
) -> WrittenCandidates:
    """Find and write the candidates of every judged query to a Parquet file of groups.

    Args:
        encoder: encoder of a dense first stage.
        lease: lease that keeps other jobs from the folder; None where nobody else could write there.

    Raises:
        InputError: no query is left that has a relevant document, or a run has candidates for none of them.
    """
    set_aside = SetAside(reject)
    corpus = corpus_of(settings)
    made: GroupCandidates | QueryCandidates
    if settings.groups is not None:
        made = GroupCandidates(settings, corpus.open() if corpus else None, set_aside)
    else:
        assert corpus is not None, "settings ask for a corpus beside queries"
        made = QueryCandidates(settings, corpus, set_aside, encoder, f"{uri.rsplit('/', 1)[0]}/dense", lease or Lease())
    written = groups_parquet.write_groups(uri, made.groups())
    reasons = set_aside.in_words()
    if not written:
        raise InputError(f"no query can be measured ({reasons or 'nothing is judged'}); check the ids of the inputs")
    if not made.retrieved and settings.candidates not in STAGES:
        raise InputError(
            f"{settings.candidates} has no document of the corpus for any of the {written:,} judged queries "
            f"({reasons}); check that the run belongs to them"
        )
    return WrittenCandidates(
        uri,
        corpus.uri if corpus else None,
        written,
        made.has_order,
        made.first_stage,
        dict(set_aside.counts),
        True,
        made.dropped,
    )


def say_candidates(settings: EvaluateSettings, written: WrittenCandidates, models: int) -> None:
    """Say how many queries there are and who found their candidates.

    Raises:
        InputError: there is no model, and no order of a first stage, so nothing could be measured.
    """
    if not models and not written.has_order:
        raise InputError(
            f"not every document of {settings.groups} has a rank of its own, so there is no order to measure; give "
            f"--models, or ranks of a first stage"
        )
    say(f"{counted(written.queries, 'judged query', 'judged queries')}; first stage: {written.first_stage}")
