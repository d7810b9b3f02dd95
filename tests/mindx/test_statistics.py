import json
import re
import time

import pytest

from ghostkit.mindx.sdk_conf import SdkConf, read_sdk_conf
from mindx.pipelines import ghostnet, write_project
from tiny import RED, save_square

pytest.importorskip("cv2")


def test_sdk_conf_is_clamped_and_comments_are_skipped(tmp_path):
    path = tmp_path / "sdk.conf"
    path.write_text(
        "# MindX SDK\nenable_ps=true # on\nps_interval_time=6\nps_max_log_size=99\n"
        "ps_queue_size_interval_time=1\nps_queue_size_times=x\n"
    )
    conf, notices = read_sdk_conf(path)
    assert (conf.enable, conf.interval_s, conf.max_log_size_mb) == (True, 6, 20)
    assert (conf.queue_size_interval_ms, conf.queue_size_times) == (10, 100)
    assert len(notices) == 3
    assert SdkConf().log_filename == "performance—statistics.log"


def test_statistics_files_hold_every_picture_in_the_sdks_lines(ghostkit, tmp_path, make_model):
    """Read by the descriptions of the fields alone: strings of microseconds, keys in order."""
    content = ghostnet()
    stream = content["im_ghostnet"]
    stream["appsrc0"]["next"] = "queue0"
    stream["queue0"] = {"factory": "queue", "next": "mxpi_imagedecoder0"}
    project = write_project(tmp_path / "d", make_model, content)
    for number in range(30):
        save_square(tmp_path / "val" / f"{number}.png", RED, (40, 40))
    conf = tmp_path / "sdk.conf"
    conf.write_text(
        f"enable_ps=true\nps_interval_time=1\nps_log_dir={tmp_path}/logs\n"
        "ps_queue_size_interval_time=10\nps_queue_size_times=1\n"
    )
    began = time.monotonic()
    outcome = ghostkit("pipeline", project, tmp_path / "val", tmp_path / "r", "--sdk-conf", conf)
    wall_us = (time.monotonic() - began) * 1e6
    assert outcome.status == 0
    lines = {}
    for path in (tmp_path / "logs").iterdir():
        name = re.fullmatch(
            r"performance—statistics\.log\.(e2e|plugin|tpr|queue)\.\d{8}-\d{6}\.\d{6}", path.name
        )
        lines[name[1]] = path.read_text().splitlines()
    assert {"e2e", "plugin", "tpr"} <= set(lines)
    for line in (line for each in lines.values() for line in each):
        assert list(json.loads(line)) == sorted(json.loads(line)) and ": " not in line
    e2e = [json.loads(line) for line in lines["e2e"]]
    assert sum(int(record["frequency"]) for record in e2e) == 30
    assert all(0 <= int(r["minTime"]) <= int(r["average"]) <= int(r["maxTime"]) for r in e2e)
    assert 0 < max(int(record["maxTime"]) for record in e2e) <= wall_us
    tpr = [json.loads(line) for line in lines["tpr"]]
    assert sum(record["throughput"] for record in tpr) == 30
    assert all(record["type"] == "throughputRate" for record in tpr)
    plugins = [json.loads(line) for line in lines["plugin"]]
    counts = {}
    for record in plugins:
        key = record["elementName"], record["type"]
        counts[key] = counts.get(key, 0) + int(record["frequency"])
    assert counts == {
        ("mxpi_imagedecoder0", "plugin"): 30,
        ("mxpi_imageresize0", "plugin"): 30,
        ("mxpi_opencvcentercrop0", "plugin"): 30,
        ("mxpi_tensorinfer0", "plugin"): 30,
        ("mxpi_tensorinfer0", "modelInference"): 30,
        ("mxpi_classpostprocessor0", "plugin"): 30,
        ("mxpi_classpostprocessor0", "postProcessor"): 30,
        ("mxpi_dataserialize0", "plugin"): 30,
    }


def test_the_live_table_counts_every_element(ghostkit, tmp_path, make_model):
    project = write_project(tmp_path / "d", make_model)
    save_square(tmp_path / "val" / "a.png", RED, (40, 40))
    outcome = ghostkit("pipeline", project, tmp_path / "val", tmp_path / "r", "--stats")
    table = outcome.err[outcome.err.index("ms  ") :]
    assert "p50" in table and "p99" in table
    assert re.search(r"^mxpi_tensorinfer0 +1 +[\d.]+", table, re.MULTILINE)
    assert re.search(r"^end to end +1 ", table, re.MULTILINE)


def test_without_enable_ps_nothing_is_written(ghostkit, tmp_path, make_model):
    project = write_project(tmp_path / "d", make_model)
    save_square(tmp_path / "val" / "a.png", RED, (40, 40))
    conf = tmp_path / "sdk.conf"
    conf.write_text(f"enable_ps=false\nps_log_dir={tmp_path}/logs\n")
    ghostkit("pipeline", project, tmp_path / "val", tmp_path / "r", "--sdk-conf", conf)
    assert not (tmp_path / "logs").exists()
