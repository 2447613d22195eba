"""The settings of `crossrank train`: flags for where and what, knobs for the recipe."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from crossrank import storage
from crossrank.config.bounds import SEED_MOST
from crossrank.config.settings import knob, option
from crossrank.errors import SettingsError
from crossrank.evaluation.measures import Metric
from crossrank.resumable.settings import JobSettings
from crossrank.scoring.flags import instruction_flag, max_length_flag, precision_flag
from crossrank.scoring.precision import Precision
from crossrank.training.losses import LOSSES, Objective


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainSettings(JobSettings):
    """Settings of a training: the base, the groups, and the recipe."""

    base: str = option(help="Model to start from: hub id, folder or s3://; an encoder without a head gets one.")
    groups: str = option(help="Labelled groups to train on (Parquet or JSONL).")
    eval_groups: str | None = option(None, help="Labelled groups to validate on.")
    eval_fraction: float | None = option(
        None,
        help="Share of --groups, by query, that is kept for validation.",
        above=0,
        below=1,
        refusal="; use a part between 0 and 1, such as 0.02",
    )
    held_out: str | None = option(
        None, help="Groups whose queries are not trained on, since they are measured on later."
    )
    corpus: str | None = option(None, help="Corpus in which documents without text are looked up.")
    max_length: int = max_length_flag()
    precision: Precision | None = precision_flag(
        "Number format of the forward pass; default fp32 on CPU and bf16 on GPU. Weights stay in fp32."
    )
    instruction: str | None = instruction_flag()
    doc_id_column: str | None = option(None, help="Column of the document id in --corpus.")
    title_column: str | None = option(None, help="Column of the title in --corpus.")
    text_column: str | None = option(None, help="Column of the document text in --corpus.")
    push_to_hub: str | None = option(
        None, help="Repository (owner/name) that the finished model is uploaded to.", affects_output=False
    )

    learning_rate: float = knob(2e-5, help="Peak learning rate.", above=0)
    head_learning_rate: float | None = knob(
        None, help="Peak learning rate of the head; null is learning_rate, and 1e-3 for a fresh head.", above=0
    )
    num_train_epochs: int = knob(1, help="Epochs: times that every group is trained on.", least=1)
    groups_per_step: int = knob(128, help="Groups of one optimiser step, over all workers together.", least=1)
    train_group_size: int = knob(
        8, help="Documents of a group in a step, the positive among them; 0 takes all.", least=0
    )
    weight_decay: float = knob(0.01, help="Weight decay of matrices; biases and norms have none.", least=0)
    lr_scheduler: Literal["linear", "cosine", "constant"] = knob(
        "linear", help="Shape of the learning rate after warm-up: falling to 0 in a line or half a cosine, or constant."
    )
    warmup_ratio: float = knob(
        0.1,
        help="Share of all steps in which the learning rate rises.",
        least=0,
        below=1,
        refusal="; use a part from 0 to below 1",
    )
    max_grad_norm: float = knob(1.0, help="Length that longer gradients are cut to.", above=0)
    dropout: float | None = knob(
        None,
        help="Probability of every dropout; null leaves the model's own.",
        least=0,
        below=1,
        refusal="; use a part from 0 to below 1, or null for the model's own",
    )
    truncation: Literal["only_second", "longest_first"] = knob(
        "only_second",
        help="Text of a pair that is cut to the window: the document alone, or the longer one; saved with the model.",
    )
    weight_group_ce: float = knob(1.0, help="Weight of the cross-entropy of the positive against its group.", least=0)
    weight_bce: float = knob(0.0, help="Weight of the binary cross-entropy of each document.", least=0)
    weight_kl: float = knob(0.0, help="Weight of the KL divergence from the teacher's scores.", least=0)
    weight_margin_mse: float = knob(0.0, help="Weight of the squared error of the teacher's margins.", least=0)
    teacher_scale: float | None = knob(
        None,
        help="Number that teacher scores are multiplied by; null is 1, for logits. Scores from 0 to 1 want about 10.",
        above=0,
    )
    temperature: float = knob(1.0, help="Temperature of the softmax over scores in the KL divergence.", above=0)
    freeze_embeddings: bool = knob(False, help="Leave the embeddings as they are: shorter steps, for little data.")
    lora_rank: int = knob(0, help="Rank of LoRA adapters, which need the extra lora; 0 trains all weights.", least=0)
    lora_alpha: int = knob(16, help="Scale of LoRA adapters.", least=1)
    micro_batch_tokens: int | None = knob(None, help="Token slots of one forward pass; null works it out.")
    gradient_checkpointing: bool = knob(False, help="Compute layers again for their gradients: slower, less memory.")
    seed: int = knob(
        42, help="Seed of the order, the negatives, the dropout and a fresh head.", least=0, most=SEED_MOST
    )
    save_steps: int | None = knob(None, help="Steps between checkpoints; null is a tenth of the run.", least=1)
    eval_steps: int | None = knob(
        None, help="Steps between validations, a multiple of save_steps; null is save_steps.", least=1
    )
    save_total_limit: int = knob(
        3, help="Newest checkpoints that are kept, beside the best.", affects_output=False, least=1
    )
    metric: Metric = knob("mrr@10", help="Measure by which the best checkpoint is chosen.")
    early_stopping_patience: int = knob(
        0, help="Validations without a better one after which training stops; 0 never stops it.", least=0
    )
    collapse_patience: int = knob(
        200, help="Steps without learning after which training stops; 0 never stops it.", affects_output=False, least=0
    )
    max_skipped_steps: int = knob(
        10,
        help="Steps in a row whose gradients are no numbers that are skipped; one more stops training.",
        affects_output=False,
        least=0,
    )
    max_failures: int = knob(
        3,
        help="Times that workers may die and the run goes on from its last checkpoint.",
        affects_output=False,
        least=0,
    )

    def check(self) -> None:
        self._check_flags()
        self._check_knobs()

    @property
    def needs_teacher(self) -> bool:
        """Whether a term of the loss reads teacher scores."""
        return self.objective.needs_teacher

    @property
    def objective(self) -> Objective:
        """The loss that is trained."""
        weights = {name: getattr(self, f"weight_{name}") for name in LOSSES}
        return Objective(weights=weights, temperature=self.temperature)

    def _check_flags(self) -> None:
        if self.eval_groups is not None and self.eval_fraction is not None:
            raise SettingsError("--eval-groups and --eval-fraction both name what is validated on; give one")
        storage.refuse_overwriting(
            "--output",
            self.output,
            base=self.base,
            groups=self.groups,
            corpus=self.corpus,
            **{"eval-groups": self.eval_groups, "held-out": self.held_out},
        )

    def _check_knobs(self) -> None:
        if self.train_group_size == 1:
            raise SettingsError(
                "train_group_size is 1, which leaves no negative; use 2 or more, or 0 for all documents"
            )
        if not self.objective.terms:
            raise SettingsError("every weight of the loss is 0, so there is nothing to learn; set weight_group_ce to 1")
        if self.teacher_scale is not None and not self.needs_teacher:
            *others, last = [f"weight_{name}" for name, loss in LOSSES.items() if loss.needs_teacher]
            readers = f"{', '.join(others)} or {last}"
            raise SettingsError(
                f"teacher_scale is {self.teacher_scale}, and no term of the loss reads teacher scores; set {readers}, "
                f"or leave it out"
            )
        if self.micro_batch_tokens is not None and self.micro_batch_tokens < self.max_length:
            raise SettingsError(
                f"micro_batch_tokens is {self.micro_batch_tokens}, under max_length ({self.max_length}), so a full "
                f"window fits no micro-batch; raise it"
            )
        if self.eval_steps is not None and self.save_steps is not None and self.eval_steps % self.save_steps:
            raise SettingsError(
                f"eval_steps is {self.eval_steps}, no multiple of save_steps ({self.save_steps}), and a validation "
                f"reads a checkpoint; use {-(-self.eval_steps // self.save_steps) * self.save_steps}"
            )
