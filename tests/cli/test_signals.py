"""run: signals to us, to the group, from the terminal; stopping and continuing."""
import pty
import time

from harness import *

COUNTER = r"""
import os, signal, sys, time
seen = {}
def count(s, frame):
    seen[s] = seen.get(s, 0) + 1
for s in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2):
    signal.signal(s, count)
sys.stdout.write("ready %d\n" % os.getpid())
sys.stdout.flush()
end = time.time() + float(sys.argv[1])
while time.time() < end:
    time.sleep(0.05)
print(" ".join("%s=%d" % (signal.Signals(s).name, n) for s, n in sorted(seen.items())))
"""


def start(seconds, *options, **kw):
    process = subprocess.Popen([PROGRAM, "run", "--store", store, *options, "--", "/usr/bin/python3", "-c", COUNTER, str(seconds)],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True, **kw)
    process.trainer = int(process.stdout.readline().split()[1])
    return process


@test
def a_signal_to_us_reaches_the_command_once():
    process = start(2.5)
    for s in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2):
        os.kill(process.pid, s)
        time.sleep(0.1)
    out, err = process.communicate(timeout=60)
    equal(out.decode().strip(), "SIGHUP=1 SIGINT=1 SIGQUIT=1 SIGUSR1=1 SIGUSR2=1 SIGTERM=1", "delivered")
    equal(process.returncode, 0, err.decode())


@test
def a_signal_to_the_group_reaches_the_command_once():
    process = start(2.5)
    for s in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGTERM):
        os.killpg(process.pid, s)
        time.sleep(0.2)
    out, err = process.communicate(timeout=60)
    equal(out.decode().strip(), "SIGINT=1 SIGUSR1=1 SIGTERM=2", "delivered")


@test
def a_deadly_signal_is_passed_on_and_told():
    for s in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        process = subprocess.Popen([PROGRAM, "run", "--store", store, "--name", s.name, "--", "sleep", "30"],
                                   stderr=subprocess.PIPE, start_new_session=True)
        time.sleep(0.5)
        os.kill(process.pid, s)
        process.communicate(timeout=30)
        equal(process.returncode, -s, s.name)
        equal(query("select status, exit_code from run where name='%s'" % s.name), [("killed", -s)], "stored")


@test
def a_signal_of_the_command_to_its_own_group_comes_once():
    script = "import os,signal,time\nn=[0]\nsignal.signal(10,lambda *a:n.__setitem__(0,n[0]+1))\nos.kill(0,10)\ntime.sleep(.5)\nprint(n[0])"
    answer = subprocess.run([PROGRAM, "run", "--store", store, "--", "/usr/bin/python3", "-c", script], start_new_session=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    equal(answer.stdout, b"1\n", answer.stderr.decode())


def terminal(command, keys, seconds=10):
    """Runs it with a terminal of its own, types the keys (bytes, or seconds to wait); its output and wait status."""
    pid, master = pty.fork()
    if pid == 0:
        os.execv(command[0], command)
    out = b""
    os.set_blocking(master, False)
    end = time.time() + seconds

    def read_for(duration):
        nonlocal out
        until = time.time() + duration
        while time.time() < until:
            try:
                data = os.read(master, 65536)
                if not data:
                    return
                out += data
            except BlockingIOError:
                time.sleep(0.01)
            except OSError:
                return
    for key in keys:
        if isinstance(key, bytes):
            os.write(master, key)
        else:
            read_for(key)
    status = None
    while time.time() < end:
        read_for(0.05)
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            break
    else:
        os.kill(pid, 9)
        raise AssertionError("hangs; so far %r" % out)
    read_for(0.05)
    os.close(master)
    return out, status


@test
def ctrl_c_reaches_the_command_once_and_not_the_recorder():
    for options in ([], ["--loss-regex", "(nothing)"]):
        out, status = terminal([PROGRAM, "run", "--store", store, *options, "--", "/usr/bin/python3", "-c", COUNTER, "2"],
                               [1.0, b"\x03", 0.3])
        contains(out, "SIGINT=1", "Ctrl-C with %s" % options)
        equal(b" lost" in out or b"not all was stored" in out, False, "the recorder lives on")
        equal(os.waitstatus_to_exitcode(status), 0, "status")


@test
def ctrl_d_ends_the_input():
    for options in ([], ["--loss-regex", "(nothing)"]):
        out, status = terminal([PROGRAM, "run", "--store", store, *options, "--", "cat"], [0.6, b"hello\r", 0.3, b"\x04"])
        equal(out.count(b"hello\r\n"), 2, "echo and output: %r" % out)
        equal(os.waitstatus_to_exitcode(status), 0, "status")


@test
def ctrl_z_stops_and_fg_continues_under_a_shell():
    for options in ("", "--loss-regex '(nothing)'"):
        line = '%s run --store %s %s -- sh -c "echo begun; sleep 1; echo done"\r' % (PROGRAM, store, options)
        out, status = terminal(["/bin/bash", "--norc", "-i"], [0.5, line.encode(), 0.6, b"\x1a", 0.5, b"jobs\r", 0.3, b"fg\r", 2.5,
                                                               b"exit\r"], 20)
        contains(out, "Stopped", "the shell sees it stopped: %r" % out)
        equal(out.count(b"\ndone\r\n"), 1, "goes on after fg: %r" % out)
        contains(out, "nothing was measured", "closing lines")


main()
