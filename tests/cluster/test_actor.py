"""What a node says that cannot answer; none of it needs Ray."""

import sys

from ghostkit import __version__
from ghostkit.cluster.actor import actor_class, tries_class


def problem(version):
    actor = actor_class()(version, {}, [], [])
    [said] = actor({"part": [b""]})["problem"]
    return said


def test_a_node_with_another_version_says_both():
    said = problem("9.9.9")
    assert f"has ghostkit {__version__}, the driver 9.9.9; install the same version" in said


def test_a_node_without_ghostkit_says_which_python_has_none(monkeypatch):
    monkeypatch.setitem(sys.modules, "ghostkit", None)
    said = problem(__version__)
    assert sys.executable in said
    assert f'run there: pip install "ghostkit[ray]=={__version__}"' in said


def test_the_account_of_tries_counts_what_was_begun_again():
    tries = tries_class()()
    assert [tries.begin(number) for number in (0, 1, 1, 2, 1)] == [1, 1, 2, 1, 3]
    assert tries.again() == 2


def test_the_account_hands_on_how_stores_are_reached():
    tries = tries_class()()
    assert tries.stores_now() == {}
    tries.reach({"AWS_ACCESS_KEY_ID": "KEY"})
    assert tries.stores_now() == {"AWS_ACCESS_KEY_ID": "KEY"}
