#!/usr/bin/python3
"""Trains in hostile surroundings under the shim. Whatever happens: the trainer ends and prints as it does alone, and every gradient that
is reported is one that the trainer says is true.

    attack_test.py LIBRARY WATCH ATTACK NAIVE_BLAS [CASE ...]
"""
import glob
import os
import re
import subprocess
import sys
import tempfile
import time

LIBRARY, WATCH, ATTACK, NAIVE = sys.argv[1:5]
ONLY = sys.argv[5:]
passed = failed = 0


def environment(extra=None):
    environ = {k: v for k, v in os.environ.items() if not k.startswith("GNSCOPE_")}
    environ.update({"GNSCOPE_EVERY": "1", "GNSCOPE_SAMPLES": "8", "OPENBLAS_NUM_THREADS": "1"})
    environ.update(extra or {})
    return environ


def watched(how, extra=None, prefix=(), naive=False):
    """Status, output, and the records as (slot, kind, fields)."""
    with tempfile.TemporaryDirectory() as folder:
        log = os.path.join(folder, "records")
        done = subprocess.run([*prefix, WATCH, f"{LIBRARY}:{NAIVE}" if naive else LIBRARY, log, ATTACK, *how], env=environment(extra), capture_output=True, text=True,
                              timeout=15)
        records = []
        for line in open(log) if os.path.exists(log) else ():
            slot, kind, rest = line.rstrip("\n").split(" ", 2)
            records.append((int(slot), kind, dict(re.findall(r"(\w+)=((?:(?! \w+=).)*)", rest))))
    return done, records


def is_true(gradient, truths):
    n, small, big = int(gradient["n_big"]), float(gradient["q_small"]), float(gradient["q_big"])

    def near(s, b):
        return abs(small - s) <= 1e-4 * s and abs(big - b) <= 1e-4 * b
    alike = [t for t in truths if t[0] == n]
    if int(gradient["groups"]) == 2 * n:  # two backward passes told as one step: the mean of both
        return any(near((s + t[1]) / 2, (b + t[2]) / 2) for i, (_, s, b) in enumerate(alike) for t in alike[i:])
    return any(near(s, b) for _, s, b in alike)


def attack(*how, least=0, most=10 ** 9, extra=None, same=True, slots=None, prefix=(), naive=False):
    plain = subprocess.run([*prefix, ATTACK, *how], env=environment({**(extra or {}), **({"LD_PRELOAD": NAIVE} if naive else {})}), capture_output=True, text=True, timeout=15)
    if plain.returncode == 77:
        print(f"skipped {how}: not permitted here")
        return None, None
    done, records = watched(how, extra, prefix, naive)
    assert done.returncode == plain.returncode, f"status {done.returncode} instead of {plain.returncode}"
    assert done.stderr == plain.stderr, f"stderr {done.stderr!r} instead of {plain.stderr!r}"
    if same:
        assert done.stdout == plain.stdout, "the output changed"
    truths = [(int(n), float(s), float(b)) for n, s, b in re.findall(r"TRUTH (\d+) (\S+) (\S+)", done.stdout)]
    gradients = [(slot, fields) for slot, kind, fields in records if kind == "GRAD"]
    wrong = [g for _, g in gradients if not is_true(g, truths)]
    assert not wrong, f"{len(wrong)} of {len(gradients)} gradients are not true: {wrong[:2]}"
    assert least <= len(gradients) <= most, f"{len(gradients)} gradients measured, not between {least} and {most}"
    used = {slot for slot, _, _ in records}
    assert slots is None or len(used) == slots, f"slots {used}"
    return done, records


def case(name, function):
    global passed, failed
    if ONLY and name not in ONLY:
        return
    try:
        function()
        passed += 1
    except (AssertionError, subprocess.TimeoutExpired, ValueError) as error:
        failed += 1
        print(f"FAILED {name}: {error}", flush=True)


def forks(how):
    """Each process has its own ring, and the parent's holds its own steps alone, in order."""
    _, records = attack(how, least=60, slots=4)
    for slot in {s for s, _, _ in records}:
        steps = [int(f["step"]) for s, kind, f in records if s == slot and kind == "STEP"]
        assert steps == sorted(set(steps)), f"slot {slot}: {steps}"


def ends():
    """OpenBLAS itself does not survive an exit() in the middle of its work; plain loops do."""
    for _ in range(20):
        done, _ = watched(["exit"], naive=True)
        assert done.returncode == 0 and not done.stderr, f"status {done.returncode} {done.stderr!r}"


def tight_memory():
    for megabytes in (1, 20, 40, 45, 50, 55, 60, 64, 68, 72, 80, 100, 200):
        attack("memory", "8", str(megabytes), naive=True)


def library():
    """Nothing but libc is needed, nothing but what it stands before is exported, no stack or text is made writable."""
    def readelf(*what):
        return subprocess.run(["readelf", "-W", *what, LIBRARY], capture_output=True, text=True, check=True).stdout
    dynamic = readelf("-d")
    needed = re.findall(r"NEEDED.*\[(.*)\]", dynamic)
    assert needed == ["libc.so.6"], needed
    assert "TEXTREL" not in dynamic and "NODELETE" in dynamic, dynamic
    stack = re.search(r"GNU_STACK.* (R\w*) +0x", readelf("-l")).group(1)
    assert "E" not in stack, stack
    exported = {line.split()[7] for line in readelf("--dyn-syms").splitlines()
                if re.search(r"(GLOBAL|WEAK) +DEFAULT +[0-9]+ ", line)}
    gemm = {f"{p}{x}gemm{s}" for x in "sd" for p, s in (("", "_"), ("cblas_", ""), ("cblas_", "_batch"), ("cblas_", "_batch_strided"),
                                                       ("scipy_", "_"), ("scipy_", "_64_"), ("", "_64_"), ("scipy_cblas_", ""),
                                                       ("scipy_cblas_", "64_"), ("cblas_", "64_"), ("cblas_", "_64"))}
    ours = gemm | {"gnscope_mark_v1", "initModule"}
    # Those of CUDA's libraries bear names that no program gives its own; which they are, tests/cli/test_doctor.py compares with the table.
    rest = {name for name in exported if not re.match(r"(cublas|cublasLt|cudnn|nccl|cupti|cuda|cu)[A-Z]", name)}
    assert rest == ours, rest ^ ours
    assert not re.search(r"UND.*pthread_atfork|@@GNSCOPE", readelf("--dyn-syms"))


def no_driver():
    """Where no driver of a GPU is loaded nobody looks for one: that costs a search of the file system."""
    with tempfile.TemporaryDirectory() as folder:
        environ = environment({"LD_DEBUG": "libs", "LD_DEBUG_OUTPUT": os.path.join(folder, "linker")})
        subprocess.run([WATCH, LIBRARY, os.path.join(folder, "records"), ATTACK, "plain", "400"], env=environ, capture_output=True, check=True, timeout=60)
        reports = [open(f, errors="replace").read() for f in glob.glob(os.path.join(folder, "linker.*"))]
        assert any("libgnscope" in r or "openblas" in r for r in reports), "the linker reports nothing"
        looked = sum(r.count("find library=libcuda.so.1") for r in reports)
        assert looked == 0, f"looked for libcuda {looked} times"


def settings():
    nonsense = ["", "-1", "0", "1e99", "nan", "99999999999999999999", "%n%s", "\x01\xff", "x" * 100000, "0x7fffffff", " 3"]
    for name in ("SAMPLES", "EVERY", "BUDGET", "PROBES", "SESSION", "STORE", "NAME", "BIN", "ISA", "OFF", "TORCH", "GPU", "KERNELS", "LAYOUT"):
        for value in nonsense:
            if name == "SAMPLES" and value.strip() == "3":
                continue  # a sensible number
            if name in ("BIN", "SESSION") and not value:
                continue  # as good as none given
            environ = environment({"GNSCOPE_SESSION": "/gnscope-none", f"GNSCOPE_{name}": value, "LD_PRELOAD": LIBRARY})
            if name in ("STORE", "NAME", "BIN"):
                environ["GNSCOPE_BIN"] = "/nonexistent/gnscope" if name != "BIN" else value
                del environ["GNSCOPE_SESSION"]
            child = subprocess.Popen([ATTACK, "plain", "5"], env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            (out, err), pid = child.communicate(), child.pid
            assert child.returncode == 0 and not err and out == PLAIN_5, (name, value[:20], child.returncode)
            left = glob.glob(f"/dev/shm/gnscope-*-p{pid}*")
            assert not left, (name, value[:20], left)


def locale():
    """A budget is read alike whatever the trainer's language makes of a point."""
    _, records = watched(["plain"], {"GNSCOPE_BUDGET": "2.5", "GNSCOPE_EVERY": ""})
    assert not any(kind == "EVENT" and f["name"] == "bad_setting" for _, kind, f in records)


def off():
    _, records = attack("plain", extra={"GNSCOPE_OFF": "1"})
    assert not records, records[:2]


def shared_memory():
    """/dev/shm too small for a session, for a ring, or gone."""
    if subprocess.run(["unshare", "-rm", "true"], capture_output=True).returncode:
        print("skipped shared_memory: no user namespaces here")
        return
    for mount in ("size=4k", "size=64k", "size=1m", "size=6m", "nr_inodes=2", "ro", None):
        make = f"mount -t tmpfs -o {mount} none /dev/shm" if mount else "mount -t tmpfs none /dev && mknod /dev/null c 1 3"
        if mount is None:
            make = "mount -t tmpfs -o mode=000,size=4k none /dev/shm"
        script = f'{make} || exit 70; LD_PRELOAD={LIBRARY} "$0" plain 12'
        done = subprocess.run(["unshare", "-rm", "sh", "-c", script, ATTACK],
                              env=environment({"GNSCOPE_STORE": "/nonexistent/x.db"}), capture_output=True, text=True)
        assert done.returncode == 0 and not done.stderr and done.stdout == PLAIN_12, (mount, done.returncode, done.stderr[:200])


def invisible(how):
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run([ATTACK, how], env=environment({"LD_PRELOAD": LIBRARY, "GNSCOPE_STORE": os.path.join(folder, "r.db")}),
                              capture_output=True, text=True, timeout=60)
        seen = re.search(r"SEEN (.*)", done.stdout)
        assert done.returncode == 0 and not done.stderr and seen, (done.returncode, done.stderr)
        assert not re.search(r"=[1-9]", seen.group(1)), seen.group(1)


def relative_store():
    """It counts from the folder in which the program began."""
    with tempfile.TemporaryDirectory() as folder:
        environ = environment({"LD_PRELOAD": LIBRARY, "GNSCOPE_STORE": "here.db"})
        done = subprocess.run([ATTACK, "chdir"], env=environ, cwd=folder, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0 and not done.stderr, (done.returncode, done.stderr)
        until = time.monotonic() + 20
        while not os.path.exists(os.path.join(folder, "here.db")) and time.monotonic() < until:
            time.sleep(0.1)
        assert os.path.exists(os.path.join(folder, "here.db")) and not os.path.exists("/here.db"), os.listdir(folder)


def session_of(pid):
    """The name of the session that a process has mapped: b"/gnscope-..."."""
    try:
        with open(f"/proc/{pid}/maps", "rb") as file:
            return {b"/" + os.path.basename(line.split()[-1]) for line in file if b"/dev/shm/gnscope-" in line}
    except OSError:
        return set()


def recorder_of(pid):
    sessions = session_of(pid)
    for folder in glob.glob("/proc/[0-9]*"):
        try:
            with open(f"{folder}/cmdline", "rb") as file:
                words = file.read().split(b"\0")
        except OSError:
            continue
        if len(words) > 3 and words[1] == b"record" and words[3] in sessions:
            return folder
    return None


def recorder():
    """It has nothing of the trainer's: no library, terminal, descriptor, group, blocked or ignored signal."""
    with tempfile.TemporaryDirectory() as folder:
        environ = environment({"LD_PRELOAD": LIBRARY, "GNSCOPE_STORE": os.path.join(folder, "r.db")})
        held = os.open("/etc/passwd", os.O_RDONLY)
        child = subprocess.Popen([ATTACK, "ignored"], env=environ, stdout=subprocess.PIPE, pass_fds=[held])
        found, until = None, time.monotonic() + 20
        while not found and child.poll() is None and time.monotonic() < until:
            found = recorder_of(child.pid)
        assert found, "no recorder"
        status = open(f"{found}/status").read()
        session, terminal = open(f"{found}/stat").read().rsplit(")", 1)[1].split()[3:5]
        files = {}
        for fd in glob.glob(f"{found}/fd/*"):
            try:
                files[os.path.basename(fd)] = os.readlink(fd)
            except FileNotFoundError:
                pass  # closed since it was listed
        environ = open(f"{found}/environ", "rb").read()
        child.communicate()
        os.close(held)
        assert [files.get(fd) for fd in "012"] == ["/dev/null"] * 3 and "/etc/passwd" not in files.values(), files
        assert b"LD_PRELOAD=" not in environ and (session, terminal) == (os.path.basename(found), "0"), (session, terminal)
        for what in ("SigBlk", "SigIgn"):
            assert int(re.search(rf"{what}:\s*(\w+)", status).group(1), 16) in (0, 1 << 12), status  # it ignores SIGPIPE itself


PLAIN_5 = subprocess.run([ATTACK, "plain", "5"], env=environment(), capture_output=True, text=True, check=True).stdout
PLAIN_12 = subprocess.run([ATTACK, "plain", "12"], env=environment(), capture_output=True, text=True, check=True).stdout
case("plain", lambda: attack("plain", least=24, slots=1))
case("library", library)
case("no_driver", no_driver)
case("fork", lambda: forks("fork"))
case("rawfork", lambda: forks("rawfork"))
case("storm", lambda: attack("storm", "3"))
case("spawn", lambda: attack("spawn", least=24, slots=1))
case("exit", ends)
case("close", lambda: attack("close", least=24, slots=1))
case("chdir", lambda: attack("chdir", least=24))
case("chroot", lambda: attack("chroot", prefix=["unshare", "-r"]))
case("fsize", lambda: attack("fsize"))
case("files", lambda: attack("files"))
case("memory", tight_memory)
case("noread", lambda: attack("noread", least=24))
case("nothing", lambda: attack("nothing", "40"))
case("ftz", lambda: attack("ftz", least=24))
case("round", lambda: attack("round", least=24))
case("trap", lambda: attack("trap", least=24))
case("flags", lambda: attack("flags"))
case("threads", lambda: attack("threads", "60", same=False, least=24))
case("turns", lambda: attack("turns", "20", same=False, least=120))
case("settings", settings)
case("locale", locale)
case("off", off)
case("shared_memory", shared_memory)
for how in ("seen", "ignored", "subreaper"):
    case(how, lambda: invisible(how))
case("relative_store", relative_store)
case("recorder", recorder)
print(f"{passed} passed, {failed} failed")
sys.exit(failed != 0)
