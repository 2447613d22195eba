"""The model card: what a model was made from, how, and how good it is, as Markdown that a model hub reads too.

The run hands over everything that is in it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from crossrank.evaluation.intervals import Mean

NOT_MEASURED = "–"


@dataclass(frozen=True, kw_only=True, slots=True)
class DataFacts:
    """The groups that a model learned from."""

    uri: str
    fingerprint: str
    groups: int
    documents: int
    """Documents that the model saw or may see: positives and judged negatives."""
    rejected: Mapping[str, int] = field(default_factory=dict)
    """Groups that were set aside, by reason."""
    truncation_rate: float | None = None
    """Share of the pairs that did not fit the window, from 0 to 1."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ResultRow:
    """A row of the table of results."""

    name: str
    """Name of what was measured, such as ``no reranker``, ``base model`` or ``step 400``."""
    measures: Mapping[str, Mean]


@dataclass(frozen=True, kw_only=True, slots=True)
class CardFacts:
    """Everything that a card is made of."""

    name: str
    """Title of the card."""
    location: str
    """Place that the model is loaded from: hub id, folder or s3://."""
    base_model: str
    base_revision: str
    base_on_hub: bool
    """Whether `base_model` is a hub id; the hub refuses a card that links a folder."""
    command: str
    """Command line of the training, as it was typed."""
    data: DataFacts
    settings: Mapping[str, Any]
    """Settings of the recipe, in the order in which the card lists them."""
    baselines: Sequence[ResultRow] = ()
    """Rows of step 0: what there is without training."""
    checkpoints: Sequence[ResultRow] = ()
    """Rows of the checkpoints that were validated, by step."""
    best: str | None = None
    """Name of the checkpoint, or of the baseline, that became the model; None where nothing was held out."""
    decided_by: str = "mrr@10"
    """Measure that chose `best`."""
    differences: Mapping[str, Mean] = field(default_factory=dict)
    """Means of the best checkpoint less the last of the baselines, query by query."""
    held_out_queries: int = 0
    max_length: int
    level: str = ""
    """Sentences on what the sigmoid of a logit means; empty leaves the section out."""
    warnings: Sequence[str] = ()
    """A sentence for each guard that fired."""
    versions: Mapping[str, str]
    seed: int


def model_card(facts: CardFacts) -> str:
    """The Markdown of the card, to be saved as README.md beside the model."""
    parts = [
        _front_matter(facts),
        f"# {facts.name}",
        _warning_block([*worse_than_before(facts), *facts.warnings]),
        _origin(facts),
        f"## Results\n\n{_results(facts)}",
        f"## How to use\n\n{_usage(facts)}",
        f"## Probabilities\n\n{facts.level}" if facts.level else "",
        f"## Data\n\n{_data(facts.data)}",
        f"## Settings\n\n{_table(['setting', 'value'], facts.settings.items())}",
        f"## Versions\n\n{_table(['what', 'version'], facts.versions.items())}",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def worse_than_before(facts: CardFacts) -> list[str]:
    """A sentence for each baseline that is better than the model by the measure that chose it."""
    best = _best(facts)
    ours = best.measures.get(facts.decided_by) if best else None
    if ours is None:
        return []
    sentences = []
    for baseline in facts.baselines:
        theirs = baseline.measures.get(facts.decided_by)
        if theirs is not None and theirs.value > ours.value:
            sentences.append(
                f"This model is worse than {baseline.name} on the held-out queries: its {facts.decided_by} is "
                f"{ours.value:.3f}, and that of {baseline.name} {theirs.value:.3f}."
            )
    return sentences


def _best(facts: CardFacts) -> ResultRow | None:
    return next((each for each in (*facts.checkpoints, *facts.baselines) if each.name == facts.best), None)


def _is_base(facts: CardFacts) -> bool:
    """Whether the model is the base as it was."""
    return any(each.name == facts.best for each in facts.baselines)


def _front_matter(facts: CardFacts) -> str:
    # No licence: that of the base and of the data decide it, and the run knows neither.
    known: dict[str, Any] = {
        "library_name": "sentence-transformers",
        "pipeline_tag": "text-ranking",
        "tags": ["cross-encoder", "reranker", "crossrank"],
    }
    if facts.base_on_hub and not _is_base(facts):  # the hub has no relation that says "the same"
        known |= {"base_model": facts.base_model, "base_model_relation": "finetune"}
    best = _best(facts)
    if best is not None:
        known["model-index"] = [{"name": facts.name, "results": [_measured(best)]}]
    return f"---\n{yaml.safe_dump(known, allow_unicode=True, sort_keys=False)}---"


def _measured(best: ResultRow) -> dict[str, Any]:
    """The results that the hub shows beside the card: https://github.com/huggingface/hub-docs/blob/main/modelcard.md."""
    return {
        "task": {"type": "text-ranking"},
        "dataset": {"type": "held-out-groups", "name": "held-out groups"},
        "metrics": [{"type": name, "value": round(mean.value, 4)} for name, mean in best.measures.items()],
    }


def _warning_block(sentences: Sequence[str]) -> str:
    if not sentences:
        return ""
    return "\n".join(["> [!WARNING]", *(f"> - **{_line(each)}**" for each in sentences)])


def _origin(facts: CardFacts) -> str:
    base = f"`{facts.base_model}`, revision `{facts.base_revision}`"
    made = (
        f"These are the weights of {base}, as they were: no checkpoint of the training became the model. It ran with "
        f"seed {facts.seed}, by"
        if _is_base(facts)
        else f"Fine-tuned from {base}, with seed {facts.seed}, by"
    )
    return (
        f"A reranker: it reads a query and a document together and gives one logit, higher where they match better. "
        f"{made}\n\n{_code(facts.command, 'sh')}"
    )


def _results(facts: CardFacts) -> str:
    lines = [*facts.baselines, *facts.checkpoints]
    if not lines:
        return "Nothing was held out, so nothing is known of how good this model is."
    names = list(dict.fromkeys(name for each in lines for name in each.measures))
    rows = [
        (
            f"**{each.name}, this model**" if each.name == facts.best else each.name,
            *(_mean(each.measures.get(name)) for name in names),
        )
        for each in lines
    ]
    if facts.differences and facts.baselines:
        against = f"{facts.best} less {facts.baselines[-1].name}"
        rows.append((against, *(_mean(facts.differences.get(name), "+") for name in names)))
    is_checkpoint = any(each.name == facts.best for each in facts.checkpoints)
    chosen = f" The checkpoint was chosen by {facts.decided_by}." if is_checkpoint else ""
    return (
        f"On {facts.held_out_queries:,} held-out queries; in parentheses 95 % intervals by bootstrap over the queries, "
        f"query by query for a difference.{chosen}\n\n{_table(['', *names], rows)}"
    )


def _mean(mean: Mean | None, sign: str = "") -> str:
    if mean is None:
        return NOT_MEASURED
    if mean.interval is None:
        return f"{mean.value:{sign}.3f}"
    low, high = mean.interval
    return f"{mean.value:{sign}.3f} ({low:{sign}.3f} to {high:{sign}.3f})"


def _data(data: DataFacts) -> str:
    rows: list[tuple[str, str]] = [
        ("groups from", f"`{data.uri}`"),
        ("fingerprint", f"`{data.fingerprint}`"),
        ("groups", f"{data.groups:,}"),
        ("documents", f"{data.documents:,}"),
        *((f"rejected: {reason}", f"{count:,}") for reason, count in sorted(data.rejected.items())),
    ]
    if not data.rejected:
        rows.append(("rejected", "none"))
    if data.truncation_rate is not None:
        rows.append(("pairs cut to fit the window", f"{data.truncation_rate:.2%}"))
    return _table(["", ""], rows)


def _usage(facts: CardFacts) -> str:
    place = json.dumps(facts.location, ensure_ascii=False)
    pair = 'query, document = "how long does the battery last?", "A full charge cleans for 180 minutes."'
    snippets = [
        f"""from crossrank import Reranker

{pair}
reranker = Reranker.load({place}, max_length={facts.max_length})
print(reranker.score([(query, document)]))""",
        f"""import torch
from sentence_transformers import CrossEncoder

{pair}
model = CrossEncoder({place}, max_length={facts.max_length})
print(model.predict([(query, document)], activation_fn=torch.nn.Identity()))""",
        f"""from transformers import pipeline

{pair}
score = pipeline("text-classification", model={place})
pair = {{"text": query, "text_pair": document}}
print(score([pair], function_to_apply="none", truncation=True, max_length={facts.max_length}))""",
    ]
    lead = (
        "All three give the same logit, in single precision and where the pair fits the window. So does an older "
        "transformers that knows this family; crossrank's README names those that were tried."
    )
    if facts.location.startswith("s3://"):
        lead += " The last two want a copy of the folder on this machine's disk."
    return "\n\n".join([lead, *(_code(each, "python") for each in snippets)])


def _table(head: Sequence[str], rows: Any) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(_line(cell).replace("|", r"\|") for cell in line) + " |" for line in lines)


def _line(value: Any) -> str:
    return " ".join(("not set" if value is None else str(value)).split())


def _code(text: str, language: str) -> str:
    """A block of code whose fence is longer than any in the text."""
    fence = "```"
    while fence in text:
        fence += "`"
    return f"{fence}{language}\n{text}\n{fence}"
