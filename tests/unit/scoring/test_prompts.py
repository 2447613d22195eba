"""The wording that a model was trained with, held to the letter."""

from __future__ import annotations

from crossrank.scoring.prompts import PROMPT_OF_MODEL_TYPE, QWEN3


def test_the_qwen3_prompt_is_the_model_cards() -> None:
    body = QWEN3.body.format(instruction=QWEN3.default_instruction, query="충전 시간 {}")
    assert QWEN3.before + body + "4.5 hours" + QWEN3.after == (
        "<|im_start|>system\n"
        "Judge whether the Document meets the requirements based on the Query and the Instruct provided. "
        'Note that the answer can only be "yes" or "no".<|im_end|>\n'
        "<|im_start|>user\n"
        "<Instruct>: Given a web search query, retrieve relevant passages that answer the query\n"
        "<Query>: 충전 시간 {}\n"
        "<Document>: 4.5 hours<|im_end|>\n"
        "<|im_start|>assistant\n"
        "<think>\n\n</think>\n\n"
    )


def test_only_qwen3_reads_inside_a_prompt() -> None:
    assert PROMPT_OF_MODEL_TYPE == {"qwen3": QWEN3}
