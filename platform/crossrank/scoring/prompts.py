"""Models that read query and document inside a prompt, as decoder rerankers do."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Prompt:
    """The fixed text around a pair.

    The model reads ``before``, the body with the query and the document, and ``after``. Only the document of
    the body is ever cut for length.
    """

    before: str
    body: str
    """Text with the places ``{instruction}`` and ``{query}``; the document follows it directly."""
    after: str
    default_instruction: str


# The wording that Qwen3-Reranker was trained with; any other wording scores worse. Source: the model card of
# Qwen/Qwen3-Reranker-0.6B.
QWEN3 = Prompt(
    before=(
        "<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and the Instruct "
        'provided. Note that the answer can only be "yes" or "no".<|im_end|>\n<|im_start|>user\n'
    ),
    body="<Instruct>: {instruction}\n<Query>: {query}\n<Document>: ",
    after="<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n",
    default_instruction="Given a web search query, retrieve relevant passages that answer the query",
)

PROMPT_OF_MODEL_TYPE = {"qwen3": QWEN3}
