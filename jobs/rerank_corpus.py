"""Rerank the candidates of queries with a cross-encoder: ranked Parquet, and a TREC run if asked for.

    ray job submit --runtime-env jobs/runtime_env.yaml -- \\
        python jobs/rerank_corpus.py --model BAAI/bge-reranker-v2-m3 \\
        --queries s3://bucket/queries.jsonl --corpus s3://bucket/corpus.jsonl --output s3://bucket/ranked

    python jobs/rerank_corpus.py --model ./model --queries q.jsonl --corpus c.jsonl --output out   # laptop, local Ray

Run the same command again after a kill: it goes on where it was. Every flag: --help. The same as `crossrank rerank`.
"""

from crossrank.cli.main import run
from crossrank.cli.options import command
from crossrank.reranking.job import rerank
from crossrank.reranking.settings import RerankSettings

if __name__ == "__main__":
    run(command(RerankSettings, rerank))
