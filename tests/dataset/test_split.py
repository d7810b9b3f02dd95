from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ghostkit.dataset.split import hold_out, seeded_order


def split(targets, groups, fraction, seed=0):
    names = [f"{index}.jpg" for index in range(len(targets))]
    order = seeded_order(seed, names)
    return hold_out(np.array(targets), np.array(groups), fraction, order)


@st.composite
def one_class_groups(draw):
    """Targets and groups of which each lies in one class, as pictures of a folder do."""
    sizes = draw(st.lists(st.lists(st.integers(1, 6), min_size=1, max_size=12), max_size=5))
    rows = []
    for target, groups in enumerate(sizes):
        for size in groups:
            number = len({group for _, group in rows})
            rows += [(target, number)] * size
    rows = draw(st.permutations(rows))
    return [target for target, _ in rows], [group for _, group in rows]


@given(one_class_groups(), st.floats(0.01, 0.99), st.integers(0, 5))
def test_each_class_is_split_within_one_group_of_the_share(rows, fraction, seed):
    targets, groups = rows
    held = split(targets, groups, fraction, seed)
    assert held.shape == (len(targets),) and held.dtype == bool
    for target in set(targets):
        of_class = [i for i, value in enumerate(targets) if value == target]
        sizes = Counter(groups[i] for i in of_class)
        count = sum(held[i] for i in of_class)
        if len(sizes) == 1:
            assert count == 0
        else:
            assert 1 <= count < len(of_class)
            assert abs(count - fraction * len(of_class)) <= max(sizes.values())


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 8)), max_size=60), st.floats(0.01, 0.99)
)
def test_groups_of_several_classes_stay_whole_too(rows, fraction):
    targets, groups = [row[0] for row in rows], [row[1] for row in rows]
    held = split(targets, groups, fraction)
    for group in set(groups):
        assert len({bool(held[i]) for i in range(len(rows)) if groups[i] == group}) == 1
    for target in set(targets):
        assert not all(held[i] for i in range(len(rows)) if targets[i] == target)
    assert (held == split(targets, groups, fraction)).all()


@given(one_class_groups())
def test_the_numbers_of_the_groups_do_not_matter(rows):
    targets, groups = rows
    renamed = [1000 - group for group in groups]
    assert (split(targets, groups, 0.3) == split(targets, renamed, 0.3)).all()


def test_single_pictures_are_split_exactly():
    held = split([0] * 100 + [1] * 10, range(110), 0.2)
    assert (held[:100].sum(), held[100:].sum()) == (20, 2)


def test_the_seed_changes_what_is_held_out():
    splits = [split([0] * 50, range(50), 0.2, seed) for seed in range(20)]
    assert len({held.tobytes() for held in splits}) == 20
    assert np.ptp(np.sum(splits, axis=0)) < 12  # no picture is favoured


def test_a_photo_under_two_labels_stays_together():
    for seed in range(10):
        held = split([0, 1, *[0] * 5, *[1] * 5], [0, 0, *range(1, 11)], 0.34, seed)
        assert held[0] == held[1] and held.sum() == 4


def test_the_order_is_the_same_everywhere():
    assert seeded_order(3, ["猫/1.jpg"])[0].hex().startswith("f2888417ce533663")
    assert seeded_order(0, ["\udce9.jpg"]) != seeded_order(1, ["\udce9.jpg"])
