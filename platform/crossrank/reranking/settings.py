"""The settings of `crossrank rerank`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from crossrank import storage
from crossrank.config.settings import option
from crossrank.errors import SettingsError
from crossrank.formats.sources import refuse_other_extension
from crossrank.formats.trec import RUN_EXTENSIONS
from crossrank.resumable.settings import JobSettings
from crossrank.scoring.flags import instruction_flag, max_length_flag, precision_flag
from crossrank.scoring.precision import Precision


@dataclass(frozen=True, kw_only=True, slots=True)
class RerankSettings(JobSettings):
    """The inputs, the model and the output of a job."""

    model: str = option(help="Reranker: hub id, folder or s3://.")
    queries: str | None = option(None, help="Queries: JSONL, TSV, CSV, Parquet or a BEIR folder.")
    corpus: str | None = option(None, help="Corpus: JSONL, TSV, CSV, Parquet or a BEIR folder.")
    candidates: str = option("bm25", help="bm25, or a TREC run whose documents are reranked.")
    groups: str | None = option(None, help="Groups (Parquet or JSONL) that carry their candidates.")
    depth: int = option(100, help="Candidates of a query that are scored.", least=1)
    top_n: int = option(10, help="Documents of a query that are kept; 0 keeps all.", least=0)
    language: str = option("auto", help="Language of the BM25 analyser: auto, ko, ko-kiwi, en, de, ...")
    run: str | None = option(None, help="Write the result as a TREC run to this file too.", affects_output=False)
    with_text: bool = option(False, help="Keep the texts of the documents in the output.")
    normalize: Literal["none", "sigmoid", "softmax"] = option(
        "none", help="Scale of the scores: none keeps logits, softmax runs over the candidates of a query."
    )
    max_length: int = max_length_flag()
    precision: Precision | None = precision_flag()
    instruction: str | None = instruction_flag()
    query_id_column: str | None = option(None, help="Column of the query id.")
    query_column: str | None = option(None, help="Column of the query text.")
    doc_id_column: str | None = option(None, help="Column of the document id.")
    title_column: str | None = option(None, help="Column of the title.")
    text_column: str | None = option(None, help="Column of the document text.")

    def check(self) -> None:
        if self.groups is None and (self.queries is None or self.corpus is None):
            raise SettingsError("there is nothing to rerank; give --queries and --corpus, or --groups")
        if self.groups is not None and self.queries is not None:
            raise SettingsError("--groups carry their queries, so --queries has no place beside them; leave one out")
        if self.groups is not None and self.candidates != "bm25":
            raise SettingsError("--groups carry their candidates, so --candidates has no place; leave one out")
        self._refuse_idle_columns()
        folder = storage.absolute(self.output).rstrip("/")
        if self.run is not None and storage.absolute(self.run).startswith(f"{folder}/"):
            raise SettingsError(
                f"--run {self.run} lies in --output, which would no longer be a folder that Parquet readers take as "
                f"one table; put the run beside it"
            )
        candidates = None if self.candidates == "bm25" else self.candidates
        for flag, uri in (("--run", self.run), ("--output", self.output)):
            storage.refuse_overwriting(
                flag,
                uri,
                model=self.model,
                queries=self.queries,
                corpus=self.corpus,
                candidates=candidates,
                groups=self.groups,
            )
        if self.run is not None:
            refuse_other_extension("--run", self.run, "TREC runs", RUN_EXTENSIONS)

    def _refuse_idle_columns(self) -> None:
        """Refuse the name of a column in a file that is not read."""
        if self.groups is None:
            return
        of_queries = ["query_id_column", "query_column"]
        of_corpus = ["doc_id_column", "title_column", "text_column"] if self.corpus is None else []
        for name in of_queries + of_corpus:
            if getattr(self, name) is not None:
                raise SettingsError(
                    f"--{name.replace('_', '-')} is {getattr(self, name)!r}, and groups have fixed names; leave it out"
                )
