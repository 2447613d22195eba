"""What Ray says of a worker that died or failed, as one whole sentence."""

from __future__ import annotations

from crossrank.cluster.failures import ours, short_of_memory, why_it_died
from crossrank.errors import JobFailed, SettingsError, in_short

TOLD = """\
1 worker(s) were killed due to the node running low on memory. Memory on the node (IP: 192.0.2.2, ID: 85e577) was \
22.95GB used / 23.54GB limit (0.974)
OOM kill reason: Memory usage 24643804160B exceeded threshold of 24012260352B (95.0% of 25276063744B limit)
Object store memory usage: [- objects spillable: 0
]
Ray killed 1 worker(s) based on the killing policy
Selected to kill: (Actor(960c): job ID=01000000, task name=A.__init__, pid=6978, actual memory used=4.05GB)
Top 10 memory users: PID\tMEM(GB)\tCOMMAND
5218\t15.51\t/usr/lib/jvm/bin/java -Xmx16g -pa
6978\t4.05\tray::MapWorker(MapBatches(Block
7001\t0.31\t/venv/bin/python -m crossrank rer
7002\t0.05\tsshd
"""
"""As Ray 2.60 says it, some lines left out."""


class OutOfMemoryError(Exception):
    """Of the name that Ray's own has."""


class ActorDiedError(Exception):
    """The same."""


def test_a_worker_that_was_killed_for_memory_says_how_much_there_is_and_who_has_it() -> None:
    error = ours(OutOfMemoryError(TOLD), "a worker", "finished blocks are kept")
    assert isinstance(error, JobFailed)
    assert str(error) == (
        "a worker was killed, since memory ran out: 22.9 of 23.5 GB of 192.0.2.2 are in use, most by process 5218 "
        "(java) 15.5 GB, process 6978 (ray::MapWorker(MapBatches(Block) 4.0 GB, process 7001 (python) 0.3 GB; finished "
        "blocks are kept: use --workers 1, or a machine with more memory, and run the same command again"
    )


def test_memory_is_told_without_a_list_of_its_users_too() -> None:
    assert short_of_memory(TOLD.partition("Top 10")[0]) == "memory ran out: 22.9 of 23.5 GB of 192.0.2.2 are in use"
    assert short_of_memory("The actor died because its node has died.") is None


def test_a_worker_that_ended_without_a_word_says_so() -> None:
    told = (
        "Worker unexpectedly exits with a connection error code 2. End of file. There are some potential root causes. "
        "(1) The process is killed by SIGKILL by OOM killer due to high memory usage."
    )
    assert why_it_died(told) == "it ended without a word, as what the system kills for want of memory does"
    assert str(ours(ActorDiedError(told), "a worker", "x is kept")) == (
        "a worker died: it ended without a word, as what the system kills for want of memory does; x is kept, so mend "
        "the cause and run the same command again"
    )


def test_the_last_line_of_a_trace_is_said_whole() -> None:
    last = f"ValueError: {'a long reason with many words ' * 15}that ends here"
    sentence = str(ours(RuntimeError(f"Traceback\n  frame\n{last}"), "a worker", "finished blocks are kept"))
    assert f"{last}; finished blocks are kept" in sentence, "and not cut in the middle of a word"
    assert "frame" not in sentence


def test_what_was_raised_for_the_user_stays_as_it_is() -> None:
    raised = SettingsError("max_length is 9; use at least 10")
    assert ours(raised, "a worker", "x") is raised


def test_what_is_too_long_ends_with_a_whole_word() -> None:
    assert in_short("one two three four", 10) == "one two ..."
    assert in_short("one two three four", 18) == "one two three four"
    assert in_short(TimeoutError(), 10) == "timeout error"
    assert in_short("a  b\n c") == "a b c"
