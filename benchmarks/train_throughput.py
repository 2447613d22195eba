"""Groups a second of `crossrank train`'s loop against sentence-transformers' `CrossEncoderTrainer`, on a CPU in fp32.

    python benchmarks/train_throughput.py                                  # every case, half an hour on 2 cores
    python benchmarks/train_throughput.py --cases minilm-mixed --rounds 3
    python benchmarks/train_throughput.py --threads 1                      # beside other work: read the CPU time

Same weights, same groups in the same order, as many groups a step, the same rate and schedule; AdamW on both sides. The
peer's loss is `ListNetLoss` with labels 30, 0, 0, ..., which is the group's cross-entropy. Without dropout every step's
loss has to be equal, so that a faster wrong step is seen.

Each side runs in a process of its own, whose largest resident set is its memory; a round runs each contender once, in
turn, so that a machine that slows down slows all of them. Figures are medians over rounds. The first step of a run is
not counted.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from machine import WORK, machine
from texts import english, korean, source

GROUP_SIZE = 8
LEARNING_RATE = 5e-5
MAX_LENGTH = 512
WEIGHT_DECAY = 0.01
SENTENCES = {"mixed": [1, 1, 2, 3, 4, 6, 9, 14], "sentences": [1]}
"""Sentences of a document: as many as of the pairs of score_throughput.py, or one, as WikiQA has them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """What both sides train."""

    model: str
    texts: str
    groups_per_step: int
    num_steps: int
    dropout: float | None = 0.0
    """None is the model's own, 0.1."""


CASES = {
    "minilm-mixed": Case(model="minilm", texts="mixed", groups_per_step=8, num_steps=9),
    "minilm-mixed-dropout": Case(model="minilm", texts="mixed", groups_per_step=8, num_steps=9, dropout=None),
    "minilm-sentences": Case(model="minilm", texts="sentences", groups_per_step=8, num_steps=25),
    "xlmr-base-mixed": Case(model="xlmr-base", texts="mixed", groups_per_step=2, num_steps=5),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Contender:
    """A side and how it is set up."""

    side: str
    mini_batch_size: int | None = None
    """The peer's: pairs of a forward pass. None is its default, as many as the batch has groups."""
    groups_per_batch: int | None = None
    """The peer's: fewer than a step has, with gradient accumulation; None is all of them, without."""

    @property
    def name(self) -> str:
        if self.side == "crossrank":
            return self.side
        pairs = "default" if self.mini_batch_size is None else f"{self.mini_batch_size} at once"
        return f"peer, {pairs}{', accumulating' if self.groups_per_batch else ''}"


CROSSRANK = Contender(side="crossrank")
PEERS = {
    "minilm": [
        *(Contender(side="peer", mini_batch_size=size) for size in (None, 2, 1)),
        Contender(side="peer", mini_batch_size=1, groups_per_batch=1),
    ],
    "xlmr-base": [
        Contender(side="peer"),
        Contender(side="peer", mini_batch_size=1, groups_per_batch=1),
    ],
}
"""Its default of 8 groups a batch is 8 pairs a forward pass. More pairs pad more, and were slower; one pair pads
nothing, and accumulating over groups keeps the activations of one group alone."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """What one run of one side came to."""

    groups_per_second: float
    seconds: float
    """Of all steps but the first."""
    cpu_seconds: float
    """The same in time of all threads, which another program on the machine hardly changes."""
    start_seconds: float
    """From files to the first step: the model loaded, texts tokenised where that is done beforehand."""
    peak_mib: int
    losses: list[float]


Tick = Callable[[float], None]
"""Called at the end of a step, with its loss."""


def write_groups(case: Case, path: Path) -> None:
    """Groups of a positive and negatives, documents of real sentences joined to the lengths of the case."""
    queries, sentences = english() if case.model == "minilm" else korean()
    rng = random.Random(f"train {case.model} {case.texts}")
    rows = []
    for number in range(case.groups_per_step * case.num_steps):
        documents = [
            {
                "doc_id": f"{number}-{place}",
                "text": " ".join(rng.sample(sentences, rng.choice(SENTENCES[case.texts]))),
                "label": int(place == 0),
            }
            for place in range(GROUP_SIZE)
        ]
        rows.append({"query_id": str(number), "query": rng.choice(queries), "docs": documents})
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def train_crossrank(case: Case, model: Path, groups: Path, tick: Tick) -> None:
    """The loop that a rank of `crossrank train` runs, but for its sampler: the groups come in the order of the file."""
    import numpy as np
    import torch

    from crossrank.scoring.loading import check_base, find_model
    from crossrank.training.distributed import World
    from crossrank.training.inputs import inputs_of
    from crossrank.training.loop import Loop
    from crossrank.training.model import TrainedModel
    from crossrank.training.optimizer import optimizer_of, rates_of
    from crossrank.training.sampler import Sampler
    from crossrank.training.settings import TrainSettings
    from crossrank.training.sizing import sizes_of
    from crossrank.training.steps import Batcher

    class InOrder(Sampler):
        def groups(self, step: int) -> np.ndarray[Any, np.dtype[np.int64]]:
            return np.arange(step * self.groups_per_step, (step + 1) * self.groups_per_step)

    settings = TrainSettings(
        base=str(model),
        groups=str(groups),
        output="nowhere",
        learning_rate=LEARNING_RATE,
        weight_decay=WEIGHT_DECAY,
        warmup_ratio=0.0,
        groups_per_step=case.groups_per_step,
        train_group_size=GROUP_SIZE,
        max_length=MAX_LENGTH,
        truncation="longest_first",  # as the peer's
        dropout=case.dropout,
    )
    cpu = torch.device("cpu")
    folder = find_model(settings.base)
    store = inputs_of(settings).train.open()
    sizes = sizes_of(settings, len(store), check_base(folder), None)
    trained = TrainedModel(settings, folder, cpu)
    rates = rates_of(trained.model, trained.fresh, settings.learning_rate, None)
    optimizer = optimizer_of(trained.model, rates, settings.weight_decay)
    batcher = Batcher(
        store,
        trained.encoder,
        InOrder(len(store), settings.groups_per_step, settings.seed),
        settings.train_group_size,
        sizes.budget.value,
        trained.forward.cost,
        stretches=True,
    )
    loop = Loop(settings, trained.forward, optimizer, batcher, World(), cpu, "fp32", case.num_steps)
    for _, figures in loop.steps(0):
        tick(figures.seen.loss)


def train_peer(case: Case, contender: Contender, model: Path, groups: Path, tick: Tick) -> None:
    """`CrossEncoderTrainer` as its documentation has it, but for the order: the groups come as in the file."""
    from datasets import Dataset
    from datasets.utils.logging import disable_progress_bar
    from sentence_transformers import CrossEncoder
    from sentence_transformers.base.sampler import DefaultBatchSampler
    from sentence_transformers.cross_encoder import CrossEncoderTrainer, CrossEncoderTrainingArguments
    from sentence_transformers.cross_encoder.losses import ListNetLoss
    from torch.utils.data import SequentialSampler
    from transformers import TrainerCallback

    disable_progress_bar()

    class InOrder(DefaultBatchSampler):
        def __init__(self, dataset: Any, **options: Any) -> None:
            super().__init__(SequentialSampler(dataset), **options)

    class Noted(ListNetLoss):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            self.of_step: list[float] = []

        def forward(self, *arguments: Any, **options: Any) -> Any:
            loss = super().forward(*arguments, **options)
            self.of_step.append(float(loss.detach()))
            return loss

    class Ticking(TrainerCallback):  # type: ignore[misc]  # transformers is not typed
        def on_step_end(self, *_: Any, **__: Any) -> None:
            tick(statistics.fmean(loss.of_step))
            loss.of_step.clear()

    rows = [json.loads(line) for line in groups.read_text().splitlines()]
    columns = {
        "query": [row["query"] for row in rows],
        "docs": [[doc["text"] for doc in row["docs"]] for row in rows],
        "labels": [[30.0 * doc["label"] for doc in row["docs"]] for row in rows],
    }
    dropouts = ("hidden_dropout_prob", "attention_probs_dropout_prob")
    changed = {} if case.dropout is None else dict.fromkeys(dropouts, case.dropout)
    encoder = CrossEncoder(str(model), device="cpu", max_length=MAX_LENGTH, config_kwargs=changed)
    loss = Noted(encoder, mini_batch_size=contender.mini_batch_size)
    groups_per_batch = contender.groups_per_batch or case.groups_per_step
    with tempfile.TemporaryDirectory() as folder:
        arguments = CrossEncoderTrainingArguments(
            output_dir=folder,
            per_device_train_batch_size=groups_per_batch,
            gradient_accumulation_steps=case.groups_per_step // groups_per_batch,
            num_train_epochs=1,
            learning_rate=LEARNING_RATE,
            weight_decay=WEIGHT_DECAY,
            lr_scheduler_type="linear",
            warmup_steps=0,
            max_grad_norm=1.0,
            batch_sampler=InOrder,
            use_cpu=True,
            save_strategy="no",
            logging_strategy="no",
            report_to="none",
            disable_tqdm=True,
        )
        CrossEncoderTrainer(
            model=encoder,
            args=arguments,
            train_dataset=Dataset.from_dict(columns),
            loss=loss,
            callbacks=[Ticking()],
        ).train()


def run_here(case: Case, contender: Contender, model: Path, groups: Path) -> Measured:
    """Train in this process, once, and say what it took."""
    started = time.perf_counter()
    ends: list[float] = []
    cpu_ends: list[float] = []
    losses: list[float] = []

    def tick(loss: float) -> None:
        ends.append(time.perf_counter())
        cpu_ends.append(time.process_time())
        losses.append(loss)

    if contender.side == "crossrank":
        train_crossrank(case, model, groups, tick)
    else:
        train_peer(case, contender, model, groups, tick)
    assert len(ends) == case.num_steps, f"{contender.name} did {len(ends)} of {case.num_steps} steps"
    seconds = ends[-1] - ends[0]
    return Measured(
        groups_per_second=case.groups_per_step * (case.num_steps - 1) / seconds,
        seconds=seconds,
        cpu_seconds=cpu_ends[-1] - cpu_ends[0],
        start_seconds=ends[0] - started,
        peak_mib=peak_mib(),
        losses=losses,
    )


def peak_mib() -> int:
    """The largest resident set of this process; getrusage's would be that of the parent, where it was larger."""
    status = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in status if line.startswith("VmHWM"))) // 1024


def run_apart(case: Case, contender: Contender, model: Path, groups: Path, threads: int) -> Measured:
    """Train in a process of its own, with a cache of its own."""
    given = json.dumps([asdict(case), asdict(contender), str(model), str(groups)])
    with tempfile.TemporaryDirectory() as cache:
        done = subprocess.run(
            [sys.executable, __file__, "--one", given],
            env={
                **os.environ,
                "CROSSRANK_CACHE": cache,
                "OMP_NUM_THREADS": str(threads),
                "TOKENIZERS_PARALLELISM": "true",
            },
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        sys.exit(f"{contender.name} failed:\n{done.stderr[-3000:]}")
    return Measured(**json.loads(done.stdout.splitlines()[-1]))


def compare(name: str, case: Case, rounds: int, threads: int) -> list[dict[str, Any]]:
    """A row for each contender."""
    from models import minilm, xlmr_base

    model = {"minilm": minilm, "xlmr-base": xlmr_base}[case.model](WORK)
    groups = WORK / f"train-{name}.jsonl"
    write_groups(case, groups)
    contenders = [CROSSRANK, *PEERS[case.model]]
    found: dict[str, list[Measured]] = {each.name: [] for each in contenders}
    for number in range(rounds):
        for contender in contenders:
            load = os.getloadavg()[0]
            measured = run_apart(case, contender, model, groups, threads)
            found[contender.name].append(measured)
            told = {**asdict(measured), "losses": len(measured.losses), "load_before": round(load, 2)}
            print(f"{name} round {number + 1} {contender.name}: {told}", file=sys.stderr)
    ours = found["crossrank"]
    return [row_of(name, case, each, runs, ours) for each, runs in found.items()]


def row_of(case_name: str, case: Case, name: str, runs: list[Measured], ours: list[Measured]) -> dict[str, Any]:
    """Medians of one contender, and how many times as fast ours is: the median over rounds of the rounds' own."""
    pairs = list(zip(ours, runs, strict=True))
    apart = max(abs(mine - other) for mine, other in zip(ours[0].losses, runs[0].losses, strict=True))
    return {
        "case": case_name,
        "contender": name,
        "groups/s": round(statistics.median(each.groups_per_second for each in runs), 3),
        "s a step": round(statistics.median(each.seconds for each in runs) / (case.num_steps - 1), 2),
        "CPU s a step": round(statistics.median(each.cpu_seconds for each in runs) / (case.num_steps - 1), 2),
        "s to first step": round(statistics.median(each.start_seconds for each in runs), 1),
        "peak MiB": max(each.peak_mib for each in runs),
        "crossrank is times as fast": round(statistics.median(them.seconds / us.seconds for us, them in pairs), 2),
        "by CPU time": round(statistics.median(them.cpu_seconds / us.cpu_seconds for us, them in pairs), 2),
        "largest difference of loss": "drawn apart" if case.dropout is None else f"{apart:.1e}",
    }


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", nargs="+", choices=list(CASES), default=list(CASES))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, help="steps of a run, the first of which is not counted")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="of a run; default one a core")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.one:
        case, contender, model, groups = json.loads(given.one)
        measured = run_here(Case(**case), Contender(**contender), Path(model), Path(groups))
        print(json.dumps(asdict(measured)))
        return
    rows: list[dict[str, Any]] = []
    for name in given.cases:
        case = CASES[name]
        rows += compare(name, replace(case, num_steps=given.steps or case.num_steps), given.rounds, given.threads)
    for key, value in {**machine(), "texts": source()}.items():
        print(f"{key:22} {value}")
    print("\n| " + " | ".join(rows[0]) + " |\n|" + "---|" * len(rows[0]))
    for row in rows:
        print("| " + " | ".join(map(str, row.values())) + " |")
    print(json.dumps({"benchmark": "train_throughput", "rows": rows}))


if __name__ == "__main__":
    main(sys.argv[1:])
