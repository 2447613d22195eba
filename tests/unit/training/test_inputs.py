"""The groups of a run: which are trained on, which are held out, and what is refused."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from crossrank.errors import InputError, SettingsError
from crossrank.formats.group_files import fingerprint_of_groups
from crossrank.training.inputs import TrainingInputs, inputs_of
from tests.unit.training.conftest import doc, good, group, train_settings

NUM_GROUPS = 60


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """``train.jsonl`` of 60 groups, ``held_out.jsonl`` of 5 others, and a corpus."""
    (tmp_path / "train.jsonl").write_text("".join(good(f"q{number}") for number in range(NUM_GROUPS)))
    (tmp_path / "held_out.jsonl").write_text("".join(good(f"r{number}") for number in range(5)))
    (tmp_path / "corpus.tsv").write_text("doc_id\ttitle\ttext\nc1\t\tin the corpus\n")
    return tmp_path


def inputs(data: Path, **values: Any) -> TrainingInputs:
    return inputs_of(train_settings(groups=str(data / "train.jsonl"), **values))


def ids_of(store: Any) -> set[str]:
    return set(store.query_ids(range(len(store))))


def test_without_more_all_groups_are_trained_on(data: Path) -> None:
    found = inputs(data)
    read = found.read()
    assert (found.validate, read.validate) == (None, None)
    assert len(read.train) == NUM_GROUPS
    assert found.fingerprints == {"groups": fingerprint_of_groups(str(data / "train.jsonl"))}


def test_a_fraction_is_held_out_of_the_same_groups(data: Path) -> None:
    found = inputs(data, eval_fraction=0.3)
    read = found.read()
    assert read.validate is not None
    trained, held_out = ids_of(read.train), ids_of(read.validate)
    assert trained | held_out == {f"q{number}" for number in range(NUM_GROUPS)}
    assert not trained & held_out
    assert 0 < len(held_out) < len(trained)
    assert set(found.fingerprints) == {"groups"}


def test_other_groups_may_be_validated_on(data: Path) -> None:
    found = inputs(data, eval_groups=str(data / "held_out.jsonl"))
    read = found.read()
    assert read.validate is not None
    assert (len(read.train), len(read.validate)) == (NUM_GROUPS, 5)
    assert set(found.fingerprints) == {"groups", "eval_groups"}
    assert read.counts() == {
        "train": {"groups": NUM_GROUPS, "documents": 2 * NUM_GROUPS, "set_aside": {}},
        "validate": {"groups": 5, "documents": 10, "set_aside": {}},
    }


def test_a_group_whose_query_is_measured_on_is_not_trained_on(data: Path) -> None:
    # Another id and other documents: the files say nothing of it.
    again = group("other", doc("x", 1), doc("y", 0), query="RED  r3")
    with (data / "train.jsonl").open("a") as file:
        file.write(again)
    read = inputs(data, eval_groups=str(data / "held_out.jsonl")).read()
    assert read.validate is not None
    assert (len(read.train), len(read.validate)) == (NUM_GROUPS, 5)
    assert read.train.rejected_counts() == {"held_out": 1}
    (aside,) = read.train.rejected()
    assert (aside.line, aside.record_id, aside.detail) == (61, "other", "its query is among the held-out groups")


def test_a_query_that_is_measured_on_later_is_neither_trained_nor_validated_on(data: Path) -> None:
    asked = [group(f"other{number}", query=f"RED  q{number}") for number in range(30)]
    (data / "later.jsonl").write_text("".join(asked))
    found = inputs(data, held_out=str(data / "later.jsonl"), eval_fraction=0.3)
    read = found.read()
    assert read.validate is not None
    assert ids_of(read.train) | ids_of(read.validate) == {f"q{number}" for number in range(30, NUM_GROUPS)}
    assert read.train.rejected_counts()["held_out"] + read.validate.rejected_counts()["held_out"] == 30
    assert set(found.fingerprints) == {"groups", "held_out"}


def test_where_the_queries_that_are_measured_on_lie_does_not_matter_but_which_they_are(data: Path) -> None:
    (data / "later.jsonl").write_text(group("other", query="red q1"))
    (data / "moved.jsonl").write_text(group("other", query="red q1"))
    (data / "fewer.jsonl").write_text(group("other", query="red q2"))
    prints = [inputs(data, held_out=str(data / name)).fingerprints for name in ("later.jsonl", "moved.jsonl")]
    assert prints[0] == prints[1] != inputs(data, held_out=str(data / "fewer.jsonl")).fingerprints


def test_a_limit_is_for_what_is_trained_on_and_not_for_groups_given_to_validate(data: Path) -> None:
    read = inputs(data, eval_groups=str(data / "held_out.jsonl"), limit=3).read()
    assert read.validate is not None
    assert (len(read.train), len(read.validate)) == (3, 5)


def test_a_limit_and_a_fraction_share_the_first_groups(data: Path) -> None:
    read = inputs(data, eval_fraction=0.3, limit=20).read()
    assert read.validate is not None
    assert ids_of(read.train) | ids_of(read.validate) == {f"q{number}" for number in range(20)}


def test_teacher_scores_are_wanted_to_train_where_the_loss_reads_them_and_never_to_validate(data: Path) -> None:
    for settings, wanted in (({}, False), ({"weight_kl": 1.0}, True), ({"weight_margin_mse": 0.5}, True)):
        found = inputs(data, eval_fraction=0.3, **settings)
        assert found.validate is not None
        assert (found.train.needs_teacher, found.validate.needs_teacher) == (wanted, False)


def test_groups_by_id_are_looked_up_in_the_corpus(data: Path) -> None:
    (data / "train.jsonl").write_text(group("q", doc("c1", 1, None), doc("n", 0)))
    found = inputs(data, corpus=str(data / "corpus.tsv"))
    store = found.read().train
    assert store.texts(store.documents(0).rows_D.tolist()) == ["in the corpus", "text of n"]
    assert set(found.fingerprints) == {"groups", "corpus"}


def test_columns_of_the_corpus_may_have_other_names(data: Path) -> None:
    (data / "corpus.tsv").write_text("key\tbody\nc1\tunder another name\n")
    (data / "train.jsonl").write_text(group("q", doc("c1", 1, None), doc("n", 0)))
    found = inputs(data, corpus=str(data / "corpus.tsv"), doc_id_column="key", text_column="body")
    store = found.read().train
    assert store.texts(store.documents(0).rows_D[:1].tolist()) == ["under another name"]


# refused


@pytest.mark.parametrize(
    ("column", "flag"),
    [("doc_id_column", "--doc-id-column"), ("title_column", "--title-column"), ("text_column", "--text-column")],
)
def test_a_column_of_a_corpus_that_is_not_given_is_refused(data: Path, column: str, flag: str) -> None:
    with pytest.raises(SettingsError) as refused:
        inputs(data, **{column: "key"})
    assert str(refused.value) == f"{flag} is 'key', and there is no --corpus that has it; leave it out"


@pytest.mark.parametrize("name", ["groups", "eval_groups", "held_out", "corpus"])
def test_what_is_not_there_is_named(data: Path, name: str) -> None:
    given = {"groups": str(data / "train.jsonl"), name: str(data / "nowhere.jsonl")}
    with pytest.raises(InputError, match=r"nowhere\.jsonl does not exist; check the path"):
        inputs_of(train_settings(**given))


def test_groups_that_are_trained_on_are_not_validated_on(data: Path) -> None:
    shutil.copy(data / "train.jsonl", data / "copy.jsonl")
    with pytest.raises(InputError) as refused:
        inputs(data, eval_groups=str(data / "copy.jsonl"))
    assert str(refused.value) == (
        f"--eval-groups {data / 'copy.jsonl'} holds what --groups holds, so it would be measured on what it was "
        f"trained on; give other groups, or --eval-fraction 0.02"
    )


def test_a_file_of_the_folder_that_is_trained_on_is_not_validated_on(data: Path) -> None:
    # All of data/ is trained on, held_out.jsonl too, whatever its name says.
    settings = train_settings(groups=str(data), eval_groups=str(data / "held_out.jsonl"))
    with pytest.raises(InputError) as refused:
        inputs_of(settings)
    assert str(refused.value) == (
        f"--eval-groups {data / 'held_out.jsonl'} holds {data / 'held_out.jsonl'}, which --groups has too, so it would "
        f"be measured on what it was trained on; give other groups, or --eval-fraction 0.02"
    )
    with pytest.raises(InputError, match="which --groups has too"):
        inputs_of(train_settings(groups=str(data / "held_out.jsonl"), eval_groups=str(data)))


def test_only_groups_that_cannot_be_used_are_refused_when_they_are_read(data: Path) -> None:
    (data / "held_out.jsonl").write_text(group("q", doc("n", 0)))
    with pytest.raises(InputError, match=r"held_out\.jsonl holds no group that can be used to validate \(1 no_posi"):
        inputs(data, eval_groups=str(data / "held_out.jsonl")).read()
