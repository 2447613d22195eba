"""What a job mines with and in: the corpus, the encoder, the teacher, the workers."""

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
from crossrank.mining.layout import Layout
from crossrank.mining.settings import MineSettings
from crossrank.mining.work import Task
from crossrank.resumable.settings import that_change_rows
from crossrank.retrieval.encoder import EncoderSpec, find_encoder
from crossrank.retrieval.vectors import VectorStore
from crossrank.scoring.checked import checked_spec
from crossrank.scoring.spec import RerankerSpec, ScorerSpec, process_bytes_of
from crossrank.telemetry.progress import say

if TYPE_CHECKING:
    from crossrank.cluster.pool import Pool

FORMAT = 1
"""Of plans, blocks and parts. Raise it when a change makes an output that was begun before impossible to go on with."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """Found and checked, but not yet read."""

    settings: MineSettings
    layout: Layout
    source: CorpusSource
    encoder: EncoderSpec | None
    teacher: ScorerSpec | None

    @classmethod
    def of(
        cls, settings: MineSettings, layout: Layout, encoder: EncoderSpec | None, teacher: ScorerSpec | None
    ) -> Inputs:
        """Find the models that the settings name, unless stand-ins are given, and the corpus.

        Raises:
            ModelRefused: an encoder that is none, a teacher that is no reranker.
            InputError: a corpus that is not there.
        """
        if encoder is None and settings.encoder is not None:
            encoder = _encoder(settings.encoder, settings)
        if teacher is None and settings.teacher is not None:
            teacher = checked_spec(settings.teacher, settings.max_length, settings.precision, settings.instruction)
        uri = storage.absolute(settings.corpus)
        columns = (settings.doc_id_column, settings.title_column, settings.text_column)
        return cls(settings, layout, CorpusSource(uri, CorpusSource.fingerprint_of(uri), *columns), encoder, teacher)

    def identity(self) -> dict[str, Any]:
        """What has to be the same when the job is resumed. Where inputs and models lie does not matter."""
        by_content = {"groups", "corpus", "encoder", "teacher"}
        kept = that_change_rows(self.settings)
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
        """The corpus, after refusing one that the window begins behind."""
        corpus = self.source.open()
        usable = int((corpus.usable(slice(None)) == Usable.YES).sum())
        if 0 < usable <= self.settings.skip_top:
            raise InputError(
                f"--skip-top is {self.settings.skip_top} and {self.settings.corpus} has {usable:,} documents that can "
                f"be used, so no rank is left; lower it"
            )
        return corpus

    def vectors(self, corpus: TextStore) -> VectorStore | None:
        """Where the vectors are or will be, in a folder that every worker reaches; None without an encoder."""
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

        Without a model a worker has no use for a GPU, and takes none unless it is told to.
        """
        from crossrank.cluster import on_ray as cluster

        cluster.connect()
        models = {"--encoder": self.settings.encoder, "--teacher": self.settings.teacher}
        places = {"--corpus": self.settings.corpus, "--output": self.settings.output}
        cluster.refuse_private_disks(models | places | {"--embeddings": self.settings.embeddings})
        encoder, teacher = self.encoder if with_encoder else None, self.teacher if with_teacher else None
        encoded = encoder.process_bytes if encoder else 0
        wanted = self.settings.wanted()
        if wanted.gpus is None and encoder is None and teacher is None:
            wanted = replace(wanted, gpus=0.0)
        pool = cluster.pool(wanted, max(encoded, process_bytes_of(teacher)))
        say(f"workers: {pool.workers}")
        return pool

    def task(self, language: str, vectors: VectorStore | None, slices: list[tuple[int, int]], pool: Pool) -> Task:
        """What a worker has to know."""
        from crossrank.cluster import on_ray as cluster

        # Ray hides no GPU from a worker that asked for none, and torch would take it.
        device = None if pool.gpus else "cpu"
        return Task(
            self.layout,
            self.source,
            language,
            self._rules(language),
            self.encoder.on(device) if self.encoder else None,
            vectors,
            tuple((start, end) for start, end in slices),
            replace(self.teacher, device=device) if isinstance(self.teacher, RerankerSpec) else self.teacher,
            cluster.environment(),
        )

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
