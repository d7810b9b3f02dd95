"""A recipe from a TOML file, flags and ``key=value`` overrides, and back into a file."""

import json
import os
import tomllib
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from ghostkit.errors import UsageError, did_you_mean
from ghostkit.train.recipe import OFF, Recipe


def load_recipe(
    path: str | os.PathLike[str] | None = None,
    overrides: Sequence[str] = (),
    values: Mapping[str, Any] | None = None,
    base: Mapping[str, Any] | None = None,
) -> Recipe:
    """The recipe in `path` (TOML), with `values`, then ``key=value`` overrides on top.

    Args:
        base: what lies under the file in place of the defaults, e.g. a checkpoint's recipe.

    Raises:
        UsageError: the file cannot be read, or keys or values are wrong; all problems at once.
    """
    content: dict[str, Any] = {}
    if path is not None:
        try:
            with open(path, "rb") as stream:
                content = tomllib.load(stream)
        except OSError as error:
            raise UsageError(f"cannot read recipe {os.fspath(path)!r}: {error.strerror}") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise UsageError(f"recipe {os.fspath(path)!r} is not TOML: {error}") from error
    content = {**(base or {}), **content, **(values or {})}
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals:
            raise UsageError(f"override {override!r} is not of the form key=value")
        content[key.strip().replace("-", "_")] = _value(text.strip())
    try:
        return Recipe.model_validate(content)
    except ValidationError as error:
        source = "recipe" if path is None else f"recipe {os.fspath(path)!r}"
        raise UsageError(*_explain(error, source)) from error


def _value(text: str) -> Any:
    """A TOML value, or else the text itself, so that ``sched=cosine`` needs no quotes."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _explain(error: ValidationError, source: str) -> list[str]:
    lines = [f"{source} has {error.error_count()} problem(s):"]
    for problem in error.errors(include_url=False):
        key = ".".join(str(part) for part in problem["loc"])
        if problem["type"] == "extra_forbidden":
            help_page = "; see: ghostkit train --help"
            hint = did_you_mean(key, Recipe.model_fields, otherwise=help_page)
            lines.append(f"  {key}: no such key{hint}")
        else:
            seen = f", not {problem['input']!r}" if problem["loc"] else ""
            lines.append(f"  {key or 'recipe'}: {problem['msg']}{seen}")
    return lines


def to_toml(recipe: Recipe) -> str:
    """The recipe as a file that `load_recipe` reads; TOML has no null, so it is written "none"."""
    values = {
        name: OFF if value is None else json.dumps(value, ensure_ascii=False)
        for name, value in recipe.model_dump(mode="json").items()
    }
    return "".join(f"{name} = {text}\n" for name, text in values.items())
