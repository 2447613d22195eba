"""The settings of `crossrank mine`."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal

from crossrank import storage
from crossrank.config.settings import as_written, knob, option
from crossrank.errors import SettingsError
from crossrank.mining.false_negatives import CONTAINMENT, JACCARD, Alike, Margin
from crossrank.resumable.settings import JobSettings
from crossrank.retrieval import fusion
from crossrank.scoring.flags import instruction_flag, max_length_flag, precision_flag
from crossrank.scoring.precision import Precision

RELATIVE_MARGIN = 0.05
A_SHARE = "; use a share above 0 and up to 1"


@dataclass(frozen=True, kw_only=True, slots=True)
class MineSettings(JobSettings):
    """The groups to mine for, the corpus to mine in, and the rules for a negative."""

    groups: str = option(help="Groups (Parquet or JSONL) with labelled positives.")
    corpus: str = option(help="Corpus: JSONL, TSV, CSV, Parquet or a BEIR folder.")
    language: str = option("auto", help="Language of the BM25 analyser: auto, ko, ko-kiwi, en, de, ...")
    encoder: str | None = option(None, help="Encoder for a dense first stage beside BM25: hub id, folder or s3://.")
    teacher: str | None = option(
        None, help="Reranker that scores what was found and what is judged: hub id, folder or s3://."
    )
    negatives: int = option(15, help="Negatives that are added to a group, at most.", least=1)
    depth: int = option(100, help="Passages of each first stage, and the last rank that is taken from.", least=1)
    skip_top: int = option(0, help="Ranks at the top that are left out, the positives counted among them.", least=0)
    relative_margin: float | None = option(
        None,
        help="Share by which a negative's probability is under the lowest positive's, by the teacher; default 0.05.",
        least=0,
        below=1,
        refusal="; use a part from 0 to below 1",
    )
    absolute_margin: float | None = option(
        None, help="Logits by more than which a negative is under the lowest positive, by the teacher.", least=0
    )
    keep_query_document: bool = option(
        False, help="Take the query itself, found by its id or its text, as a negative too; by default it is left out."
    )
    with_text: bool = option(False, help="Write the texts of the documents; otherwise the corpus has them.")
    embeddings: str | None = option(
        None,
        help="Folder where the corpus's vectors are kept for other jobs; default the cache of this machine, or "
        "OUTPUT/_embeddings on a cluster.",
        affects_output=False,
    )
    query_prompt: str | None = option(None, help="Text before a query for the encoder, such as 'query: ' for e5.")
    passage_prompt: str | None = option(None, help="Text before a passage for the encoder, such as 'passage: '.")
    max_length: int = max_length_flag("Tokens that the teacher reads of query, document and special tokens together.")
    precision: Precision | None = precision_flag("Number format of the teacher; default fp32 on CPU and bf16 on GPU.")
    instruction: str | None = instruction_flag("What relevant means, for teachers that read a prompt.")
    doc_id_column: str | None = option(None, help="Column of the document id.")
    title_column: str | None = option(None, help="Column of the title.")
    text_column: str | None = option(None, help="Column of the document text.")

    pooling: Literal["mean", "cls"] | None = knob(
        None, help="Pooling of the encoder's tokens; null for what its files say."
    )
    encoder_max_length: int | None = knob(
        None, help="Tokens that the encoder reads; null for what its files say.", least=8
    )
    embedding_dtype: Literal["float32", "float16"] = knob(
        "float32", help="Number format in which the corpus's vectors are kept."
    )
    rrf_k: int = knob(fusion.K, help="The k of reciprocal rank fusion.", least=1)
    near_duplicate_jaccard: float = knob(
        JACCARD,
        help="Share of shingles in common with a positive from which a passage is dropped.",
        above=0,
        most=1,
        refusal=A_SHARE,
    )
    near_duplicate_containment: float = knob(
        CONTAINMENT,
        help="Share of the shorter text that the longer one holds from which a passage is dropped.",
        above=0,
        most=1,
        refusal=A_SHARE,
    )

    def check(self) -> None:
        inputs = {"groups": self.groups, "corpus": self.corpus, "encoder": self.encoder, "teacher": self.teacher}
        storage.refuse_overwriting("--output", self.output, **inputs)
        self._check_embeddings()
        if self.depth - self.skip_top < self.negatives:
            left = max(self.depth - self.skip_top, 0)
            raise SettingsError(
                f"--skip-top {self.skip_top} and --depth {self.depth} leave {left} ranks, under --negatives "
                f"({self.negatives}), so no group could ever get them; raise --depth, or lower one of the others"
            )
        if self.relative_margin is not None and self.absolute_margin is not None:
            raise SettingsError("--relative-margin and --absolute-margin are two ways to say one thing; leave one out")
        self._refuse_idle()

    def _check_embeddings(self) -> None:
        """Refuse a folder of vectors inside the output, which holds groups alone."""
        folder = storage.absolute(self.output).rstrip("/")
        if self.embeddings is not None and f"{storage.absolute(self.embeddings)}/".startswith(f"{folder}/"):
            raise SettingsError(
                f"--embeddings {self.embeddings} lies in --output, which would no longer be a folder of groups alone; "
                f"name a folder beside it"
            )

    def _refuse_idle(self) -> None:
        """Refuse settings that have no effect, which somebody would wait for in vain."""
        without = {
            "teacher": ("relative_margin", "absolute_margin", "precision", "instruction"),
            "encoder": ("embeddings", "query_prompt", "passage_prompt", "pooling", "encoder_max_length"),
        }
        declared = {field.name: field for field in fields(self)}
        for wanted, names in without.items():
            for name in names if getattr(self, wanted) is None else ():
                if getattr(self, name) is not None:
                    raise SettingsError(
                        f"{as_written(declared[name])} is {getattr(self, name)!r}, and there is no --{wanted} to use "
                        f"it; name one, or leave it out"
                    )

    @property
    def margin(self) -> Margin:
        """The margin by which the teacher decides, where there is one."""
        if self.absolute_margin is not None:
            return Margin("absolute", self.absolute_margin)
        return Margin("relative", RELATIVE_MARGIN if self.relative_margin is None else self.relative_margin)

    @property
    def alike(self) -> Alike:
        """The likeness from which a passage counts as a copy of a positive."""
        return Alike(self.near_duplicate_jaccard, self.near_duplicate_containment)
