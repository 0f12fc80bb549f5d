"""What the tests of the program share: a folder of their own, the program, checks that name what they compared."""
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import traceback

PROGRAM = os.environ["GNSCOPE_PROGRAM"]
GENERATE = os.environ.get("GNS_GENERATE", "")
TRAINER = os.environ["GNS_FAKE_TRAINER"]
SHIM = os.environ["GNS_FAKE_SHIM"]
SOURCE = os.environ["GNS_SOURCE"]

folder = tempfile.mkdtemp(prefix="gnscope-cli-")
store = os.path.join(folder, "runs.db")
for name in list(os.environ):
    if name.startswith("GNSCOPE_") and name != "GNSCOPE_PROGRAM":
        del os.environ[name]
os.environ["XDG_STATE_HOME"] = os.path.join(folder, "state")
os.environ["GNSCOPE_LIB"] = SHIM
os.environ["TMPDIR"] = folder

tests = []
failures = 0


def test(function):
    tests.append(function)
    return function


def gnscope(*args, **kw):
    """The program with these arguments, its output as bytes."""
    kw.setdefault("stdin", subprocess.DEVNULL)
    kw.setdefault("timeout", 120)
    if "input" in kw:
        del kw["stdin"]
    return subprocess.run([PROGRAM, *map(str, args)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, **kw)


def run(*args, **kw):
    return gnscope("run", "--store", store, *args, **kw)


def show(*args, path=None):
    answer = gnscope("show", "--store", path or store, "--json", *args)
    equal(answer.returncode, 0, "show --json: " + answer.stderr.decode())
    return json.loads(answer.stdout)


def query(sql, path=None):
    with sqlite3.connect("file:%s?mode=ro" % (path or store), uri=True) as db:
        return db.execute(sql).fetchall()


def generate(*args):
    """A database made by the store's own generator, or None where it was not built."""
    if not GENERATE:
        return None
    path = os.path.join(folder, "generated-%d.db" % len(os.listdir(folder)))
    subprocess.run([GENERATE, *[a.replace("PATH", path) for a in args]], check=True, stdout=subprocess.DEVNULL)
    return path


def equal(got, want, what):
    if got != want:
        raise AssertionError("%s: got %r, want %r" % (what, got, want))


def near(got, want, tolerance, what):
    if got is None or not abs(got - want) <= tolerance * abs(want):
        raise AssertionError("%s: got %r, want %r within %g" % (what, got, want, tolerance))


def contains(text, part, what):
    if isinstance(text, bytes):
        text = text.decode(errors="replace")
    if part not in text:
        raise AssertionError("%s: %r is not in %r" % (what, part, text if len(text) < 4000 else text[:2000] + "..."))


def one_sentence(answer, status, part, what):
    """Failed with this status, nothing on stdout, one line on stderr that says `part`."""
    equal(answer.returncode, status, what + ": exit status (%s)" % answer.stderr.decode(errors="replace"))
    equal(answer.stdout, b"", what + ": stdout")
    equal(answer.stderr.count(b"\n"), 1, what + ": lines on stderr %r" % answer.stderr)
    contains(answer.stderr, part, what)


sessions = os.path.join(folder, "sessions")
NOTED = ["sh", "-c", 'echo "$GNSCOPE_SESSION" >>"$0"; exec "$@"', sessions]  # a command behind it notes its session


def sessions_left():
    """Shared memory of noted sessions that is still there."""
    names = [line.strip()[1:] for line in open(sessions)]
    if not names or not all(name.startswith("gnscope-") for name in names):
        raise AssertionError("no session was noted: %r" % names)
    return [f for f in os.listdir("/dev/shm") if any(f.startswith(name) for name in names)]


def main():
    global failures
    wanted = sys.argv[1:]
    for function in tests:
        if wanted and function.__name__ not in wanted:
            continue
        try:
            function()
            print("ok   ", function.__name__.replace("_", " "), flush=True)
        except Exception:
            failures += 1
            print("FAIL ", function.__name__.replace("_", " "))
            traceback.print_exc(file=sys.stdout)
    shutil.rmtree(folder, ignore_errors=True)
    sys.exit(1 if failures else 0)
