"""`crossrank merge`: weights between those of a base model and of one tuned from it, against forgetting.

A tuned reranker is better at what it was tuned on and often worse at the rest; half way back it tends to keep most of
both.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

from crossrank import storage
from crossrank.config.settings import CheckedSettings, option
from crossrank.errors import ModelRefused, OutputError, SettingsError, in_short
from crossrank.provenance import provenance
from crossrank.scoring.loading import (
    MODEL_FILES,
    ModelFolder,
    check_base,
    check_model,
    find_model,
    has_head,
    load_tokenizer,
)
from crossrank.scoring.pooling import in_head, reads_tokens
from crossrank.telemetry.progress import Progress, Waiting, say
from crossrank.telemetry.verb_scope import verb_scope
from crossrank.training.merge_output import CONFIG, MANIFEST, earlier_merge, in_the_way, new_folder
from crossrank.training.portable import TOKENIZER, TOKENIZER_CONFIG, portable_config, portable_tokenizer_config
from crossrank.training.tensors import INDEX, WEIGHTS, TensorKind, Tensors, opened, write_tensors

FLOATS = {"F64", "F32", "F16", "BF16"}
"""Number formats that are interpolated and saved as F32. Others, such as the integers of a buffer, have to be equal."""
SHAPE = (
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
    "intermediate_size",
    "hidden_act",
    "hidden_activation",
    "global_attn_every_n_layers",
    "local_attention",
    "position_buckets",
)
"""Settings under which the same weights compute something else, even where their shapes are equal."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MergeSettings(CheckedSettings):
    """Settings of a merge: the two models, the share of each, and the place of the result."""

    base: str = option(help="Model that the tuned one started from: hub id, folder or s3://.")
    tuned: str = option(help="Tuned reranker: hub id, folder or s3://.")
    alpha: float = option(
        0.5,
        help="Share of the tuned weights: 0 is the base, 1 the tuned model.",
        least=0,
        most=1,
        refusal="; use 0 for the base, 1 for the tuned model, or between",
    )
    output: str = option(help="Folder for the merged model, a local path or s3://bucket/folder.", affects_output=False)
    overwrite: bool = option(False, help="Throw away the model that the output holds.", affects_output=False)

    def check(self) -> None:
        if not self.output:
            raise SettingsError("--output is empty; name a folder")
        storage.refuse_overwriting("--output", self.output, base=self.base, tuned=self.tuned)
        for flag, uri in (("--base", self.base), ("--tuned", self.tuned)):
            if storage.resolved(uri).startswith(f"{storage.resolved(self.output)}/"):
                raise OutputError(f"{flag} {uri} lies in --output {self.output}; name a folder apart from it")


@verb_scope("merge")
def merge(settings: MergeSettings) -> dict[str, Any]:
    """Merge a tuned reranker with its base: alpha x tuned + (1 - alpha) x base.

    Computed and saved in float32, with the configuration and the tokenizer of the tuned model. A head that the base
    lacks is the tuned one's. Memory does not grow with the model.
    """
    say(str(provenance()))
    before = earlier_merge(settings.output, settings.overwrite)
    with Waiting("looking at the models"):
        base, tuned = find_model(settings.base), find_model(settings.tuned)
        base_config = check_base(base)
        config = check_model(tuned)
        prefix = _refuse_strangers(base, tuned)
    identity = {"base": base.revision, "tuned": tuned.revision, "alpha": settings.alpha}
    if before is not None and not settings.overwrite:
        if before["identity"] != identity and before["state"] == "finished":
            raise in_the_way(settings.output, "the merge of other models or of another alpha")
        lacking = [name for name in before.get("files", (WEIGHTS, CONFIG)) if not _is_there(settings.output, name)]
        if before["state"] == "finished" and not lacking:
            say(f"{settings.output} is finished; nothing to do")
            return before
        if lacking:
            say(f"{settings.output} lacks {lacking[0]}: merging again")
    with opened(base) as base_tensors, opened(tuned) as tuned_tensors:
        has_unread_head = not has_head(base_config) and reads_tokens(base)
        merging = _Merging(base_tensors, tuned_tensors, prefix, settings.alpha, has_unread_head)
        merging.say_what_is_not_shared()
        manifest = {
            "state": "finished",
            "crossrank": asdict(provenance()),
            "settings": asdict(settings),
            "identity": identity,
            "tensors": {
                "merged": len(merging.shared),
                "of_tuned_alone": merging.of_tuned_alone,
                "of_base_left_out": merging.left_out,
            },
        }
        with new_folder(settings.output, settings.overwrite, before, manifest) as (folder, lease):
            with (
                storage.writing(storage.join(folder, WEIGHTS)) as file,
                Progress("tensors", len(merging.kinds)) as progress,
            ):
                write_tensors(file, merging.kinds, lambda name: merging.tensor(name, progress))
            lease.check()
            _write_rest(folder, tuned, config, manifest)
    say(f"finished: {len(merging.shared):,} tensors merged at alpha {settings.alpha:g}; {settings.output}")
    return manifest


def _is_there(output: str, name: str) -> bool:
    return storage.exists(storage.join(output, name))


def _refuse_strangers(base: ModelFolder, tuned: ModelFolder) -> str:
    """Refuse two models of which neither was tuned from the other.

    Returns:
        Prefix of the names of the tuned encoder's weights, such as ``bert``.
    """
    from transformers import MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING

    base_config, tuned_config = _config_of(base), _config_of(tuned)
    for name in ("model_type", *SHAPE):
        values = [getattr(config, name, None) for config in (base_config, tuned_config)]
        if values[0] != values[1]:
            raise _strangers(f"{name} is {values[0]} in {base.name} and {values[1]} in {tuned.name}")
    vocabularies = [load_tokenizer(folder).get_vocab() for folder in (base, tuned)]
    if vocabularies[0] != vocabularies[1]:
        sizes = " and ".join(f"{len(each):,}" for each in vocabularies)
        raise _strangers(f"{base.name} and {tuned.name} have vocabularies of {sizes} tokens that differ")
    return str(MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING[type(tuned_config)].base_model_prefix)


def _strangers(difference: str) -> ModelRefused:
    return ModelRefused(
        f"{difference}, so neither was tuned from the other; name the model that training started from as --base"
    )


def _config_of(folder: ModelFolder) -> Any:
    """The configuration with what config.json leaves to its default."""
    from huggingface_hub.errors import StrictDataclassError
    from transformers import AutoConfig

    try:
        return AutoConfig.from_pretrained(folder.path, trust_remote_code=False)
    except (OSError, ValueError, TypeError, KeyError, StrictDataclassError) as error:
        reason = in_short(error)
        raise ModelRefused(
            f"{folder.name}/{CONFIG} cannot be used ({reason}); name a folder that transformers saved"
        ) from error


class _Merging:
    """The weights of the result, each made of those of the two models. Refuses weights that have no middle."""

    def __init__(self, base: Tensors, tuned: Tensors, prefix: str, alpha: float, has_unread_head: bool) -> None:
        self._base, self._tuned, self._alpha = base, tuned, alpha
        self.shared: dict[str, str] = {}
        """Names of the weights that both have, and the base's names of them: an encoder alone has no prefix."""
        self.left_out: list[str] = []
        """Names of the base's weights that the tuned model lacks, such as the head of a language model."""
        self.unread: list[str] = []
        """Names of the weights behind the backbone that the base was never read by: the tuned model's began afresh."""
        for theirs in base.kinds:
            name = next((each for each in (theirs, f"{prefix}.{theirs}") if each in tuned.kinds), None)
            if name is not None and has_unread_head and in_head(name, prefix):
                self.unread.append(name)
            elif name is None:
                self.left_out.append(theirs)
            else:
                self.shared[name] = theirs
        self.of_tuned_alone = [name for name in tuned.kinds if name not in self.shared]
        # An encoder may be saved without its pooler; then that is made afresh with the head.
        encoder = [name for name in self.of_tuned_alone if name.startswith(f"{prefix}.") and ".pooler." not in name]
        if encoder:
            raise _strangers(f"{base.model} lacks {len(encoder)} weights of {tuned.model}'s encoder, as {encoder[0]}")
        for name in self.shared:
            self._refuse_other_kind(name)
        self.kinds = {
            name: TensorKind("F32", kind.shape) if kind.number in FLOATS else kind for name, kind in tuned.kinds.items()
        }
        """Formats and shapes of the weights as they are saved, by name."""

    def _refuse_other_kind(self, name: str) -> None:
        ours, theirs = self._tuned.kinds[name], self._base.kinds[self.shared[name]]
        where = f"in {self._base.model} and {{}} in {self._tuned.model}"
        if ours.shape != theirs.shape:
            raise _strangers(f"{name} has the shape {list(theirs.shape)} {where.format(list(ours.shape))}")
        if ours.number != theirs.number and not {ours.number, theirs.number} <= FLOATS:
            raise ModelRefused(
                f"{name} holds {theirs.number} numbers {where.format(ours.number)}; use the models as they were "
                f"before quantisation"
            )

    def say_what_is_not_shared(self) -> None:
        """Say which weights are no mixture of both models."""
        base, tuned = self._base.model, self._tuned.model
        new = {*self.of_tuned_alone} - {*self.unread}
        for names, what in ((new, f"{base} has no"), (self.unread, f"{base} was never read by its")):
            modules = sorted({name.rsplit(".", 1)[0] for name in names})
            if modules:
                say(f"{what} {', '.join(modules)}: taken from {tuned}, whatever alpha is")
        if self.left_out:
            parts = Counter(name.split(".")[0] for name in self.left_out)
            listed = ", ".join(f"{part} ({count})" for part, count in sorted(parts.items()))
            say(f"{base} has weights that {tuned} has not, and they are left out: {listed}")

    def tensor(self, name: str, progress: Progress) -> Any:
        """One weight of the result."""
        import torch

        tensor = self._mixed(name)
        progress.advance(1)
        if self.kinds[name].number != "F32":
            return tensor
        tensor = tensor.to(torch.float32)
        # isfinite() would make a second tensor; a NaN anywhere is a NaN in both extremes.
        if tensor.numel() and not torch.isfinite(torch.stack(tensor.aminmax())).all():
            raise ModelRefused(
                f"{name} is not finite in {self._tuned.model} or in {self._base.model}; use an earlier checkpoint"
            )
        return tensor

    def _mixed(self, name: str) -> Any:
        """A weight mixed at alpha; at either end of alpha that of one model, to the last bit."""
        import torch

        if name not in self.shared or (self._alpha == 1 and self.kinds[name].number == "F32"):
            return self._tuned.read(name)
        theirs = self._base.read(self.shared[name])
        if self.kinds[name].number != "F32":
            ours = self._tuned.read(name)
            if not torch.equal(*(each.reshape(-1).view(torch.uint8) for each in (ours, theirs))):
                raise ModelRefused(
                    f"{name} holds {self.kinds[name].number} numbers that differ in {self._base.model} and "
                    f"{self._tuned.model}, and they have no middle; use the models as they were before quantisation"
                )
            return ours
        if self._alpha == 0:
            return theirs
        mixed = self._tuned.read(name).to(torch.float32, copy=True).mul_(self._alpha)
        return mixed.add_(theirs.to(torch.float32), alpha=1 - self._alpha)


def _write_rest(folder: str, tuned: ModelFolder, config: dict[str, Any], manifest: dict[str, Any]) -> None:
    """Write what the tuned model has beside its weights; the configuration last, without which a folder is no model."""
    found = {each.name: each for pattern in MODEL_FILES for each in tuned.path.glob(pattern)}
    left_out = (INDEX, CONFIG)
    kept = {
        name: path
        for name, path in sorted(found.items())
        if not name.startswith("_") and not name.endswith(".safetensors") and name not in left_out
    }
    for name, path in kept.items():
        storage.copy(str(path), storage.join(folder, name))
    manifest["files"] = sorted([WEIGHTS, *kept, CONFIG])
    written = {MANIFEST: manifest, CONFIG: portable_config(config | {"dtype": "float32"})}
    if {TOKENIZER, TOKENIZER_CONFIG} <= kept.keys():
        of_tokenizer = json.loads(kept[TOKENIZER_CONFIG].read_text(encoding="utf-8"))
        written = {TOKENIZER_CONFIG: portable_tokenizer_config(of_tokenizer, load_tokenizer(tuned))} | written
    for name, content in written.items():
        text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
        storage.write_bytes(storage.join(folder, name), text.encode())
