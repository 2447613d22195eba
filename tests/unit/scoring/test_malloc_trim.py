"""Memory that was freed goes back to the system, and not so often that it costs."""

from crossrank.scoring.malloc_trim import TRIM_S, Heap, malloc_trim


class Clock:
    """Tells the time that the test says."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_freed_memory_goes_back_once_in_a_while_however_often_batches_come() -> None:
    clock, trims = Clock(), list[float]()

    def trim(keep: int) -> int:
        trims.append(clock.now)
        return 1

    heap = Heap(trim, clock)
    for _ in range(3 * int(TRIM_S)):
        clock.now += 1.0
        heap.tidy()
    assert trims == [110.0, 120.0, 130.0]


def test_the_c_library_is_asked_to_keep_nothing() -> None:
    clock, kept = Clock(), list[int]()

    def trim(keep: int) -> int:
        kept.append(keep)
        return 1

    heap = Heap(trim, clock)
    clock.now += TRIM_S
    heap.tidy()
    assert kept == [0]


def test_the_function_of_this_machine_can_be_called() -> None:
    trim = malloc_trim()
    assert trim is None or trim(0) in (0, 1)
