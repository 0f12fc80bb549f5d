"""top: its options; run --top on a terminal. The screens themselves are tested in tests/screens."""
import pty
import time

from harness import *

run("--name", "known", "--samples", 64, "--", TRAINER, 100)
probe = gnscope("top", "--store", store, "--once", "--width", 80, "--height", 24, "--ascii")
if b"without the dashboard" in probe.stderr:
    print("skipped: the program was built without the dashboard")
    sys.exit(77)


@test
def one_view_as_text():
    equal(probe.returncode, 0, probe.stderr.decode())
    contains(probe.stdout, "known", "name")
    contains(probe.stdout, "B_noise", "number")


@test
def kernels_of_devices_and_of_the_host():
    path = generate("--store", "PATH", "--steps", "402", "--device", "--seed", "5")
    top = ("top", "--store", path, "--once", "--view", "kernels")
    it, shown = json.loads(gnscope(*top, "--json").stdout), show(path=path)
    n = len(shown["device_kernels"])
    equal(n, 7, "kernels of the device")
    for mine, other in zip(it["kernels"], shown["device_kernels"]):
        equal((mine["device"], mine["name"]), (True, other["name"]), "the device's first")
        for key in ("ms_per_step", "calls_per_step", "max_ms", "share"):
            near(mine[key], other[key], 1e-9, key)
    equal([k["device"] for k in it["kernels"][n:]], [False] * 12, "then the host's")
    equal(it["kernel_times"], None, "kernel times")
    near(it["devices"][0]["idle_share"], shown["devices"][0]["idle_share"], 1e-9, "idle")
    text = gnscope(*top, "--width", 80, "--height", 24).stdout.decode()
    for part in ("a step, 100 of 402 steps looked at", "compute %.1f%%" % (100 * shown["devices"][0]["compute_share"]), "gpu matmul", "wgrad"):
        contains(text, part, "view")
    health = gnscope("top", "--store", path, "--once", "--view", "health", "--width", 100, "--height", 60).stdout.decode()
    for part in ("Devices\n", "GPU 0 of rank 0: ", "cublas 13.0.2  /opt/cuda/lib64/libcublas.so.13"):
        contains(health, part, "health")


@test
def wrong_options():
    for option in ("--width", "--height", "--window", "--refresh"):
        one_sentence(gnscope("top", "--store", store, option, "x"), 2, "not a whole number", option)
    equal(gnscope("top", "--store", store, "--once", "--view", "nowhere").returncode, 2, "view")


@test
def the_dashboard_runs_beside_the_trainer():
    command = [PROGRAM, "run", "--store", store, "--name", "beside", "--samples", "64", "--top", "--", TRAINER, "200", "sleep_us=10000"]
    pid, master = pty.fork()
    if pid == 0:
        os.environ["TERM"] = "xterm"
        os.execv(command[0], command)
    out, end = b"", time.time() + 60
    while time.time() < end:
        try:
            data = os.read(master, 65536)
        except OSError:
            break
        if not data:
            break
        out += data
    _, status = os.waitpid(pid, 0)
    equal(os.waitstatus_to_exitcode(status), 0, "status")
    contains(out, "\x1b[", "a screen was drawn")
    text = out.decode(errors="replace")
    closing = text[text.rindex("gnscope: Batch "):]
    contains(closing, "200 of 200 steps measured", "closing lines")
    contains(closing, "the command's output is in ", "the log is named")
    log = closing.split("the command's output is in ")[1].split("\r")[0].strip()
    equal(open(log).read(), "training\n", "the log")


main()
