import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ghostkit.errors import UsageError
from ghostkit.sources import MachineShard
from ghostkit.sources.shards import parse_shard

NAMES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))


@settings(max_examples=40)
@given(st.lists(NAMES), st.integers(1, 40))
def test_every_name_is_in_exactly_one_shard(names, count):
    shards = [MachineShard(index, count) for index in range(1, count + 1)]
    assert all(sum(shard.has(name) for shard in shards) == 1 for name in names)


@settings(max_examples=40)
@given(st.lists(NAMES, unique=True), st.randoms(), st.integers(1, 9))
def test_no_order_and_no_other_picture_has_a_say(names, random, count):
    shard = MachineShard(1, count)
    alone = {name for name in names if shard.has(name)}
    shuffled = random.sample(names, len(names))
    assert {name for name in shuffled[: len(names) // 2] if shard.has(name)} <= alone
    assert {name for name in shuffled if shard.has(name)} == alone


def test_shards_are_of_about_one_size():
    sizes = [sum(MachineShard(i, 4).has(f"{n:06d}.jpg") for n in range(4000)) for i in (1, 2, 3, 4)]
    assert sum(sizes) == 4000 and min(sizes) > 900


def test_a_name_that_is_no_utf8_has_its_shard():
    assert sum(MachineShard(i, 3).has("\udcff.jpg") for i in (1, 2, 3)) == 1


def test_a_shard_stays_what_it_is_in_later_versions():
    """Another version may go on with a job. `b2sum -l 64` ends in 89, de, 02 and af."""
    shard_of_two = [MachineShard(1, 2).has(name) for name in ("a.jpg", "b.jpg", "c.jpg", "d.jpg")]
    assert shard_of_two == [False, True, True, False]


@pytest.mark.parametrize("text", ["0/2", "3/2", "1", "1/0", "a/b", "-1/2", "1/2/3", "", "1 /2"])
def test_what_is_no_shard_is_refused(text):
    with pytest.raises(UsageError, match="expected I/N with 1 <= I <= N"):
        parse_shard(text)
    assert parse_shard("2/3") == MachineShard(2, 3)
