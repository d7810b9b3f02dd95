"""What the bundled weights buy: transfer learning from them against random weights, same budget.

    python recipes/transfer.py trashnet=DATA flowers=DATA hymenoptera=DATA [--seeds 0 1 2]
        [--starts default random] [--override KEY=VALUE ...] [--runs FOLDER]

For each data set its recipe (``recipes/NAME.toml``) is run from either start with each seed. The
figure is the top-1 of the *last* epoch on the validation part, so no epoch is chosen by it. Data
without parts of its own (TrashNet) is split once, by seed 0, and every run sees the same split.
Runs that are done are read from ``--runs``, so an interrupted table goes on where it was;
``--override`` changes the recipes and wants a folder of its own. Prints a Markdown table with mean,
spread (smallest..largest) and the machine.
"""

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

import ghostkit
from ghostkit.bundled import DEFAULT
from ghostkit.dataset import open_splits
from ghostkit.files import write_json
from ghostkit.train.job import open_pretrained
from ghostkit.train.loop import train
from ghostkit.train.machines.allocator import keep_freed_memory
from ghostkit.train.recipe import Recipe
from ghostkit.train.recipe.file import load_recipe

STARTS = ("default", "random")
RECIPES = Path(__file__).parent
SPLIT_SEED = 0


@dataclass(frozen=True)
class Outcome:
    """One training."""

    data: str
    start: str
    seed: int
    hits: int
    photos: int  # of the validation part
    seconds: float

    @property
    def top1_percent(self) -> float:
        return 100 * self.hits / self.photos


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", nargs="+", metavar="NAME=FOLDER")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--starts", nargs="+", choices=STARTS, default=list(STARTS))
    parser.add_argument("--override", nargs="+", metavar="KEY=VALUE", default=[])
    parser.add_argument("--threads", type=int, default=1, help="of torch")
    parser.add_argument("--runs", type=Path, default=Path("runs/transfer"))
    options = parser.parse_args()
    keep_freed_memory()
    torch.set_num_threads(options.threads)
    outcomes = []
    for name, folder in (item.split("=", 1) for item in options.data):
        for seed in options.seeds:
            for start in options.starts:
                recipe = load_recipe(RECIPES / f"{name}.toml", (*options.override, f"seed={seed}"))
                outcomes.append(_run(name, Path(folder), start, recipe, options.runs))
                last = outcomes[-1]
                print(
                    f"{name} from {start} weights, seed {seed}: {last.top1_percent:.1f} % "
                    f"({last.hits} of {last.photos}), {last.seconds:.0f} s",
                    file=sys.stderr,
                )
    print("\n".join(_table(outcomes, options.starts)))
    if options.override:
        print(f"\nwith {' '.join(options.override)}")
    print(
        f"\n{os.cpu_count()} cores, {options.threads} thread(s), load {os.getloadavg()[0]:.1f}; "
        f"torch {torch.__version__}, ghostkit {ghostkit.__version__}"
    )
    return 0


def _run(name: str, root: Path, start: str, recipe: Recipe, runs: Path) -> Outcome:
    folder = runs / f"{name}-{start}-{recipe.seed}"
    record = folder / "outcome.json"
    if record.is_file():
        return Outcome(**json.loads(record.read_text()))
    train_data, val_data = open_splits(root, val_split=recipe.val_split, seed=SPLIT_SEED)
    pretrained = open_pretrained(DEFAULT) if start == "default" else None
    began = time.monotonic()
    result = train(train_data, val_data, recipe, folder, pretrained=pretrained)
    photos = len(val_data.samples)
    outcome = Outcome(
        data=name,
        start=start,
        seed=recipe.seed,
        hits=round(result.history[-1].eval_top1 / 100 * photos),
        photos=photos,
        seconds=time.monotonic() - began,
    )
    write_json(record, asdict(outcome))
    return outcome


def _table(outcomes: list[Outcome], starts: Sequence[str]) -> Iterator[str]:
    words = {"default": "from the bundled weights", "random": "from random weights"}
    yield f"| data | photos | {' | '.join(words[start] for start in starts)} | minutes a run |"
    yield f"|---|---|{'---|' * len(starts)}---|"
    for name in dict.fromkeys(outcome.data for outcome in outcomes):
        mine = [outcome for outcome in outcomes if outcome.data == name]
        minutes = statistics.mean(outcome.seconds for outcome in mine) / 60
        cells = [_spread([o.top1_percent for o in mine if o.start == start]) for start in starts]
        yield f"| {name} | {mine[0].photos} | {' | '.join(cells)} | {minutes:.1f} |"


def _spread(percents: list[float]) -> str:
    return f"{statistics.mean(percents):.1f} % ({min(percents):.1f}..{max(percents):.1f})"


if __name__ == "__main__":
    sys.exit(main())
