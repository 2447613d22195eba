"""What fine-tuning gives on real questions: mean reciprocal rank on WikiQA, in folds by question.

    python benchmarks/train_quality.py                    # five folds, three trainings each: minutes a fold on 2 cores
    python benchmarks/train_quality.py --seeds 1 2 3      # each training three times

A question's sentences are ranked by BM25, by the cosine of all-MiniLM-L6-v2 as it is, and by cross-encoders that start
from it and were trained on the other folds: by the loop of `crossrank train`, and by sentence-transformers'
`CrossEncoderTrainer` with `ListNetLoss` (labels 30, 0, ..., which is the group's cross-entropy). The peer gets the very
groups of every step of ours, the same documents in the same order, with the same rate, warm-up and decay; dropout is
drawn anew. Nothing is chosen by looking at a fold: the last step is the result.

Equal scores keep an order that was shuffled once, since the file has the sentences that answer first.

Shape letters: Q questions, D documents of one.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from machine import DATA, machine
from numpy.typing import NDArray

from crossrank import Reranker
from crossrank.demo.encoder import encoder_folder
from crossrank.evaluation.intervals import Mean, mean_of, paired_difference
from crossrank.retrieval.analysis import analyser
from crossrank.retrieval.bm25 import Bm25Index
from crossrank.retrieval.encoder import find_encoder
from crossrank.scoring.loading import check_base, find_model
from crossrank.training.distributed import World
from crossrank.training.inputs import inputs_of
from crossrank.training.model import TrainedModel
from crossrank.training.optimizer import FRESH_HEAD_RATE
from crossrank.training.rank_run import TrainTask, loop_of
from crossrank.training.sampler import Sampler, documents_of
from crossrank.training.settings import TrainSettings
from crossrank.training.sizing import sizes_of

NUM_FOLDS = 5
GROUP_SIZE = 8
LEARNING_RATE = 5e-5
EPOCHS = 3
GROUPS_PER_STEP = 8
WARMUP = 0.1
MAX_LENGTH = 256
CPU = torch.device("cpu")
SURE = 30.0
"""The peer's label of a positive: its softmax over the labels is then 1 for it and 0 for the others."""


@dataclass(frozen=True, slots=True)
class Question:
    """A question with its sentences in the shuffled order."""

    number: int
    text: str
    documents: list[str]
    is_answer_D: NDArray[np.bool_]

    def group(self) -> dict[str, Any]:
        """As `crossrank train` reads it."""
        docs = [
            {"doc_id": f"{self.number}-{place}", "text": text, "label": int(is_answer)}
            for place, (text, is_answer) in enumerate(zip(self.documents, self.is_answer_D, strict=True))
        ]
        return {"query_id": str(self.number), "query": self.text, "docs": docs}

    def reciprocal_rank(self, scores_D: NDArray[np.floating]) -> float:
        """Of the first sentence that answers."""
        order_D = np.argsort(-scores_D, kind="stable")
        return 1.0 / (1 + int(np.argmax(self.is_answer_D[order_D])))


Score = Callable[[list[Question]], list[NDArray[np.floating]]]


def read_questions() -> list[Question]:
    """Questions in a shuffled order: fold k has every fifth from the k-th on."""
    rng = random.Random(0)
    questions = []
    rows = [json.loads(line) for line in (DATA / "wikiqa" / "train.jsonl").read_text().splitlines()]
    rng.shuffle(rows)
    for number, row in enumerate(rows):
        documents = [(text, True) for text in row["pos"]] + [(text, False) for text in row["neg"]]
        rng.shuffle(documents)
        texts, answers = zip(*documents, strict=True)
        questions.append(Question(number, row["query"], list(texts), np.array(answers)))
    return questions


def bm25(questions: list[Question]) -> Score:
    """BM25 with the frequencies of all sentences of the set; only a question's own are ranked."""
    texts = [text for question in questions for text in question.documents]
    index = Bm25Index.build(texts, analyser("en"), num_documents=len(texts))
    firsts = np.cumsum([0, *(len(question.documents) for question in questions)])

    def score(some: list[Question]) -> list[NDArray[np.floating]]:
        found: list[NDArray[np.floating]] = []
        for question, (rows, values) in zip(some, index.search([q.text for q in some], len(texts)), strict=True):
            scores_N = np.zeros(len(texts), dtype=np.float32)
            scores_N[rows] = values
            found.append(scores_N[firsts[question.number] : firsts[question.number + 1]])
        return found

    return score


def cosine() -> Score:
    """The encoder before any training."""
    encoder = find_encoder(str(encoder_folder()), max_length=MAX_LENGTH).on("cpu").load(None)

    def score(some: list[Question]) -> list[NDArray[np.floating]]:
        return [encoder.passages(question.documents) @ encoder.queries([question.text])[0] for question in some]

    return score


def by_pairs(score_pairs: Callable[[list[tuple[str, str]]], NDArray[np.floating]]) -> Score:
    """Scores of a cross-encoder."""

    def score(some: list[Question]) -> list[NDArray[np.floating]]:
        pairs = [(question.text, text) for question in some for text in question.documents]
        ends = np.cumsum([len(question.documents) for question in some])
        return np.split(score_pairs(pairs), ends[:-1])

    return score


def settings_of(groups: Path, output: Path, seed: int) -> TrainSettings:
    """What `crossrank train` would be told."""
    return TrainSettings(
        base=str(encoder_folder()),
        groups=str(groups),
        output=str(output),
        learning_rate=LEARNING_RATE,
        num_train_epochs=EPOCHS,
        groups_per_step=GROUPS_PER_STEP,
        train_group_size=GROUP_SIZE,
        warmup_ratio=WARMUP,
        max_length=MAX_LENGTH,
        truncation="longest_first",  # as the peer's
        seed=seed,
    )


def train_crossrank(groups: Path, folder: Path, seed: int) -> Score:
    """A run of `crossrank train` without Ray, checkpoints and validation."""
    settings = settings_of(groups, folder, seed)
    base = find_model(settings.base)
    inputs = inputs_of(settings)
    sizes = sizes_of(settings, len(inputs.train.open()), check_base(base), None)
    model = TrainedModel(settings, base, CPU)
    task = TrainTask(settings, settings.base, base.revision, inputs.train, sizes, settings.output)
    for _ in loop_of(task, model, CPU, World()).steps(0):
        pass
    model.save(folder)
    return by_pairs(Reranker.load(str(folder), device="cpu").score)


def steps_of(groups: Path, seed: int) -> list[list[tuple[str, list[str]]]]:
    """The groups of every step, the positive first, as our loop draws them."""
    settings = settings_of(groups, Path("nowhere"), seed)
    store = inputs_of(settings).train.open()
    sampler = Sampler(len(store), GROUPS_PER_STEP, seed)
    steps = []
    for step in range(sampler.steps_per_epoch * EPOCHS):
        chosen = sampler.groups(step).tolist()
        drawn = []
        for group, query, group_hash in zip(chosen, store.queries(chosen), store.hashes(chosen), strict=True):
            documents = store.documents(group)
            places = documents_of(documents.labels_D, GROUP_SIZE, seed, sampler.epoch(step), group_hash)
            drawn.append((query, store.texts(documents.rows_D[places].tolist())))
        steps.append(drawn)
    return steps


def train_peer(groups: Path, seed: int, head_rate: float | None) -> Score:
    """`CrossEncoderTrainer`; all epochs are one pass over the steps of ours.

    Args:
        head_rate: of the head, which is fresh; None is the rate of everything else, the peer's default.
    """
    from datasets import Dataset
    from sentence_transformers import CrossEncoder
    from sentence_transformers.base.sampler import DefaultBatchSampler
    from sentence_transformers.cross_encoder import CrossEncoderTrainer, CrossEncoderTrainingArguments
    from sentence_transformers.cross_encoder.losses import ListNetLoss
    from transformers import set_seed

    steps = steps_of(groups, seed)
    drawn = [group for step in steps for group in step]
    ends = np.cumsum([len(step) for step in steps]).tolist()

    class OurSteps(DefaultBatchSampler):
        def __init__(self, dataset: Any, **options: Any) -> None:
            super().__init__(range(len(dataset)), **options)

        def __iter__(self) -> Any:
            return iter([list(range(start, end)) for start, end in zip([0, *ends], ends, strict=False)])

        def __len__(self) -> int:
            return len(ends)

    columns = {
        "query": [query for query, _ in drawn],
        "docs": [documents for _, documents in drawn],
        "labels": [[SURE] + [0.0] * (len(documents) - 1) for _, documents in drawn],
    }
    set_seed(seed)
    encoder = CrossEncoder(str(encoder_folder()), num_labels=1, device="cpu", max_length=MAX_LENGTH)
    with tempfile.TemporaryDirectory() as folder:
        arguments = CrossEncoderTrainingArguments(
            output_dir=folder,
            per_device_train_batch_size=GROUPS_PER_STEP,
            num_train_epochs=1,
            learning_rate=LEARNING_RATE,
            learning_rate_mapping={r"\bclassifier\.": head_rate} if head_rate else {},
            weight_decay=0.01,
            lr_scheduler_type="linear",
            warmup_steps=WARMUP,
            max_grad_norm=1.0,
            batch_sampler=OurSteps,
            seed=seed,
            use_cpu=True,
            save_strategy="no",
            logging_strategy="no",
            report_to="none",
            disable_tqdm=True,
        )
        trainer = CrossEncoderTrainer(
            model=encoder,
            args=arguments,
            train_dataset=Dataset.from_dict(columns),
            loss=ListNetLoss(encoder, mini_batch_size=16),
        )
        trainer.train()
        assert trainer.state.global_step == len(steps), f"{trainer.state.global_step} steps of {len(steps)}"
    encoder.eval()
    return by_pairs(lambda pairs: encoder.predict(pairs, batch_size=16, activation_fn=torch.nn.Identity()))


OURS, PEER, PEER_HEAD = "crossrank train", "CrossEncoderTrainer", "CrossEncoderTrainer, our head rate"


def trainings(groups: Path, folder: Path, seed: int) -> dict[str, Callable[[], Score]]:
    """What is trained on a fold."""
    return {
        OURS: lambda: train_crossrank(groups, folder, seed),
        PEER: lambda: train_peer(groups, seed, None),
        PEER_HEAD: lambda: train_peer(groups, seed, FRESH_HEAD_RATE),
    }


def measure(questions: list[Question], seeds: Sequence[int], folds: Sequence[int]) -> dict[str, dict[str, Any]]:
    """By system: reciprocal ranks by seed, shape (seeds, Q), and the seconds of each training."""
    held_out = {fold: questions[fold::NUM_FOLDS] for fold in folds}
    measured = [question for fold in folds for question in held_out[fold]]
    found: dict[str, dict[str, Any]] = {}
    for name, score in {"BM25": bm25(questions), "cosine": cosine()}.items():
        scores = score(measured)
        ranks = [question.reciprocal_rank(scores_D) for question, scores_D in zip(measured, scores, strict=True)]
        found[name] = {"ranks": [ranks], "seconds": []}
    for seed in seeds:
        of_seed: dict[str, list[float]] = {}
        for fold in folds:
            with tempfile.TemporaryDirectory() as work:
                os.environ["CROSSRANK_CACHE"] = f"{work}/cache"
                groups = Path(work, "groups.jsonl")
                rest = [question for number, question in enumerate(questions) if number % NUM_FOLDS != fold]
                groups.write_text("".join(json.dumps(question.group()) + "\n" for question in rest))
                for name, train in trainings(groups, Path(work, "model"), seed).items():
                    started = time.perf_counter()
                    score = train()
                    seconds = time.perf_counter() - started
                    scores = score(held_out[fold])
                    ranks = [q.reciprocal_rank(s) for q, s in zip(held_out[fold], scores, strict=True)]
                    of_seed.setdefault(name, []).extend(ranks)
                    found.setdefault(name, {"ranks": [], "seconds": []})["seconds"].append(seconds)
                    told = f"seed {seed} fold {fold} {name}: {np.mean(ranks):.4f}, {seconds:.0f} s"
                    print(told, file=sys.stderr, flush=True)
        for name, ranks in of_seed.items():
            found[name]["ranks"].append(ranks)
    return found


def shown(mean: Mean | None, sign: str = "") -> str:
    """A mean with its interval."""
    if mean is None or mean.interval is None:
        return ""
    return f"{mean.value:{sign}.4f} ({mean.interval[0]:{sign}.4f} to {mean.interval[1]:{sign}.4f})"


def rows_of(found: dict[str, dict[str, Any]]) -> list[dict[str, str]]:
    """The table; a question counts with its mean over seeds."""
    of_question = {name: np.mean(each["ranks"], axis=0) for name, each in found.items()}

    def less(name: str, other: str) -> str:
        return "" if name == other else shown(paired_difference(of_question[name], of_question[other]), "+")

    rows = []
    for name, each in found.items():
        is_trained = bool(each["seconds"])
        rows.append(
            {
                "": name,
                "MRR": shown(mean_of(of_question[name])),
                "less BM25": less(name, "BM25"),
                "less cosine": less(name, "cosine"),
                "crossrank less this": less(OURS, name),
                "by seed": ", ".join(f"{np.mean(ranks):.4f}" for ranks in each["ranks"]) if is_trained else "",
                "s a fold": f"{np.median(each['seconds']):.0f}" if is_trained else "",
            }
        )
    return rows


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", nargs="+", type=int, default=[42])
    parser.add_argument("--folds", nargs="+", type=int, default=list(range(NUM_FOLDS)), choices=range(NUM_FOLDS))
    given = parser.parse_args(arguments)
    if not DATA.exists():
        sys.exit(f"the real texts are not there: {DATA}")
    questions = read_questions()
    found = measure(questions, given.seeds, given.folds)
    rows = rows_of(found)
    for key, value in machine().items():
        print(f"{key:22} {value}")
    print("\n| " + " | ".join(rows[0]) + " |\n|" + "---|" * len(rows[0]))
    for row in rows:
        print("| " + " | ".join(row.values()) + " |")
    print(json.dumps({"benchmark": "train_quality", "rows": rows}))


if __name__ == "__main__":
    main(sys.argv[1:])
