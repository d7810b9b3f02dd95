"""A recipe from a TOML file, flags and ``key=value`` overrides, and back into a file."""

import json
import os
import tomllib
from collections.abc import Iterator, Mapping, Sequence
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
    problems: list[str] = []
    for override in overrides:
        key, equals, text = override.partition("=")
        if equals:
            content[key.strip().replace("-", "_")] = _value(text.strip())
        else:
            problems.append(f"{override!r} is not of the form key=value")
    for key in [key for key, value in content.items() if value is True and _is_number(key)]:
        problems.append(f"{key}: true is no number{_like(key)}")
        del content[key]
    try:
        recipe = Recipe.model_validate(content)
    except ValidationError as error:
        problems += _explain(error)
    if not problems:
        return recipe
    source = "recipe" if path is None else f"recipe {os.fspath(path)!r}"
    count = f"{source} has {len(problems)} problem(s):"
    raise UsageError(count, *(f"  {problem}" for problem in problems))


def _value(text: str) -> Any:
    """A TOML value, or else the text itself, so that ``sched=cosine`` needs no quotes."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _is_number(key: str) -> bool:
    """Whether `key` takes a number, for which ``true`` would be 1: all photos mirrored, say."""
    field = Recipe.model_fields.get(key)
    return field is not None and not isinstance(field.default, bool | str)


def _like(key: str) -> str:
    """How the value of `key` is written, where it has a default to show that by."""
    default = Recipe.model_fields[key].default
    return "" if default is None else f"; write it as in {key}={json.dumps(default)}"


def _explain(error: ValidationError) -> Iterator[str]:
    """A line for each problem, without the name of the file."""
    for problem in error.errors(include_url=False):
        key = ".".join(str(part) for part in problem["loc"])
        if not key:
            yield from str(problem["ctx"]["error"]).splitlines()
        elif problem["type"] == "extra_forbidden":
            help_page = "; see: ghostkit train --help"
            yield f"{key}: no such key{did_you_mean(key, Recipe.model_fields, otherwise=help_page)}"
        else:
            field = str(problem["loc"][0])
            hint = _like(field) if isinstance(Recipe.model_fields[field].default, tuple) else ""
            yield f"{key}: {problem['msg']}, not {problem['input']!r}{hint}"


def to_toml(recipe: Recipe) -> str:
    """The recipe as a file that `load_recipe` reads; TOML has no null, so it is written "none"."""
    values = {
        name: OFF if value is None else json.dumps(value, ensure_ascii=False)
        for name, value in recipe.model_dump(mode="json").items()
    }
    return "".join(f"{name} = {text}\n" for name, text in values.items())
