"""Chain of a recipe: each stage takes the result of the one before, unless its section names an input of its own.

    import -> groups -> translate -> translated -> filter -> filtered -> mine -> mined -> train -> model
                                                      |                   ^                          |
                                                      +----> corpus ------+       merge -> merged, evaluate, rerank

All settings are made before anything runs: a typo in the last section is refused in the first second.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from crossrank import storage
from crossrank.config.command_line import command_of
from crossrank.config.nearest import in_place_of
from crossrank.config.settings import CheckedSettings, from_mapping, option
from crossrank.errors import SettingsError, UserError
from crossrank.formats import FORMATS
from crossrank.formats.conversion import convert_and_report
from crossrank.formats.sources import JSON_LINES, has_extension
from crossrank.recipe.measured import MeasuredQueries
from crossrank.recipe.reading import Recipe
from crossrank.recipe.stage import Noted, Stage, VerbStage
from crossrank.records import Json
from crossrank.retrieval.analysis import LANGUAGES
from crossrank.translation.memory.tsv import ImportSettings, import_memory
from crossrank.verbs import VERBS

Settings = TypeVar("Settings")

NOTES = "_recipe"
"""Folder of the output that holds the notes of the recipe itself."""
TUNED, MERGED = "tuned", "merged"
"""Rows of the evaluation that the recipe adds."""
FOLDERS = {
    "translate": "translated",
    "filter": "filtered",
    "mine": "mined",
    "train": "model",
    "merge": "merged",
    "evaluate": "evaluation",
    "rerank": "ranked",
}
"""Folders of the output, by stage."""
FORCED = ("models", "held_out")
"""Keys to which the recipe adds its own, whatever a section says."""
COLUMNS = ("doc_id_column", "title_column", "text_column")


@dataclass(frozen=True, kw_only=True, slots=True)
class GroupsSettings(CheckedSettings):
    """Settings of the section ``import``: the input of ``crossrank convert``, which makes groups of it."""

    format: str = option(help="Format of the input, as of crossrank convert --from.")
    input: str = option(help="File or folder, local or s3://, or a data set hf://owner/name.")

    def check(self) -> None:
        known = [name for name, form in FORMATS.items() if form.reads_groups]
        if self.format not in known:
            raise SettingsError(
                f"format is {self.format}, which no groups are read from; {in_place_of(self.format, known)}"
            )


def stages_of(recipe: Recipe) -> list[Stage]:
    """The stages of a recipe with their settings.

    Raises:
        SettingsError: a key that the verb does not have, a value that it does not take, a missing input; the sentence
            names the stage and the file.
    """
    return _Chain(recipe).stages()


class _Chain:
    """The stages so far, and what they leave for later sections."""

    def __init__(self, recipe: Recipe) -> None:
        self._recipe = recipe
        self._groups: str | None = None
        self._corpus: Json = {}
        """The corpus of the negatives and the names of its columns, as keys of a verb."""
        self._memory: str | None = None
        self._languages: dict[str, str] = {}
        self._base: str | None = None
        self._models: dict[str, str] = {}
        """Models that the recipe makes, by the names of their rows in the evaluation."""
        self._measured = self._folder(NOTES, "measured.jsonl")
        self._held_out: str | None = None
        """Groups that the section of the training itself holds out."""

    def stages(self) -> list[Stage]:
        make: dict[str, Callable[[], list[Stage]]] = {
            "import": self._import,
            "memory": self._import_memory,
            "translate": self._translate,
            "filter": self._filter,
            "mine": self._mine,
            "train": self._train,
            "merge": self._merge,
            "evaluate": self._evaluate,
            "rerank": self._rerank,
        }
        made = {name: make[name]() for name in self._recipe.sections}
        for evaluation in made.get("evaluate", ()) if "train" in made else ():
            assert isinstance(evaluation, VerbStage)
            made["train"].insert(0, MeasuredQueries(evaluation.settings, self._held_out, self._measured))
        return [stage for stages in made.values() for stage in stages]

    def _folder(self, *names: str) -> str:
        return storage.join(self._recipe.output, *names)

    def _settings(self, name: str, settings_class: type[Settings], links: Json, forced: Json) -> Settings:
        """The settings of a stage: the keys of its section win over what the chain gives, and that over its ``config``.

        Args:
            links: values that the chain gives; None gives nothing.
            forced: values that win over everything.
        """
        section = self._recipe.sections[name]
        known = {key: value for key, value in links.items() if value is not None}
        values = {**section.config, **known, **section.given, **forced}
        try:
            return from_mapping(settings_class, values, "the section", way_out="write it there")
        except UserError as error:
            raise type(error)(f"the stage {name} of {self._recipe.file}: {error}") from error

    def _job(self, name: str, links: Json) -> VerbStage:
        forced = {"output": self._folder(FOLDERS[name]), **{key: links[key] for key in FORCED if key in links}}
        return VerbStage(name, self._settings(name, VERBS[name].settings, links, forced), VERBS[name].run)

    def _conversion(self, name: str, from_: str, to: str, source: str, target: str) -> Noted:
        """A stage that runs `crossrank convert`."""
        return Noted(
            name,
            shlex.join(["crossrank", "convert", "--from", from_, "--to", to, source, target]),
            target,
            self._folder(NOTES, f"{name}.json"),
            source,
            {"from": from_},
            lambda: convert_and_report(from_, to, storage.absolute(source), target),
            continues=name != "import",
        )

    def _import(self) -> list[Stage]:
        given = self._settings("import", GroupsSettings, {}, {})
        self._groups = self._folder("groups", "groups.parquet")
        return [self._conversion("import", given.format, "groups", given.input, self._groups)]

    def _import_memory(self) -> list[Stage]:
        links = {"memory": self._folder("memory")}
        if "translate" in self._recipe.sections:
            of_translate = self._recipe.sections["translate"]
            known = {**of_translate.config, **of_translate.given}
            links |= {name: known[name] for name in ("source", "target", "memory") if name in known}
        given = self._settings("memory", ImportSettings, links, {})
        self._memory = given.memory
        return [
            Noted(
                "memory",
                command_of(["memory", "import"], given),
                given.memory,
                self._folder(NOTES, "memory.json"),
                given.input,
                {"whose": given.identity()},
                lambda: import_memory(given),
                continues=False,
            )
        ]

    def _translate(self) -> list[Stage]:
        links = {"groups": self._groups, "memory": self._memory}
        job = self._job("translate", links)
        self._groups = job.product
        self._languages = {"source": job.settings.source, "target": job.settings.target}
        return [job]

    def _filter(self) -> list[Stage]:
        links = {"groups": self._groups, **self._languages}
        job = self._job("filter", links)
        self._groups = job.product
        return [job]

    def _mine(self) -> list[Stage]:
        passages = self._folder("corpus", "corpus.jsonl")
        job = self._job("mine", {"groups": self._groups, "corpus": passages, **self._analyser()})
        settings = job.settings
        self._corpus = {"corpus": settings.corpus, **{name: getattr(settings, name) for name in COLUMNS}}
        self._groups = job.product
        if settings.corpus != passages:
            return [job]
        from_ = "groups-jsonl" if has_extension(settings.groups, JSON_LINES) else "groups"
        return [self._conversion("corpus", from_, "corpus", settings.groups, passages), job]

    def _train(self) -> list[Stage]:
        links: Json = {"groups": self._groups, **self._corpus}
        if "evaluate" in self._recipe.sections:
            section = self._recipe.sections["train"]
            self._held_out = {**section.config, **section.given}.get("held_out")
            links["held_out"] = self._measured
        job = self._job("train", links)
        self._base = job.settings.base
        self._models = {TUNED: job.product}
        return [job]

    def _merge(self) -> list[Stage]:
        links = {"base": self._base, "tuned": self._models.get(TUNED)}
        job = self._job("merge", links)
        self._models = {**self._models, MERGED: job.product}
        return [job]

    def _evaluate(self) -> list[Stage]:
        section = self._recipe.sections["evaluate"]
        models: Any = {**section.config, **section.given}.get("models", [f"base={self._base}"] if self._base else [])
        if isinstance(models, list):
            named = {str(model).partition("=")[0] for model in models}
            models = [*models, *(f"{name}={made}" for name, made in self._models.items() if name not in named)]
        return [self._job("evaluate", {"models": models, **self._analyser()})]

    def _rerank(self) -> list[Stage]:
        last = next(reversed(self._models.values()), None)
        links = {"model": last, **self._analyser()}
        return [self._job("rerank", links)]

    def _analyser(self) -> Json:
        """The language of BM25: that of the translations, where it has an analyser of its own."""
        target = self._languages.get("target")
        return {"language": target} if target in LANGUAGES else {}
