import re
from types import SimpleNamespace

import pytest

from ghostkit import trial
from ghostkit.trial import Candidate, Trials


class Clock:
    """Stands still but for what is worked."""

    def __init__(self, monkeypatch):
        self.now = 0.0
        monkeypatch.setattr(trial, "time", SimpleNamespace(perf_counter=lambda: self.now))

    def way(self, name, seconds, first_s=0.0, busy_until=0):
        """A way to do batches: it takes `seconds` for each, and `first_s` for its first one.

        The machine is busy until the batch `busy_until`; each takes twice as long till then.
        """

        def work(batches):
            extra = first_s
            for batch in batches:
                self.now += (2 if batch < busy_until else 1) * seconds + extra
                extra = 0.0
                yield [(name, batch)]

        return work


@pytest.fixture
def run(monkeypatch):
    def run(trials, count, usual_s, other_s, **more):
        clock, said = Clock(monkeypatch), []
        usual = Candidate("a", "way a", clock.way("a", usual_s, **more))
        other = Candidate("b", "way b", clock.way("b", other_s))
        results = trials.run("x", iter(range(count)), usual, other, least=2, log=said.append)
        done = [each for [each] in results]
        assert [batch for _, batch in done] == list(range(count))
        return "".join(name for name, _ in done), said[-1]

    return run


@pytest.mark.parametrize(
    ("usual_s", "other_s", "faster", "words"),
    [
        (0.1, 0.05, "b", "way b (measured: 20 images/s, and 10 where way a)"),
        (0.1, 0.2, "a", "way a (measured: 10 images/s, and 5 where way b)"),
        (0.1, 0.098, "a", "way a (measured: 10 images/s, and 10 where way b)"),  # not by enough
    ],
)
def test_the_faster_way_does_the_rest(run, usual_s, other_s, faster, words):
    done, said = run(Trials(), 60, usual_s, other_s)
    turns = re.findall("a+|b+", done)
    assert len(turns[0]) in (10, 11)  # a second, as tenths add up in binary
    assert len(turns[1]) >= 4
    assert len(turns) == (4 if faster == "b" else 3)  # what is faster once is tried twice
    assert set(done[-30:]) == {faster}
    assert said == words


def test_a_slow_beginning_counts_for_neither(run):
    done, _ = run(Trials(), 60, 0.1, 0.15, first_s=100.0)
    assert done[-1] == "a"


def test_a_way_that_was_faster_only_while_the_machine_was_busy_is_not_taken(run):
    done, said = run(Trials(), 80, 0.1, 0.12, busy_until=6)
    assert [turn[0] for turn in re.findall("a+|b+", done)] == ["a", "b", "a", "b", "a"]
    assert said == "way a (measured: 10 images/s, and 8 where way b)"


def test_work_that_ends_early_is_done_the_usual_way_and_nothing_is_kept(run):
    trials = Trials()
    assert run(trials, 9, 0.1, 0.01) == ("a" * 9, "way a (not measured: too few pictures)")
    assert run(trials, 0, 0.1, 0.01)[0] == ""
    assert run(trials, 99, 0.1, 0.01)[0].endswith("b" * 50)
    assert run(trials, 5, 0.1, 0.01) == ("b" * 5, "way b (measured before)")
