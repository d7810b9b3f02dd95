"""How many connections may be open, by the file descriptors that there are."""

import resource

import pytest

from ghostkit.serve.connections import allowed_connections

FREE = resource.RLIM_INFINITY


@pytest.mark.parametrize(
    ("limits", "allowed", "raised"),
    [
        ((20000, 20000), 2048, None),
        ((FREE, FREE), 2048, None),
        ((1024, 524288), 2048, 2560),
        ((1024, FREE), 2048, 2560),
        ((1024, 1024), 512, 1024),
        ((256, 1024), 512, 1024),
    ],
)
def test_as_many_as_there_are_descriptors_for(monkeypatch, limits, allowed, raised):
    asked = []
    monkeypatch.setattr(resource, "getrlimit", lambda which: limits)
    monkeypatch.setattr(resource, "setrlimit", lambda which, pair: asked.append(pair))
    assert allowed_connections(2048) == allowed
    assert asked == ([] if raised is None else [(raised, limits[1])])
