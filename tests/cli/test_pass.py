"""run --loss-regex: the output passes unchanged, the losses arrive in the store."""
import fcntl
import pty
import struct
import tempfile
import termios
import time

from harness import *

LOSS = "loss ([0-9.e+-]+)"


@test
def binary_output_passes_unchanged():
    data = os.urandom(10 * 1024 * 1024)
    answer = run("--loss-regex", LOSS, "--", "cat", input=data)
    equal(answer.stdout == data, True, "10 MiB, pipes")
    path = os.path.join(folder, "out")
    with open(path, "wb") as out:
        subprocess.run([PROGRAM, "run", "--store", store, "--loss-regex", LOSS, "--", "cat"], input=data, stdout=out,
                       stderr=subprocess.DEVNULL)
    equal(open(path, "rb").read() == data, True, "10 MiB, a file")


@test
def both_streams_stay_apart_or_in_order():
    answer = run("--loss-regex", LOSS, "--", "sh", "-c", "printf out; printf err >&2")
    equal(answer.stdout, b"out", "stdout")
    equal(answer.stderr.startswith(b"errgnscope: "), True, "stderr: %r" % answer.stderr)
    together = subprocess.run([PROGRAM, "run", "--store", store, "--loss-regex", LOSS, "--", "sh", "-c",
                               "for i in 1 2 3 4 5 6 7 8 9; do printf o$i; printf e$i >&2; done"],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT).stdout
    equal(together.startswith(b"".join(b"o%de%d" % (i, i) for i in range(1, 10))), True, "2>&1: %r" % together)


@test
def a_partial_line_passes_at_once():
    process = subprocess.Popen([PROGRAM, "run", "--store", store, "--loss-regex", LOSS, "--", "sh", "-c", "printf half; read x; echo $x"],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    equal(os.read(process.stdout.fileno(), 100), b"half", "before the line ends")
    out, _ = process.communicate(b"rest\n", timeout=20)
    equal(out, b"rest\n", "the other half")


@test
def a_reader_that_goes_away_ends_the_command_as_it_would():
    answer = subprocess.run(["bash", "-c", '"$0" run --store "$1" --loss-regex "(1)" -- yes | head -c 100000 | wc -c; echo ${PIPESTATUS[0]}',
                             PROGRAM, store], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
    equal(answer.stdout, b"100000\n141\n", "SIGPIPE to the command: %r" % answer.stderr)


@test
def a_child_that_outlives_the_command_does_not_hold_us():
    # The child still holds the output, as it would without us: so not a pipe, which would be read to its end.
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        command = [PROGRAM, "run", "--store", store, "--loss-regex", LOSS, "--", "sh", "-c", "sleep 60 & echo done"]
        equal(subprocess.run(command, stdout=out, stderr=err, timeout=30).returncode, 0, "did not wait for the child")
        out.seek(0)
        equal(out.read(), b"done\n", "output")


def on_terminal(command, size=(24, 80), keys=b"", seconds=20, prepare=None):
    pid, master = pty.fork()
    if pid == 0:
        os.execv(command[0], command)
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))
    before = termios.tcgetattr(master)
    if prepare:
        prepare(master)
    out = b""
    if keys:
        time.sleep(0.8)
        os.write(master, keys)
    end = time.time() + seconds
    while time.time() < end:
        try:
            data = os.read(master, 65536)
        except OSError:
            break
        if not data:
            break
        out += data
    after = termios.tcgetattr(master)
    _, status = os.waitpid(pid, 0)
    os.close(master)
    return out, os.waitstatus_to_exitcode(status), before == after


@test
def a_terminal_stays_a_terminal():
    script = ("import sys,os,shutil,time; time.sleep(.5); print([os.isatty(i) for i in range(3)], os.get_terminal_size(1), "
              "os.get_terminal_size(2))")
    out, status, same = on_terminal([PROGRAM, "run", "--store", store, "--loss-regex", LOSS, "--", "/usr/bin/python3", "-c", script],
                                    (33, 101))
    contains(out, "[True, True, True] os.terminal_size(columns=101, lines=33) os.terminal_size(columns=101, lines=33)\r\n", "terminal")
    equal(out.count(b"\r\r"), 0, "line ends are not doubled: %r" % out)
    equal(same, True, "settings of the terminal")


@test
def a_new_size_is_passed_on():
    script = ("import os,signal,sys,time\nn=[]\nsignal.signal(signal.SIGWINCH,lambda *a:n.append(os.get_terminal_size(1)))\n"
              "print('ready',flush=True)\ntime.sleep(2)\nprint(n[-1])")

    def grow(master):
        time.sleep(1)
        fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 132, 0, 0))
    out, status, same = on_terminal([PROGRAM, "run", "--store", store, "--loss-regex", LOSS, "--", "/usr/bin/python3", "-c", script],
                                    prepare=grow)
    contains(out, "columns=132, lines=50", "size")


@test
def output_on_a_terminal_is_what_it_is_without_us():
    path = os.path.join(folder, "text")
    with open(path, "wb") as file:
        file.write(bytes(b for b in os.urandom(2 * 1024 * 1024) if b not in (3, 4, 17, 19, 26, 28)))
    plain, _, _ = on_terminal(["/bin/cat", path])
    ours, _, _ = on_terminal([PROGRAM, "run", "--store", store, "--loss-regex", LOSS, "--", "/bin/cat", path])
    equal(ours[:len(plain)] == plain, True, "byte for byte")


@test
def an_interactive_program_works():
    out, status, _ = on_terminal([PROGRAM, "run", "--store", store, "--loss-regex", LOSS, "--", "/usr/bin/python3", "-i", "-q"],
                                 keys=b"print(6*7)\nexit(5)\n")
    contains(out, "42\r\n", "answer")
    equal(status, 5, "status")


@test
def losses_arrive_at_their_steps():
    process = subprocess.Popen([PROGRAM, "run", "--store", store, "--name", "losses", "--loss-regex", LOSS, "--", TRAINER, "100",
                                "loss=1", "ask=1"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    equal(process.stdout.readline(), b"training\n", "first line")
    for _ in range(100):
        process.stdout.readline()  # what we have read, the program has seen
        process.stdin.write(b".")
        process.stdin.flush()
    _, err = process.communicate(timeout=60)
    equal(process.returncode, 0, err.decode())
    got = dict(query("select step, loss from step s join run r using (run_id) where r.name='losses' and loss is not null"))
    equal(len(got), 100, "number of losses")
    for step, loss in got.items():
        near(loss, 10 / step, 1e-6, "loss of step %d" % step)
    near(show("losses")["loss"], 0.1, 1e-6, "last loss")
    equal(show("losses")["steps"], 100, "steps")
    near(show("losses")["b_noise"], 500, 1e-9, "the estimate is not touched by it")


@test
def losses_on_stderr_and_behind_carriage_returns():
    script = TRAINER + " 20 loss=1 ask=1 | stdbuf -o0 tr '\\n' '\\r' >&2"
    process = subprocess.Popen([PROGRAM, "run", "--store", store, "--name", "err", "--loss-regex", LOSS, "--", "sh", "-c", script],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    seen = b""
    for i in range(21):
        while seen.count(b"\r") <= i:
            seen += os.read(process.stderr.fileno(), 4096)
        process.stdin.write(b"." if i else b"")
        process.stdin.flush()
    process.communicate(timeout=60)
    got = query("select step, loss from step s join run r using (run_id) where r.name='err' and loss is not null")
    equal([(step, round(loss * step, 6)) for step, loss in got], [(i, 10.0) for i in range(1, 21)], "losses")


@test
def no_match_is_told():
    answer = run("--loss-regex", "nothing like ([0-9]+)", "--", TRAINER, 10)
    contains(answer.stderr, "no line of the output matched --loss-regex", "told")
    answer = run("--name", "words", "--loss-regex", "loss (.*)", "--", "sh", "-c", "echo loss nan; echo loss inf; echo loss none; %s 5" % TRAINER)
    equal(query("select count(*) from step s join run r using (run_id) where r.name='words' and loss is not null"), [(0,)], "not numbers")


@test
def a_very_long_line_does_no_harm():
    answer = run("--loss-regex", LOSS, "--", "sh", "-c", "head -c 3000000 /dev/zero | tr '\\0' x; echo; echo loss 1")
    equal(len(answer.stdout), 3000008, "length")


main()
