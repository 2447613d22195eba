"""The verbs as functions of Python: ``from crossrank import train, mine, evaluate, ...``.

Each takes the flags of its verb as keywords, says on standard error what it does, goes on where an earlier call was,
returns the manifest that it wrote, and raises `UserError` or `JobFailed` where the command would exit with 2 or 1.

`VERBS` is the table of them: the command line, recipes, ``crossrank submit`` and ``crossrank status`` read it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from os import PathLike, fspath
from typing import Any, Literal

from crossrank import storage
from crossrank.config.keywords import keywords_of
from crossrank.evaluation import job as evaluation
from crossrank.evaluation.settings import EvaluateSettings
from crossrank.filtering import job as filtering
from crossrank.filtering.settings import FilterSettings
from crossrank.formats.conversion import ConversionCounts, convert_and_report
from crossrank.mining import job as mining
from crossrank.mining.settings import MineSettings
from crossrank.reranking import job as reranking
from crossrank.reranking.settings import RerankSettings
from crossrank.resumable.output import manifest_of, read_json
from crossrank.scoring import score_file
from crossrank.scoring.score_file import ScoreSettings
from crossrank.training import job as training
from crossrank.training import merge as merging
from crossrank.training.merge import MergeSettings
from crossrank.training.settings import TrainSettings
from crossrank.translation import job as translation
from crossrank.translation.settings import TranslateSettings


@dataclass(frozen=True, slots=True)
class Verb:
    """A verb whose flags are the fields of its settings."""

    settings: type[Any]
    run: Callable[[Any], Any]
    """What the command does; the functions below are the same for Python."""
    progress: Literal["parts", "checkpoints", "models"] | None = "parts"
    """What of an unfinished output says how far the job is; None for a verb that is no job."""


VERBS = {
    "rerank": Verb(RerankSettings, reranking.rerank),
    "score": Verb(ScoreSettings, score_file.score, progress=None),
    "translate": Verb(TranslateSettings, translation.translate),
    "filter": Verb(FilterSettings, filtering.filter),
    "mine": Verb(MineSettings, mining.mine),
    "train": Verb(TrainSettings, training.train, progress="checkpoints"),
    "merge": Verb(MergeSettings, merging.merge, progress=None),
    "evaluate": Verb(EvaluateSettings, evaluation.evaluate, progress="models"),
}


@keywords_of(RerankSettings)
def rerank(settings: RerankSettings) -> dict[str, Any]:
    """Rerank the candidates of queries with a cross-encoder, over any number of workers.

    `output` becomes a folder that any Parquet reader takes as one table, a row a query. Called again after a kill it
    goes on where it was.

    Returns:
        The manifest: ``rows`` in, out and rejected, ``pairs``, ``tokens``, ``seconds``. With `dry_run` the plan
        instead: queries, pairs, tokens and hours.
    """
    return reranking.rerank(settings)


@keywords_of(ScoreSettings)
def score(settings: ScoreSettings) -> dict[str, Any]:
    """Score a file of pairs of a query and a document, one JSON object a line.

    For pairs in memory use `Reranker.score`.

    Returns:
        Lines by what became of them: ``scored``, and how many were set aside for each reason or cut.
    """
    return score_file.score(settings)


@keywords_of(TranslateSettings)
def translate(settings: TranslateSettings) -> dict[str, Any]:
    """Translate the queries and documents of groups, each text once in its life.

    What is translated is kept in the translation memory `memory`, which all jobs share.

    Returns:
        The manifest: ``rows``, ``texts`` by what the memory had of them, ``documents``, ``spent``. With `dry_run` the
        plan instead: texts, characters, dollars and hours.
    """
    return translation.translate(settings)


@keywords_of(FilterSettings)
def filter(settings: FilterSettings) -> dict[str, Any]:  # noqa: A001 - the verb
    """Flag bad translations in groups: failed, untranslated, in another language, cut off, looping, numbers lost.

    Nothing is deleted: a flagged document is not trained on.

    Returns:
        The manifest: ``rows``, ``documents`` and the ``report`` of flags by reason. With `dry_run` the plan instead.
    """
    return filtering.filter(settings)


@keywords_of(MineSettings)
def mine(settings: MineSettings) -> dict[str, Any]:
    """Add hard negatives to labelled groups: what BM25 and an encoder find, less what probably answers the query.

    `output` becomes a folder of groups that `train` reads.

    Returns:
        The manifest: ``rows``, ``mined`` negatives, those ``dropped`` by reason. With `dry_run` the plan instead.
    """
    return mining.mine(settings)


@keywords_of(TrainSettings)
def train(settings: TrainSettings) -> dict[str, Any]:
    """Fine-tune a reranker on labelled groups, over any number of workers with the same result.

    `output` becomes a model folder that `Reranker.load` takes. Called again after a kill it goes on at the exact step.

    Returns:
        The manifest: ``steps``, ``chosen_step`` and what was measured at it, ``groups``, ``sizes``. With `dry_run` the
        plan instead: steps, pairs, tokens and hours.
    """
    return training.train(settings)


@keywords_of(MergeSettings)
def merge(settings: MergeSettings) -> dict[str, Any]:
    """Merge a tuned reranker with its base: alpha x tuned + (1 - alpha) x base.

    Returns:
        The manifest: which tensors were merged, and which only one of the two has.
    """
    return merging.merge(settings)


@keywords_of(EvaluateSettings)
def evaluate(settings: EvaluateSettings) -> dict[str, Any]:
    """Compare rerankers, and what there is without one, on judged queries.

    Writes ``report.html``, ``report.md``, ``results.json`` and a TREC run of every row into `output`. `models` may be a
    dictionary of names to models.

    Returns:
        The manifest, with ``results``: the measures of every row and the differences between them, as in
        ``results.json``. With `dry_run` the plan instead.
    """
    found = evaluation.evaluate(settings)
    if settings.dry_run:
        return found
    return read_json(manifest_of(storage.absolute(settings.output))) | {"results": found}


def convert(
    source: str | PathLike[str], target: str | PathLike[str], *, source_format: str, target_format: str
) -> ConversionCounts:
    """Read groups in one format and write them in another.

    A row that the target cannot hold is left out, and named with its reason on standard error.

    Args:
        source: File or folder that is read.
        target: File or folder that is written.
        source_format: What `source` is: a name of ``crossrank convert --from``, such as ``flagembedding``.
        target_format: What `target` becomes: a name of ``crossrank convert --to``, such as ``groups``.

    Returns:
        Groups read, written and rejected.

    Raises:
        SettingsError: a format is not known.
        InputError: `source` is missing or not in its format, or none of its rows could be written.
    """
    return convert_and_report(source_format, target_format, fspath(source), fspath(target))
