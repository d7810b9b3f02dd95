"""A strict stand-in for ``docker run``: it refuses what the manual does not give.

Writes what would be started to the file in STRICT_DOCKER as JSON; STRICT_DOCKER_STATUS is its exit
status.
"""

import json
import os
import re
import sys


def refuse(words: str) -> None:
    sys.exit(f"docker: {words}")


def parsed(arguments: list[str]) -> dict[str, object]:
    if arguments[:1] != ["run"]:
        refuse(f"unknown command {arguments[:1]}")
    found: dict[str, object] = {"interactive": False, "tty": False, "devices": [], "volumes": {}}
    rest = arguments[1:]
    while rest and rest[0].startswith("-"):
        option = rest.pop(0)
        if re.fullmatch(r"-[it]+", option):
            found["interactive"] = found["interactive"] or "i" in option
            found["tty"] = found["tty"] or "t" in option
        elif device := re.fullmatch(r"--device=(/dev/\w+)", option):
            found["devices"] += [device[1]]
        elif option == "-v":
            parts = rest.pop(0).split(":")
            if len(parts) != 2 or not all(part.startswith("/") for part in parts):
                refuse(f"invalid volume {':'.join(parts)!r}: two absolute paths")
            found["volumes"][parts[0]] = parts[1]
        else:
            refuse(f"unknown flag {option}")
    if not rest or not re.fullmatch(r"[a-z0-9]+([._/-][a-z0-9]+)*(:[\w.-]{1,128})?", rest[0]):
        refuse(f"invalid reference format: {rest[:1]}")
    return found | {"image": rest[0], "command": rest[1:]}


if __name__ == "__main__":
    with open(os.environ["STRICT_DOCKER"], "w", encoding="utf-8") as stream:
        json.dump(parsed(sys.argv[1:]), stream)
    sys.exit(int(os.environ.get("STRICT_DOCKER_STATUS", "0")))
