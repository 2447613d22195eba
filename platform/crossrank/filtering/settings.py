"""The settings of `crossrank filter`."""

from __future__ import annotations

from dataclasses import dataclass, fields

from crossrank import storage
from crossrank.config.bounds import SEED_MOST
from crossrank.config.settings import knob, option
from crossrank.errors import SettingsError
from crossrank.filtering.judge import Judge
from crossrank.filtering.rules.language import language_of
from crossrank.filtering.rules.thresholds import Thresholds
from crossrank.filtering.teacher_rules import Margins
from crossrank.resumable.settings import JobSettings
from crossrank.scoring.flags import instruction_flag, max_length_flag, precision_flag
from crossrank.scoring.precision import Precision

_DEFAULT = Thresholds()


@dataclass(frozen=True, kw_only=True, slots=True)
class FilterSettings(JobSettings):
    """The groups to filter, and the thresholds of a bad translation."""

    groups: str = option(help="Translated groups, Parquet or JSON lines: a file or a folder.")
    source: str | None = option(None, help="Language of the original texts, such as en; wanted unless --clear.")
    target: str | None = option(None, help="Language of the translations, such as ko; wanted unless --clear.")
    teacher: str | None = option(None, help="Reranker that reads both languages, to compare its scores in them.")
    clear: bool = option(False, help="Remove what an earlier filter added, and do nothing else.")
    max_length: int = max_length_flag("Tokens of query, document and special tokens together, for the teacher.")
    precision: Precision | None = precision_flag("Number format of the teacher; default fp32 on CPU and bf16 on GPU.")
    instruction: str | None = instruction_flag("What relevant means, for a teacher that reads a prompt.")

    teacher_drop: float = knob(3.0, help="Logits that a positive may lose by translation.", least=0)
    teacher_margin: float = knob(
        0.0, help="Logits that a negative has to be under the worst positive, in the source.", least=0
    )
    min_length_ratio: float | None = knob(
        None, help="Fewest characters for one of the source; null takes the languages' own bound.", least=0
    )
    max_length_ratio: float | None = knob(
        None, help="Most characters for one of the source; null takes the languages' own bound.", least=0
    )
    length_slack: int = knob(_DEFAULT.length_slack, help="Characters more or less that say nothing.", least=0)
    kept_words: float = knob(
        _DEFAULT.kept_words, help="Share of the source's words that an untranslated text keeps.", least=0
    )
    source_probability: float = knob(
        _DEFAULT.source_probability, help="Least probability of the source language in an untranslated text.", least=0
    )
    language_letters: int = knob(
        _DEFAULT.language_letters, help="Letters from which a language is identified.", least=0
    )
    target_probability: float = knob(
        _DEFAULT.target_probability,
        help="Probability of the target language under which another one may be it.",
        least=0,
    )
    other_probability: float = knob(_DEFAULT.other_probability, help="Least probability of another language.", least=0)
    foreign_letters: int = knob(_DEFAULT.foreign_letters, help="Letters of a third script that are too many.", least=0)
    foreign_share: float = knob(
        _DEFAULT.foreign_share, help="Share of letters of a third script that is too large.", least=0
    )
    latin_share: float = knob(
        _DEFAULT.latin_share, help="Share of new Latin letters that is too large in another script.", least=0
    )
    repeats: int = knob(_DEFAULT.repeats, help="Repetitions of a phrase in a row that make a loop.", least=0)
    character_run: int = knob(_DEFAULT.character_run, help="Equal characters in a row that make a loop.", least=0)
    compressed_share: float = knob(
        _DEFAULT.compressed_share, help="Compressed size, against the source's, under which a text is a loop.", least=0
    )
    lost_numbers_share: float = knob(
        _DEFAULT.lost_numbers_share, help="Share of the source's numbers that may not be lost.", least=0
    )
    samples: int = knob(10, help="Samples of each reason in the report.", least=0)
    seed: int = knob(0, help="Seed of the draw of samples.", least=0, most=SEED_MOST)

    def check(self) -> None:
        if self.clear:
            self._refuse_beside_clear()
        else:
            self.judge()
        storage.refuse_overwriting("--output", self.output, groups=self.groups, teacher=self.teacher)

    def judge(self) -> Judge:
        """The judge that these settings describe.

        Raises:
            SettingsError: no languages, unknown ones, or twice the same.
        """
        if self.source is None or self.target is None:
            missing = "--source" if self.source is None else "--target"
            raise SettingsError(f"{missing} is missing; give the two languages, such as --source en --target ko")
        source, target = language_of(self.source, "--source"), language_of(self.target, "--target")
        if source == target:
            raise SettingsError(
                f"--source is {self.source} and --target is {self.target}, which is no translation; name two languages"
            )
        return Judge(source, target, self.thresholds())

    def thresholds(self) -> Thresholds:
        """The numbers that the rules compare with."""
        return Thresholds(**{each.name: getattr(self, each.name) for each in fields(Thresholds)})

    def margins(self) -> Margins:
        """The numbers that the teacher's scores are compared with."""
        return Margins(self.teacher_drop, self.teacher_margin)

    def _refuse_beside_clear(self) -> None:
        for name in ("source", "target", "teacher"):
            if getattr(self, name) is not None:
                raise SettingsError(f"--clear judges nothing, so --{name} has no place beside it; leave one out")
