"""The extras: what each brings that has to be importable, and the refusal where one of it is not.

Read by the commands that need an extra and by `doctor`. Nothing is imported to find out.
"""

from importlib.util import find_spec

from ghostkit.errors import MissingExtra

MODULES = {  # of each extra of pyproject.toml
    "train": ("torch", "safetensors", "onnx", "onnxscript", "yaml"),
    "track": ("tensorboard", "mlflow"),
    "serve": ("starlette", "uvicorn", "python_multipart", "prometheus_client"),
    "convert": ("onnx",),
    "parquet": ("pyarrow",),
    "cloud": ("obstore", "obs"),
    "ray": ("ray", "pyarrow"),
    "mindx": ("cv2", "google.protobuf"),
}
PACKAGES = {  # what brings a module of another name
    "yaml": "pyyaml",
    "mlflow": "mlflow-skinny",
    "python_multipart": "python-multipart",
    "prometheus_client": "prometheus-client",
    "obs": "esdk-obs-python",
    "ray": "ray[data]",
    "cv2": "opencv-python-headless",
    "google.protobuf": "protobuf",
}


def missing_of(extra: str) -> list[str]:
    """The modules of `extra` that are not installed."""
    return [name for name in MODULES[extra] if not is_here(name)]


def require_extra(extra: str) -> None:
    """Raise MissingExtra, which names the pip command, where a module of `extra` is missing."""
    for name in missing_of(extra):
        raise MissingExtra(extra, PACKAGES.get(name, name))


def is_here(module: str) -> bool:
    """Whether `module` is installed; a package that it lies in may be imported."""
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # of the package that it lies in
        return False
