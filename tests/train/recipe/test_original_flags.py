"""The table of the original trainer's flags, and what its arguments mean here."""

import pytest
import yaml

from ghostkit.card import Architecture, Input, ModelCard
from ghostkit.errors import UsageError
from ghostkit.train.checkpoint import original_arguments
from ghostkit.train.recipe import Recipe
from ghostkit.train.recipe.file import load_recipe
from ghostkit.train.recipe.original_arguments import from_command_line, from_yaml
from ghostkit.train.recipe.original_flags import NO_AUGMENTATION, ORIGINAL_FLAGS

# Every argument of train_ghostnet_1p.py, of the 8p script and of ModelArts' train_start.py, with
# the value that it falls back to; the cloud's data_url and train_url apart.
DEFAULTS_1P = """
data_dir: /data/imagenet
dataset: ''
train_split: train
val_split: validation
model: resnet101
width: 1.0
pretrained: false
initial_checkpoint: ''
resume: ''
no_resume_opt: false
num_classes: null
gp: null
img_size: null
input_size: null
crop_pct: null
mean: null
std: null
interpolation: ''
batch_size: 1024
validation_batch_size_multiplier: 1
opt: sgd
opt_eps: null
opt_betas: null
momentum: 0.9
weight_decay: 0.0001
clip_grad: null
sched: step
lr: 0.4
lr_noise: null
lr_noise_pct: 0.67
lr_noise_std: 1.0
lr_cycle_mul: 1.0
lr_cycle_limit: 1
warmup_lr: 0.0001
min_lr: 1.0e-05
epochs: 200
start_epoch: null
decay_epochs: 30
warmup_epochs: 3
cooldown_epochs: 2
patience_epochs: 10
decay_rate: 0.1
no_aug: false
scale: [0.08, 1.0]
ratio: [0.75, 1.3333333333333333]
hflip: 0.5
vflip: 0.0
color_jitter: 0.4
aug_splits: 0
jsd: false
recount: 1
resplit: false
mixup: 0.0
cutmix: 0.0
cutmix_minmax: null
mixup_prob: 1.0
mixup_switch_prob: 0.5
mixup_mode: batch
mixup_off_epoch: 0
smoothing: 0.1
train_interpolation: random
drop: 0.2
drop_path: null
drop_block: null
bn_tf: false
bn_momentum: null
bn_eps: null
sync_bn: false
dist_bn: ''
split_bn: false
seed: 42
log_interval: 50
recovery_interval: 0
checkpoint_hist: 10
workers: 4
save_images: false
amp: false
apex_amp: false
native_amp: false
channels_last: false
pin_mem: false
no_prefetcher: false
output: ''
eval_metric: top1
tta: 0
local_rank: 0
use_multi_epochs_loader: false
torchscript: false
dist_url: tcp://127.0.0.1:50000
dist_backend: nccl
npu: null
"""
REST = ("drop_connect", "distributed", "world_size", "modelarts_mod", "onnx", "pretrained_weight")
OWN = {"output", "resume", "pretrained_weight", "data_dir"}  # options of `train`, and its DATA


def names():
    return {line.partition(":")[0] for line in DEFAULTS_1P.split("\n") if line}.union(REST)


def yaml_file(folder, text):
    path = folder / "args.yaml"
    path.write_text(text)
    return path


def test_every_flag_of_the_original_is_a_key_of_the_recipe_or_in_the_table_and_never_in_both():
    assert names() <= ORIGINAL_FLAGS.keys() | Recipe.model_fields.keys() | OWN
    assert ORIGINAL_FLAGS.keys() <= names()
    assert not ORIGINAL_FLAGS.keys() & Recipe.model_fields.keys()


def test_a_name_with_an_underscore_has_both_spellings():
    assert ORIGINAL_FLAGS["local_rank"].names == ("--local_rank", "--local-rank")
    assert ORIGINAL_FLAGS["no_aug"].names == ("--no-aug",)


def test_the_arguments_that_the_original_falls_back_to_say_nothing_but_that_resnet_is_a_label(
    tmp_path,
):
    read = from_yaml(yaml_file(tmp_path, DEFAULTS_1P))
    assert read.options == {}
    assert read.notes == (
        "--model resnet101 is a label in the original, whose network is a GhostNet too",
    )
    recipe = load_recipe(None, (), read.recipe)
    assert (recipe.model, recipe.epochs, recipe.cooldown_epochs) == ("ghostnet", 200, 2)
    assert (recipe.sched, recipe.lr, recipe.clip_grad, recipe.amp) == ("step", 0.4, None, "off")
    assert (recipe.train_interpolation, recipe.img_size) == ("random", 240)


def test_arguments_that_we_wrote_are_read_back(tmp_path, card_of_a_run):
    recipe = Recipe(lr=0.1, clip_grad=None, amp="off", scale=(0.5, 1), model="ghostnetv2")
    read = from_yaml(
        yaml_file(tmp_path, yaml.safe_dump(original_arguments(recipe, card_of_a_run(recipe))))
    )
    assert load_recipe(None, (), read.recipe) == recipe
    assert read.options == {"num_classes": 2}


@pytest.fixture
def card_of_a_run():
    return lambda recipe: ModelCard(
        architecture=Architecture(name=recipe.model, width=recipe.width),
        classes=("a", "b"),
        steps=recipe.steps,
        input=Input(height=recipe.img_size, width=recipe.img_size),
    )


@pytest.mark.parametrize(
    ("flags", "recipe", "options"),
    [
        ({"input_size": (3, 224, 224)}, {"img_size": 224}, {}),
        ({"no_aug": True}, NO_AUGMENTATION, {}),
        ({"no_aug": True, "hflip": "0.5"}, NO_AUGMENTATION | {"hflip": "0.5"}, {}),
        ({"npu": 0}, {}, {"device": "npu:0"}),
        ({"native_amp": True}, {"amp": "auto"}, {}),
        ({"apex_amp": True}, {"amp": "auto"}, {}),
        ({"recovery_interval": 100}, {"save_every_steps": 100}, {}),
        ({"num_classes": 10}, {}, {"num_classes": 10}),
        ({"pretrained": True}, {"freeze": "backbone"}, {"weights": "model_best.pth.tar"}),
        ({"initial_checkpoint": "a.pth"}, {}, {"pretrained_weight": "a.pth"}),
        ({"no_resume_opt": True}, {}, {"fresh_optimizer": True}),
        ({"start_epoch": 0}, {}, {"start_epoch": 0}),
        ({"modelarts_mod": True}, {"smoothing": 0}, {}),
        ({"sync_bn": "true"}, {"sync_bn": "true"}, {}),
        (
            {"world_size": 8, "local_rank": 3, "dist_url": "tcp://a:1"},
            {},
            {"world_size": 8, "local_rank": 3, "dist_url": "tcp://a:1"},
        ),
        ({"world_size": 1, "local_rank": 0, "dist_url": "tcp://127.0.0.1:50000"}, {}, {}),
        ({"val_split": "validation"}, {}, {}),
        ({"val_split": "val"}, {}, {}),
        ({"val_split": "0.2"}, {"val_split": "0.2"}, {}),
        ({"val_split": "none"}, {"val_split": "none"}, {}),
    ],
)
def test_what_is_translated(flags, recipe, options):
    read = from_command_line(flags)
    assert (read.recipe, read.options, read.notes) == (recipe, options, ())


SAMPLES = {bool: True, int: 7, float: 0.37, str: "word"}


def of_fate(fate):
    return [flag for flag in ORIGINAL_FLAGS.values() if flag.fate == fate]


@pytest.mark.parametrize("flag", of_fate("no effect"), ids=lambda flag: flag.key)
def test_what_has_no_effect_says_so_in_a_line(flag):
    read = from_command_line({flag.key: SAMPLES[flag.kind]})
    assert (read.recipe, read.options) == ({}, {})
    [note] = read.notes
    assert note.startswith(flag.name) and note.endswith(f"has no effect: {flag.why}")
    assert from_command_line({flag.key: flag.default}).notes == ()


@pytest.mark.parametrize("flag", of_fate("refused"), ids=lambda flag: flag.key)
def test_what_is_refused_says_why_and_its_default_passes(flag):
    with pytest.raises(UsageError, match=f"^{flag.name}.* is refused: ") as caught:
        from_command_line({flag.key: SAMPLES[flag.kind]})
    assert str(caught.value).endswith(flag.why)
    assert from_command_line({flag.key: flag.default}) == from_command_line({})


def test_all_refusals_are_told_at_once():
    with pytest.raises(UsageError) as caught:
        from_command_line({"jsd": True, "aug_splits": 3, "lr": "1"})
    assert len(str(caught.value).splitlines()) == 2
    with pytest.raises(UsageError, match="--val-split kept: here it is the share"):
        from_command_line({"val_split": "kept"})


@pytest.mark.parametrize("size", [(1, 240, 240), (3, 240, 224)])
def test_an_input_that_is_not_a_square_of_three_channels_is_refused(size):
    with pytest.raises(UsageError, match="use --img-size SIDE"):
        from_command_line({"input_size": size})


def test_the_arguments_of_a_modelarts_run_are_read_without_its_places(tmp_path):
    text = "epochs: 5\ndata_url: obs://b/d\ntrain_url: obs://b/o\nonnx: true\n"
    assert from_yaml(yaml_file(tmp_path, text)).recipe == {"epochs": 5}


def test_in_a_file_that_states_everything_no_aug_goes_over_the_rest(tmp_path):
    read = from_yaml(yaml_file(tmp_path, "no_aug: true\nhflip: 0.5\namp: true\nresume: a/b\n"))
    assert read.recipe == {**NO_AUGMENTATION, "amp": "auto"}
    assert read.options == {"resume": "a/b"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("epoch: 3\nno_augg: true\n", "epoch: no such key; did you mean 'epochs'?\n  no_augg: "),
        ("qqqqqq: 1\n", "qqqqqq: no such key; see docs/train.md"),
        ("- 1\n", "holds no keys"),
        ("a: [", "is not YAML"),
        ("npu: first\n", "--npu: 'first' is not of the type int"),
        ("input_size: 240\n", "--input-size: 240 is not 3 values"),
        ("a: !!python/object:os.system {}", "is not YAML"),
        ("jsd: true\n", "--jsd is refused"),
    ],
)
def test_a_file_that_cannot_be_meant_is_refused(tmp_path, text, words):
    with pytest.raises(UsageError) as caught:
        from_yaml(yaml_file(tmp_path, text))
    assert words in str(caught.value)


def test_a_file_that_is_not_there_is_named():
    with pytest.raises(UsageError, match="cannot read 'gone.yaml'"):
        from_yaml("gone.yaml")
