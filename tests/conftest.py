"""Shared fixtures: where the real photos lie, and their archives unpacked."""

import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder holding the photo archives; tests that need it are skipped where it is not."""
    named = os.environ.get("GHOSTKIT_TEST_DATA", "")
    if not named or not Path(named).is_dir():
        pytest.skip("GHOSTKIT_TEST_DATA does not name the folder of photo archives")
    return Path(named)


@pytest.fixture(scope="session")
def unpacked(
    data_root: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Path]:
    """A function from an archive's stem (`robustness-images`) to the folder of its content."""
    done: dict[str, Path] = {}

    def unpack(stem: str) -> Path:
        if stem not in done:
            [archive] = data_root.glob(f"{stem}.tar*")
            folder = tmp_path_factory.mktemp(stem)
            with tarfile.open(archive) as tar:
                tar.extractall(folder, filter="data")
            done[stem] = folder
        return done[stem]

    return unpack
