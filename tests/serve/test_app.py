"""A running server, by the eyes of its clients."""

import base64
import gc
import http.client
import json
import re
import socket
import struct
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import numpy as np
import pytest

from ghostkit import load
from ghostkit.backend import FakeBackend
from ghostkit.card import Output
from ghostkit.classifier import Classifier
from ghostkit.errors import ModelError
from ghostkit.image.limits import Limits
from ghostkit.serve import answering
from ghostkit.serve.running import bind
from serving import running
from tiny import BLUE, GREEN, RED, save_square, tiny_card, write_bad, write_odd

COLORS = {"red": RED, "green": GREEN, "blue": BLUE}
FORM = "multipart/form-data; boundary=edge"


def tiny(backend=None):
    return Classifier(backend or FakeBackend(), tiny_card())


def slow_site(backend, **bounds):
    return running({"slow": tiny(backend)}, workers=1, batch_size=1, **bounds)


class Slow(FakeBackend):
    """Takes its time."""

    seconds = 0.0

    def infer(self, images):
        time.sleep(self.seconds)
        return super().infer(images)


class Elsewhere(FakeBackend):
    """Runs on another device than it was asked for."""

    fallback = "no NPU: the CPU runs it"


@pytest.fixture(scope="module")
def site():
    models = {
        "tiny": tiny(),
        "other": Classifier(FakeBackend(), tiny_card(16)),
    }
    with running(models, request_bytes=200_000, waiting=40) as site:
        yield site


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    return {
        name: save_square(folder / f"{name}.jpg", color).read_bytes()
        for name, color in COLORS.items()
    }


def form(*files):
    """The body of a form with files, and its type."""
    parts = b"".join(
        f'--edge\r\nContent-Disposition: form-data; name="f"; filename="{name}"\r\n\r\n'.encode()
        + content
        + b"\r\n"
        for name, content in files
    )
    return parts + b"--edge--\r\n", FORM


def asking(*contents):
    """A request of the protocol for files."""
    texts = [base64.b64encode(each).decode() for each in contents]
    shape = [len(contents)]
    return json.dumps(
        {"inputs": [{"name": "picture", "datatype": "BYTES", "shape": shape, "data": texts}]}
    ).encode()


def closed_after(connection):
    """Seconds until the other side closes it, which says nothing before."""
    began = time.monotonic()
    assert connection.recv(4096) == b""
    return time.monotonic() - began


def no_fault_is_logged(caplog):
    gc.collect()  # asyncio complains of what nobody looked at when it is freed
    return [each for each in caplog.records if each.levelname == "ERROR"] == []


def head_of(length):
    """What a request that uploads so many bytes begins with."""
    return f"POST /classify HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n".encode()


def metric(site, line):
    """The value of a line that begins so."""
    text = site.ask("GET", "/metrics")[1].decode()
    values = [each.rpartition(" ")[2] for each in text.splitlines() if each.startswith(line)]
    return sum(map(float, values))


def test_a_fallback_is_told_with_every_answer(photos):
    with running({"tiny": tiny(Elsewhere())}) as site:
        assert site.json("POST", "/classify", photos["red"])[1]["fallback"] == Elsewhere.fallback
        _, said = site.json("POST", "/v2/models/tiny/infer", asking(photos["red"]))
        assert said["parameters"]["fallback"] == Elsewhere.fallback
        assert metric(site, 'ghostkit_request_seconds_count{route="/classify"}') == 1
        assert metric(site, 'ghostkit_request_seconds_sum{route="/classify"}') > 0


def test_an_uploaded_photo_is_answered_as_predict_answers_it(site, photos):
    for name, content in photos.items():
        status, record = site.json("POST", "/classify?top_k=2", content)
        assert status == 200
        assert [each["class_name"] for each in record["top"]][0] == name
        local = tiny()(content).to_record(2, model=tiny_card().hash)
        del local["path"]
        assert record == local


def test_a_form_is_answered_as_one_whatever_its_files_are_called(site, photos):
    body, kind = form(("", photos["green"]))
    status, answer = site.json("POST", "/classify", body, Content_Type=kind)
    [record] = answer["predictions"]
    assert (status, record["path"], record["top"][0]["class_name"]) == (200, "", "green")


def test_a_form_that_is_cut_off_is_refused_and_a_whole_one_may_end_bare(site, photos):
    body, kind = form(("a.jpg", photos["red"]), ("b.jpg", photos["green"]))
    end = body.rindex(b"--edge--")
    for cut in (end, end - 2, end - 100, end + 6, end + 7):
        status, answer = site.json("POST", "/classify", body[:cut], Content_Type=kind)
        assert status == 400 and "it is cut off" in answer["error"], cut
    status, answer = site.json("POST", "/classify", body[: end + 8], Content_Type=kind)
    assert status == 200 and len(answer["predictions"]) == 2


def test_every_picture_of_a_form_has_its_answer_in_order(site, photos, tmp_path):
    reasons = write_bad(tmp_path)
    bad = [(name, (tmp_path / name).read_bytes()) for name in reasons]
    good = [(f"{name}.jpg", content) for name, content in photos.items()]
    files = [each for pair in zip(good, bad, strict=False) for each in pair]
    body, kind = form(*files)
    status, answer = site.json("POST", "/v2/models/other/classify", body, Content_Type=kind)
    assert status == 200
    assert [each["path"] for each in answer["predictions"]] == [name for name, _ in files]
    for record in answer["predictions"]:
        if record["path"] in reasons:
            assert record["status"] == "refused" and reasons[record["path"]] in record["reason"]
        else:
            assert record["top"][0]["class_name"] + ".jpg" == record["path"]


@pytest.mark.parametrize("place", ["pictures_in", "_written"])
def test_others_are_answered_while_a_form_is_read_and_its_answer_written(
    photos, monkeypatch, place
):
    goes_on, came = threading.Event(), threading.Event()
    function = getattr(answering, place)

    def slow(*arguments):
        came.set()
        assert goes_on.wait(10)
        return function(*arguments)

    monkeypatch.setattr(answering, place, slow)
    body, kind = form(("red.jpg", photos["red"]))
    with running({"tiny": tiny()}) as site, ThreadPoolExecutor(1) as pool:
        asked = pool.submit(site.json, "POST", "/classify", body, Content_Type=kind)
        assert came.wait(10)
        try:
            assert site.ask("GET", "/v2/health/live")[0] == 200
        finally:
            goes_on.set()
        status, answer = asked.result()
        assert status == 200 and answer["predictions"][0]["top"][0]["class_name"] == "red"


def test_an_answer_of_many_classes_is_held_as_what_it_becomes(photos):
    content = photos["red"]
    with running({"tiny": tiny()}, all_bytes=len(content) + 3 * 512 - 1) as site:
        assert site.json("POST", "/classify?top_k=2", content)[0] == 200
        status, answer = site.json("POST", "/classify?top_k=5", content)  # of three classes
        assert status == 413 and "of memory" in answer["error"]
        assert metric(site, "ghostkit_held_bytes") == 0
    with running({"tiny": tiny()}, all_bytes=len(content) + 3 * 512) as site:
        assert site.json("POST", "/classify?top_k=5", content)[0] == 200


def test_large_files_of_a_form_are_not_put_on_a_disk(photos, tmp_path, monkeypatch):
    def never(*arguments, **options):
        raise AssertionError("a temporary file")

    large = save_square(tmp_path / "large.bmp", RED, (800, 700)).read_bytes()
    body, kind = form(("large.bmp", large), ("red.jpg", photos["red"]))
    with running({"tiny": tiny()}) as site:
        monkeypatch.setattr("tempfile._TemporaryFileWrapper", never)
        monkeypatch.setattr("tempfile.SpooledTemporaryFile.rollover", never)
        status, answer = site.json("POST", "/classify", body, Content_Type=kind)
    assert status == 200
    assert [each["top"][0]["class_name"] for each in answer["predictions"]] == ["red", "red"]


def test_a_picture_that_is_refused_has_its_reason_and_a_status(site, tmp_path):
    for name, words in write_bad(tmp_path).items():
        content = (tmp_path / name).read_bytes()
        if content:
            status, record = site.json("POST", "/classify", content)
            assert (status, record["status"]) == (422, "refused") and words in record["reason"]
    status, answer = site.json("POST", "/classify")
    assert status == 400 and "the request is empty" in answer["error"]


def test_odd_and_good_pictures_are_answered(site, tmp_path):
    for path in write_odd(tmp_path):
        status, record = site.json("POST", "/classify", path.read_bytes())
        assert (status, record["top"][0]["class_name"]) == (200, "red"), path.name


def test_a_client_of_the_protocol_is_answered(site, photos):
    texts = [base64.b64encode(each).decode() for each in photos.values()]
    asked = {"inputs": [{"name": "picture", "datatype": "BYTES", "shape": [3], "data": texts}]}
    path = "/v2/models/tiny/versions/1/infer"
    status, answer = site.json("POST", path, json.dumps(asked).encode())
    assert status == 200
    [output] = answer["outputs"]
    assert np.reshape(output["data"], output["shape"]).argmax(axis=1).tolist() == [0, 1, 2]


def test_pictures_as_they_are_get_the_same_bytes_as_python(site, photos):
    local = tiny()
    for content in photos.values():
        length = {"Inference_Header_Content_Length": "0"}
        status, body, headers = site.ask("POST", "/v2/models/tiny/infer", content, **length)
        assert status == 200
        tail = body[int(headers["Inference-Header-Content-Length"]) :]
        assert tail == local(content).probabilities.astype("<f4").tobytes()


def test_a_prepared_tensor_is_answered(site):
    images = np.zeros((2, 3, 8, 8), "<f4")
    images[0, 2], images[1, 1] = 1, 1
    given = {"name": "image", "datatype": "FP32", "shape": [2, 3, 8, 8]}
    given["parameters"] = {"binary_data_size": images.nbytes}
    asked = {"inputs": [given], "outputs": [{"name": "logits"}]}
    head = json.dumps(asked).encode()
    length = {"Inference_Header_Content_Length": str(len(head))}
    status, answer = site.json("POST", "/v2/models/tiny/infer", head + images.tobytes(), **length)
    assert status == 200
    assert answer["outputs"][0]["data"] == [0, 0, 1, 0, 1, 0]
    images[0, 0] = np.nan
    status, answer = site.json("POST", "/v2/models/tiny/infer", head + images.tobytes(), **length)
    assert status == 400 and "nan or infinity" in answer["error"]


def test_a_refused_element_is_named(site, photos):
    texts = [base64.b64encode(each).decode() for each in (photos["red"], b"no picture")]
    asked = {"inputs": [{"name": "picture", "datatype": "BYTES", "shape": [2], "data": texts}]}
    status, answer = site.json("POST", "/v2/models/tiny/infer", json.dumps(asked).encode())
    assert status == 422 and answer["error"].startswith("picture: element 1: not a picture")


def test_pictures_after_a_refused_one_are_counted(photos):
    contents = [photos["red"], b"no picture", *photos.values()]
    with running({"tiny": tiny()}) as site:
        assert site.json("POST", "/v2/models/tiny/infer", asking(*contents))[0] == 422
        assert metric(site, 'ghostkit_pictures_total{model="tiny",status="answered"}') == 4
        assert metric(site, 'ghostkit_pictures_total{model="tiny",status="refused"}') == 1


def test_what_is_no_distribution_is_not_answered_as_one(tmp_path):
    white = save_square(tmp_path / "white.png", (255, 255, 255)).read_bytes()
    red = save_square(tmp_path / "red.png", RED).read_bytes()
    card = tiny_card().model_copy(
        update={"output": Output(name="probabilities", kind="probabilities")}
    )
    with running({"tiny": Classifier(FakeBackend(), card)}) as site:
        path = "/v2/models/tiny/infer"
        assert site.json("POST", path, asking(red))[1]["outputs"][0]["data"] == [1, 0, 0]
        status, answer = site.json("POST", path, asking(red, white))
        assert status == 500
        assert "picture: element 1: probabilities 1..1 sum to 3" in answer["error"]
        assert metric(site, 'ghostkit_pictures_total{model="tiny",status="failed"}') == 1
        given = {"name": "image", "datatype": "FP32", "shape": [2, 3, 8, 8]}
        given["data"] = np.broadcast_to(
            np.reshape([1, 0, 0, -5, -5, -5], (2, 3, 1, 1)), (2, 3, 8, 8)
        )
        asked = json.dumps({"inputs": [given | {"data": given["data"].tolist()}]})
        status, answer = site.json("POST", path, asked.encode())
        assert status == 500 and "probabilities -5..-5 sum to -15" in answer["error"]


def test_more_pictures_than_may_wait_are_too_many_at_any_time(site, photos):
    status, body, headers = site.ask("POST", "/v2/models/tiny/infer", asking(*[photos["red"]] * 41))
    assert status == 413 and b"41 pictures; a request may have 40" in body
    assert "Retry-After" not in headers


@pytest.mark.parametrize("path", ["/classify", "/v2/models/tiny/infer"])
def test_a_content_that_is_coded_is_refused_by_its_name(site, photos, path):
    status, answer = site.json("POST", path, photos["red"], Content_Encoding="gzip")
    assert status == 415 and "Content-Encoding 'gzip'" in answer["error"]
    assert site.ask("POST", "/classify", photos["red"], Content_Encoding="identity")[0] == 200


def test_a_fault_that_nobody_thought_of_is_counted_and_written_down(photos, caplog):
    class Broken(FakeBackend):
        def infer(self, images):
            if images[:, 0].min() > 0.9:  # red
                raise RuntimeError("a secret path")
            return super().infer(images)

    with running({"tiny": tiny(Broken())}) as site:
        status, answer = site.json("POST", "/classify", photos["red"])
        assert status == 500 and answer["error"].startswith("unexpected RuntimeError")
        assert "secret" not in answer["error"]
        assert metric(site, 'ghostkit_requests_total{route="/classify",status="500"}') == 1
        assert site.json("POST", "/classify", photos["green"])[0] == 200
    assert "a secret path" in caplog.text


class Failing(FakeBackend):
    """Fails while it is told to."""

    failure = None

    def __init__(self):
        super().__init__()
        self.goes_on = threading.Event()
        self.goes_on.set()

    def infer(self, images):
        assert self.goes_on.wait(20)
        if self.failure is not None:
            raise self.failure
        return super().infer(images)


def test_what_fails_is_logged_with_its_id_which_the_answer_repeats(photos, caplog):
    backend, content = Failing(), photos["red"]
    with running({"tiny": tiny(backend)}) as site:
        status, _, headers = site.ask("POST", "/classify", content, X_Request_Id="abc-1")
        assert (status, headers["X-Request-Id"]) == (200, "abc-1") and caplog.text == ""
        backend.failure = ModelError("CUDA failure 700\nand more")
        for path in ("/classify", "/v2/models/tiny/infer"):
            caplog.clear()
            body = content if path == "/classify" else asking(content)
            status, _, headers = site.ask("POST", path, body, X_Request_Id="abc-2")
            assert (status, headers["X-Request-Id"]) == (500, "abc-2")
            [line] = [each.getMessage() for each in caplog.records if "id=" in each.getMessage()]
            assert re.search(r" status=500 model=tiny seconds=\d\.\d{3} id=abc-2: .*CUDA", line)
            assert "\n" not in line
        for given in ("", "a b", "\x7f", "a" * 129):
            made = site.ask("GET", "/nothing", X_Request_Id=given)[2]["X-Request-Id"]
            assert re.fullmatch("[0-9a-f]{32}", made)


def test_a_model_that_goes_on_failing_is_not_ready_until_it_answers(photos, caplog):
    backend, content = Failing(), photos["red"]
    models = {"tiny": tiny(backend), "other": tiny()}
    with running(models) as site:

        def ready(name):
            return site.ask("GET", f"/v2/models/{name}/ready")[0]

        def index():
            return {each["name"]: each for each in site.json("POST", "/v2/repository/index")[1]}

        backend.failure = ModelError("CUDA failure 700")
        for _ in range(2):
            site.ask("POST", "/classify", content)
        assert ready("tiny") == 200  # two may be chance
        site.ask("POST", "/classify", content)
        assert index()["tiny"]["state"] == "UNAVAILABLE"
        assert [ready("tiny"), ready("other")] == [503, 200]
        assert site.ask("GET", "/v2/health/ready")[0] == 503
        assert site.ask("GET", "/v2/health/live")[0] == 200
        states = index()
        assert states["tiny"]["state"] == "UNAVAILABLE" and "700" in states["tiny"]["reason"]
        assert states["other"]["state"] == "READY"
        assert metric(site, 'ghostkit_failed_batches{model="tiny"}') >= 3
        backend.failure = None  # and nobody sends anything
        assert site.ask("GET", "/v2/health/ready")[0] == 200
        assert metric(site, 'ghostkit_failed_batches{model="tiny"}') == 0
    said = [each.getMessage() for each in caplog.records if each.name.endswith("health")]
    assert said[0].startswith("model tiny: 3 batches in a row failed")
    assert said[1:] == ["model tiny answers again"]


def test_what_clients_send_does_not_make_a_model_not_ready():
    class Choosy(FakeBackend):
        def infer(self, images):
            if images.max() > 5:
                raise ModelError("too bright")
            return super().infer(images)

    given = {"name": "image", "datatype": "FP32", "shape": [1, 3, 8, 8], "data": [9.0] * 192}
    asked = json.dumps({"inputs": [given]}).encode()
    with running({"tiny": tiny(Choosy())}) as site:
        for _ in range(5):
            assert site.json("POST", "/v2/models/tiny/infer", asked)[0] == 500
            assert site.json("POST", "/v2/repository/index")[1][0]["state"] == "READY"
            assert site.ask("GET", "/v2/health/ready")[0] == 200


def test_a_model_that_hangs_after_failing_is_not_ready(photos):
    backend = Failing()
    with running({"tiny": tiny(backend)}, workers=1) as site:
        backend.failure = ModelError("once")
        for _ in range(3):
            site.ask("POST", "/classify", photos["red"])
        backend.goes_on.clear()
        backend.failure = None
        for _ in range(2):
            assert site.ask("GET", "/v2/health/ready")[0] == 503
        assert metric(site, "ghostkit_waiting_pictures") == 0  # it is asked once
        backend.goes_on.set()
        end = time.monotonic() + 10
        while site.ask("GET", "/v2/health/ready")[0] == 503:
            assert time.monotonic() < end


def test_numbers_in_json_are_counted_as_what_they_become(photos):
    given = {"name": "image", "datatype": "FP32", "shape": [1, 3, 8, 8], "data": [0.5] * 192}
    asked = json.dumps({"inputs": [given]}).encode()
    with running({"tiny": tiny()}, all_bytes=10 * len(asked)) as site:
        status, answer = site.json("POST", "/v2/models/tiny/infer", asked)
        assert status == 413 and "of memory" in answer["error"]
        assert metric(site, "ghostkit_held_bytes") == 0
    with running({"tiny": tiny()}, all_bytes=100 * len(asked)) as site:
        assert site.json("POST", "/v2/models/tiny/infer", asked)[0] == 200


def test_the_server_says_what_it_is_and_has(site):
    assert site.json("GET", "/v2/health/live") == (200, {"live": True})
    assert site.json("GET", "/v2/health/ready") == (200, {"ready": True})
    assert site.json("GET", "/v2/models/tiny/ready") == (200, {"ready": True})
    status, about = site.json("GET", "/v2")
    assert status == 200 and about["name"] == "ghostkit"
    assert site.json("GET", "/v2/models/other")[1]["inputs"][1]["shape"] == [-1, 3, 16, 16]
    names = [each["name"] for each in site.json("POST", "/v2/repository/index")[1]]
    assert names == ["tiny", "other"]
    status, card, _ = site.ask("GET", "/v2/models/tiny/card")
    assert status == 200 and card.decode() == tiny_card().to_json()


@pytest.mark.parametrize(
    ("method", "path", "status", "words"),
    [
        ("GET", "/v2/models/shoes", 404, "no model 'shoes'; there is tiny, other"),
        ("POST", "/v2/models/shoes/infer", 404, "no model 'shoes'"),
        ("GET", "/v2/models/tiny/versions/2", 404, "no version '2'"),
        ("GET", "/nothing", 404, "no such address: /nothing"),
        ("POST", "/classify/", 404, "no such address: /classify/"),
        ("GET", "/v2/models/../../etc/passwd", 404, "no such address"),
        ("GET", "/classify", 405, "GET is not for it"),
        ("POST", "/classify?top_k=0", 400, "top_k '0'"),
        ("POST", "/classify?topk=2", 400, "'topk' is unknown in the address; known is: top_k"),
        ("POST", "/v2/models/tiny/infer", 400, "the request: "),
    ],
)
def test_what_is_wrong_is_said(site, method, path, status, words):
    seen, answer = site.json(method, path)
    assert seen == status and words in answer["error"]


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"no form", FORM),
        (b"no form", "multipart/form-data"),
        (b"no form", f"{FORM}; charset=undefined"),
        (b"no form", f"{FORM}; charset=none-such"),
        (b"--edge--\r\n", FORM),
        (
            b"--edge\r\nContent-Disposition: form-data\r\n\r\na\r\n--edge--",
            FORM,
        ),
        (form(*[("a", b"")] * 41)[0], FORM),
    ],
)
def test_a_form_that_is_none_is_refused(site, body, kind):
    status, answer = site.json("POST", "/classify", body, Content_Type=kind)
    assert status == 400 and "form" in answer["error"]


def test_a_request_above_the_limit_is_refused_and_the_server_goes_on(site, photos):
    status, answer = site.json("POST", "/classify", b"a" * 200_001)
    assert status == 413 and "limit 0.2" in answer["error"]
    assert site.json("POST", "/classify", photos["red"])[0] == 200


def test_a_picture_above_its_own_limit_is_refused(photos):
    limits = Limits(max_bytes=len(photos["red"]) - 1)
    with running({"tiny": tiny()}, picture=limits) as site:
        status, record = site.json("POST", "/classify", photos["red"])
        assert status == 422 and "too many bytes" in record["reason"]


def test_a_picture_of_more_pixels_than_are_allowed_is_refused(tmp_path):
    content = save_square(tmp_path / "red.png", RED, (200, 100)).read_bytes()
    for bounds, words in (
        ({"picture": Limits(max_pixels=19_999)}, "too many pixels: 200x100"),
        ({"decoding_bytes": 8 * 19_999}, "MiB of memory would decode it"),
    ):
        with running({"tiny": tiny()}, **bounds) as site:
            status, record = site.json("POST", "/classify", content)
            assert status == 422 and words in record["reason"]
    with running({"tiny": tiny()}, decoding_bytes=8 * 20_000 + 1000) as site:
        assert site.json("POST", "/classify", content)[0] == 200
        assert metric(site, "ghostkit_decoding_bytes") == 0


def test_answers_come_whatever_else_is_asked_at_once(site, photos):
    before = metric(site, 'ghostkit_pictures_total{model="tiny",status="answered"}')
    names = [*photos] * 30
    with ThreadPoolExecutor(12) as pool:
        records = list(
            pool.map(lambda name: site.json("POST", "/classify", photos[name])[1], names)
        )
    assert [each["top"][0]["class_name"] for each in records] == names
    after = metric(site, 'ghostkit_pictures_total{model="tiny",status="answered"}')
    assert after - before == 90


def test_more_than_may_wait_is_told_to_come_again(photos):
    backend = Slow()
    with slow_site(backend, waiting=2) as site:
        backend.seconds = 0.2
        with ThreadPoolExecutor(8) as pool:
            asked = [pool.submit(site.ask, "POST", "/classify", photos["red"]) for _ in range(8)]
            answers = [each.result() for each in asked]
        statuses = [status for status, _, _ in answers]
        assert set(statuses) == {200, 503} and statuses.count(200) >= 3
        [again] = {headers["Retry-After"] for status, _, headers in answers if status == 503}
        assert again == "1"
        backend.seconds = 0
        assert site.ask("POST", "/classify", photos["red"])[0] == 200


def test_an_answer_that_takes_too_long_is_a_timeout_and_its_work_is_called_off(photos, caplog):
    backend = Slow()
    with slow_site(backend, answer_s=0.3) as site:
        backend.seconds = 0.5
        with ThreadPoolExecutor(4) as pool:
            asked = [pool.submit(site.ask, "POST", "/classify", photos["red"]) for _ in range(4)]
            assert {each.result()[0] for each in asked} == {504}
        backend.seconds = 0
        time.sleep(0.6)
        assert metric(site, "ghostkit_waiting_pictures") == 0
        assert metric(site, "ghostkit_batch_pictures_count") == 1  # that had begun
    assert no_fault_is_logged(caplog)


def test_a_client_that_leaves_is_forgotten(photos, caplog):
    backend = Slow()
    with slow_site(backend) as site:
        backend.seconds = 0.4
        content = photos["red"]
        for _ in range(3):
            with socket.create_connection(("127.0.0.1", site.port)) as connection:
                connection.sendall(head_of(len(content)) + content)
                time.sleep(0.05)
        end = time.monotonic() + 10
        while metric(site, 'ghostkit_requests_total{route="/classify",status="499"}') < 3:
            assert time.monotonic() < end
            time.sleep(0.02)
        assert metric(site, "ghostkit_batch_pictures_count") == 1
        while metric(site, "ghostkit_held_bytes"):  # of the one that a thread has begun
            assert time.monotonic() < end
            time.sleep(0.02)
    assert no_fault_is_logged(caplog)


def test_clients_that_left_leave_room_for_others(photos):
    backend, content = Slow(), photos["red"]
    with slow_site(backend, waiting=3) as site:
        backend.seconds = 0.6
        for _ in range(8):
            with socket.create_connection(("127.0.0.1", site.port)) as connection:
                connection.sendall(head_of(len(content)) + content)
                time.sleep(0.05)
        assert site.json("POST", "/classify", content)[0] == 200


def test_a_request_that_does_not_come_whole_is_refused(photos):
    with running({"tiny": tiny()}, read_s=0.2) as site:
        with socket.create_connection(("127.0.0.1", site.port), timeout=10) as connection:
            connection.sendall(head_of(99) + b"abc")
            assert connection.recv(4096).startswith(b"HTTP/1.1 408")


def test_a_request_that_does_not_begin_is_not_waited_for(photos):
    content = photos["red"]
    with running({"tiny": tiny()}, read_s=0.3) as site:
        address = ("127.0.0.1", site.port)
        with (
            socket.create_connection(address, timeout=10) as silent,
            socket.create_connection(address, timeout=10) as half,
        ):
            half.sendall(head_of(99)[:-2])
            assert closed_after(half) < 5
            assert closed_after(silent) < 5
        kept = http.client.HTTPConnection("127.0.0.1", site.port, timeout=10)
        kept.request("POST", "/classify", content)
        assert kept.getresponse().read()
        kept.sock.sendall(b"POST")  # uvicorn's own timer ends with the first byte
        assert closed_after(kept.sock) < 5
        kept.close()


@pytest.mark.parametrize(("count", "binary"), [(4000, False), (3000, True)])
def test_a_client_that_takes_no_answer_is_cut_off(monkeypatch, count, binary):
    """One answer is so long that uvicorn stops writing it, one has left uvicorn at once."""

    def narrow(host, port):
        bound = bind(host, port)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        return bound

    images = np.zeros((count, 3, 8, 8), "<f4")
    given = {"name": "image", "datatype": "FP32", "shape": list(images.shape)}
    given["parameters"] = {"binary_data_size": images.nbytes}
    parameters = {"binary_data_output": binary}
    head = json.dumps({"inputs": [given], "parameters": parameters}).encode()
    size = len(head) + images.nbytes
    lines = f"POST /v2/models/tiny/infer HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n"
    lines += f"Inference-Header-Content-Length: {len(head)}\r\n\r\n"
    monkeypatch.setattr("serving.bind", narrow)
    with running({"tiny": tiny()}, read_s=1.0) as site, ExitStack() as stack:
        for _ in range(2):
            deaf = stack.enter_context(socket.socket())
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            deaf.connect(("127.0.0.1", site.port))
            deaf.sendall(lines.encode() + head + images.tobytes())
        end = time.monotonic() + 10
        while b'infer",status="200"} 2.0' not in site.server.metrics.text():
            assert time.monotonic() < end
            time.sleep(0.02)
        assert metric(site, "ghostkit_connections") == 3
        while metric(site, "ghostkit_connections") > 1:  # that of this request
            assert time.monotonic() < end
            time.sleep(0.1)


def test_silent_connections_keep_nobody_out(photos):
    with running({"tiny": tiny()}, connections=5) as site, ExitStack() as stack:
        address = ("127.0.0.1", site.port)
        at_work = stack.enter_context(socket.create_connection(address, 10))
        at_work.sendall(head_of(len(photos["red"])) + photos["red"][:10])
        end = time.monotonic() + 10
        while site.server.memory.held < 10:
            assert time.monotonic() < end
            time.sleep(0.01)
        silent = [stack.enter_context(socket.create_connection(address, 10)) for _ in range(9)]
        for path in ("/v2/health/live", "/v2/health/ready", "/metrics"):
            assert site.ask("GET", path)[0] == 200
        assert metric(site, "ghostkit_evicted_connections_total") == 6
        for connection in silent[:6]:
            closed_after(connection)
        at_work.sendall(photos["red"][10:])
        assert at_work.recv(4096).startswith(b"HTTP/1.1 200")


def test_requests_above_the_bound_are_told_to_come_again_and_counted_but_no_probe(photos):
    content = photos["red"]
    with running({"tiny": tiny()}, requests=2) as site, ExitStack() as stack:
        for _ in range(2):
            slow = stack.enter_context(socket.create_connection(("127.0.0.1", site.port), 10))
            slow.sendall(head_of(len(content)))
        end = time.monotonic() + 10
        while (answer := site.ask("POST", "/classify", content))[0] == 200:
            assert time.monotonic() < end
        status, body, headers = answer
        assert status == 503 and b"2 requests are being answered; try again" in body
        assert headers["Retry-After"] == "1"
        for path in ("/v2/health/live", "/v2/health/ready", "/metrics"):
            assert site.ask("GET", path)[0] == 200
        assert metric(site, 'ghostkit_requests_total{route="/classify",status="503"}') == 1
        slow.sendall(content)
        assert slow.recv(4096).startswith(b"HTTP/1.1 200")
        assert site.ask("POST", "/classify", content)[0] == 200


def test_a_connection_is_kept_after_an_answer_for_as_long_as_is_said(photos):
    with running({"tiny": tiny()}, read_s=0.3, keep_alive_s=2) as site:
        kept = http.client.HTTPConnection("127.0.0.1", site.port, timeout=10)
        kept.request("POST", "/classify", photos["red"])
        assert kept.getresponse().read()
        assert 1.5 < closed_after(kept.sock) < 5
        kept.close()


def test_a_request_that_begins_in_time_may_take_longer(photos):
    backend, content = Slow(), photos["red"]
    with slow_site(backend, read_s=0.3) as site:
        backend.seconds = 0.5
        kept = http.client.HTTPConnection("127.0.0.1", site.port, timeout=10)
        for _ in range(2):
            kept.request("POST", "/classify", content)
            response = kept.getresponse()
            assert response.status == 200 and response.read()
        kept.close()


def test_every_answer_of_a_server_that_stops_soon_closes_its_connection():
    with running({"tiny": tiny()}) as site:
        for path, status in (("/v2", 200), ("/nothing", 404), ("/classify", 405)):
            assert "Connection" not in site.ask("GET", path)[2]
            site.server.ready = False
            answer = site.ask("GET", path)
            assert answer[0] == status and answer[2]["Connection"] == "close"
            site.server.ready = True


def test_answers_leave_at_once(site):
    one = form(("a.jpg", b"none"))  # an answer in two pieces, of which none may wait for the other
    took = []
    kept = http.client.HTTPConnection("127.0.0.1", site.port, timeout=10)
    for _ in range(60):
        began = time.perf_counter()
        kept.request("POST", "/classify", one[0], {"Content-Type": one[1]})
        assert kept.getresponse().read()
        took.append(time.perf_counter() - began)
    kept.close()
    assert min(took[-20:]) < 0.03  # seconds; the kernel waits 0.04, but not at the beginning


def test_the_page_has_all_models_and_runs_its_own_script_alone(site):
    status, body, headers = site.ask("GET", "/")
    assert status == 200 and headers["Content-Type"].startswith("text/html")
    assert b'<option value="tiny">' in body and b'<option value="other">' in body
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "script-src 'self'" in policy
    assert b"http" not in body.replace(b"http-equiv", b"")
    status, script, headers = site.ask("GET", "/page.js")
    assert status == 200 and headers["Content-Type"].startswith("text/javascript")
    assert headers["X-Content-Type-Options"] == "nosniff" and b"classify" in script


def test_metrics_name_addresses_by_their_pattern_so_that_they_cannot_grow(site):
    def unknown(status):
        found = re.search(
            rf'route="none",status="{status}"}} (\d+)', site.server.metrics.text().decode()
        )
        return int(found[1]) if found else 0

    before = unknown(404), unknown(405)
    for number in range(3):
        site.ask("GET", f"/v2/models/{number}")
        site.ask("GET", f"/{number}")
    site.ask("GET", "/classify")
    text = site.ask("GET", "/metrics")[1].decode()
    assert 'route="/v2/models/{model}",status="404"' in text
    assert (unknown(404), unknown(405)) == (before[0] + 3, before[1] + 1)
    assert 'route="/v2/models/1"' not in text and 'route="/1"' not in text


def test_a_model_of_the_package_answers_over_http_as_in_python(photos):
    classifier = load()
    with running({"default": classifier}) as site:
        content = photos["green"]
        status, body, headers = site.ask(
            "POST", "/v2/models/default/infer", content, Inference_Header_Content_Length="0"
        )
        values = np.frombuffer(body[int(headers["Inference-Header-Content-Length"]) :], "<f4")
        np.testing.assert_allclose(values, load()(content).probabilities, atol=1e-6)
        assert struct.calcsize("<f") * 200 == values.nbytes and status == 200
        images = np.zeros((1, 3, 96, 96), "<f4")
        given = {"name": classifier.card.input.name, "datatype": "FP32", "shape": [1, 3, 96, 96]}
        given["parameters"] = {"binary_data_size": images.nbytes}
        head = json.dumps({"inputs": [given], "outputs": [{"name": "logits"}]}).encode()
        length = {"Inference_Header_Content_Length": str(len(head))}
        status, answer = site.json(
            "POST", "/v2/models/default/infer", head + images.tobytes(), **length
        )
        assert status == 200
        expected = load().backend.infer(images)
        np.testing.assert_allclose(answer["outputs"][0]["data"], expected[0], atol=1e-4)
