import pytest
import torch

from leakbench.metrics.chunks import in_chunks


@pytest.mark.parametrize(("count", "size"), [(0, 3), (1, 3), (10, 3), (10, 10), (10, 11)])
def test_every_position_is_worked_on_once_and_in_order(count, size):
    assert torch.cat(in_chunks(lambda part: torch.arange(count)[part], count, size)).tolist() == list(range(count))


@pytest.mark.parametrize("error", [MemoryError(), torch.OutOfMemoryError(), RuntimeError("can't allocate memory: 9 B")])
def test_where_memory_runs_out_chunks_are_halved(error):
    tried = []

    def work(part):
        tried.append(part.stop - part.start)
        if tried[-1] > 3:
            raise error
        return torch.arange(10)[part]

    assert torch.cat(in_chunks(work, 10, 10)).tolist() == list(range(10))
    assert tried == [10, 5, 3, 3, 3, 1]


def test_other_errors_and_a_single_one_that_does_not_fit_are_raised():
    def broken(part):
        raise RuntimeError("shapes do not match")

    with pytest.raises(RuntimeError, match="shapes"):
        in_chunks(broken, 10, 4)

    def full(part):
        raise MemoryError

    with pytest.raises(MemoryError):
        in_chunks(full, 10, 4)
