"""`crossrank demo`: the recipe that ships with the package, and a few questions before and after it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crossrank import storage
from crossrank.config.bounds import SEED_MOST
from crossrank.config.settings import CheckedSettings, option
from crossrank.demo.encoder import encoder_folder
from crossrank.demo.sample import FOLDER, DemoSample, read_sample
from crossrank.errors import beginning
from crossrank.evaluation.finished import RESULTS
from crossrank.evaluation.measures import MAIN
from crossrank.evaluation.runs import run_of
from crossrank.evaluation.settings import NO_RERANKER
from crossrank.evaluation.wording import label_of
from crossrank.formats.trec import read_run
from crossrank.recipe.chain import FOLDERS, TUNED
from crossrank.recipe.run import recipe
from crossrank.records import Rejected
from crossrank.resumable.output import read_json
from crossrank.telemetry.verb_scope import verb_scope

RECIPE = Path(__file__).with_name("recipe.yaml")
ENCODER = "encoder"
"""Name of the row of the encoder before it was trained."""
SHOWN = 3
"""Example queries that are shown before and after."""

Ranking = dict[str, list[str]]
"""Documents by query, best first."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DemoSettings(CheckedSettings):
    """Settings of the demo."""

    output: str = option("demo-output", help="Folder for the results; what is done there is not done again.")
    seed: int = option(13, help="Seed of the training.", least=0, most=SEED_MOST)


@verb_scope("demo")
def demo(settings: DemoSettings) -> dict[str, Any]:
    """Run the whole recipe on the sample that ships with crossrank: import, translate, filter, mine, train, evaluate.

    Everything is the real thing but the size. Korean training data is translated by the memory that ships with it, the
    embedded encoder is trained on two workers, and the report says what that changed. Run again, every stage is done.
    """
    output = settings.output.rstrip("/")
    given = {"output": output, "sample": FOLDER, "encoder": encoder_folder(), "train.seed": settings.seed}
    recipe(str(RECIPE), [f"{name}={value}" for name, value in given.items()])
    evaluation = storage.join(output, FOLDERS["evaluate"])
    results = read_json(storage.join(evaluation, RESULTS))
    before, after = (_ranking(run_of(evaluation, name)) for name in (NO_RERANKER, TUNED))
    print("\n".join(["", _verdict(results), "", *_examples(before, after), *_where(output)]))
    return results


def _verdict(results: dict[str, Any]) -> str:
    """Lines on what the table says of the trained reranker, and on what it does not show."""
    table = results["tables"]["retrieved"]
    differences = {
        each["against"]: each for each in table["differences"] if (each["row"], each["measure"]) == (TUNED, MAIN)
    }
    lines = []
    for against, what in ((NO_RERANKER, "BM25 alone"), (ENCODER, "the encoder it was made from")):
        difference = differences[against]["difference"]
        low, high = difference["interval"]
        lines.append(
            f"{label_of(MAIN)} against {what}: {difference['mean']:+.3f} (95 % interval {low:+.3f} to {high:+.3f})"
        )
    return "\n".join(
        [
            f"The reranker, on {results['queries']:,} questions about passages that no stage trained on:",
            *(f"    {line}" for line in lines),
            "This shows that the chain works, not how good a model gets: 192 questions are little to learn from.",
        ]
    )


def _examples(before: Ranking, after: Ranking) -> list[str]:
    test = read_sample("en", "test")
    lines = []
    for query_id in _chosen(before, after, test):
        lines.append(f'"{test.queries[query_id]}"')
        for name, ranking in (("BM25", before), ("reranked", after)):
            first = test.documents[ranking[query_id][0]]
            place = _rank(ranking, query_id, test)
            lines.append(f"    {name:9} first: {beginning(first, 66)}  (the answer is at {place})")
        lines.append("")
    return lines


def _where(output: str) -> list[str]:
    evaluation, ranked, model = (storage.join(output, FOLDERS[stage]) for stage in ("evaluate", "rerank", "train"))
    return [
        f"The ranked documents: {ranked} (Parquet).",
        f"The trained model, for a --model of your own: {model}",
        f"The report: {storage.join(evaluation, 'report.html')}",
    ]


def _chosen(before: Ranking, after: Ranking, test: DemoSample) -> list[str]:
    """The first question that got better, the first that got worse, and the first that stayed, where there are some."""

    def change(query_id: str) -> int:
        old, new = (_rank(ranking, query_id, test) for ranking in (before, after))
        return (new > old) - (new < old)

    changes = {query_id: change(query_id) for query_id in before if query_id in after}
    firsts = [next((query_id for query_id, sign in changes.items() if sign == wanted), None) for wanted in (-1, 1, 0)]
    chosen = [query_id for query_id in firsts if query_id is not None]
    return (chosen + [query_id for query_id in changes if query_id not in chosen])[:SHOWN]


def _rank(ranking: Ranking, query_id: str, test: DemoSample) -> int:
    """Rank of the passage that answers, from 1; one past the end when it is not there."""
    ranked, answer = ranking[query_id], test.relevant[query_id]
    return ranked.index(answer) + 1 if answer in ranked else len(ranked) + 1


def _ranking(run: str) -> Ranking:
    def reject(row: Rejected) -> None:
        raise AssertionError(f"our own run has a bad line: {row}")

    scores: dict[str, dict[str, float]] = {}
    for line in read_run(run, reject):
        scores.setdefault(line.query_id, {})[line.doc_id] = line.score
    return {query_id: sorted(docs, key=lambda doc: -docs[doc]) for query_id, docs in scores.items()}
