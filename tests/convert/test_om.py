"""``--to om`` against a strict stand-in for the compiler: ATC itself was never run."""

import hashlib
import json
import stat
import sys
from pathlib import Path

import pytest

from aipp_files import SEED_FILE
from ghostkit.aipp import parse
from ghostkit.card import ModelCard, read_sidecar
from ghostkit.convert.om import OmOptions, convert_to_om
from ghostkit.errors import AippError, CompilerError, ModelError, OutputError, UsageError
from seed_model import seed_card, write_model

pytest.importorskip("onnx")


@pytest.fixture
def atc(tmp_path: Path) -> str:
    """The stand-in as a program."""
    program = tmp_path / "bin" / "atc"
    program.parent.mkdir()
    script = Path(__file__).parents[1] / "strict_atc.py"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{script}" "$@"\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return str(program)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model for 240 pixels with the original's names."""
    return write_model(tmp_path / "model.onnx", 240)


@pytest.fixture
def seed_aipp(tmp_path: Path) -> Path:
    path = tmp_path / "ghostnet_aipp.cfg"
    path.write_text(SEED_FILE)
    return path


def test_the_seeds_call_gives_the_seeds_arguments_and_the_strict_compiler_takes_them(
    model, seed_aipp, tmp_path, atc
):
    out = tmp_path / "ghostnet"
    options = OmOptions(output=out, aipp=seed_aipp, atc=atc)
    result = convert_to_om(model, seed_card(240), options)
    assert result.command == (
        atc,
        "--input_format=NCHW",
        "--framework=5",
        f"--model={model}",
        "--input_shape=image:1,3,240,240",
        f"--output={out}",
        f"--insert_op_conf={seed_aipp}",
        "--enable_small_channel=1",
        "--log=error",
        "--soc_version=Ascend310",
        "--op_select_implmode=high_precision",
        "--output_type=FP32",
    )
    assert result.om == tmp_path / "ghostnet.om"
    told = json.loads(result.om.read_bytes()[256:])["options"]
    given = dict(argument[2:].split("=", 1) for argument in result.command[1:])
    assert Path(told["output"]).name == "ghostnet"
    assert told | {"output": ""} == given | {"output": ""}
    assert "ATC run success" in (tmp_path / "ghostnet.atc.log").read_text()
    assert not list(tmp_path.glob(".ghostkit-atc-*"))


def test_the_card_beside_the_om_says_what_the_host_has_to_do(model, seed_aipp, tmp_path, atc):
    options = OmOptions(output=tmp_path / "m.om", aipp=seed_aipp, atc=atc)
    card = convert_to_om(model, seed_card(240), options).host_card
    assert read_sidecar(tmp_path / "m.om") == card
    assert [step.op for step in card.steps] == ["resize", "center_crop"]
    wants = card.input
    assert (wants.layout, wants.dtype, wants.color) == ("NHWC", "uint8", "BGR")
    assert (wants.height, wants.width) == (240, 240)
    assert card.provenance.parents == (seed_card(240).hash,)
    made = card.provenance.recipe["atc"]
    assert made["aipp"] == SEED_FILE
    assert made["sha256"] == hashlib.sha256((tmp_path / "m.om").read_bytes()).hexdigest()


def test_without_an_aipp_file_one_is_made_from_the_card(tmp_path, atc):
    model = write_model(tmp_path / "m.onnx", 64, batch=None)
    options = OmOptions(output=tmp_path / "m.om", atc=atc, host_color="RGB", batch_size=4)
    result = convert_to_om(model, seed_card(64), options)
    [block] = parse((tmp_path / "m.aipp.cfg").read_bytes())
    assert block.get("src_image_size_w") == 64
    assert block.get("rbuv_swap_switch") is False
    assert (block.get("mean_chn_0"), block.get("min_chn_0")) == (123, 0.675)
    assert result.host_card.input.color == "RGB"
    assert "--input_shape=image:4,3,64,64" in result.command
    assert result.om is not None and result.om.exists()


def test_a_dry_run_needs_no_compiler_and_writes_the_aipp_file_alone(model, tmp_path):
    options = OmOptions(output=tmp_path / "out" / "m.om", atc="no such program", dry_run=True)
    result = convert_to_om(model, seed_card(240), options)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["m.aipp.cfg"]
    assert result.om is None and result.log is None
    assert result.shell_command.startswith("'no such program' --input_format=NCHW")
    assert any("mean 0.485 and std 0.229" in line for line in result.aipp_words)


def test_a_made_aipp_file_does_not_replace_one_that_was_changed(model, tmp_path):
    options = OmOptions(output=tmp_path / "m.om", dry_run=True)
    made = convert_to_om(model, seed_card(240), options).aipp
    convert_to_om(model, seed_card(240), options)  # the same again is no loss
    made.write_text(made.read_text() + "# mine\n")
    with pytest.raises(OutputError, match="m.aipp.cfg' exists"):
        convert_to_om(model, seed_card(240), options)


def test_a_missing_compiler_says_where_it_comes_from(model, tmp_path):
    options = OmOptions(output=tmp_path / "m.om", atc="no-such-atc")
    with pytest.raises(UsageError, match="set_env.sh.*--dry-run"):
        convert_to_om(model, seed_card(240), options)
    assert not (tmp_path / "m.om").exists()


@pytest.mark.parametrize(
    ("way", "words"),
    [
        ("crash", "ended by SIGSEGV: it crashed"),
        ("silent", "without its line 'ATC run success'"),
        ("full disk", "the disk is full"),
        ("truncated", "its header promises"),
        ("header", "its header promises"),
        ("empty", "it is empty"),
    ],
)
def test_a_compiler_that_fails_leaves_no_model_and_its_log(
    model, tmp_path, atc, monkeypatch, way, words
):
    monkeypatch.setenv("STRICT_ATC", way)
    old = tmp_path / "m.om"
    old.write_bytes(b"older")
    options = OmOptions(output=old, atc=atc, overwrite=True)
    with pytest.raises(CompilerError) as caught:
        convert_to_om(model, seed_card(240), options)
    assert words in str(caught.value)
    assert str(tmp_path / "m.atc.log") in str(caught.value)
    assert (tmp_path / "m.atc.log").read_text().startswith(atc)
    assert old.read_bytes() == b"older"
    assert not (tmp_path / "m.om.card.json").exists()


def test_a_compiler_that_does_not_end_is_killed(model, tmp_path, atc, monkeypatch):
    monkeypatch.setenv("STRICT_ATC", "hang")
    options = OmOptions(output=tmp_path / "m.om", atc=atc, timeout_s=0.5)
    with pytest.raises(CompilerError, match="did not end within 0.5 s"):
        convert_to_om(model, seed_card(240), options)


def test_the_compilers_error_codes_come_in_plain_words(model, tmp_path, atc):
    options = OmOptions(output=tmp_path / "m.om", atc=atc, soc="Ascend910B3")
    with pytest.raises(CompilerError) as caught:
        convert_to_om(model, seed_card(240), options)
    assert "E10001: ATC does not accept the value of an option" in str(caught.value)
    assert "Ascend910B3 for parameter soc_version is invalid" in str(caught.value)


def test_the_seeds_own_fault_a_model_exported_at_224_and_compiled_at_240(tmp_path, seed_aipp):
    model = write_model(tmp_path / "ghostnet_b.onnx", 224)
    options = OmOptions(output=tmp_path / "m.om", dry_run=True)
    with pytest.raises(ModelError, match="exported at 224x224 pixels, but image:1,3,240,240"):
        convert_to_om(model, seed_card(240), options)
    asked = OmOptions(output=tmp_path / "m.om", dry_run=True, input_shape="image:1,3,240,240")
    with pytest.raises(UsageError, match="asks for 240x240 pixels, but the model was trained"):
        convert_to_om(model, seed_card(224), asked)
    aipp = tmp_path / "240.cfg"
    aipp.write_text(SEED_FILE.replace("csc", "src_image_size_w : 240\nsrc_image_size_h : 240\ncsc"))
    wrong = OmOptions(output=tmp_path / "m.om", dry_run=True, aipp=aipp)
    with pytest.raises(AippError, match="the source is 240x240 pixels and nothing crops it"):
        convert_to_om(model, seed_card(224), wrong)


def test_an_output_that_exists_and_arguments_that_make_no_sense(model, tmp_path):
    (tmp_path / "m.om").write_bytes(b"here")
    with pytest.raises(OutputError, match="exists"):
        convert_to_om(model, seed_card(240), OmOptions(output=tmp_path / "m.om"))
    for soc in ("310", "Ascend310; rm", ""):
        options = OmOptions(output=tmp_path / "n.om", soc=soc, dry_run=True)
        with pytest.raises(UsageError, match="--soc is"):
            convert_to_om(model, seed_card(240), options)
    for shape, words in (
        ("image:1,3,240", "expected NAME:N,3,H,W"),
        ("input:1,3,240,240", "the model's input is 'image'"),
        ("image:0,3,240,240", "a batch of 1 or more"),
    ):
        options = OmOptions(output=tmp_path / "n.om", input_shape=shape, dry_run=True)
        with pytest.raises(UsageError, match=words):
            convert_to_om(model, seed_card(240), options)


def test_an_aipp_file_that_is_missing(model, tmp_path):
    options = OmOptions(output=tmp_path / "m.om", aipp=tmp_path / "no.cfg", dry_run=True)
    with pytest.raises(AippError, match=r"no.cfg: the AIPP file cannot be read"):
        convert_to_om(model, seed_card(240), options)


def test_comments_of_another_encoding_are_the_compilers_affair(model, tmp_path, atc):
    aipp = tmp_path / "gbk.cfg"
    aipp.write_bytes("# 归一化\n".encode("gbk") + SEED_FILE.encode())
    options = OmOptions(output=tmp_path / "m.om", aipp=aipp, dry_run=True)
    assert convert_to_om(model, seed_card(240), options).difference < 0.002


def test_a_model_of_another_layout_is_told_before_its_size_is_misread(model, tmp_path):
    card = seed_card(240)
    rows = card.input.model_copy(update={"layout": "NHWC"})
    options = OmOptions(output=tmp_path / "m.om", dry_run=True)
    with pytest.raises(AippError, match="the model takes NHWC, but AIPP gives an ONNX model NCHW"):
        convert_to_om(model, card.model_copy(update={"input": rows}), options)


def test_a_card_without_a_size(model, tmp_path):
    card = seed_card(240)
    steps = (card.steps[0], card.steps[-1])
    open_size = card.input.model_copy(update={"height": None, "width": None})
    card = ModelCard.model_validate(
        card.model_copy(update={"steps": steps, "input": open_size}).model_dump()
    )
    with pytest.raises(UsageError, match="write height and width into the card's input"):
        convert_to_om(model, card, OmOptions(output=tmp_path / "m.om", dry_run=True))


def test_a_path_that_the_compiler_may_refuse_is_a_warning(tmp_path):
    folder = tmp_path / "my models"
    folder.mkdir()
    model = write_model(folder / "m.onnx", 64)
    result = convert_to_om(model, seed_card(64), OmOptions(output=folder / "m.om", dry_run=True))
    assert any("ATC may refuse these characters" in line for line in result.warnings)
