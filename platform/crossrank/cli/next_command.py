"""The command that usually comes next: each verb prints it at its end, with the paths of what it made.

A chain goes convert -> translate -> filter -> mine -> train -> evaluate -> serve. What nobody has named yet, such as a
base to train from, is given as the model that the guide recommends; what only the user knows is in capitals.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

from crossrank.config.command_line import command_of
from crossrank.evaluation.measures import MAIN
from crossrank.formats.group_forms import AS_THEY_STAND

BASE = "BAAI/bge-reranker-v2-m3"
"""Base model of a training where none was named."""
ENOUGH_TO_HOLD_OUT = 50
"""Fewest groups of which a tenth is held out."""
ENDINGS = (".jsonl", ".json", ".parquet", ".gz", ".tsv", ".csv", ".trec")

LOOK = "import pyarrow.parquet as pq; print(pq.read_table({}).slice(0, 3).to_pylist())"


def next_command(verb: str, settings: Any, result: Any) -> str | None:
    """The command to type after a verb; None where it is not known.

    Args:
        result: what the verb returned.
    """
    if getattr(settings, "dry_run", False):
        return command_of([verb], replace(settings, dry_run=False))
    follows = FOLLOWERS.get(verb)
    return follows(settings, result) if follows is not None else None


def after_conversion(source_format: str, target_format: str, source: str, target: str, num_groups: int) -> str | None:
    """The command after ``crossrank convert``: train on groups, mine from a corpus, evaluate on a BEIR folder."""
    if target_format in ("groups", "groups-jsonl"):
        return _training(target, BASE, num_groups)
    if target_format == "corpus":
        return _mining(source_format, source, target)
    if target_format == "beir":
        models = f"base={BASE}"
        return _typed(
            "evaluate", queries=target, corpus=target, qrels=target, models=models, output=_beside(target, "report")
        )
    return None


def after_recipe(stages: dict[str, Any]) -> str | None:
    """The command after a recipe: the one that comes after its last stage that is a verb.

    Args:
        stages: settings by verb, in the order in which they ran.
    """
    made = [settings.output for verb, settings in stages.items() if verb in ("train", "merge")]
    if made:
        return _typed("serve", model=made[-1])
    last = next(reversed(stages.items()), None)
    return next_command(*last, None) if last is not None else None


def _translated(settings: Any, _result: Any) -> str:
    output = _beside(settings.output, "filtered")
    return _typed("filter", groups=settings.output, source=settings.source, target=settings.target, output=output)


def _filtered(settings: Any, _result: Any) -> str:
    corpus = f"{_beside(settings.output, 'corpus')}.jsonl"
    convert = shlex.join(["crossrank", "convert", "--from", "groups", "--to", "corpus", settings.output, corpus])
    mine = _typed("mine", groups=settings.output, corpus=corpus, output=_beside(settings.output, "mined"))
    return f"{convert} && {mine}"


def _mined(settings: Any, result: Any) -> str:
    rows = result.get("rows", {}) if isinstance(result, Mapping) else {}
    corpus = {} if settings.with_text else _corpus(settings)
    return _training(settings.output, settings.encoder or BASE, rows.get("out", 0), **corpus)


def _trained(settings: Any, _result: Any) -> str:
    models = [f"base={settings.base}", f"tuned={settings.output}"]
    if settings.eval_groups is not None:
        report = _beside(settings.output, "report")
        return _typed("evaluate", groups=settings.eval_groups, **_corpus(settings), models=models, output=report)
    return _typed("serve", model=settings.output)


def _evaluated(settings: Any, result: Any) -> str | None:
    """Serve the best reranker by the main measure. Servers run already; encoders without a head cannot be served."""
    encoders = {row["name"] for row in result["rows"] if row["scale"] == "cosine"} if result is not None else set()
    models = {
        name: model
        for name, model in settings.named_models().items()
        if name not in encoders and ("://" not in model or "s3://" in model)
    }
    if not models:
        again = replace(settings, models=(*settings.models, f"reranker={BASE}"))
        return command_of(["evaluate"], again)
    means = result["tables"]["retrieved"]["means"] if result is not None else {}
    return _typed("serve", model=models[max(models, key=lambda name: means[name][MAIN]["mean"] if means else 0)])


def _reranked(settings: Any, _result: Any) -> str:
    return shlex.join(["python", "-c", LOOK.format(repr(settings.output))])


def _serving(settings: Any, _result: Any) -> str:
    return _typed("serve", model=settings.model if hasattr(settings, "model") else settings.output)


def _imported(settings: Any, _result: Any) -> str | None:
    if settings.source is None:
        return None
    languages = {"source": settings.source, "target": settings.target}
    return _typed(
        "translate", groups="GROUPS", **languages, backend="memory", memory=settings.memory, output="translated"
    )


FOLLOWERS: dict[str, Callable[[Any, Any], str | None]] = {
    "translate": _translated,
    "filter": _filtered,
    "mine": _mined,
    "train": _trained,
    "merge": _serving,
    "evaluate": _evaluated,
    "rerank": _reranked,
    "score": _serving,
    "import_memory": _imported,
    "demo": lambda settings, _: _typed("serve", model=f"{settings.output.rstrip('/')}/model"),
}
"""Functions that give the command after each verb, by its name."""


def _training(groups: str, base: str, num_groups: int, **corpus: str | None) -> str:
    fraction = 0.1 if num_groups >= ENOUGH_TO_HOLD_OUT else None
    return _typed("train", base=base, groups=groups, **corpus, eval_fraction=fraction, output=_beside(groups, "model"))


def _mining(source_format: str, source: str, corpus: str) -> str | None:
    """The command that mines for what a corpus was made from; None for a TREC file, which has no texts of queries."""
    if source_format.startswith("trec"):
        return None
    output = _beside(corpus, "mined")
    if source_format in AS_THEY_STAND:
        return _typed("mine", groups=source, corpus=corpus, output=output)
    groups = f"{_beside(corpus, 'groups')}.parquet"
    convert = shlex.join(["crossrank", "convert", "--from", source_format, "--to", "groups", source, groups])
    return f"{convert} && {_typed('mine', groups=groups, corpus=corpus, output=output)}"


def _corpus(settings: Any) -> dict[str, str | None]:
    """The settings of the corpus that has the texts, with the names of its columns."""
    return {name: getattr(settings, name) for name in ("corpus", "doc_id_column", "title_column", "text_column")}


def _typed(verb: str, **flags: Any) -> str:
    """A command line; what is None is left out, and a list takes its flag once."""
    words = ["crossrank", verb]
    for name, value in flags.items():
        if value is not None:
            words += [f"--{name.replace('_', '-')}", *(value if isinstance(value, list) else [str(value)])]
    return shlex.join(words)


def _beside(path: str, what: str) -> str:
    """A path beside another, such as ``groups-model`` for ``groups.parquet``."""
    path = path.rstrip("/")
    while PurePosixPath(path).suffix in ENDINGS:
        path = path.removesuffix(PurePosixPath(path).suffix)
    return f"{path}-{what}"
