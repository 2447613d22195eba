"""The first stage: BM25, the vectors of an encoder, both, or somebody's run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from crossrank import storage
from crossrank.corpus.source import CorpusSource, QuerySource
from crossrank.corpus.store import TextStore
from crossrank.evaluation.dense_stage import DenseCandidates, FusedCandidates
from crossrank.evaluation.settings import EvaluateSettings
from crossrank.records import Reject
from crossrank.reranking.candidates import Bm25Candidates, FirstStage, RunCandidates
from crossrank.retrieval.encoder import EncoderSpec
from crossrank.storage.lease import Lease


@dataclass(frozen=True, slots=True)
class FirstStageInputs:
    """Inputs of a first stage."""

    settings: EvaluateSettings
    query_source: QuerySource
    queries: TextStore
    corpus_source: CorpusSource
    corpus: TextStore
    rows: Sequence[int]
    """Rows of the queries that are measured, in ascending order."""
    encoder: EncoderSpec | None
    folder: str
    """Folder in which a dense stage keeps its results."""
    lease: Lease
    """Lease that keeps other jobs from the folder."""

    def stage(self, reject: Reject) -> tuple[FirstStage, str]:
        """The stage, and its name in words."""
        settings = self.settings
        if settings.candidates == "bm25":
            bm25 = self._bm25()
            return bm25, f"BM25, {bm25.language}"
        if settings.candidates == "dense":
            return self._dense(), f"dense, {settings.encoder}"
        if settings.candidates == "bm25+dense":
            fused = FusedCandidates(self._bm25(), self._dense(), settings.depth)
            name = f"BM25, {fused.language}, and dense, {settings.encoder}, fused by reciprocal rank"
            return fused, name
        run = storage.absolute(settings.candidates)
        stage = RunCandidates.read(run, self.queries, self.corpus, settings.depth, len(self.queries), reject)
        return stage, settings.candidates

    def _bm25(self) -> Bm25Candidates:
        settings = self.settings
        return Bm25Candidates.build(self.queries, self.corpus, settings.depth, settings.language, len(self.queries))

    def _dense(self) -> DenseCandidates:
        assert self.encoder is not None, "settings ask for an encoder"
        return DenseCandidates.find(
            self.settings, self.encoder, self.corpus_source, self.query_source, self.rows, self.folder, self.lease
        )
