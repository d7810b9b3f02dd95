"""Many small files and a large one to a store and back, beside s3fs, awscli and rclone.

    python benchmarks/staging.py --peer-bin .venv-bench/bin [--files 10000] [--large-mb 2048]

Starts a real S3 server (SeaweedFS) on this machine; every tool is a process of its own, start-up
included, and moves the same files to an empty place and into an empty folder. What arrives is
compared by SHA-256. The server runs on the same cores, so that a rate is that of both together.
--peer-bin holds `aws` and a python with s3fs (pip install awscli s3fs); rclone is taken from the
path; a tool that is not there is left out. All are told to use 32 requests at once, as ghostkit.
"""

import argparse
import hashlib
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from s3_server import ADMIN, BUCKET, Server, running

REQUESTS = 32
S3FS = """
import sys, s3fs
fs = s3fs.S3FileSystem()
move = fs.put if sys.argv[1] == "put" else fs.get
move(sys.argv[2], sys.argv[3], recursive=sys.argv[4] == "folder", batch_size=32)
"""
Move = Callable[[str, str, bool], list[str]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peer-bin", type=Path)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--file-kb", type=int, default=20, help="mean size of the small files")
    parser.add_argument("--large-mb", type=int, default=2048)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--tools", default="ghostkit,rclone,aws,s3fs")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        (scratch / "weed").mkdir()
        with running(scratch / "weed") as server:
            tools = {
                tool: move
                for tool, move in find_tools(options.peer_bin, server).items()
                if tool in options.tools.split(",")
            }
            environment = prepare(server, scratch)
            if options.files:
                source = small_files(scratch / "small", options.files, options.file_kb << 10)
                what = f"{options.files} files"
                measure(tools, source, what, options.files, "files", options.rounds, environment)
            if options.large_mb:
                source = large_file(scratch / "large.bin", options.large_mb)
                what = f"one file of {options.large_mb} MB"
                measure(tools, source, what, options.large_mb, "MB", options.rounds, environment)


def find_tools(peers: Path | None, server: Server) -> dict[str, Move]:
    """Tool -> (source, target, whether it is a folder) to a command line."""

    def ghostkit(source: str, target: str, folder: bool) -> list[str]:
        return [sys.executable, "-m", "ghostkit", "stage", source, target]

    def rclone(source: str, target: str, folder: bool) -> list[str]:
        remote = f":s3,provider=Other,env_auth=true,endpoint='{server.endpoint}':"
        places = [place.replace("s3://", remote) for place in (source, target)]
        flags = [f"--transfers={REQUESTS}", f"--checkers={REQUESTS}", "--s3-no-check-bucket"]
        return ["rclone", "copy" if folder else "copyto", *places, *flags]

    def aws(source: str, target: str, folder: bool) -> list[str]:
        command = [str(peers / "aws"), "s3", "cp", source, target, "--only-show-errors"]
        return [*command, "--recursive"] if folder else command

    def s3fs(source: str, target: str, folder: bool) -> list[str]:
        doing = "get" if source.startswith("s3://") else "put"
        end = "/" if folder else ""
        kind = "folder" if folder else "file"
        return [str(peers / "python"), "-c", S3FS, doing, source + end, target + end, kind]

    tools: dict[str, Move] = {"ghostkit": ghostkit}
    if shutil.which("rclone"):
        tools["rclone"] = rclone
    if peers is not None:
        tools |= {"aws": aws, "s3fs": s3fs}
    return tools


def prepare(server: Server, scratch: Path) -> dict[str, str]:
    config = scratch / "aws-config"
    concurrent = f"s3 =\n  max_concurrent_requests = {REQUESTS}\n"
    config.write_text(f"[default]\nregion = us-east-1\n{concurrent}")
    kept = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
    return (
        kept
        | server.environment(ADMIN)
        | {
            "AWS_CONFIG_FILE": str(config),
            "AWS_DEFAULT_REGION": "us-east-1",
            "RCLONE_CONFIG": "/dev/null",
            "XDG_CACHE_HOME": str(scratch / "cache"),
        }
    )


def small_files(folder: Path, count: int, mean: int) -> Path:
    chance = random.Random(0)
    for number in range(count):
        path = folder / f"class-{number % 100:02}" / f"{number:06}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(chance.randbytes(chance.randrange(mean // 2, mean * 3 // 2)))
    return folder


def large_file(path: Path, megabytes: int) -> Path:
    chance = random.Random(1)
    with open(path, "wb") as stream:
        for _ in range(megabytes):
            stream.write(chance.randbytes(1 << 20))
    return path


def measure(
    tools: dict[str, Move],
    source: Path,
    what: str,
    amount: int,
    unit: str,
    rounds: int,
    environment: dict[str, str],
) -> None:
    expected = digests(source)
    print(f"{what}, {unit}/s (up, down), best of {rounds}:", flush=True)
    best: dict[str, list[float]] = {tool: [0.0, 0.0] for tool in tools}
    for number in range(rounds):
        for tool, move in tools.items():
            url = f"s3://{BUCKET}/{tool}-{number}-{source.name}"
            back = source.with_name(f"back-{tool}")
            up_s = timed(move(str(source), url, source.is_dir()), environment)
            down_s = timed(move(url, str(back), source.is_dir()), environment)
            if digests(back) != expected:
                print(f"  {tool}: what came back is not what was sent")
            shutil.rmtree(back) if back.is_dir() else back.unlink(missing_ok=True)
            best[tool] = [max(best[tool][i], amount / s) for i, s in enumerate((up_s, down_s))]
            print(f"  {tool:9} {amount / up_s:8.0f} {amount / down_s:8.0f}", flush=True)
    if rounds > 1:
        for tool, (up, down) in best.items():
            print(f"  best: {tool:9} {up:8.0f} {down:8.0f}")


def timed(command: list[str], environment: dict[str, str]) -> float:
    os.sync()
    began = time.perf_counter()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    took_s = time.perf_counter() - began
    if done.returncode:
        raise SystemExit(f"{command[:4]}: status {done.returncode}: {done.stderr[-500:]}")
    return took_s


def digests(place: Path) -> dict[str, str]:
    files = [place] if place.is_file() else [p for p in place.rglob("*") if p.is_file()]
    found = {}
    for path in files:
        if not path.name.startswith("."):
            with open(path, "rb") as stream:
                digest = hashlib.file_digest(stream, "sha256").hexdigest()
            found["" if path == place else str(path.relative_to(place))] = digest
    return found


if __name__ == "__main__":
    main()
