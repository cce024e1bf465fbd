"""Run a program that says which file it is about to give its name, and that dies by SIGKILL at a chosen one of them.

    python -m research.kills.mortal --root FOLDER --events FD [--die before|after --file NAME --nth N] MODULE ...

Nothing of the program is changed for it: Python's own audit events tell of every rename before it happens, and the
pipeline gives every file its name by one. Processes that it starts for its jobs are watched alike: where such a one
comes to the chosen file, it dies with the whole program, or with --alone by itself, once.
"""

import argparse
import os
import re
import runpy
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

HIDDEN = re.compile(r"^\.(.+?)\.[^/]*\.tmp$")
"""A working folder, whose name differs from process to process."""

WORKER = "pipeline.execute.worker"
"""The module of processes that do jobs beside the leading one."""
DIED = "died_alone"
"""A file below the root: a worker died once, and its successor is to live."""


class Watch:
    """An audit hook: tells every rename below `root`, and ends the program at the one that was chosen."""

    def __init__(self, chosen: argparse.Namespace) -> None:
        self.root, self.events = chosen.root.absolute(), chosen.events
        self.die, self.file, self.left = chosen.die, chosen.file, chosen.nth
        self.leader, self.alone = chosen.leader, chosen.alone
        self.doomed = False

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Called by Python before every audited operation."""
        if self.doomed:
            # The first operation after the rename: the file has its name, its folder is not synced yet.
            self.end()
        if event != "os.rename":
            return
        name = steady_name(self.root, arguments[1])
        if name is None:
            return
        os.write(self.events, f"{time.monotonic()} {name}\n".encode())
        if name == self.file:
            self.left -= 1
            if self.left == 0 and self.die == "before":
                self.end()
            self.doomed = self.left == 0 and self.die == "after"

    def end(self) -> None:
        """Kill this process and those it started, or those that started it; killing is an audited operation, too."""
        self.doomed, self.file = False, None
        if self.alone:
            if not self.leader:
                return
            try:
                os.close(os.open(self.root / DIED, os.O_CREAT | os.O_EXCL))
            except FileExistsError:
                return
        elif self.leader:
            with suppress(ProcessLookupError):
                os.killpg(self.leader, signal.SIGKILL)
        os.killpg(0, signal.SIGKILL)


def steady_name(root: Path, target: Any) -> str | None:
    """Path below `root`, the same in every process: `cache/~pack/report.json`; None for files elsewhere."""
    try:
        relative = Path(os.path.abspath(os.fsdecode(target))).relative_to(root)  # noqa: PTH100 - no links followed
    except (TypeError, ValueError):
        return None
    return "/".join(HIDDEN.sub(r"~\1", part) for part in relative.parts)


def watch_workers(own: list[str], events: int) -> None:
    """Let every worker that this process starts run under a watch like its own, knowing who leads."""
    start = subprocess.Popen.__init__

    def started(self: Any, command: Any, *rest: Any, **options: Any) -> None:
        if isinstance(command, list) and WORKER in command:
            place = command.index(WORKER)
            watch = ["research.kills.mortal", *own, "--leader", str(os.getpgid(0))]
            command = [*command[:place], *watch, *command[place:]]
            options["pass_fds"] = (*options.get("pass_fds", ()), events)
        start(self, command, *rest, **options)

    subprocess.Popen.__init__ = started  # type: ignore[method-assign, assignment]


def main() -> None:
    """Set the watch, then run the module as if it had been started by itself."""
    parser = argparse.ArgumentParser(description="run a module that dies at a chosen file")
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--events", type=int, required=True)
    parser.add_argument("--die", choices=("before", "after"))
    parser.add_argument("--file")
    parser.add_argument("--nth", type=int, default=1)
    parser.add_argument("--leader", type=int, default=0, help="process group of the program that this one works for")
    parser.add_argument("--alone", action="store_true", help="a worker dies and its program lives on")
    parser.add_argument("module")
    parser.add_argument("arguments", nargs=argparse.REMAINDER)
    chosen = parser.parse_args()
    sys.addaudithook(Watch(chosen))
    if not chosen.leader:
        watch_workers(sys.argv[1 : sys.argv.index(chosen.module)], chosen.events)
    sys.argv = [chosen.module, *chosen.arguments]
    if chosen.module.endswith(".py"):
        runpy.run_path(chosen.module, run_name="__main__")
    else:
        runpy.run_module(chosen.module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
