"""URLs of object stores on the command line: the one place where they become local paths.

Before a command runs, each URL that it reads is fetched and each that it writes gets a local
place; the command sees paths alone. Afterwards what it has written is sent. Sources of `predict`
stay URLs, as they are read picture by picture.
"""

import glob
import inspect
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from ghostkit import suffixes
from ghostkit.cli.naming import stands_for
from ghostkit.cli.options import KEPT, WRITTEN, UrlUse, say
from ghostkit.cloud.address import Address, is_url, parse
from ghostkit.cloud.mirror import Mirror
from ghostkit.cloud.places import UNFINISHED, bring, bring_result, clear, place_of
from ghostkit.cloud.stage import fetch, send
from ghostkit.cloud.store import open_store
from ghostkit.errors import GhostkitError
from ghostkit.files import PARTIAL_SUFFIX, exists_already, make_folder
from ghostkit.locks import claimed
from ghostkit.progress import bars_for
from ghostkit.run_files import BEST, hold_a_run, holds_a_run, run_exists_already

OWN_URLS = ("modelarts", "stage")  # commands that deal with stores themselves
NOTHING_IS_READ = ("--help", "-h", "--print-recipe")
MODELS = tuple(end for end in suffixes.MODELS if end != ".tar")  # which pictures end in too


@dataclass(frozen=True)
class _Written:
    """An output that a command writes to the local `path`, to be sent to `address`."""

    address: Address
    path: Path
    role: str


class Urls:
    """The URLs of one command line, fetched before the command and sent after it."""

    def __init__(self) -> None:
        self.ended = False  # the command has come to its end, so that its output is whole
        self._written: list[_Written] = []
        self._waiting: list[Mirror] = []  # until all that is read is here
        self._mirrors, self._claims = ExitStack(), ExitStack()
        self._claimed: set[Path] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """Send what was written; after an interruption, only what a later command can resume."""
        try:
            self._mirrors.close()
            for each in self._written:
                if self.ended:
                    self._send(each)
                elif each.role == "run_folder" and holds_a_run(each.path):
                    say(f"kept: {each.address}; there it goes on with: --resume {each.address}")
        except GhostkitError as problem:
            if error is None:
                raise
            say(f"ghostkit: {problem}")  # and then what has ended the command
        finally:
            self._claims.close()

    def localized(self, command: Any, name: str, words: Sequence[str]) -> list[str]:
        """The words of the command line with paths in place of URLs.

        Raises:
            StoreError: what is to be read cannot be fetched.
            OutputError: what is to be written stands there already.
        """
        if name in OWN_URLS or set(words) & set(NOTHING_IS_READ):
            return list(words)
        if name == "train":
            from ghostkit.cli.train_options import with_values

            words = with_values(words)
        found = list(roles(command, words))
        runs = [_run_of(parse(url)) for url, role in found if url and role == "resume"]
        apart = any(role == "run_folder" for _, role in found)
        uses = uses_of(command)
        local = []
        for word, (url, role) in zip(words, found, strict=True):
            is_kept = uses.get(role) is KEPT and not _is_model(url)  # a model is opened from a file
            if not url or is_kept or _is_parts(name, role, url, words):
                local.append(word)
                continue
            address, written = parse(url), uses.get(role) is WRITTEN
            if role == "resume":
                self._claim(_run_of(address), words)
                path = bring(_run_of(address), bars=bars_for(unit="MB"))
                stands_for(path, str(_run_of(address)))
                if not apart:  # the run goes on where it is
                    self._place(_run_of(address), "run_folder", words, resumed=True)
                if address.name.endswith(suffixes.CHECKPOINT):
                    path /= address.name
            elif not written:
                path = bring(address, bars=bars_for(unit="MB"))
                if path.is_file() and _is_model(url):
                    _bring_weights(address, path)
            else:
                resumed = _folder(address) in map(_folder, runs)
                path = self._place(address, role, words, resumed=resumed)
            end = "/" if url.endswith("/") and written else ""
            stands_for(path, url)
            local.append(word.replace(url, f"{path}{end}"))
        for mirror in self._waiting:
            self._mirrors.enter_context(mirror)
        return local

    def _send(self, written: _Written) -> None:
        if written.path.exists():
            send(written.path, written.address, bars=bars_for(unit="MB"))
            _send_beside(written)
            say(f"sent: {written.address}")

    def _place(self, address: Address, role: str, words: Sequence[str], *, resumed: bool) -> Path:
        """The local path of an output; it is mirrored if it can be resumed elsewhere."""
        path = place_of(address)
        if not is_first(words):
            return path
        self._claim(address, words)
        self._written.append(_Written(address, path, role))
        if role == "run_folder":
            if not resumed:
                _check_no_run(address)
                clear(path)
            path.mkdir(parents=True, exist_ok=True)
            self._waiting.append(Mirror(path, address, newest=BEST, log=say))
        else:
            result = address._replace(key=address.key.rstrip("/"))
            if "--resume" in words:
                bring_result(result, bars=bars_for(unit="MB"))
            else:
                _check_absent(address, words)
                clear(path)
            if result.key:  # not the whole bucket
                self._waiting.append(_unfinished(result, path))
        return path

    def _claim(self, address: Address, words: Sequence[str]) -> None:
        """Lock the output at `address` against other commands of this machine."""
        folder = place_of(address).parent
        if is_first(words) and folder not in self._claimed:
            make_folder(folder)
            self._claims.enter_context(claimed(folder, str(address)))
            self._claimed.add(folder)


def _unfinished(address: Address, path: Path) -> Mirror:
    """Keeps a result that grows: a file under another name until it is whole, a folder's files."""

    def named(name: str) -> str:
        return name + UNFINISHED if name == path.name else name

    above = address._replace(key=address.key.rpartition("/")[0])
    return Mirror(path.parent, above, named=named, log=say)


def _send_beside(written: _Written) -> None:
    """Send the job's record with its result, and delete the unfinished result."""
    key = written.address.key.rstrip("/")
    for path in written.path.parent.glob(f"{glob.escape(written.path.name)}.*"):
        end = path.name.removeprefix(written.path.name)
        send(path, written.address._replace(key=key + end))
    if written.path.is_file():
        open_store(written.address).delete(key + UNFINISHED)


def _check_absent(address: Address, words: Sequence[str]) -> None:
    if "--overwrite" in words or address.key.endswith("/"):
        return
    for end in ("", UNFINISHED, PARTIAL_SUFFIX):  # and what a stopped job has left
        if open_store(address).stat(address.key + end) is not None:
            raise exists_already(
                f"{address}{end}",
                "choose another output",
                "go on with it with --resume",
                "replace it with --overwrite, where the command has them",
            )


def _check_no_run(address: Address) -> None:
    """Refuse an address that holds another run, as `check_run_folder` refuses a folder."""
    below = open_store(address).list(address.prefix)
    if hold_a_run(entry.key.removeprefix(address.prefix) for entry in below):
        raise run_exists_already(address)


def _bring_weights(address: Address, model: Path) -> None:
    """Fetch the weight files beside a model; the model's reader reports a missing one."""
    from ghostkit.backend.model_files import names_beside

    above = address._replace(key=address.key.rpartition("/")[0])
    for name in names_beside(model, model.read_bytes()):
        beside = above.below(name)
        if open_store(beside).stat(beside.key) is not None:
            fetch(beside, model.parent / name, bars=bars_for(unit="MB"))


def _run_of(address: Address) -> Address:
    """The run folder of what is to be resumed: a checkpoint in it, or the folder itself."""
    is_file = address.key.endswith(suffixes.CHECKPOINT)
    return address._replace(key=address.key.rpartition("/")[0]) if is_file else address


def _folder(address: Address) -> Address:
    """The same address, with a slash at its end."""
    return address._replace(key=address.prefix)


def is_first(words: Sequence[str] = ()) -> bool:
    """Whether this is the first of the processes of a training, the one that writes.

    It is known from torchrun, or from the original's own flag among `words`.
    """
    rank = os.environ.get("RANK", "")
    for word, after in zip(words, [*words[1:], ""], strict=False):
        flag, _, value = word.partition("=")
        if not rank and flag in ("--local_rank", "--local-rank"):
            rank = value or after
    return rank in ("", "0")


def _is_parts(name: str, role: str, url: str, words: Sequence[str]) -> bool:
    """Whether the output is a folder of part files, which a cluster job writes by itself."""
    engine = "--engine=ray" in words or ("--engine", "ray") in zip(words, words[1:], strict=False)
    return name == "predict" and role == "output" and url.endswith("/") and engine


def _is_model(url: str) -> bool:
    return url.lower().endswith(MODELS)


def uses_of(command: Any) -> dict[str, UrlUse]:
    """The parameters of a command that are marked with what becomes of a URL."""
    parameters = inspect.signature(command.callback).parameters.values()
    return {
        parameter.name: mark
        for parameter in parameters
        for mark in getattr(parameter.annotation, "__metadata__", ())
        if isinstance(mark, UrlUse)
    }


def roles(command: Any, words: Sequence[str]) -> Iterator[tuple[str, str]]:
    """For each word the URL in it, or an empty string, and the parameter that it belongs to."""
    options = {name: p for p in command.params for name in p.opts if name.startswith("-")}
    positional = iter([p for p in command.params if p.param_type_name == "argument"])
    current, left = "", 0
    argument = next(positional, None)
    for word in words:
        option, _, value = word.partition("=")
        if left:
            left -= 1
            yield (word if is_url(word) else ""), current
        elif option in options and value:
            yield (value if is_url(value) else ""), options[option].name
        elif word in options:
            chosen = options[word]
            current, left = (
                str(chosen.name),
                0 if getattr(chosen, "is_flag", False) else chosen.nargs,
            )
            yield "", chosen.name
        elif word[:2] in options and is_url(word[2:]):
            yield word[2:], options[word[:2]].name
        else:
            url = word if is_url(word) else value if is_url(value) else ""
            yield url, argument.name if argument is not None else ""
            if argument is not None and argument.nargs == 1:
                argument = next(positional, None)
