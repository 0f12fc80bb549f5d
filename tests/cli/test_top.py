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
    closing = text[text.rindex("gnscope: your batch"):]
    contains(closing, "200 of 200 steps measured", "closing lines")
    contains(closing, "the command's output is in ", "the log is named")
    log = closing.split("the command's output is in ")[1].split("\r")[0].strip()
    equal(open(log).read(), "training\n", "the log")


main()
