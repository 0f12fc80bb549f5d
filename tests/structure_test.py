#!/usr/bin/python3
"""scripts/check-structure passes on this tree, and fails on each kind of mistake, with the names.

    structure_test.py BUILD
"""
import os
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
CHECK = os.path.join(ROOT, "scripts", "check-structure")
ROOMS = ("include", "profiler", "collectors", "store", "tui")

MISTAKES = {
    "an include upwards": ("profiler/shim/ring/ring.h", '#include "profiler/shim/core/core.h"\n', ["ring/ring.h", "core/core.h"]),
    "the training program includes the store": ("profiler/shim/steps/step_plan.c", '#include "store/internal.h"\n',
                                                ["step_plan.c", "store/internal.h"]),
    "a circle of headers": ("profiler/shim/process/clock.h", '#include "config.h"\n', None),
    "a tag defined twice": ("tui/plot.h", "struct gns_ring { int of_another; };\n",
                            ["struct gns_ring has 2 definitions", "tui/plot.h"]),
    "a guard of another path": ("tui/grid.h", None, ["tui/grid.h: the include guard is GNS_GRID_H"]),
}


def check(*words):
    return subprocess.run([sys.executable, CHECK, *words], capture_output=True, text=True)


def copy(to):
    for room in ROOMS:
        shutil.copytree(os.path.join(ROOT, room), os.path.join(to, room))


def put(path, text):
    with open(path, encoding="utf-8") as f:
        lines = f.readlines()
    last = max((i for i, line in enumerate(lines) if line.startswith("#include")), default=len(lines) - 2)
    lines.insert(last + 1, text)
    with open(path, "w", encoding="utf-8") as f:
        f.writelines(lines)


def fails(tree, path, text, names):
    full = os.path.join(tree, path)
    with open(full, encoding="utf-8") as f:
        before = f.read()
    if text is None:
        with open(full, "w", encoding="utf-8") as f:
            f.write(before.replace("GNS_TUI_GRID_H", "GNS_GRID_H"))
    else:
        put(full, text)
    if names is None:  # the other half of a circle of headers
        other = os.path.join(tree, "profiler/shim/process/config.h")
        with open(other, encoding="utf-8") as f:
            kept = f.read()
        put(other, '#include "clock.h"\n')
        names = ["a circle of 2 files", "clock.h", "config.h"]
    else:
        other = None
    done = check("--root", tree)
    with open(full, "w", encoding="utf-8") as f:
        f.write(before)
    if other:
        with open(other, "w", encoding="utf-8") as f:
            f.write(kept)
    missing = [name for name in names if name not in done.stderr]
    assert done.returncode == 1 and not missing, f"status {done.returncode}, without {missing}: {done.stderr[-1000:]}"


def main():
    failed = 0
    done = check("--build", sys.argv[1])
    print(done.stdout, done.stderr, sep="", end="")
    failed += done.returncode != 0
    with tempfile.TemporaryDirectory() as tree:
        copy(tree)
        assert check("--root", tree).returncode == 0, check("--root", tree).stderr
        for what, (path, text, names) in MISTAKES.items():
            try:
                fails(tree, path, text, names)
                print(f"ok    {what}")
            except AssertionError as error:
                failed += 1
                print(f"FAIL  {what}: {error}")
    return failed


if __name__ == "__main__":
    sys.exit(main())
