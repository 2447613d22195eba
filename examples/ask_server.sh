#!/bin/sh
# Ask a running server with curl.   sh examples/ask_server.sh [URL]   A key, if it asks for one: CROSSRANK_KEY.
set -eu
URL=${1:-http://localhost:8000}

post() {
    curl --silent --show-error --fail-with-body --header "Authorization: Bearer ${CROSSRANK_KEY:-none}" "$URL$1" --data "$2"
    echo
}

echo "the best two of three, as probabilities:"
post /v2/rerank '{
    "query": "how often is the filter washed?",
    "documents": ["The warranty is two years.", "How often it cleans is set in the app.", "The filter is washed once a week."],
    "top_n": 2
}'

echo "logits, in the dialect of text-embeddings-inference:"
post /rerank '{"query": "충전은 얼마나 걸려요?", "texts": ["네 시간 걸립니다.", "보증 기간은 2년입니다."], "raw_scores": true}'

echo "pairs in the order in which they were sent:"
post /score '{"text_1": "how long does a full charge take?", "text_2": ["Four hours.", "Two years."]}'

echo "what a mistake looks like:"
post /v2/rerank '{"query": "how long?", "documents": []}' || true
