"""How fast training's loader reads a folder, the same pictures in archives, and from a store.

    python benchmarks/shards.py [--rounds 3] [--side 64] [--workers 0]

TrashNet's 2,527 photos, decoded and augmented by the loader alone, with no network behind it, so
that reading is the bottleneck; one epoch each in turns. Streamed: nothing is here but the lists,
and the archives come from a real S3 server on the same machine while the epoch is read.
"""

import argparse
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from ghostkit.bundled import unpack_trashnet
from ghostkit.cloud.address import parse
from ghostkit.cloud.places import bring
from ghostkit.cloud.stage import send
from ghostkit.dataset import open_dataset
from ghostkit.dataset.packing import pack
from ghostkit.train.pictures.loader import training_batches
from ghostkit.train.recipe import Recipe
from s3_server import BUCKET, running


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--workers", type=int, default=0)
    options = parser.parse_args()
    recipe = Recipe(img_size=options.side, batch_size=32, workers=options.workers)
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        (scratch / "weed").mkdir()
        os.environ["XDG_CACHE_HOME"] = str(scratch / "cache")
        folder = unpack_trashnet(scratch / "photos")
        pack({"train": open_dataset(folder)}, scratch / "packed", shard_bytes=500_000, seed=1)
        with running(scratch / "weed") as server:
            os.environ |= server.environment()
            address = parse(f"s3://{BUCKET}/packed")
            send(scratch / "packed", address)
            print("pictures/s: folder, archives here, streamed", flush=True)
            best = [0.0, 0.0, 0.0]
            for number in range(options.rounds):
                shutil.rmtree(scratch / "cache", ignore_errors=True)
                places = (folder, scratch / "packed", bring(address))
                rates = [rate(place, recipe, number) for place in places]
                best = [max(pair) for pair in zip(best, rates, strict=True)]
                print("  ".join(f"{each:6.0f}" for each in rates), flush=True)
            here = max(best[:2])
            print("best " + "  ".join(f"{each:6.0f}" for each in best))
            print(f"streamed is {best[2] / here:.2f} of the faster of the others")


def rate(place: Path, recipe: Recipe, epoch: int) -> float:
    data = open_dataset(place)
    began = time.perf_counter()
    count = sum(len(batch.targets) for batch in training_batches(data, recipe, epoch))
    return count / (time.perf_counter() - began)


if __name__ == "__main__":
    main()
