"""What a container or a service is given, read from files as the kernel shows them."""

import pytest

from ghostkit.control_groups import cpu_quota, memory_limit


def write(root, group, files):
    """A machine where this process is in `group`."""
    files = {f"sys/fs/cgroup/{name}": text for name, text in files.items()}
    for name, text in (files | {"proc/self/cgroup": group}).items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


@pytest.mark.parametrize(
    ("group", "files", "quota"),
    [
        ("", {}, None),
        ("0::/\n", {"cpu.max": "150000 100000"}, 1.5),  # a container's
        ("0::/a/b\n", {"cpu.max": "max 100000", "a/cpu.max": "50000 100000"}, 0.5),  # a service's
        ("0::/a/b\n", {"a/b/cpu.max": "300000 100000", "a/cpu.max": "200000 100000"}, 2),
        ("0::/a\n", {"b/cpu.max": "50000 100000"}, None),  # somebody else's
        (
            "4:cpu,cpuacct:/docker/1\n0::/\n",  # version 1, where a container sees its own alone
            {"cpu/cpu.cfs_quota_us": "400000", "cpu/cpu.cfs_period_us": "100000"},
            4,
        ),
        (
            "4:cpu,cpuacct:/job\n",
            {"cpu/job/cpu.cfs_quota_us": "-1", "cpu/job/cpu.cfs_period_us": "100000"},
            None,
        ),
    ],
)
def test_the_quota_is_that_of_the_groups_of_this_process(tmp_path, group, files, quota):
    write(tmp_path, group, files)
    assert cpu_quota(tmp_path) == quota


@pytest.mark.parametrize(
    ("group", "files", "limit"),
    [
        ("", {}, None),
        ("0::/\n", {"memory.max": "2147483648\n"}, 2**31),
        ("0::/a/b\n", {"a/b/memory.max": "max\n", "a/memory.max": "1073741824\n"}, 2**30),
        ("5:memory:/docker/1\n0::/\n", {"memory/memory.limit_in_bytes": "536870912"}, 2**29),
    ],
)
def test_memory_is_the_least_that_a_group_of_this_process_allows(tmp_path, group, files, limit):
    write(tmp_path, group, files)
    assert memory_limit(tmp_path) == limit
