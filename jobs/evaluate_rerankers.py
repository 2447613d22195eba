"""Compare rerankers, and what there is without one, on judged queries: a report with intervals and tests.

    ray job submit --runtime-env jobs/runtime_env.yaml -- \\
        python jobs/evaluate_rerankers.py --models base=BAAI/bge-reranker-large tuned=s3://bucket/ko-reranker \\
        --queries s3://bucket/beir --corpus s3://bucket/beir --qrels s3://bucket/beir --output s3://bucket/report

    python jobs/evaluate_rerankers.py --models tuned=./model --eval-csv questions.csv --output report   # laptop

Run the same command again after a kill: it goes on where it was; with more --models only those are scored. A model may
be the URL of a running server. Every flag: --help. The same as `crossrank evaluate`.
"""

from crossrank.cli.main import run
from crossrank.cli.options import command
from crossrank.evaluation.job import evaluate
from crossrank.evaluation.settings import EvaluateSettings

if __name__ == "__main__":
    run(command(EvaluateSettings, evaluate))
