"""A first signal waits for the record under way, a second one for nothing."""

import signal

import pytest

from ghostkit.jobs import Stop

signals = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])


@signals
def test_a_signal_within_a_record_is_obeyed_at_its_end(number):
    stop, done = Stop(), []
    with pytest.raises(KeyboardInterrupt), stop.on_signals():
        with stop.held():
            signal.raise_signal(number)
            done.append("this record")
        done.append("the next one")
    assert done == ["this record"]


@signals
def test_a_signal_between_two_records_is_obeyed_at_once(number):
    stop, done = Stop(), []
    with pytest.raises(KeyboardInterrupt), stop.on_signals():
        with stop.held():
            done.append("a record")
        signal.raise_signal(number)
        done.append("more")
    assert done == ["a record"]


@signals
def test_a_second_signal_interrupts_a_record(number):
    stop, done = Stop(), []
    with pytest.raises(KeyboardInterrupt), stop.on_signals(), stop.held():
        signal.raise_signal(signal.SIGTERM)
        done.append("begun")
        signal.raise_signal(number)
        done.append("ended")
    assert done == ["begun"]
