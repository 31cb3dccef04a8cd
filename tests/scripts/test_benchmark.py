"""scripts/benchmark.py, as from the command line: its folder scripts/benchmarks/ is found from there."""

from training_runs import fork


def test_the_chosen_parts_are_measured():
    ended = fork(["scripts/benchmark.py", "--part", "quantizer", "data", "--rounds", "1"])
    for line in ("median of 1 rounds", "bare matrix product", "packed loader"):
        assert line in ended.out
    assert "Training step" not in ended.out


def test_an_unknown_part_is_refused():
    ended = fork(["scripts/benchmark.py", "--part", "quantiser"], check=False)
    assert ended.code == 2 and "invalid choice: 'quantiser'" in ended.err
