"""What is given as groups to each verb: foreign lines are read, and what is no groups gets one sentence from all."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from crossrank.cli.main import main
from crossrank.training.inputs import inputs_of
from tests.model.runs import settings_of

VERBS = {
    "rerank": "rerank --model {model} --groups {given} --output {output}",
    "translate": "translate --source en --target ko --backend memory --memory {memory} --groups {given}"
    " --output {output}",
    "filter": "filter --source en --target ko --groups {given} --output {output}",
    "mine": "mine --corpus {corpus} --groups {given} --output {output}",
    "train": "train --base {model} --groups {given} --output {output}",
    "train --eval-groups": "train --base {model} --groups {good} --eval-groups {given} --output {output}",
    "train --held-out": "train --base {model} --groups {good} --held-out {given} --output {output}",
    "evaluate": "evaluate --models a={model} --groups {given} --output {output}",
}
ROW = {"query": "what do pandas eat", "pos": ["Pandas eat bamboo."], "neg": ["Penguins live by the sea."]}
FOREIGN = {
    "flagembedding": json.dumps(ROW),
    "triplets": json.dumps({"anchor": ROW["query"], "positive": ROW["pos"][0], "negative": ROW["neg"][0]}),
    "labelled": json.dumps({"query": ROW["query"], "docs": [*ROW["pos"], *ROW["neg"]], "labels": [1, 0]}),
}
NO_GROUPS = {
    "corpus.jsonl": ('{"_id": "1", "title": "t", "text": "x"}\n', "holds passages (_id, title, text), not groups"),
    "pairs.jsonl": ('{"query": "q", "document": "d", "score": 1}\n', "score them with crossrank score --input"),
    "eval.csv": ("question,answer,doc_id,doc\nq,a,1,d\n", "run crossrank convert --from qa-csv --to groups"),
    "first.trec": ("q1 Q0 d1 1 2.5 bm25\n", "is a TREC run, which has no texts; give it as --candidates"),
}


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("name", NO_GROUPS)
def test_every_verb_says_the_same_of_what_is_no_groups_before_it_writes_anything(
    tmp_path: Path,
    tiny: Callable[[str], Path],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    verb: str,
    name: str,
) -> None:
    monkeypatch.setenv("CROSSRANK_CACHE", str(tmp_path / "cache"))
    content, sentence = NO_GROUPS[name]
    for file, written in ((name, content), ("good.jsonl", FOREIGN["flagembedding"]), ("c.tsv", "1\tx\n")):
        (tmp_path / file).write_text(written)
    places = {"given": name, "good": "good.jsonl", "corpus": "c.tsv", "output": "out", "memory": "memory"}
    paths = {place: tmp_path / each for place, each in places.items()}
    with pytest.raises(SystemExit) as exited:
        main(VERBS[verb].format(model=tiny("xlm-roberta"), **paths).split())
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith(f"crossrank: {paths['given']} ")
    assert sentence in last
    assert exited.value.code == 2
    assert not paths["output"].exists()
    ray = sys.modules.get("ray")
    assert ray is None or not ray.is_initialized()


@pytest.mark.parametrize("form", FOREIGN)
def test_foreign_lines_are_trained_on_as_they_stand(
    tmp_path: Path, tiny: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    monkeypatch.setenv("CROSSRANK_CACHE", str(tmp_path / "cache"))
    given = tmp_path / "train.jsonl"
    given.write_text(f"{FOREIGN[form]}\n")
    read = inputs_of(settings_of(tiny("xlm-roberta"), given, tmp_path / "out")).read()
    assert (len(read.train), read.train.num_documents) == (1, 2)
