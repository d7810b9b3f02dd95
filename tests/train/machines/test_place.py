"""Which process this is: torchrun's word, the original's flags, or the only one."""

import pytest

from ghostkit.errors import UsageError
from ghostkit.train.machines.place import ONLY, Place, find_place

TORCHRUN = {"RANK": "9", "LOCAL_RANK": "1", "WORLD_SIZE": "16"}


def test_without_torchrun_and_flags_there_is_one_process():
    assert find_place({}) is ONLY
    assert find_place({}, dist_url="tcp://a:1") is ONLY


def test_torchrun_tells_the_place():
    assert find_place(TORCHRUN) == Place(9, 1, 16, "env://")
    assert find_place(TORCHRUN, world_size=16, local_rank=1) == Place(9, 1, 16, "env://")


def test_the_seeds_flags_tell_it_where_torchrun_does_not():
    assert find_place({}, world_size=8, local_rank=3) == Place(3, 3, 8, "tcp://127.0.0.1:29688")
    meeting = {"MASTER_ADDR": "host", "MASTER_PORT": "7"}
    assert find_place(meeting, world_size=8).url == "tcp://host:7"
    assert find_place({}, world_size=2, dist_url="tcp://a:1").url == "tcp://a:1"


@pytest.mark.parametrize(
    ("environment", "flags", "words"),
    [
        (TORCHRUN, {"world_size": 8}, "--world_size 8: torchrun says 16"),
        (TORCHRUN, {"local_rank": 2}, "--local_rank 2: torchrun says 1"),
        (TORCHRUN | {"RANK": "first"}, {}, "RANK='first'"),
        (TORCHRUN | {"RANK": "16"}, {}, "process 16 of 16 does not exist"),
        ({"RANK": "1"}, {}, "has RANK without WORLD_SIZE"),
        ({}, {"local_rank": 1}, "--local_rank 1 is one of several"),
        ({}, {"local_rank": 2, "world_size": 2}, "process 2 of 2 does not exist"),
    ],
)
def test_what_cannot_be_meant_is_refused(environment, flags, words):
    with pytest.raises(UsageError, match=words):
        find_place(environment, **flags)
