#!/usr/bin/python3
"""The callables and functions of the PyTorch collector under every Python here, 3.9 and later, PyTorch or not.

    python_test.py LIBRARY FAKE
"""
import glob
import os
import shutil
import subprocess
import sys

LIBRARY, FAKE = map(os.path.abspath, sys.argv[1:3])

BODY = r"""
import copy, ctypes, functools, gc, importlib.machinery, inspect, pickle, sys, traceback, types, weakref
torch = sys.modules["torch"] = types.ModuleType("torch")
torch.__spec__ = importlib.machinery.ModuleSpec("torch", None)
ctypes.CDLL(FAKE)
door = ctypes.PyDLL(None).initModule
door.restype = ctypes.py_object
assert door() == 5
found = [d["_g"] for d in gc.get_objects() if type(d) is dict and "_g" in d and d.get("__name__") == "gnscope"]
assert len(found) == 1, "it is not in"
_g = found[0]
log = []

def original(*args, **kwargs):
    "what it does"
    log.append((args, kwargs))
    if args and isinstance(args[0], BaseException):
        raise args[0]
    return len(args)

w = _g.wrap(original, lambda args, kwargs: (args, kwargs), lambda *after: log.append(after))
assert w(1, two=2) == 1 and log == [((1,), {"two": 2}), (((1,), {"two": 2}), 1, False)], log
assert w.__name__ == "original" and w.__doc__ == "what it does" and w.__wrapped__ is original
assert inspect.signature(w) == inspect.signature(original) and weakref.ref(w)() is w
error = ValueError("x")
del log[:]
try:
    w(error)
    assert 0
except ValueError as e:
    assert e is error and e.__context__ is None and log[1][1:] == (None, True), log
    assert [f.name for f in traceback.extract_tb(e.__traceback__)] == ["<module>", "original"]

class Has:
    method = w
    def __len__(self):
        return 3

assert Has().method(5) == 2 and Has.method(5) == 1 and Has().method.__func__ is w
original = w
w.__module__ = "__main__"
assert pickle.loads(pickle.dumps(w)) is w and copy.deepcopy(w) is w

def interrupt(*args):
    raise KeyboardInterrupt

for stop in (lambda: _g.wrap(len, interrupt, None)("abc"), lambda: _g.wrap(len, None, interrupt)("abc"), lambda: _g.hook(interrupt)(1)):
    try:
        stop()
        assert 0
    except KeyboardInterrupt as e:
        assert len(traceback.extract_tb(e.__traceback__)) == 2, "a frame of ours"
assert _g.wrap(divmod, lambda a, k: "token", lambda t, r, f: log.append((t, r)))(7, 2) == (3, 1)
assert log[-1] == ("token", (3, 1))
assert _g.hook(lambda a, b: a + b)(1, 2) is None

# Nothing but a TypeError comes of wrong arguments, and nothing at all of numbers that are nobody's.
functions = [name for name in dir(_g) if not name.startswith("_") and name not in ("load", "give_up")]
for name in functions:
    for wrong in ((), (1,), ("x", 1, 1), (None,) * 3, ((),), ((1,),), ((1, 2),), (object(),) * 5, (10 ** 30,) * 3, ("\udcff",), (-1,) * 8):
        try:
            getattr(_g, name)(*wrong)
        except TypeError:
            pass
assert _g.linear(1, 5, "x", 1, 0) == -22 and _g.grad(1, None, 1) == -22
assert _g.reduce(999, 5, 2, 0, (3,)) == -22 and _g.step(5, 1, 0.1) in (0, -1) and not _g.any_measuring()

# Nothing is lost or freed twice.
none, one = sys.getrefcount(None), sys.getrefcount(interrupt)
for i in range(2000):
    _g.wrap(interrupt, interrupt, interrupt)
    w(1)
    _g.hook(print)
    del log[:]
assert abs(sys.getrefcount(interrupt) - one) < 10 and abs(sys.getrefcount(None) - none) < 200

# An error of ours: the original runs, the collector is off for good.
w = _g.wrap(len, lambda a, k: 1 / 0, None)
assert w("abc") == 3 and _g.state() == 0 and w("ab") == 2 and _g.hook(interrupt)() is None
print("well")
"""


def pythons():
    """The first of each version that runs."""
    names = [shutil.which(f"python3.{minor}") for minor in range(9, 15)]
    names += ["/usr/bin/python3"] + sorted(glob.glob(os.path.expanduser("~/.pyenv/versions/3.*/bin/python3")))
    seen = set()
    for name in names:
        done = subprocess.run([name, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"], capture_output=True, text=True) if name else None
        version = done.stdout.strip() if done and not done.returncode else "3.0"
        if int(version.split(".")[1]) >= 9 and version not in seen:
            seen.add(version)
            yield version, name


failed = 0
for version, python in pythons():
    environ = {k: v for k, v in os.environ.items() if not k.startswith("GNSCOPE_")}
    environ.update(LD_PRELOAD=LIBRARY, GNSCOPE_SESSION="/gnscope-none")
    done = subprocess.run([python, "-c", f"FAKE = {FAKE!r}\n{BODY}"], env=environ, capture_output=True, text=True)
    well = done.returncode == 0 and done.stdout == "well\n" and not done.stderr
    failed += not well
    print(f"{'ok' if well else 'FAILED'} Python {version}" + ("" if well else f": {done.returncode} {done.stderr}"))
print(f"{failed} failed")
sys.exit(failed != 0)
