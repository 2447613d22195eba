"""Translation models of every family against transformers itself, one text at a time."""

import pickle
import random
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer, GenerationConfig

from crossrank.derived import Derived
from crossrank.errors import JobFailed
from crossrank.translation.backend import Outcome
from crossrank.translation.backends.seq2seq import Seq2SeqBackend
from crossrank.translation.backends.seq2seq_decoding import Greedy
from crossrank.translation.backends.seq2seq_translator import Seq2SeqTranslator
from crossrank.translation.backends.seq2seq_writing import StopReason
from crossrank.translation.splitter import Piece
from tests.model.seq2seq_models import FAMILIES, WINDOW, build
from tests.model.tiny_models import TEXTS

SENTENCES = TEXTS[:16]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    root = tmp_path_factory.mktemp("seq2seq")
    return cache(lambda family: build(family, root / family))


@pytest.fixture(scope="module")
def translator(folder: Callable[[str], Path]) -> Callable[[str], Any]:
    return cache(lambda family: Seq2SeqBackend(str(folder(family)), "en", "ko").load())


def translated(translator: Any, texts: list[str]) -> list[Outcome]:
    """What became of each text, each told once."""
    told: dict[int, Outcome] = {}

    def keep(outcomes: Any) -> None:
        for place, outcome in outcomes:
            assert place not in told
            told[place] = outcome

    translator.translate(texts, keep)
    return [told[place] for place in range(len(texts))]


def in_batches_of(translator: Any, tokens: int) -> Any:
    """The same translator with another budget."""
    other = Seq2SeqTranslator.__new__(Seq2SeqTranslator)
    other.__dict__ |= translator.__dict__ | {"budget": Derived(tokens, "a test")}
    return other


class Reference:
    """A model as its card says to use it: one text, `generate`, the tokenizer's own language settings."""

    def __init__(self, folder: Path, family: str) -> None:
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.model = AutoModelForSeq2SeqLM.from_pretrained(folder).eval()
        self.model.generation_config = GenerationConfig()
        self.prefix = {"madlad": "<2ko> ", "marian-many": ">>kor<< "}.get(family, "")
        self.first: int | None = None
        if family == "nllb":
            self.tokenizer.src_lang = "eng_Latn"
            self.first = self.tokenizer.convert_tokens_to_ids("kor_Hang")
        if family == "m2m100":
            self.tokenizer.src_lang = "en"
            self.first = self.tokenizer.get_lang_id("ko")

    def tokens(self, text: str, most: int, beams: int = 1) -> list[int]:
        """Written tokens, without those that every output begins with; the last is the end if there is one."""
        config = self.model.config
        begins = 1 if self.first is None else 2
        output = self.model.generate(
            **self.tokenizer(self.prefix + text, return_tensors="pt"),
            generation_config=GenerationConfig(
                forced_bos_token_id=self.first,
                decoder_start_token_id=config.decoder_start_token_id,
                eos_token_id=config.eos_token_id,
                pad_token_id=config.pad_token_id,
                suppress_tokens=[config.pad_token_id],
                max_new_tokens=most + begins - 1,
                num_beams=beams,
            ),
        )
        return output[0, begins:].tolist()


@pytest.mark.parametrize("family", list(FAMILIES))
def test_a_batch_is_written_as_each_text_alone_is_by_transformers(
    folder: Callable[[str], Path], translator: Callable[[str], Any], family: str
) -> None:
    ours, reference = translator(family), Reference(folder(family), family)
    # Rows leave at every other step, which is where a cache that is not cut as its batch is would show.
    most = [5 + 2 * place for place in range(len(SENTENCES))]
    written = dict(ours.write(ours.encode(SENTENCES), [0] * len(most), most))
    assert sorted(written) == list(range(len(SENTENCES)))
    compared = 0
    for place, sentence in enumerate(SENTENCES):
        expected = reference.tokens(sentence, most[place])
        tokens, stop = written[place].tokens, written[place].stop
        if stop is StopReason.END:
            assert [*tokens, reference.model.config.eos_token_id] == expected
        elif stop is StopReason.LIMIT:
            assert tokens == expected
            assert len(tokens) == most[place]
        else:
            assert tokens == expected[: len(tokens)]
        compared += len(tokens)
    assert compared > 100
    assert len({tuple(each.tokens[:5]) for each in written.values()}) > 4


@pytest.mark.parametrize("family", ["madlad", "m2m100"])
def test_beams_find_what_those_of_transformers_find_for_each_text_alone(
    folder: Callable[[str], Path], family: str
) -> None:
    ours = Seq2SeqBackend(str(folder(family)), "en", "ko", Greedy(num_beams=3)).load()
    reference = Reference(folder(family), family)
    most = [16 if place % 2 else 32 for place in range(8)]
    assert isinstance(ours, Seq2SeqTranslator)
    for place, written in ours.write(ours.encode(SENTENCES[:8]), [0] * 8, most):
        expected = reference.tokens(SENTENCES[place], most[place], beams=3)
        end = reference.model.config.eos_token_id
        assert written.tokens == (expected[: expected.index(end)] if end in expected else expected)
        assert (written.stop is StopReason.END) == (end in expected)


def test_what_a_text_becomes_hangs_on_no_other_text(translator: Callable[[str], Any]) -> None:
    ours = translator("madlad")
    texts = [*SENTENCES, " ".join(SENTENCES[:3]), "\n".join(SENTENCES[4:7]) + "\n"]
    together = translated(ours, texts)
    assert sum(outcome.text is not None for outcome in together) >= 6
    assert [translated(ours, [text])[0] for text in texts] == together
    order = random.Random(5).sample(range(len(texts)), len(texts))
    assert translated(in_batches_of(ours, 80), [texts[place] for place in order]) == [together[each] for each in order]


def test_a_translation_that_does_not_end_is_an_error_and_never_a_part_of_a_text(
    folder: Callable[[str], Path], translator: Callable[[str], Any]
) -> None:
    reference = Reference(folder("madlad"), "madlad")
    outcomes = translated(translator("madlad"), SENTENCES)
    errors = 0
    for sentence, outcome in zip(SENTENCES, outcomes, strict=True):
        expected = reference.tokens(sentence, 200)
        ended = reference.model.config.eos_token_id in expected
        if outcome.text is not None:
            assert ended
            assert outcome.text == reference.tokenizer.decode(expected, skip_special_tokens=True).strip()
        else:
            assert outcome.error in ("the model wrote nothing", "the translation repeats itself without end") or (
                outcome.error is not None and "no end within" in outcome.error
            )
            errors += 1
    assert 0 < errors < len(SENTENCES)


def test_a_sentence_that_fails_fails_its_text_and_says_which_it_was(translator: Callable[[str], Any]) -> None:
    ours = translator("madlad")
    alone = dict(zip(SENTENCES, translated(ours, SENTENCES), strict=True))
    good = next(text for text, outcome in alone.items() if outcome.text and text.endswith("."))
    bad = next(text for text, outcome in alone.items() if outcome.error and ". " not in text)
    [outcome] = translated(ours, [f"{good} {bad}"])
    assert outcome == Outcome(None, f"sentence 2 of 2: {alone[bad].error}")


def test_what_stood_between_sentences_stands_between_their_translations(translator: Callable[[str], Any]) -> None:
    ours = translator("madlad")
    good = [text for text, each in zip(SENTENCES, translated(ours, SENTENCES), strict=True) if each.text]
    one, two = [outcome.text for outcome in translated(ours, good[:2])]
    [joined] = translated(ours, [f"  {good[0]}\n\n{good[1]}  12. \n{good[0]}\n"])
    assert joined.text == f"  {one}\n\n{two}  12. \n{one}\n"


def test_a_sentence_of_many_texts_is_translated_once(
    translator: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = in_batches_of(translator("madlad"), 2048)
    asked: list[int] = []
    write = ours.write

    def counted(ids: Any, least: Any, most: Any) -> Any:
        asked.append(len(ids))
        return write(ids, least, most)

    monkeypatch.setattr(ours, "write", counted)
    texts = [f"{SENTENCES[0]} {SENTENCES[place % 3]}" for place in range(9)]
    outcomes = translated(ours, texts)
    assert asked == [3]
    assert outcomes[0] == outcomes[3] == outcomes[6]


def test_texts_are_kept_as_they_are_done_and_not_at_the_end(translator: Callable[[str], Any]) -> None:
    ours = in_batches_of(translator("madlad"), 64)
    calls: list[int] = []
    ours.translate(SENTENCES, lambda outcomes: calls.append(len(outcomes)))
    assert sum(calls) == len(SENTENCES)
    assert len(calls) > 4


def test_texts_without_words_stay_as_they_are(translator: Callable[[str], Any]) -> None:
    texts = ["", "  ", "12,000", "***\n3.14", "→ 7 ←"]
    assert translated(translator("madlad"), texts) == [Outcome(text) for text in texts]
    assert translated(translator("madlad"), []) == []


def test_a_sentence_over_the_window_is_cut_after_commas_and_none_of_it_is_lost(
    translator: Callable[[str], Any],
) -> None:
    ours = translator("marian")
    long = ", ".join(text.rstrip(".?!").replace(",", "")[:40] for text in SENTENCES[:8])
    pieces = ours._parts(Piece(long, " ", True), ours._ids({long}))
    assert len(pieces) > 3
    assert "".join(piece.text + piece.after for piece in pieces) == f"{long} "
    assert max(len(ids) for ids in ours.encode([piece.text for piece in pieces])) <= WINDOW
    assert all(piece.text.endswith(",") for piece in pieces[:-1])
    [outcome] = translated(ours, [long])
    parts = translated(ours, [piece.text for piece in pieces])
    failed = next((place for place, part in enumerate(parts) if part.text is None), None)
    if failed is None:
        assert outcome.text == " ".join(str(part.text) for part in parts)
    else:
        assert outcome.error == f"sentence {failed + 1} of {len(parts)}: {parts[failed].error}"


def test_a_sentence_over_the_window_with_no_place_to_cut_it_is_an_error_of_that_text_alone(
    translator: Callable[[str], Any],
) -> None:
    ours = translator("marian")
    alone, wall = translated(ours, [SENTENCES[0], "q" * 500])
    assert wall.text is None
    assert wall.error is not None
    assert f"without a space or a comma, and the model reads {WINDOW}" in wall.error
    assert [alone] == translated(ours, [SENTENCES[0]])


def test_the_identity_is_of_the_model_and_not_of_where_it_lies(folder: Callable[[str], Path], tmp_path: Path) -> None:
    here = Seq2SeqBackend(str(folder("madlad")), "en", "ko")
    copied = tmp_path / "madlad"
    shutil.copytree(folder("madlad"), copied)
    assert Seq2SeqBackend(str(copied), "en", "ko").identity == here.identity
    others = [
        Seq2SeqBackend(str(copied), "en", "de").identity,
        Seq2SeqBackend(str(copied), "de", "ko").identity,
        Seq2SeqBackend(str(copied), "en", "ko", Greedy(num_beams=2)).identity,
        Seq2SeqBackend(str(copied), "en", "ko", Greedy(max_new_tokens=9)).identity,
        Seq2SeqBackend(str(copied), "en", "ko", Greedy(precision="bf16")).identity,
        Seq2SeqBackend(str(folder("nllb")), "en", "ko").identity,
    ]
    assert len({str(each) for each in [here.identity, *others]}) == 7


def test_a_backend_is_small_and_a_worker_with_another_model_refuses(
    folder: Callable[[str], Path], tmp_path: Path
) -> None:
    copied = tmp_path / "model"
    shutil.copytree(folder("madlad"), copied)
    sent = pickle.dumps(Seq2SeqBackend(str(copied), "en", "ko"))
    assert len(sent) < 2000
    arrived: Seq2SeqBackend = pickle.loads(sent)
    arrived.load()
    config = copied / "config.json"
    config.write_text(config.read_text().replace('"dropout_rate": 0.1', '"dropout_rate": 0.2'))
    with pytest.raises(JobFailed, match="the job began with"):
        arrived.load()


def test_a_gpu_that_is_full_halves_the_batch_and_loses_no_sentence(
    translator: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from crossrank.translation.backends import seq2seq_translator, seq2seq_writing

    ours = in_batches_of(translator("madlad"), 2048)
    expected = translated(ours, SENTENCES)
    write = seq2seq_writing.write_greedily

    def full(model: Any, script: Any, ids: Any, least: Any, most: Any) -> Any:
        if len(ids) > 3:
            raise torch.cuda.OutOfMemoryError("full")
        return write(model, script, ids, least, most)

    monkeypatch.setattr(seq2seq_translator, "write_greedily", full)
    assert translated(ours, SENTENCES) == expected

    def never(*_: Any) -> Any:
        raise torch.cuda.OutOfMemoryError("full")

    monkeypatch.setattr(seq2seq_translator, "write_greedily", never)
    with pytest.raises(JobFailed, match="does not fit the memory of the GPU"):
        translated(ours, SENTENCES)
