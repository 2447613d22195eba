"""The settings of `crossrank translate`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from crossrank import storage
from crossrank.config.settings import knob, option
from crossrank.errors import SettingsError
from crossrank.resumable.settings import JobSettings
from crossrank.scoring.precision import Precision


@dataclass(frozen=True, kw_only=True, slots=True)
class TranslateSettings(JobSettings):
    """The groups to translate, the back-end, and the limits on rate and cost."""

    groups: str = option(help="Groups to translate (Parquet or JSONL).")
    source: str = option(help="Language of the groups, such as en.")
    target: str = option(help="Language to translate them into, such as ko.")
    backend: Literal["amazon", "seq2seq", "memory"] = option(
        help="Back-end that translates: amazon (Amazon Translate), seq2seq (a model, with --model), or memory alone."
    )
    model: str | None = option(None, help="Model of --backend seq2seq: hub id, folder or s3://.")
    memory: str | None = option(
        None,
        help="Folder of the translation memory, local or s3://; default translations in the cache.",
        affects_output=False,
    )
    budget_usd: float | None = option(
        None,
        help="US dollars that may be spent; the job stops before the first request that would exceed them.",
        affects_output=False,
        above=0,
        refusal=", which pays for nothing; name an amount above 0, use --dry-run to see the cost, or --backend memory "
        "to pay nothing",
    )
    concurrency: int = option(32, help="Requests under way at once, over all workers.", affects_output=False, least=1)
    formality: Literal["formal", "informal"] | None = option(
        None, help="Formality of amazon, for target languages that have it."
    )
    terminology: str | None = option(None, help="Name of a custom terminology of amazon.")
    requests_per_second: float | None = option(
        None,
        help="Requests a second that amazon allows; by default the rate is found by probing.",
        affects_output=False,
        above=0,
    )
    bytes_per_second: float | None = option(
        None, help="Bytes of text a second that amazon allows; by default no limit.", affects_output=False, above=0
    )
    dry_run: bool = option(
        False, help="Say texts, characters, what the memory holds, cost and time, and stop.", affects_output=False
    )

    usd_per_million_characters: float = knob(
        15.0, help="Price of amazon, in US dollars for a million characters.", affects_output=False, above=0
    )
    give_up_s: float = knob(
        300.0,
        help="Seconds that a text is tried while amazon fails; throttling never counts.",
        affects_output=False,
        above=0,
    )
    retry_failed: bool = knob(
        False, help="Ask again for texts of which the memory says that they failed.", affects_output=False
    )
    groups_per_part: int = knob(1000, help="Groups of one file of the output.", least=1)
    max_new_tokens: int = knob(512, help="Tokens of the longest translation of a sentence, with seq2seq.", least=1)
    num_beams: int = knob(1, help="Beams of the search, with seq2seq; 1 is greedy.", least=1)
    precision: Precision | None = knob(None, help="Number format of seq2seq; null is fp32 on CPU and bf16 on GPU.")

    def check(self) -> None:
        self._check_places()
        self._check_languages()
        self._check_backend()

    @property
    def memory_folder(self) -> str:
        """Folder of the translation memory: `memory`, or its place in the cache."""
        return storage.absolute(self.memory or str(storage.cache_folder() / "translations"))

    @property
    def is_paid(self) -> bool:
        """Whether requests cost money."""
        return self.backend == "amazon"

    def _check_places(self) -> None:
        storage.refuse_overwriting("--output", self.output, groups=self.groups, memory=self.memory)
        storage.refuse_overwriting("--memory", self.memory, groups=self.groups)

    def _check_languages(self) -> None:
        for name in ("source", "target"):
            if not getattr(self, name).strip():
                raise SettingsError(f"--{name} is empty; name a language, such as en")
        if self.source == "auto":
            raise SettingsError("--source is auto, and a guess may be wrong for short queries; name the language")
        if self.source == self.target:
            raise SettingsError(f"--source and --target are both {self.source}; name two languages")

    def _check_backend(self) -> None:
        if self.backend == "seq2seq" and self.model is None:
            raise SettingsError("--backend seq2seq wants a --model; name a hub id or a folder")
        if self.backend != "seq2seq" and self.model is not None:
            raise SettingsError(f"--model is {self.model}, and --backend {self.backend} has none; leave it out")
        of_amazon = ("budget_usd", "formality", "terminology", "requests_per_second", "bytes_per_second")
        for name in of_amazon if self.backend != "amazon" else ():
            if getattr(self, name) is not None:
                raise SettingsError(
                    f"--{name.replace('_', '-')} is of --backend amazon, and the back-end is {self.backend}; "
                    f"leave it out"
                )
