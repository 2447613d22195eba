"""The inputs of a mining job: the corpus, the encoder, the teacher, the workers."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from crossrank import storage
from crossrank.corpus.source import CorpusSource
from crossrank.corpus.store import TextStore, Usable
from crossrank.errors import InputError
from crossrank.formats.group_files import fingerprint_of_groups
from crossrank.mining.group_search import Rules
from crossrank.mining.layout import MineLayout
from crossrank.mining.settings import MineSettings
from crossrank.mining.throughput import Sampled
from crossrank.mining.work import MineBlocks
from crossrank.resumable.settings import that_affect_output
from crossrank.retrieval.dense_search import EncodeShards, Searches, SearchShards
from crossrank.retrieval.encoder import EncoderSpec, find_encoder
from crossrank.retrieval.vectors import VectorStore
from crossrank.scoring.checked import checked_spec
from crossrank.scoring.spec import ScorerSpec

if TYPE_CHECKING:
    from crossrank.cluster.pool import Pool

FORMAT = 1
"""Version of plans, blocks and parts. Raise it when a change makes it impossible to go on with an output that was
begun before."""


@dataclass(frozen=True, slots=True)
class MiningInputs:
    """The inputs, found and checked, but not yet read."""

    settings: MineSettings
    layout: MineLayout
    source: CorpusSource
    encoder: EncoderSpec | None
    teacher: ScorerSpec | None

    @classmethod
    def of(
        cls, settings: MineSettings, layout: MineLayout, encoder: EncoderSpec | None, teacher: ScorerSpec | None
    ) -> MiningInputs:
        """Find the models that the settings name, unless stand-ins are given, and the corpus.

        Raises:
            ModelRefused: an encoder that is no encoder, a teacher that is no reranker.
            InputError: a corpus that is not there.
        """
        if encoder is None and settings.encoder is not None:
            encoder = _encoder(settings.encoder, settings)
        if teacher is None and settings.teacher is not None:
            teacher = checked_spec(settings.teacher, settings)
        uri = storage.absolute(settings.corpus)
        columns = (settings.doc_id_column, settings.title_column, settings.text_column)
        return cls(settings, layout, CorpusSource(uri, CorpusSource.fingerprint_of(uri), *columns), encoder, teacher)

    def identity(self) -> dict[str, Any]:
        """Settings and contents that have to be the same when the job is resumed, wherever inputs and models lie."""
        by_content = {"groups", "corpus", "encoder", "teacher"}
        kept = that_affect_output(self.settings)
        return {
            "format": FORMAT,
            "settings": {name: value for name, value in kept.items() if name not in by_content},
            "encoder_revision": self.encoder.revision if self.encoder else None,
            "teacher_revision": self.teacher.revision if self.teacher else None,
            "inputs": {
                "groups": fingerprint_of_groups(storage.absolute(self.settings.groups)),
                "corpus": self.source.fingerprint,
            },
        }

    def open(self) -> TextStore:
        """Open the corpus, and refuse one that has no more documents than `skip_top`."""
        corpus = self.source.open()
        usable = int((corpus.usable(slice(None)) == Usable.YES).sum())
        if 0 < usable <= self.settings.skip_top:
            raise InputError(
                f"--skip-top is {self.settings.skip_top} and {self.settings.corpus} has {usable:,} documents that can "
                f"be used, so no rank is left; lower it"
            )
        return corpus

    def vectors(self, corpus: TextStore) -> VectorStore | None:
        """The store of the vectors, in a folder that every worker reaches; None without an encoder."""
        if self.encoder is None:
            return None
        if self.settings.embeddings is not None:
            root = storage.absolute(self.settings.embeddings)
        elif os.environ.get("RAY_ADDRESS"):
            root = self.layout.embeddings  # other nodes do not see this machine's cache
        else:
            root = str(storage.cache_folder() / "embeddings")
        name = f"{corpus.key}-{self.encoder.passages_key}-{self.settings.embedding_dtype}"
        return VectorStore(
            storage.join(root, name), len(corpus), self.encoder.dimensions, self.settings.embedding_dtype
        )

    def pool(self, with_encoder: bool, with_teacher: bool) -> Pool:
        """Join or start a cluster, and say how many workers it holds that load these models.

        Without a model a worker has no use for a GPU, and takes none unless the settings ask for one.
        """
        from crossrank.resumable import on_ray

        models = {"--encoder": self.settings.encoder, "--teacher": self.settings.teacher}
        places = {"--corpus": self.settings.corpus, "--output": self.settings.output}
        encoder, teacher = self.encoder if with_encoder else None, self.teacher if with_teacher else None
        wanted = self.settings.wanted()
        if wanted.gpus is None and encoder is None and teacher is None:
            wanted = replace(wanted, gpus=0.0)
        worker_bytes = max(each.process_bytes if each is not None else 0 for each in (encoder, teacher))
        return on_ray.start_workers(wanted, models | places | {"--embeddings": self.settings.embeddings}, worker_bytes)

    def sampled(self, language: str, pool: Pool) -> Sampled:
        """The work that is measured on a worker, to estimate how long the job will take."""
        encoder = None if self.encoder is None else self.encoder.on(pool.device)
        teacher = None if self.teacher is None else self.teacher.on(pool.device)
        return Sampled(self.source, language, self.settings.depth, encoder, teacher)

    def encoding(self, vectors: VectorStore, pool: Pool) -> EncodeShards:
        """The work of encoding the shards that have no vectors."""
        assert self.encoder is not None, "or there are no vectors"
        return EncodeShards(self.source, self.encoder.on(pool.device), vectors)

    def searching(self, vectors: VectorStore, searches: Searches, pool: Pool) -> SearchShards:
        """The work of searching the vectors."""
        assert self.encoder is not None, "or there are no vectors"
        return SearchShards(self.source, self.encoder.on(pool.device), vectors, self.settings.depth, searches)

    def mining(self, language: str, num_slices: int, pool: Pool) -> MineBlocks:
        """The work of mining blocks of groups."""
        teacher = None if self.teacher is None else self.teacher.on(pool.device)
        return MineBlocks(self.layout, self.source, language, self._rules(language), num_slices, teacher)

    def _rules(self, language: str) -> Rules:
        settings = self.settings
        named = {"language": language}
        if self.encoder is not None:
            named |= {"encoder": settings.encoder or "", "encoder_revision": self.encoder.revision}
        if self.teacher is not None:
            named |= {"teacher": settings.teacher or "", "teacher_revision": self.teacher.revision}
        return Rules(
            settings.negatives,
            settings.depth,
            settings.skip_top,
            settings.margin,
            settings.alike,
            settings.rrf_k,
            settings.with_text,
            named,
            settings.keep_query_document,
        )


def _encoder(name: str, settings: MineSettings) -> EncoderSpec:
    return find_encoder(
        name,
        pooling=settings.pooling,
        query_prompt=settings.query_prompt,
        passage_prompt=settings.passage_prompt,
        max_length=settings.encoder_max_length,
    )
