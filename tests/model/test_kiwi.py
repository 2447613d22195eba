"""Korean morphemes, by a model of their own that takes seconds to load."""

from __future__ import annotations

import pickle

import pytest

from crossrank.retrieval.analysis import analyser

pytest.importorskip("kiwipiepy", reason="the extra is not installed: crossrank[korean]")


def test_kiwi_keeps_nouns_and_verb_stems_and_drops_particles_and_endings() -> None:
    # 독일/NNG 의/JKG 도시/NNG 에서/JKB BMW/SL 를/JKO 만들/VV ㄴ다/EF
    assert analyser("ko-kiwi")("독일의 도시에서 BMW를 만든다.") == ["독일", "도시", "bmw", "만들"]


def test_kiwi_pickles_after_it_was_used() -> None:
    kiwi = analyser("ko-kiwi")
    kiwi("문장")
    assert pickle.loads(pickle.dumps(kiwi)) == kiwi
