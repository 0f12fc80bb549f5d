#!/usr/bin/python3
"""The PyTorch collector's manners: nothing without an optimizer, no frame of its own in anybody's traceback, a feed for every process
that trains, and the collector of products again when it gives up. What it measures is tried elsewhere.

    torch_test.py LIBRARY WATCH [PYTHON]
"""
import os
import re
import subprocess
import sys
import tempfile

LIBRARY, WATCH = sys.argv[1:3]
PYTHON = sys.argv[3] if len(sys.argv) > 3 else "/usr/bin/python3"
failed = 0

TRAINER = """
import ctypes, gc, os, signal, sys, threading, traceback
import torch
torch.manual_seed(0)
torch.set_num_threads(1)

def gnscope():
    for found in gc.get_objects():
        if type(found) is dict and "_g" in found and found.get("__name__") == "gnscope":
            return found["_g"]

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.one, self.two = torch.nn.Linear(12, 8), torch.nn.Linear(8, 4)
    def forward(self, x):
        return self.two(torch.relu(self.one(x)))

def made(lr=0.1):
    model = Net()
    return model, torch.optim.SGD(model.parameters(), lr=lr)

def batch(n=16):
    return torch.randn(n, 12), torch.randint(0, 4, (n,))

def step(model, optimizer, n=16):
    x, y = batch(n)
    optimizer.zero_grad()
    loss = torch.nn.functional.cross_entropy(model(x), y)
    loss.backward()
    optimizer.step()
    return loss.item()
"""


def environment(**more):
    clean = {k: v for k, v in os.environ.items() if not k.startswith("GNSCOPE_") and k != "LD_PRELOAD"}
    return dict(clean, OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1", PYTHONDONTWRITEBYTECODE="1", **more)


class Done:
    def __init__(self, done, records):
        self.status, self.out, self.err, self.records = done.returncode, done.stdout, done.stderr, records

    def all(self, kind, **wanted):
        """Records of a kind, as dictionaries, that have these values."""
        found = [dict(re.findall(r"(\w+)=(\S*)", line), slot=line.split()[0]) for line in self.records.splitlines()
                 if line.split()[1] == kind]
        return [r for r in found if all(r[k] == str(v) for k, v in wanted.items())]


def run(body, watched=True, status=0, **more):
    with tempfile.TemporaryDirectory() as folder:
        program, log = os.path.join(folder, "trainer.py"), os.path.join(folder, "records")
        with open(program, "w") as f:
            f.write(TRAINER + body)
        command = [WATCH, LIBRARY, log, PYTHON, program] if watched else [PYTHON, program]
        done = subprocess.run(command, env=environment(**more), capture_output=True, text=True, timeout=300)
        records = open(log).read() if watched else ""
    assert done.returncode == status, f"exit status {done.returncode}: {done.stderr}"
    assert not done.stderr or status, f"the trainer's stderr: {done.stderr}"
    return Done(done, records)


def inert():
    """import torch, models and even an optimizer: no session, no recorder, no thread, no file."""
    body = """
model, x = Net(), torch.randn(4, 12)
model(x).sum().backward()
if %r:
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
print(len(os.listdir("/proc/self/task")), len(os.listdir("/proc/self/fd")), os.getpid())
print(sorted(m for m in sys.modules if "gns" in m))
shm = [name for name in os.listdir("/dev/shm") if "-p%%d" %% os.getpid() in name]
print(shm, os.listdir("/proc/self/map_files") and not any("gnscope-" in line for line in open("/proc/self/maps")))
"""
    for optimizer in (False, True):
        with tempfile.TemporaryDirectory() as folder:
            sign = os.path.join(folder, "started")
            recorder = os.path.join(folder, "gnscope")
            with open(recorder, "w") as f:
                f.write(f"#!/bin/sh\ntouch {sign}\n")
            os.chmod(recorder, 0o755)
            plain = run(body % optimizer, watched=False).out.split()
            ours = run(body % optimizer, watched=False, LD_PRELOAD=LIBRARY, GNSCOPE_BIN=recorder).out.split()
            assert ours[:2] + ours[3:] == plain[:2] + plain[3:], f"{ours} instead of {plain}"
            assert not os.path.exists(sign), "a recorder was started"


def switched_off():
    look = "\nmodel, optimizer = made()\nfor i in range(12):\n    step(model, optimizer)\nprint(gnscope() is None)\n"
    done = run(look, GNSCOPE_OFF="1")
    assert done.out == "True\n" and not done.records, (done.out, done.records)
    done = run(look, GNSCOPE_TORCH="0", GNSCOPE_EVERY="1", GNSCOPE_SAMPLES="16")
    assert done.out == "True\n" and done.all("GRAD", source=1) and not done.all("GRAD", source=5), "products, and products alone"
    assert not run(look, GNSCOPE_EVERY="1").all("GRAD", source=1)


def truth():
    """The thin path: per-sample norms by brute force, two micro-steps, against what arrives."""
    done = run("""
model, optimizer = made()
for i in range(4):
    optimizer.zero_grad()
    small, n = {}, 0
    F = torch.nn.functional
    for micro in range(2):
        x, y = batch()
        for j in range(len(x)):
            # not by way of the model: what is called there is taken for the batch
            one, two = model.one, model.two
            out = F.linear(torch.relu(F.linear(x[j:j + 1], one.weight, one.bias)), two.weight, two.bias)
            loss = F.cross_entropy(out, y[j:j + 1]) / len(x) / 2
            for (name, p), g in zip(model.named_parameters(), torch.autograd.grad(loss, list(model.parameters()))):
                small[name] = small.get(name, 0) + float((g.double() ** 2).sum())
        n += len(x)
        (F.cross_entropy(model(x), y) / 2).backward()
    for name, p in model.named_parameters():
        print(i + 1, name, n * small[name], float((p.grad.double() ** 2).sum()))
    optimizer.step()
""", GNSCOPE_EVERY="1")
    names = {r["id"]: r["name"] for r in done.all("PARAM")}
    assert sorted(names.values()) == ["one.bias", "one.weight", "two.bias", "two.weight"], names
    got = {(r["step"], names[r["param"]]): r for r in done.all("GRAD")}
    assert len(got) == 16, f"{len(got)} gradients: {done.records}"
    for line in done.out.splitlines():
        i, name, small, big = line.split()
        r = got[i, name]
        assert (r["n_small"], r["n_big"], r["groups"], r["source"]) == ("1", "32", "32", "5"), r
        for q, true in (("q_small", float(small)), ("q_big", float(big))):
            assert abs(float(r[q]) - true) <= 1e-5 * true, f"step {i} {name}: {q} {r[q]} is {true}"
    assert all(0 < int(r["overhead_ns"]) <= int(r["dur_ns"]) for r in done.all("STEP")), "our cost is part of the step"
    assert all(r["samples"] == "32" and r["micro"] == "2" and r["lr"] == "0.10000000000000001" for r in done.all("STEP"))


def tracebacks():
    """Errors and interrupts of the trainer's pass as they do alone: same type, text, frames, cause and context."""
    body = """
def show(error):
    chain = []
    while error is not None:
        frames = [(os.path.basename(f.filename), f.name) for f in traceback.extract_tb(error.__traceback__)]
        chain.append((type(error).__name__, str(error)[:60], frames))
        error = error.__cause__ or error.__context__
    print(chain)

def attempt(what):
    try:
        what()
    except BaseException as error:
        show(error)
    else:
        print("no error")

class Own(Exception):
    pass

def fail(kind):
    def hook(grad):
        raise kind("of the trainer's")
    return hook

class Broken(torch.optim.SGD):
    def step(self, closure=None):
        if closure:
            closure()
        raise Own("in step")

model, optimizer = made()
for measured in range(3):
    for kind in (Own, KeyboardInterrupt, SystemExit, StopIteration):
        x, y = batch()
        out = model(x)
        out.register_hook(fail(kind))
        attempt(out.sum().backward)
    loss = model(batch()[0]).sum()
    loss.backward()
    attempt(loss.backward)
    attempt(lambda: torch.autograd.backward())
    attempt(lambda: torch.optim.SGD(model.parameters(), lr=-1.0))
    attempt(lambda: torch.optim.SGD([], lr=0.1))
    attempt(Broken(model.parameters(), lr=0.1).step)
    attempt(lambda: optimizer.step(lambda: fail(Own)(None)))
    attempt(lambda: optimizer.step(lambda: fail(KeyboardInterrupt)(None)))
    attempt(lambda: torch.nn.utils.clip_grad_norm_(model.parameters(), "x"))
    attempt(lambda: torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0))
    try:
        raise Own("outer")
    except Own:
        attempt(lambda: torch.autograd.backward(3))
    step(model, optimizer)
"""
    plain, ours = run(body, watched=False).out, run(body, GNSCOPE_EVERY="1")
    for a, b in zip(plain.splitlines(), ours.out.splitlines()):
        assert a == b, f"\n  alone {a}\n  ours  {b}"
    assert plain == ours.out and "gnscope" not in ours.out
    assert ours.all("GRAD") and not ours.all("EVENT", name="torch_off"), ours.all("EVENT")


def given_up():
    """Products are learned and measured from then on; steps go on counting, ids are new."""
    done = run("""
model, optimizer = made()
for i in range(5):
    step(model, optimizer)
gnscope().give_up("for a test")
for i in range(30):
    step(model, optimizer)
""", GNSCOPE_EVERY="1", GNSCOPE_SAMPLES="16")
    assert {int(r["step"]) for r in done.all("GRAD", source=5)} == {1, 2, 3, 4, 5}
    later = done.all("GRAD", source=1)
    steps = [int(r["step"]) for r in done.all("STEP")]
    assert later and min(int(r["step"]) for r in later) > 5, "no gradient of a product"
    assert steps == list(range(1, len(steps) + 1)) and 34 <= len(steps) <= 35, steps
    assert not {r["param"] for r in later} & {r["param"] for r in done.all("GRAD", source=5)}
    assert "text=for a test" in done.records


def forked():
    """A child that trains has a ring, parameters and steps of its own; one that does not has no steps."""
    done = run("""
model, optimizer = made()
for i in range(4):
    step(model, optimizer)
for trains in (False, True):
    pid = os.fork()
    if not pid:
        for i in range(7):
            optimizer.zero_grad()
            model(batch()[0]).sum().backward()
            if trains:
                optimizer.step()
        sys.exit()
    os.waitpid(pid, 0)
for i in range(4):
    step(model, optimizer)
""", GNSCOPE_EVERY="1")
    assert [int(r["step"]) for r in done.all("STEP", slot=0)] == list(range(1, 9))
    slots = {r["slot"] for r in done.all("STEP")} - {"0"}
    assert len(slots) == 1, f"slots {slots} have steps"
    child = slots.pop()
    steps = [r["step"] for r in done.all("STEP", slot=child)]
    assert 6 <= len(steps) <= 7 and steps[0] == "1", steps
    assert {r["id"] for r in done.all("PARAM", slot=child)} == {"1", "2", "3", "4"}
    assert len(done.all("GRAD", slot=child, step=5)) == 4, "the child's own gradients"


def threads():
    """Five trainings at once, which bring in the collector together."""
    done = run("""
def train():
    model, optimizer = made()
    for i in range(20):
        step(model, optimizer)
together = [threading.Thread(target=train) for i in range(5)]
for thread in together:
    thread.start()
for thread in together:
    thread.join()
""", GNSCOPE_EVERY="1")
    assert not done.all("EVENT", name="torch_off"), done.all("EVENT")
    for stream in range(5):
        assert len(done.all("GRAD", stream=stream)) == 80, f"stream {stream}: {len(done.all('GRAD', stream=stream))} gradients"
        assert [int(r["step"]) for r in done.all("STEP", stream=stream)] == list(range(1, 21))


def marks():
    """gnscope.h beside torch."""
    done = run("""
mark = ctypes.CDLL(None).gnscope_mark_v1
mark.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_uint64, ctypes.c_uint64, ctypes.c_double]
mark.restype = None
model, optimizer = made()
mark(4, b"mine", model.one.weight.data_ptr(), 8, 12, 0)
mark(2, None, None, 8, 0, 0)
for i in range(6):
    x, y = batch()
    optimizer.zero_grad()
    model(x).sum().backward()
    mark(3, None, None, 0, 0, i + 0.5)
    optimizer.step()
    mark(1, None, None, 0, 0, 0)
""", GNSCOPE_EVERY="1")
    assert [(int(r["step"]), float(r["loss"])) for r in done.all("LOSS")] == [(i + 1, i + 0.5) for i in range(6)], done.all("LOSS")
    assert [int(r["step"]) for r in done.all("STEP")] == [1, 2, 3, 4, 5, 6], "the optimizer's steps, not the marks"
    assert done.all("PROC")[-1]["samples"] == "8"
    assert "mine" in {r["name"] for r in done.all("PARAM")}, done.all("PARAM")
    assert all(r["n_big"] == "8" for r in done.all("GRAD")), "two rows a sample"


def parts():
    """Products and parts of a step by family, of measured steps alone."""
    done = run("model, optimizer = made()\nfor i in range(9):\n    step(model, optimizer)\n", GNSCOPE_EVERY="4")
    families = {(r["family"], r["name"]) for r in done.all("KERNEL")}
    assert {n for f, n in families if f == "phase"} == {"forward", "backward", "optimizer"}, families
    assert {f for f, n in families} >= {"phase"} and not {f for f, n in families} & {"wgrad", "dgrad"}, families
    assert {r["step"] for r in done.all("KERNEL_STEP")} <= {"1", "5", "9"}
    flags = {r["step"]: int(r["flags"]) for r in done.all("STEP")}
    assert [s for s in flags if flags[s] & 1] == ["1", "5", "9"], flags
    assert [s for s in flags if flags[s] & 4] == ["1"], f"what it took to get in is in the first step: {flags}"
    for r in done.all("STEP", step=5):
        spent = sum(int(k["total_ns"]) for k in done.all("KERNEL_STEP", step=5)
                    if ("phase", k["kernel"]) in {(p["family"], p["id"]) for p in done.all("KERNEL")})
        own = int(r["dur_ns"]) - int(r["overhead_ns"])
        assert abs(spent - own) <= 0.1 * int(r["dur_ns"]), f"the parts are {spent} of {own}"


for test in (inert, switched_off, truth, tracebacks, given_up, forked, threads, marks, parts):
    try:
        test()
        print(f"ok {test.__name__}")
    except (AssertionError, subprocess.TimeoutExpired, KeyError, IndexError) as problem:
        failed += 1
        print(f"FAILED {test.__name__}: {problem}")
print(f"{failed} failed")
sys.exit(failed != 0)
