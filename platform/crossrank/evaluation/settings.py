"""The settings of `crossrank evaluate`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from crossrank import storage
from crossrank.config.bounds import SEED_MOST
from crossrank.config.settings import knob, option
from crossrank.errors import USER_OF_URL, SettingsError
from crossrank.resumable.settings import JobSettings
from crossrank.scoring.flags import instruction_flag, max_length_flag, precision_flag
from crossrank.scoring.precision import Precision

STAGES = ("bm25", "dense", "bm25+dense")
"""First stages that are no file."""
RESAMPLES_MOST = 10_000_000
"""Resamples at most: their means lie in memory, 80 MB of them."""
TIMEOUT_MOST_S = 86_400
"""Longest wait for an answer of a server, in seconds: a day."""
NO_RERANKER = "no reranker"
"""Name of the row that every other is compared with."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluateSettings(JobSettings):
    """Settings of an evaluation: the models, the judged queries, and the place of the report."""

    models: Sequence[str] = option(
        (), help="NAME=MODEL ..., each a row; MODEL is a hub id, a folder, s3:// or the URL of a server."
    )
    groups: str | None = option(None, help="Groups (Parquet or JSONL) with labels; their ranks are the first stage's.")
    queries: str | None = option(None, help="Queries: JSONL, TSV, CSV, Parquet or a BEIR folder.")
    corpus: str | None = option(None, help="Corpus: JSONL, TSV, CSV, Parquet or a BEIR folder.")
    qrels: str | None = option(None, help="Judgements: TREC qrels, BEIR's TSV, or a BEIR folder.")
    candidates: str = option("bm25", help="First stage: bm25, dense, bm25+dense fused by rank, or a TREC run.")
    encoder: str | None = option(None, help="Encoder of a dense first stage: hub id, folder or s3://.")
    query_prompt: str | None = option(None, help="Text before a query for that encoder, such as 'query: ' for e5.")
    passage_prompt: str | None = option(None, help="Text before a passage for that encoder, such as 'passage: '.")
    eval_csv: str | None = option(None, help="CSV with the columns question,answer,doc_id,doc.")
    relevant_from: float | None = option(
        None,
        help="Lowest label of a relevant document, 2 for TREC Deep Learning; default any above 0. nDCG takes labels "
        "as they are.",
        affects_output=False,
        above=0,
        refusal="; use a number above 0, which is what nobody finds relevant",
    )
    contexts: int = option(3, help="Documents that a reader would be given: the K of has-right-in-contexts.", least=1)
    depth: int = option(100, help="Candidates of a query.", least=1)
    keep_query_document: bool = option(
        False,
        help="Keep candidates that are the query itself, by id or text; by default they are left out, as in BEIR.",
    )
    language: str = option("auto", help="Language of the BM25 analyser: auto, ko, ko-kiwi, en, de, ...")
    max_length: int = max_length_flag()
    precision: Precision | None = precision_flag("Number format of the models; default fp32 on CPU and bf16 on GPU.")
    instruction: str | None = instruction_flag()
    query_id_column: str | None = option(None, help="Column of the query id.")
    query_column: str | None = option(None, help="Column of the query text.")
    doc_id_column: str | None = option(None, help="Column of the document id.")
    title_column: str | None = option(None, help="Column of the title.")
    text_column: str | None = option(None, help="Column of the document text.")
    resamples: int = knob(
        2000,
        help="Resamples of the bootstrap; the randomisation test tosses five times as often.",
        least=100,
        most=RESAMPLES_MOST,
    )
    timed_queries: int = knob(100, help="Queries that are timed one at a time for p50 and p99; 0 for none.", least=0)
    seed: int = knob(
        0,
        help="Seed of the bootstrap, the randomisation test and the choice of timed queries.",
        least=0,
        most=SEED_MOST,
    )
    timeout_s: float = knob(
        60.0,
        help="Seconds to wait for one answer of a server.",
        above=0,
        most=TIMEOUT_MOST_S,
        refusal=f"; use a number of seconds above 0, up to {TIMEOUT_MOST_S:,}",
    )

    def check(self) -> None:
        self._refuse_several_inputs()
        self._refuse_idle_encoder()
        self.named_models()
        if self.contexts > self.depth:
            raise SettingsError(
                f"--contexts is {self.contexts} and --depth {self.depth}; a query has no more candidates"
            )
        candidates = None if self.candidates in STAGES else self.candidates
        storage.refuse_overwriting(
            "--output",
            self.output,
            queries=self.queries,
            corpus=self.corpus,
            qrels=self.qrels,
            candidates=candidates,
            groups=self.groups,
            eval_csv=self.eval_csv,
        )

    def named_models(self) -> dict[str, str]:
        """The models by the names of their rows, in their order.

        Raises:
            SettingsError: no name, no model, or a name twice.
        """
        found: dict[str, str] = {}
        for given in self.models:
            name, sign, model = given.partition("=")
            if not sign or not name.strip() or not model.strip():
                raise SettingsError(f"--models has {given!r}; write NAME=MODEL, such as base=BAAI/bge-reranker-v2-m3")
            if name in found or name == NO_RERANKER:
                raise SettingsError(f"--models has the name {name!r} twice; the row without a model is {NO_RERANKER!r}")
            if model.startswith("http") and USER_OF_URL.search(model):
                raise SettingsError(
                    f"the model {name} has a user or a password in its URL, which manifests and reports would show; "
                    f"give a key in CROSSRANK_KEY"
                )
            found[name] = model
        return found

    def places(self) -> dict[str, str | None]:
        """Places that workers read and write, by the flag that names each: all nodes have to share them."""
        models = {f"--models {name}": model for name, model in self.named_models().items()}
        encoded = {"--encoder": self.encoder, "--queries": self.queries} if self.is_dense else {}
        return {**models, **encoded, "--corpus": self.corpus, "--output": self.output}

    @property
    def is_dense(self) -> bool:
        """Whether the first stage needs an encoder."""
        return self.candidates in ("dense", "bm25+dense")

    def _refuse_idle_encoder(self) -> None:
        if self.is_dense and self.encoder is None:
            raise SettingsError(f"--candidates {self.candidates} wants --encoder, such as BAAI/bge-m3")
        if self.encoder is not None and not self.is_dense:
            raise SettingsError(
                f"--encoder is {self.encoder!r}, and --candidates {self.candidates} does not use it; use --candidates "
                f"dense or bm25+dense, or leave it out"
            )
        for name in ("query_prompt", "passage_prompt"):
            if getattr(self, name) is not None and self.encoder is None:
                raise SettingsError(f"--{name.replace('_', '-')} wants --encoder; name one, or leave it out")

    def _refuse_several_inputs(self) -> None:
        given = [name for name in ("groups", "queries", "eval_csv") if getattr(self, name) is not None]
        flags = [f"--{name.replace('_', '-')}" for name in given]
        if len(given) != 1:
            inputs = f"{' and '.join(flags)} are both" if given else "nothing is"
            raise SettingsError(
                f"{inputs} given to evaluate on; give --groups, or --queries with --corpus and --qrels, or --eval-csv"
            )
        if self.queries is not None and (self.corpus is None or self.qrels is None):
            missing = "--corpus" if self.corpus is None else "--qrels"
            raise SettingsError(f"--queries wants {missing} too; a BEIR folder may be given as all three")
        finds = self.candidates in STAGES if self.eval_csv is not None else self.candidates == "bm25"
        if self.queries is None and (self.qrels is not None or not finds):
            idle = "--qrels" if self.qrels is not None else f"--candidates {self.candidates}"
            raise SettingsError(f"{idle} has no place beside {flags[0]}; leave it out")
        if self.eval_csv is not None and self.corpus is not None:
            raise SettingsError("--corpus has no place beside --eval-csv, whose documents are the corpus; leave it out")
