import importlib.util
import io
import json
import re
import sys
import threading
import tracemalloc
from dataclasses import replace
from pathlib import Path

import pytest

from ghostkit.cli import pipeline_table
from ghostkit.errors import OutputError
from ghostkit.mindx.grammar import parse
from ghostkit.mindx.sdk_conf import SdkConf, read_sdk_conf
from ghostkit.mindx.statistics import Counter, Statistics
from ghostkit.mindx.statistics_files import StatisticsFiles
from mindx.pipelines import ghostnet, write_project
from tiny import RED, save_square

pytest.importorskip("cv2")


def load_reader():
    """The script's reader, which is written from the description of the files alone."""
    path = Path(__file__).parents[2] / "reliability" / "pipeline_statistics.py"
    spec = importlib.util.spec_from_file_location("pipeline_statistics", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


reader = load_reader()


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


@pytest.mark.parametrize(
    ("text", "size", "notices"),
    [
        ("1G", 2**30, 0),
        ("300m", 300 * 2**20, 0),
        ("4G", 2**32, 0),
        ("5G", 2**30, 1),
        ("x", 2**30, 1),
    ],
)
def test_the_most_that_may_be_sent_at_once(tmp_path, text, size, notices):
    path = tmp_path / "sdk.conf"
    path.write_text(f"malloc_max_data_size={text}\n")
    conf, found = read_sdk_conf(path)
    assert (conf.max_data_bytes, len(found)) == (size, notices)


def pipeline_with_a_queue(folder, make_model):
    content = ghostnet()
    stream = content["im_ghostnet"]
    stream["appsrc0"]["next"] = "queue0"
    stream["queue0"] = {"factory": "queue", "next": "mxpi_imagedecoder0"}
    return write_project(folder, make_model, content)


def write_conf(path, logs, **changes):
    values = {"enable_ps": "true", "ps_interval_time": 1, "ps_log_dir": logs}
    values |= {"ps_queue_size_interval_time": 10, "ps_queue_size_times": 1} | changes
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{key}={value}\n" for key, value in values.items()))
    return path


def counts_of(records):
    return {
        (r["elementName"], r["type"]): reader.total(
            records, "frequency", elementName=r["elementName"], type=r["type"]
        )
        for r in records
    }


EVERY_ELEMENT = (
    ("mxpi_imagedecoder0", "plugin"),
    ("mxpi_imageresize0", "plugin"),
    ("mxpi_opencvcentercrop0", "plugin"),
    ("mxpi_tensorinfer0", "plugin"),
    ("mxpi_tensorinfer0", "modelInference"),
    ("mxpi_classpostprocessor0", "plugin"),
    ("mxpi_classpostprocessor0", "postProcessor"),
    ("mxpi_dataserialize0", "plugin"),
)


def test_an_independent_reader_finds_every_picture_and_the_runs_own_clock(
    ghostkit, tmp_path, make_model
):
    project = pipeline_with_a_queue(tmp_path / "d", make_model)
    for number in range(12):
        save_square(tmp_path / "val" / f"{number}.png", RED, (40, 40))
    conf = write_conf(tmp_path / "sdk.conf", tmp_path / "logs")
    outcome = ghostkit("pipeline", project, tmp_path / "val", tmp_path / "r", "--sdk-conf", conf)
    assert outcome.status == 0
    records = reader.read(tmp_path / "logs")
    assert reader.total(records["e2e"], "frequency") == 12
    assert reader.total(records["tpr"], "throughput") == 12
    assert counts_of(records["plugin"]) == dict.fromkeys(EVERY_ELEMENT, 12)
    assert records["queue"][0]["maxSizeBuffers"] == 200
    printed_us = sum(map(int, re.findall(r"^sdk run time: (\d+)$", outcome.out, re.MULTILINE)))
    assert reader.total(records["e2e"], "totalTime") == pytest.approx(printed_us, rel=0.01)


def test_queues_of_a_run_shorter_than_an_interval_are_written_too(ghostkit, tmp_path, make_model):
    project = pipeline_with_a_queue(tmp_path / "d", make_model)
    conf = tmp_path / "sdk.conf"
    conf.write_text(
        f"enable_ps=true\nps_log_dir={tmp_path / 'logs'}\n"
        "ps_queue_size_interval_time=10\nps_queue_size_times=1000\n"
    )
    for index in range(40):
        save_square(tmp_path / "val" / f"{index}.png", RED)
    ghostkit("pipeline", project, tmp_path / "val", tmp_path / "r", "--sdk-conf", conf)
    [path] = (tmp_path / "logs").glob("*.queue.*")
    [record] = [json.loads(line) for line in path.read_text().splitlines()]
    assert record["intervalTime"] == 10_000 * len(record["recentSize"]) < 10_000_000


def test_the_intervals_last_as_long_as_the_run_did(tmp_path):
    """By the numbers that are written, not by a clock."""
    statistics = Statistics(parse(json.dumps(ghostnet()), "a").streams["im_ghostnet"])
    lines = []
    for pictures, seconds in ((7, 1.0), (0, 1.0), (3, 0.25)):
        for _ in range(pictures):
            statistics.sent()
            statistics.done(0.040236)
        lines += [record for kind, record in statistics.take(seconds) if kind == "tpr"]
    assert [(line["throughput"], line["throughputRate"]) for line in lines] == [
        (7, 7.0),
        (0, 0.0),
        (3, 12.0),
    ]
    assert reader.seconds_of(lines) == pytest.approx(1.25)


def test_a_program_of_the_sdk_gets_the_files_that_its_sdk_conf_asks_for(
    tmp_path, make_model, monkeypatch
):
    pytest.importorskip("google.protobuf")
    from StreamManagerApi import MxDataInput, StreamManagerApi

    project = pipeline_with_a_queue(tmp_path / "d", make_model)
    write_conf(tmp_path / "sdk" / "config" / "sdk.conf", "logs")
    monkeypatch.setenv("MX_SDK_HOME", str(tmp_path / "sdk"))
    photo = save_square(tmp_path / "a.png", RED, (40, 40)).read_bytes()
    api = StreamManagerApi()
    api.InitManager()
    assert api.CreateMultipleStreamsFromFile(str(project)) == 0
    for data in (photo, photo, b"no picture"):
        number = api.SendDataWithUniqueId(b"im_ghostnet", 0, MxDataInput(data))
        api.GetResultWithUniqueId(b"im_ghostnet", number, 3000)
    assert api.DestroyAllStreams() == 0
    records = reader.read(tmp_path / "sdk" / "logs")
    assert reader.total(records["e2e"], "frequency") == 3
    assert reader.total(records["plugin"], "frequency", elementName="mxpi_dataserialize0") == 2


def test_a_program_whose_statistics_cannot_be_written_makes_no_stream(
    tmp_path, make_model, monkeypatch, caplog
):
    pytest.importorskip("google.protobuf")
    from StreamManagerApi import StreamManagerApi

    project = write_project(tmp_path / "d", make_model)
    (tmp_path / "file").touch()
    conf = write_conf(tmp_path / "sdk" / "config" / "sdk.conf", tmp_path / "file")
    monkeypatch.setenv("MX_SDK_HOME", str(tmp_path / "sdk"))
    api = StreamManagerApi()
    api.InitManager()
    assert api.CreateMultipleStreamsFromFile(str(project)) == 6004
    assert "change ps_log_dir in sdk.conf" in caplog.text
    assert api.StopStream(b"im_ghostnet") == 6002
    conf.write_text("enable_ps=false\n")


NO_LETTER = "\ud800"  # no locale has it, as ASCII has no dash


def test_a_name_that_the_locale_cannot_write_is_told_when_the_pictures_are_done(tmp_path):
    statistics = Statistics(parse(json.dumps(ghostnet()), "a").streams["im_ghostnet"])
    conf = SdkConf(enable=True, log_dir=str(tmp_path), log_filename=NO_LETTER)
    with StatisticsFiles(statistics, conf) as files:
        statistics.sent()
        statistics.done(0.01)
    assert "cannot write statistics to " in str(files.failure)
    assert "set ps_log_filename in sdk.conf to a name of ASCII letters" in str(files.failure)


def test_a_program_is_told_of_statistics_that_could_not_be_written(
    tmp_path, make_model, monkeypatch, caplog
):
    pytest.importorskip("google.protobuf")
    from StreamManagerApi import StreamManagerApi

    project = write_project(tmp_path / "d", make_model)
    write_conf(tmp_path / "sdk" / "config" / "sdk.conf", "logs", ps_log_filename="no/such/folder")
    monkeypatch.setenv("MX_SDK_HOME", str(tmp_path / "sdk"))
    api = StreamManagerApi()
    api.InitManager()
    assert api.CreateMultipleStreamsFromFile(str(project)) == 0
    assert api.DestroyAllStreams() == 0
    assert "cannot write statistics to " in caplog.text
    assert "No such file or directory" in caplog.text


@pytest.mark.parametrize("found", [True, False], ids=["unreadable", "gone"])
def test_a_configuration_that_cannot_be_read_again_ends_no_statistics(tmp_path, monkeypatch, found):
    """The file vanishes before it is looked for, or between that and the reading."""
    looked = threading.Event()

    def isfile(path):
        looked.set()
        return found

    monkeypatch.setattr("ghostkit.mindx.statistics_files.os.path.isfile", isfile)
    statistics = Statistics(parse(json.dumps(ghostnet()), "a").streams["im_ghostnet"])
    conf = SdkConf(enable=True, log_dir=str(tmp_path), interval_s=0.01)
    with StatisticsFiles(statistics, conf, source=tmp_path / "sdk.conf") as files:
        for number in range(3):
            looked.clear()
            statistics.sent()
            statistics.done(0.01)
            assert looked.wait(5), f"no interval ended after picture {number}"
    assert reader.total(reader.read(tmp_path)["e2e"], "frequency") == 3
    assert files.failure is None  # nothing is lost
    if found:
        assert "sdk.conf: cannot be read: No such file or directory; " in files.unread
    else:
        assert files.unread is None


@pytest.mark.parametrize("place", [{"log_filename": "a\0b"}, {"log_dir": "a\0b"}])
def test_a_zero_byte_in_a_name_is_told_as_any_other_that_cannot_be(tmp_path, place):
    statistics = Statistics(parse(json.dumps(ghostnet()), "a").streams["im_ghostnet"])
    conf = replace(SdkConf(enable=True, log_dir=str(tmp_path)), **place)
    if "log_dir" in place:
        with pytest.raises(OutputError, match="change ps_log_dir in sdk.conf"):
            StatisticsFiles(statistics, conf)
        return
    with StatisticsFiles(statistics, conf) as files:
        statistics.sent()
        statistics.done(0.01)
    assert "null byte" in str(files.failure)


def test_a_million_pictures_take_no_more_memory_than_one():
    counter = Counter()
    tracemalloc.start()
    for _ in range(2000):
        counter.add(0.02)
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert grown < 4000  # a list would hold 2,000 floats of 24 bytes
    assert counter.all.percentile(50) == pytest.approx(0.02, rel=0.02)


def test_the_table_counts_every_element(ghostkit, tmp_path, make_model):
    project = write_project(tmp_path / "d", make_model)
    save_square(tmp_path / "val" / "a.png", RED, (40, 40))
    outcome = ghostkit("pipeline", project, tmp_path / "val", tmp_path / "r", "--stats")
    table = outcome.err[outcome.err.index("ms  ") :]
    assert "p50" in table and "p99" in table
    assert re.search(r"^mxpi_tensorinfer0 +1 +[\d.]+", table, re.MULTILINE)
    assert re.search(r"^end to end +1 ", table, re.MULTILINE)


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_on_a_terminal_the_table_is_live_and_results_stay_out_of_it(monkeypatch):
    screen, results = Terminal(), io.StringIO()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setattr(sys, "stdout", results)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(pipeline_table, "REFRESHES_PER_S", 50)
    statistics = Statistics(parse(json.dumps(ghostnet()), "a").streams["im_ghostnet"])
    shown = threading.Event()
    table = pipeline_table.StatsTable(statistics)
    seen = table._table

    def watched():
        if statistics.percentiles():
            shown.set()
        return seen()

    monkeypatch.setattr(table, "_table", watched)
    with table:
        print("process img: a.png")
        statistics.record("mxpi_imageresize0", 0.002)
        assert shown.wait(5)  # drawn anew by itself, without a picture that ends
    assert results.getvalue() == "process img: a.png\n"
    assert re.search(r"mxpi_imageresize0 +1 +2\.00", screen.getvalue())


def test_without_enable_ps_nothing_is_written(ghostkit, tmp_path, make_model):
    project = write_project(tmp_path / "d", make_model)
    save_square(tmp_path / "val" / "a.png", RED, (40, 40))
    conf = tmp_path / "sdk.conf"
    conf.write_text(f"enable_ps=false\nps_log_dir={tmp_path}/logs\n")
    ghostkit("pipeline", project, tmp_path / "val", tmp_path / "r", "--sdk-conf", conf)
    assert not (tmp_path / "logs").exists()
