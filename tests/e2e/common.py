"""What the end-to-end tests share: where things are, a clean environment, and the run database read by plain SQL."""
import argparse
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PYTHON = "/usr/bin/python3"


def arguments(description):
    p = argparse.ArgumentParser(description=description)
    p.add_argument("--build", default=os.path.join(ROOT, "build"), help="build folder")
    p.add_argument("--mlp", help="the trainer in C, where it is not in the build folder")
    return p


class Bench:
    """A scratch folder with a state folder of its own, so that no test meets the user's store or another test."""

    def __init__(self, args, torch=True):
        """torch: False leaves PyTorch programs to the collector of matrix products."""
        self.gnscope = os.path.join(args.build, "bin", "gnscope")
        self.shim = os.path.join(args.build, "lib", "libgnscope.so")
        self.mlp = args.mlp or os.path.join(args.build, "bin", "mlp")
        for program in (self.gnscope, self.shim, self.mlp):
            check(os.path.exists(program), f"{program} is not built; build it, or name another folder with --build")
        self.dir = tempfile.mkdtemp(prefix="gnscope-e2e-")
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("GNSCOPE_") and k != "LD_PRELOAD"}
        self.env["XDG_STATE_HOME"] = self.path("state")
        self.env["PYTHONDONTWRITEBYTECODE"] = "1"
        if not torch:
            self.env["GNSCOPE_TORCH"] = "0"

    def path(self, *parts):
        return os.path.join(self.dir, *parts)

    def example(self, name, *options):
        if name == "mlp":
            return [self.mlp, *map(str, options)]
        return [PYTHON, os.path.join(ROOT, "examples", name + ".py"), *map(str, options)]

    def gns_run(self, store, *words):
        return [self.gnscope, "run", "--store", store, *map(str, words)]

    def run(self, command, env=None, **more):
        more.setdefault("timeout", 900)
        return subprocess.run(command, env=env or self.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              **more)

    def must(self, command, **more):
        done = self.run(command, **more)
        check(done.returncode == 0, f"exit status {done.returncode} of {' '.join(command)}\n{done.stdout}{done.stderr}")
        return done

    def show(self, store, *words):
        return json.loads(self.must([self.gnscope, "show", "--store", store, "--json", *words]).stdout)

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if kind is None:
            shutil.rmtree(self.dir, ignore_errors=True)
        else:
            print(f"left for a look: {self.dir}", file=sys.stderr)


class Failed(Exception):
    pass


def check(truth, text):
    if not truth:
        raise Failed(text)


def main(test):
    """Runs test() and says FAIL and why, in a sentence, where it does not hold."""
    try:
        test()
    except Failed as e:
        print(f"FAIL: {e}", file=sys.stderr)
        sys.exit(1)


def query(store, sql, *values):
    """Rows as dicts, by a reader that takes no part in the program."""
    check(os.path.exists(store), f"{store} was not made")
    db = sqlite3.connect(f"file:{store}?mode=ro", uri=True, timeout=10)
    db.row_factory = sqlite3.Row
    try:
        return [dict(r) for r in db.execute(sql, values)]
    finally:
        db.close()


def weights(steps, last):
    """How many steps each measured one represents in a run of `last`: half the gap to each neighbour; the ends reach to those of the run."""
    steps = sorted(steps)
    before, after = [1 - steps[0]] + steps[:-1], steps[1:] + [2 * last + 1 - steps[-1]]
    return [(b - a) / 2 for a, b in zip(before, after)]


def sound(store):
    rows = query(store, "PRAGMA integrity_check")
    check(rows == [{"integrity_check": "ok"}], f"{store} is damaged: {rows}")


def shared_memory():
    return {n for n in os.listdir("/dev/shm") if n.startswith("gnscope")}


def recorders(bench):
    """Pids of the recorders that serve this test: told from others by the state folder they inherited."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as f:
                words = f.read().split(b"\0")
            with open(f"/proc/{pid}/environ", "rb") as f:
                ours = bench.dir.encode() in f.read()
            if ours and len(words) > 1 and words[1] == b"record" and os.path.samefile(f"/proc/{pid}/exe", bench.gnscope):
                found.append(int(pid))
        except OSError:
            continue
    return found


def wait_for(what, text, seconds=30):
    """Waits for a condition that must come true; the limit only keeps a broken build from hanging."""
    end = time.monotonic() + seconds
    while not (value := what()):
        check(time.monotonic() < end, f"{text}: not so after {seconds} s")
        time.sleep(0.02)
    return value


def read_losses(path):
    """[(step, loss)] of the finished lines."""
    if not os.path.exists(path):
        return []
    with open(path) as f:
        lines = f.read().split("\n")[:-1]
    return [(int(a), float.fromhex(b)) for a, b in (line.split() for line in lines)]
