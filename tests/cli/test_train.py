"""``ghostkit train``: flags, files and overrides in, a run folder and an exit status out."""

import os
import signal
import subprocess
import sys
import tomllib
from datetime import datetime
from importlib.util import find_spec

import pytest

from squares import QUICK, quick_flags, save_noise, save_photos

torch = pytest.importorskip("torch")
torch.set_num_threads(1)  # see tests/train/conftest.py

from ghostkit.dataset import open_splits  # noqa: E402
from ghostkit.locks import claimed  # noqa: E402
from ghostkit.run_files import BEST, LAST, PREVIOUS, VALIDATION  # noqa: E402
from ghostkit.train.checkpoint import open_checkpoint  # noqa: E402
from ghostkit.train.recipe import Recipe  # noqa: E402
from ghostkit.train.recipe.original_flags import ORIGINAL_FLAGS  # noqa: E402

SMALL = QUICK | {"width": 0.12, "epochs": 1, "batch_size": 6}
FILES = {"args.yaml", "curves.png", "events.jsonl", "recipe.toml", "summary.csv"}
FILES |= {LAST, BEST, VALIDATION}


def files(*epochs):
    """What a run of so many epochs leaves."""
    kept = {f"checkpoint-{epoch}.pth.tar" for epoch in epochs}
    return sorted(FILES | kept | ({PREVIOUS} if len(epochs) > 1 else set()))


def flags(**changes):
    """`SMALL` as flags."""
    words = []
    for key, value in (SMALL | changes).items():
        words += [f"--{key.replace('_', '-')}", *(value if isinstance(value, tuple) else [value])]
    return words


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return save_photos(tmp_path_factory.mktemp("photos"), 4, 2)


@pytest.fixture
def trained(ghostkit, photos, tmp_path):
    """The folder of a run of one epoch."""
    folder = tmp_path / "trained"
    assert ghostkit("train", photos, "--run-folder", folder, *flags()).status == 0
    return folder


def test_a_run_leaves_its_files_and_says_what_comes_next(ghostkit, photos, tmp_path):
    outcome = ghostkit("train", photos, "--output", tmp_path / "out", *flags())
    assert outcome.status == 0
    assert outcome.out == ""
    [folder] = (tmp_path / "out" / "train").iterdir()
    assert folder.name.endswith("-ghostnet-32")
    assert sorted(path.name for path in folder.iterdir()) == files(0)
    assert "12 training and 6 validation photos of 3 classes" in outcome.err
    assert "epoch 1/1: training loss " in outcome.err
    assert f"best checkpoint: {folder / BEST}" in outcome.err
    assert f"next: ghostkit export {folder / BEST} -o model.onnx" in outcome.err


def test_what_a_list_names_is_left_out(ghostkit, photos, tmp_path):
    names = sorted(path.relative_to(photos).as_posix() for path in photos.rglob("*.png"))
    left_out = [name for name in names if name.startswith("train")][:2]
    listed, folder = tmp_path / "list.jsonl", tmp_path / "out"
    listed.write_text("".join(f'{{"path": "{name}"}}\n' for name in left_out))
    outcome = ghostkit("train", photos, "--run-folder", folder, "--leave-out", listed, *flags())
    assert outcome.status == 0, outcome.err
    assert "10 training and 6 validation photos of 3 classes" in outcome.err
    assert "2 pictures of train are left out by a list of 2" in outcome.err


def test_lists_of_indices_and_a_file_of_names_are_the_folder(ghostkit, photos, tmp_path):
    classes = tmp_path / "names.txt"
    classes.write_text("blue\ngreen\nred\n")
    lists = []
    for option, part in (("--labels", "train"), ("--val-labels", "val")):
        listed = tmp_path / f"{part}.txt"
        names = [f"./{path.relative_to(photos)}" for path in sorted((photos / part).rglob("*.png"))]
        indices = [("blue", "green", "red").index(name.split("/")[2]) for name in names]
        listed.write_text("".join(map("{} {}\n".format, names, indices)))
        lists += [option, listed]
    folder = tmp_path / "out"
    options = (*lists, "--classes", classes)
    outcome = ghostkit("train", photos, "--run-folder", folder, *options, *flags())
    assert outcome.status == 0, outcome.err
    assert "12 training and 6 validation photos of 3 classes" in outcome.err
    card = open_checkpoint(folder / BEST).card
    train, _ = open_splits(photos)
    assert card.classes == train.classes
    assert card.provenance.data_fingerprint == train.fingerprint
    checked = ghostkit("check", photos, *options, "-o", tmp_path / "out.jsonl").err
    assert f"--labels {lists[1]} --val-labels {lists[3]} --classes {classes}" in checked
    assert ghostkit("pack", photos, tmp_path / "packed", *options).status == 0
    packed, _ = open_splits(tmp_path / "packed")
    assert (packed.classes, len(packed)) == (train.classes, len(train))


def test_two_runs_of_one_second_have_a_folder_each(ghostkit, photos, tmp_path, monkeypatch):
    class Noon:
        """A clock that stands still."""

        @classmethod
        def now(cls):
            return datetime(2026, 1, 2, 12, 0, 0)

    monkeypatch.setattr("ghostkit.train.run_folder.datetime", Noon)
    for _ in range(2):
        assert ghostkit("train", photos, "--output", tmp_path, *flags()).status == 0
    other = flags(model="ghostnetv2")
    assert ghostkit("train", photos, "--output", tmp_path, *other).status == 0
    names = sorted(os.listdir(tmp_path / "train"))
    assert names == [
        "20260102-120000-ghostnet-32",
        "20260102-120000-ghostnet-32-2",
        "20260102-120000-ghostnetv2-32",
    ]


def test_file_flags_and_overrides_in_this_order(ghostkit, photos, tmp_path):
    path = tmp_path / "r.toml"
    path.write_text('lr = 0.1\nepochs = 7\nsched = "constant"\nclip_grad = 1.0\n')
    outcome = ghostkit(
        *("train", photos, "sched=cosine", "--recipe", path, "--epochs", 8, "--clip-grad", "none"),
        *("--scale", 0.5, 1, "-b", 16, "-j", 0, "--print-recipe"),
    )
    assert outcome.status == 0
    lines = outcome.out.splitlines()
    for line in (
        *("lr = 0.1", "epochs = 8", 'sched = "cosine"', 'clip_grad = "none"'),
        *("scale = [0.5, 1.0]", "batch_size = 16", "workers = 0"),
    ):
        assert line in lines
    path.write_text(outcome.out)
    again = ghostkit("train", photos, "--recipe", path, "--print-recipe")
    assert again.out == outcome.out


def test_all_wrong_values_are_told_at_once(ghostkit, photos):
    outcome = ghostkit("train", photos, "--epochs", "many", "--width", -1, "epoch=3", "lr=nan")
    assert outcome.status == 2
    assert "recipe has 4 problem(s):" in outcome.err
    for key in (
        "  epochs: ",
        "  width: ",
        "  epoch: no such key; did you mean 'epochs'?",
        "  lr: ",
    ):
        assert key in outcome.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--device", "tpu"], "device 'tpu' is unknown"),
        (["--no-such-flag"], "No such option"),
        (["--recipe", "gone.toml"], "cannot read recipe 'gone.toml'"),
        (["--resume", "gone.pth.tar"], "gone.pth.tar"),
        (["--pretrained-weight", "gone.pth"], "gone.pth"),
        (["oops"], "'oops' is not of the form key=value"),
        (["--track", "wandb"], "tracker 'wandb' is unknown; choose from: tensorboard, mlflow"),
        (["--freeze", "backbone"], "freeze=backbone keeps weights that the run starts from"),
    ],
)
def test_wrong_usage_is_one_message_and_exit_status_2(
    ghostkit, photos, tmp_path, monkeypatch, arguments, words
):
    monkeypatch.chdir(tmp_path)
    outcome = ghostkit("train", photos, *arguments)
    assert outcome.status == 2
    assert words in outcome.err
    assert not list(tmp_path.glob("output/train/*/*"))


def test_data_that_cannot_be_understood_is_exit_status_2(ghostkit, tmp_path):
    save_noise(tmp_path / "photos" / "red" / "0.png", "red", 0)
    for path, words in ((tmp_path / "gone", "gone"), (tmp_path / "photos", "'red'")):
        outcome = ghostkit("train", path, "--val-split", 0.5)
        assert outcome.status == 2
        assert words in outcome.err


def test_a_run_folder_that_cannot_be_written_is_told_before_any_work(ghostkit, photos, tmp_path):
    (tmp_path / "file").write_text("in the way")
    for option in ("--run-folder", "--output"):
        outcome = ghostkit("train", photos, option, tmp_path / "file" / "run", *flags())
        assert outcome.status == 2
        assert "file" in outcome.err
        assert "epoch" not in outcome.err


def test_a_finished_run_is_not_written_over(ghostkit, photos, trained):
    before = (trained / LAST).read_bytes()
    outcome = ghostkit("train", photos, "--run-folder", trained, *flags())
    assert outcome.error.startswith(f"{str(trained)!r} holds a run already")
    assert outcome.error.endswith(f"--resume {trained}")
    assert (trained / LAST).read_bytes() == before


@pytest.mark.parametrize("name", ["recovery-0-5.pth.tar", "checkpoint-0.pth.tar"])
def test_a_run_that_was_killed_early_is_not_written_over(ghostkit, photos, tmp_path, name):
    (tmp_path / name).write_bytes(b"of a run with another recipe")
    outcome = ghostkit("train", photos, "--run-folder", tmp_path, *flags())
    assert outcome.status == 2
    assert "holds a run already" in outcome.error
    assert os.listdir(tmp_path) == [name]


def test_bad_pictures_are_named_and_the_exit_status_is_1(ghostkit, tmp_path):
    root = save_photos(tmp_path / "photos", 4, 2)
    (root / "train" / "red" / "bad.jpg").write_text("no picture")
    (root / "val" / "blue" / "worse.jpg").write_bytes(b"")
    outcome = ghostkit(
        "train", root, "--run-folder", tmp_path / "run", *flags(batch_size=13, workers=2)
    )
    assert outcome.status == 1
    assert f"refused: {root}/train/red/bad.jpg: " in outcome.err
    assert f"refused: {root}/val/blue/worse.jpg: " in outcome.err
    assert sorted(os.listdir(tmp_path / "run")) == files(0)


def test_resume_goes_on_in_the_folder_by_the_checkpoints_recipe(ghostkit, photos, trained):
    outcome = ghostkit("train", photos, "--resume", trained / LAST, "--epochs", 2)
    assert outcome.status == 0
    assert f"{trained / LAST}: going on after epoch 1" in outcome.err
    assert "the recipe is not the checkpoint's: epochs: 1 -> 2" in outcome.err
    assert "epoch 2/2: " in outcome.err
    assert len((trained / "summary.csv").read_text().splitlines()) == 3
    assert open_checkpoint(trained / LAST).card.architecture.width == 0.12


def test_a_recipe_file_lies_over_the_checkpoints(ghostkit, photos, trained, tmp_path):
    path = tmp_path / "r.toml"
    path.write_text("epochs = 2\nlr = 0.01\n")
    outcome = ghostkit(
        "train", photos, "--resume", trained / LAST, "--recipe", path, "lr=0.02", "--print-recipe"
    )
    assert "epochs = 2" in outcome.out.splitlines()
    assert "lr = 0.02" in outcome.out.splitlines()
    assert "width = 0.12" in outcome.out.splitlines()


def test_resuming_what_is_finished_says_so_and_is_no_failure(ghostkit, photos, trained):
    before = {path.name: path.read_bytes() for path in trained.iterdir()}
    outcome = ghostkit("train", photos, "--resume", trained / LAST)
    assert outcome.status == 0
    assert "nothing to do: all of 1 epochs are done; for more: --epochs N" in outcome.err
    assert f"best checkpoint: {trained / BEST}" in outcome.err
    assert {path.name: path.read_bytes() for path in trained.iterdir()} == before


def test_a_resume_into_another_folder_leaves_the_first_alone(ghostkit, photos, trained, tmp_path):
    before = {path.name: path.read_bytes() for path in trained.iterdir()}
    other = tmp_path / "other"
    outcome = ghostkit(
        "train", photos, "--resume", trained / LAST, "--run-folder", other, "epochs=2"
    )
    assert outcome.status == 0
    assert sorted(os.listdir(other)) == files(1)
    assert {path.name: path.read_bytes() for path in trained.iterdir()} == before
    again = ghostkit("train", photos, "--resume", trained / LAST, "--run-folder", other)
    assert "holds a run already" in again.error


@pytest.mark.parametrize("flag", ["--pretrained-weight", "--pretrained_weight"])
def test_weights_to_start_from_are_accounted_for(ghostkit, photos, trained, tmp_path, flag):
    outcome = ghostkit(
        *("train", photos, flag, trained / BEST, "--run-folder", tmp_path / "new"),
        *flags(freeze="backbone"),
    )
    assert outcome.status == 0
    assert f"{trained / BEST}: 512 entries loaded" in outcome.err


def test_a_resume_from_weights_is_refused(ghostkit, photos, trained):
    outcome = ghostkit(
        "train", photos, "--resume", trained / LAST, "--pretrained-weight", trained / BEST
    )
    assert outcome.status == 2
    assert "choose one" in outcome.err


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
def test_an_interrupted_run_keeps_its_epochs_and_goes_on(ghostkit, photos, tmp_path, workers):
    """Ctrl-C reaches every process of the terminal's group, the reading ones too."""
    folder = tmp_path / "run"
    command = [sys.executable, "-m", "ghostkit", "train", photos, "--run-folder", folder]
    options = flags(workers=workers, epochs=10_000)
    process = subprocess.Popen(
        [str(word) for word in (*command, *options)],
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        start_new_session=True,
    )
    lines = iter(process.stderr.readline, "")
    while not next(lines).startswith("epoch 2/"):
        pass
    os.killpg(process.pid, signal.SIGINT)
    rest = process.stderr.read()
    process.stderr.close()
    assert process.wait(60) == 130
    assert "Traceback" not in rest
    assert f"stopped and saved; go on with: ghostkit train DATA --resume {folder}" in rest
    assert rest.endswith("ghostkit: interrupted\n")
    done = len(open_checkpoint(folder / LAST).history)
    assert done >= 2
    left = {name for name in os.listdir(folder) if not name.startswith(("recovery", "checkpoint"))}
    assert left == FILES | {PREVIOUS}
    outcome = ghostkit("train", photos, "--resume", folder, "--epochs", done + 1)
    assert outcome.status == 0
    assert len((folder / "summary.csv").read_text().splitlines()) == done + 2


SEED_1P = (
    "--model GhostNet -b 1024 --opt npufusedsgd --epochs 40 --weight-decay 4e-5 --momentum 0.9 "
    "--sched cosine -j 8 --warmup-lr 1e-6 --drop 0.2 --warmup-epochs 4 --amp --lr 0.4 "
    "--clip-grad 2.0 --npu 0 --num-classes 1000"
)
SEED_MODELARTS = (
    "--model GhostNet -b 512 --opt npufusedsgd --weight-decay 4e-5 --momentum 0.9 --sched cosine "
    "-j 8 --warmup-lr 1e-6 --drop 0.2 --warmup-epochs 4 --amp --lr 0.4 --clip-grad 2.0 --npu 0 "
    "--num-classes 1000 --epochs 1"
)
SEED_TRANSFER = SEED_MODELARTS.replace("1000", "10") + " --pretrained --pretrained_weight"
WEIGHTS = " obs://bucket/ghostnet/model_best.pth.tar"  # the original writes it with the space
OF_THE_SEED = {
    "model": "ghostnet",
    "batch_size": 1024,
    "opt": "npufusedsgd",
    "epochs": 40,
    "weight_decay": 4e-5,
    "momentum": 0.9,
    "sched": "cosine",
    "workers": 8,
    "warmup_lr": 1e-6,
    "drop": 0.2,
    "warmup_epochs": 4,
    "amp": "auto",
    "lr": 0.4,
    "clip_grad": 2.0,
}
OF_MODELARTS = OF_THE_SEED | {"batch_size": 512, "epochs": 1}
OF_TRANSFER = OF_MODELARTS | {"freeze": "backbone"}


@pytest.mark.parametrize(
    ("words", "changed"),
    [
        ([*SEED_1P.split(), "/data/imagenet"], OF_THE_SEED),
        (["/data/imagenet", *SEED_1P.split()], OF_THE_SEED),
        ([*SEED_MODELARTS.split(), "/data/imagenet"], OF_MODELARTS),
        ([*SEED_TRANSFER.split(), WEIGHTS, "/data/cifar10"], OF_TRANSFER),
        (["/data/cifar10", *SEED_TRANSFER.split(), WEIGHTS], OF_TRANSFER),
        (["--amp", "float16", "/data", "--amp"], {"amp": "auto"}),
        (["--amp", "/data"], {"amp": "auto"}),
        (["--amp", "bfloat16", "/data"], {"amp": "bfloat16"}),
        (["/data", "--dr", 0.5, "-d", "", "--local-rank", 0], {"decay_rate": 0.5}),
        (["/data", "--decay-epochs", 2.4, "--resume", "", "--output", ""], {"decay_epochs": 2.4}),
    ],
)
def test_the_seeds_command_lines_are_echoed_as_recipes(ghostkit, words, changed):
    outcome = ghostkit("train", *words, "--print-recipe")
    assert outcome.status == 0
    told = []
    if changed.get("epochs") == 1:
        told.append(
            "warmup_epochs=4 leaves none of epochs=1, so the rate stays below lr=0.4; lower it "
            "too, e.g. warmup_epochs=0"
        )
    if "opt" in changed:
        told.append("opt=npufusedsgd is torch's SGD without Nesterov, which makes the same steps")
    assert outcome.err.splitlines() == told
    expected = Recipe().model_dump(mode="json") | changed
    assert tomllib.loads(outcome.out) == {
        key: "none" if value is None else value for key, value in expected.items()
    }


def test_every_spelling_of_a_flag_that_has_no_effect_is_taken_and_noted(ghostkit):
    samples = {bool: [], int: [7], float: [0.3], str: ["word"]}
    idle = [flag for flag in ORIGINAL_FLAGS.values() if flag.fate == "no effect"]
    words = [word for f in idle for name in f.names for word in (name, *samples[f.kind])]
    outcome = ghostkit("train", *words, "/data", "--print-recipe")
    assert outcome.status == 0
    assert len(outcome.err.splitlines()) == len(idle)


@pytest.mark.skipif(find_spec("torch_npu") is not None, reason="there may be an NPU")
def test_the_seeds_command_without_an_npu_names_the_flag_to_use(ghostkit, photos):
    outcome = ghostkit("train", photos, *SEED_1P.split())
    assert outcome.status == 2
    assert "device 'npu:0' is asked for, but torch-npu is not installed" in outcome.err
    assert "use --device cpu" in outcome.err


def test_the_seeds_command_runs_on_a_device_that_is_here(ghostkit, photos, tmp_path):
    words = ["--npu", 0, "--device", "cpu", "--num-classes", 3, "--opt", "npufusedsgd"]
    outcome = ghostkit("train", photos, *words, "--run-folder", tmp_path / "run", *flags())
    assert outcome.status == 0
    assert "--device cpu is taken, not npu:0" in outcome.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--num-classes", 1000], "has 3 classes; the folders decide"),
        (["--pretrained"], "--pretrained starts from ./model_best.pth.tar, which is not here"),
        (["--pretrained", "--pretrained_weight", WEIGHTS], "obs:// needs the endpoint"),
        (["--start-epoch", 3], "the run begins with epoch 0"),
        (["--freeze-epochs", 1], "freeze_epochs=1 keeps weights that the run starts from"),
        (["--teacher", "gone.onnx"], "gone.onnx: no such model file"),
        (["--jsd"], "--jsd is refused: "),
        (["--lr-noise", 0.4, 0.9], "--lr-noise 0.4 is refused: "),
        (["-c", "gone.yaml"], "cannot read 'gone.yaml'"),
        (["--track", "paper"], "tracker 'paper' is unknown"),
    ],
)
def test_a_flag_of_the_seed_that_cannot_be_obeyed_is_refused(
    ghostkit, photos, tmp_path, monkeypatch, words, message
):
    monkeypatch.chdir(tmp_path)
    outcome = ghostkit("train", photos, *flags(), *words)
    assert outcome.status == 2
    assert message in outcome.err
    assert not list(tmp_path.rglob("*.pth.tar"))


def test_pretrained_is_a_linear_probe_from_the_file_beside_it(
    ghostkit, photos, trained, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model_best.pth.tar").write_bytes((trained / BEST).read_bytes())
    outcome = ghostkit("train", photos, "--pretrained", "--run-folder", "probe", *flags())
    assert outcome.status == 0
    before, after = (open_checkpoint(path).weights for path in (trained / BEST, "probe/" + BEST))
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"classifier.weight", "classifier.bias"}


def test_a_resume_without_the_momenta_by_the_seeds_flags(ghostkit, photos, trained, tmp_path):
    words = ["--resume", trained / LAST, "--start-epoch", 1, "--no-resume-opt", "--epochs", 2]
    with_momenta = ["--resume", trained / LAST, "--epochs", 2]
    for name, given in (("fresh", words), ("whole", with_momenta)):
        outcome = ghostkit("train", photos, *given, "--run-folder", tmp_path / name)
        assert outcome.status == 0
    fresh, whole = (open_checkpoint(tmp_path / n / LAST).weights for n in ("fresh", "whole"))
    assert any(not torch.equal(fresh[name], whole[name]) for name in fresh)


def test_a_resume_cannot_begin_at_another_epoch_and_says_what_can(ghostkit, photos, trained):
    for wanted, way in ((0, f"--pretrained-weight {trained / LAST}"), (7, "checkpoint-6.pth.tar")):
        outcome = ghostkit("train", photos, "--resume", trained, "--start-epoch", wanted)
        assert outcome.status == 2
        assert way in outcome.err


def test_args_yaml_of_a_run_lies_under_recipe_flags_and_words(ghostkit, photos, trained, tmp_path):
    recipe = tmp_path / "r.toml"
    recipe.write_text("lr = 0.3\n")
    outcome = ghostkit(
        *("train", photos, "-c", trained / "args.yaml", "--recipe", recipe),
        *("--warmup-lr", 0.02, "epochs=9", "--print-recipe"),
    )
    echoed = tomllib.loads(outcome.out)
    assert (echoed["lr"], echoed["warmup_lr"], echoed["epochs"]) == (0.3, 0.02, 9)
    assert (echoed["width"], echoed["img_size"]) == (0.12, 32)


def test_the_seeds_flags_have_a_panel_of_their_own_in_the_help(ghostkit):
    assert "The original's flags" in ghostkit("train", "--help").out


def test_a_folder_in_which_a_training_runs_is_left_alone(ghostkit, photos, tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    with claimed(folder):
        outcome = ghostkit("train", photos, "--run-folder", folder, *quick_flags())
        assert outcome.status == 2
        assert f"{str(folder)!r}: another run is writing it; wait for it" in outcome.err
    assert not list(folder.iterdir())
    assert ghostkit("train", photos, "--run-folder", folder, *quick_flags()).status == 0
