"""A LangChain retriever with crossrank behind it: retrieve many passages, keep the few that answer.

    pip install langchain-cohere
    python examples/ask_from_langchain.py [URL]     # http://localhost:8000 by itself; a key in CROSSRANK_KEY

The server speaks Cohere's dialect, so LangChain's own compressor is the client; `model` is the name that it serves.
"""

import os
import sys

import requests
from langchain_cohere import CohereRerank
from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableLambda

PASSAGES = [
    "The battery has a warranty of two years from the date on the receipt.",
    "How often the robot cleans is set in the app.",
    "Rinse the dust filter under cold water once a week.",
    "A full dust bag makes the dock louder.",
]


class SharedWords(BaseRetriever):
    """Stand-in for your vector store: passages by the number of words that they share with the question."""

    def _get_relevant_documents(self, query: str, *, run_manager: CallbackManagerForRetrieverRun) -> list[Document]:
        words = set(query.lower().split())
        found = sorted(PASSAGES, key=lambda text: -len(words & set(text.lower().split())))
        return [Document(text) for text in found]


def main(url: str) -> None:
    key = os.environ.get("CROSSRANK_KEY", "none")
    served = requests.get(f"{url}/v1/models", headers={"Authorization": f"Bearer {key}"}, timeout=60).json()
    model = served["data"][0]["id"]
    reranker = CohereRerank(base_url=url, cohere_api_key=key, model=model, top_n=2)
    search = RunnableLambda(lambda query: reranker.compress_documents(SharedWords().invoke(query), query))
    for document in search.invoke("how often should I wash the filter?"):
        print(f"{document.metadata['relevance_score']:.3f}  {document.page_content}")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "http://localhost:8000")
