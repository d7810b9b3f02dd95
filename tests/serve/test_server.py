import pytest

from ghostkit.backend import FakeBackend
from ghostkit.classifier import Classifier
from ghostkit.errors import ModelError
from ghostkit.serve.admission import Admission
from ghostkit.serve.server import Server
from ghostkit.steps import CenterCrop, Resize
from tiny import tiny_card


class Failing(FakeBackend):
    """Fails on every picture."""

    def infer(self, images):
        raise ModelError("out of order")


def of(backend=None, **changes):
    return Classifier(backend or FakeBackend(), tiny_card().model_copy(update=changes))


def server(**models):
    return Server(models, batch_size=1, workers=1, admission=Admission())


@pytest.mark.parametrize(
    ("steps", "size"),
    [
        ((CenterCrop(size=(300, 200)),), (300, 200)),
        ((CenterCrop(size=(300, 200)), Resize(size=(8, 8))), (8, 8)),
        ((Resize(short=100), CenterCrop(size=(100, 300))), (100, 300)),
        ((), (224, 160)),
    ],
)
def test_a_server_starts_whatever_its_models_steps_take(steps, size):
    sides = {"height": size[0], "width": size[1]}
    model = of(steps=steps, input=tiny_card().input.model_copy(update=sides))
    with server(a=model) as started:
        assert started.ready


def test_a_model_that_answers_no_picture_is_named():
    with (
        pytest.raises(ModelError, match=r"^broken: out of order$"),
        server(a=of(), broken=of(Failing())),
    ):
        pass
