"""run: statuses, streams, environment, what is stored, a recorder that dies."""
import time

from harness import *


@test
def exit_statuses_are_the_commands_own():
    for code in (0, 1, 2, 3, 126, 127, 255):
        equal(run("--", *NOTED, "sh", "-c", "exit %d" % code).returncode, code, "exit")
    one_sentence(run("--", "no-such-command-here"), 127, "no such command on PATH", "not found")
    one_sentence(run("--", "/no/such/file"), 127, "No such file", "not found by path")
    one_sentence(run("--", "/etc/passwd"), 126, "Permission denied", "not executable")
    one_sentence(run("--", "/"), 126, "Permission denied", "a folder")
    equal(run("--", *NOTED, "sh", "-c", "kill -TERM $$").returncode, -signal.SIGTERM, "killed by a signal")
    equal(run("--", *NOTED, "sh", "-c", "kill -KILL $$").returncode, -signal.SIGKILL, "killed by SIGKILL")
    equal(run("--", *NOTED, "sh", "-c", "kill -SEGV $$").returncode, -signal.SIGSEGV, "killed by SIGSEGV")
    equal(sessions_left(), [], "shared memory")


@test
def a_shell_sees_128_plus_n():
    answer = subprocess.run(["sh", "-c", '"$0" run --store "$1" -- sh -c "kill -9 \\$\\$"; echo $?', PROGRAM, store],
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    equal(answer.stdout, b"137\n", "$?")


@test
def the_last_lines_name_the_other_optimizers():
    words = run("--name", "gan", "--", TRAINER, 60, "torch=1", "optimizers=2").stderr.decode().split("\n")
    equal(len(words), 7, "six lines: %r" % words)
    contains(words[3], "gnscope: other optimizers: run %d (gan.2, SGD): B_noise 1,000 samples (95%% CI" % show("gan.2")["run"], "line")
    equal(len(run("--", TRAINER, 60, "torch=1").stderr.decode().split("\n")), 6, "five lines")
    equal([r[0] for r in query("select status from run where name like 'gan%'")], ["finished", "finished"], "both ended")


@test
def missing_and_wrong_arguments():
    one_sentence(run(), 2, "command to run is missing", "none")
    one_sentence(run("--"), 2, "command to run is missing", "none after --")
    one_sentence(run("--", ""), 2, "command to run is missing", "empty")
    for bad in ("0", "-1", "x", "1.5", "", "99999999999999999999"):
        if bad:
            one_sentence(run("--samples", bad, "--", "true"), 2, "not a whole number", "--samples " + bad)
            one_sentence(run("--every", bad, "--", "true"), 2, "not a whole number", "--every " + bad)
    for bad in ("0", "-1", "101", "nan", "x"):
        one_sentence(run("--budget", bad, "--", "true"), 2, "not a percentage", "--budget " + bad)
    one_sentence(run("--every", "1", "--budget", "1", "--", "true"), 2, "exclude each other", "both")
    one_sentence(run("--loss-regex", "loss (", "--", "true"), 2, "regular expression", "bad expression")
    one_sentence(run("--loss-regex", "loss", "--", "true"), 2, "no group", "no group")
    one_sentence(run("--top", "--", "true"), 2, "terminal", "--top without one")
    one_sentence(run("--samples", "4", env={**os.environ, "GNSCOPE_EVERY": "none"}), 2, "missing", "variable")
    one_sentence(run("--", "true", env={**os.environ, "GNSCOPE_EVERY": "none"}), 2, "GNSCOPE_EVERY", "variable")


@test
def options_of_the_command_are_its_own():
    answer = run("echo", "--store", "x", "-h")
    equal(answer.stdout, b"--store x -h\n", "without --")


@test
def secrets_are_not_stored():
    run("--name", "secret", "--", "env", "HF_TOKEN=tell", TRAINER, 20, "--api-key", "tell", "--url=https://me:tell@host/x")
    run("--name", "short", "--no-command", "--", TRAINER, 20, "--lr", "7")
    command, = query("select command from run where name='secret'")[0]
    equal("tell" in command, False, command)
    contains(command, "HF_TOKEN=*** ", "the names stay")
    contains(command, " --api-key *** --url=https://***@host/x", "the names stay")
    equal(query("select command from run where name='short'"), [(os.path.basename(TRAINER),)], "--no-command")
    for end in ("", "-wal", "-shm"):
        if os.path.exists(store + end):
            equal(os.stat(store + end).st_mode & 0o777, 0o600, "mode of the store" + end)


@test
def streams_pass_unchanged():
    data = os.urandom(10 * 1024 * 1024)
    answer = run("--", "cat", input=data)
    equal(answer.stdout == data, True, "10 MiB through stdin and stdout")
    answer = run("--", "sh", "-c", "printf out; printf err >&2")
    equal(answer.stdout, b"out", "stdout")
    equal(answer.stderr.startswith(b"err"), True, "stderr comes first, nothing before it")


@test
def nothing_is_printed_before_the_commands_output():
    answer = run("--", "sh", "-c", "echo first >&2")
    equal(answer.stderr.split(b"\n")[0], b"first", "stderr")
    equal(answer.stderr.count(b"\n"), 5, "four lines at the end: %s" % answer.stderr.decode())


@test
def a_command_that_does_not_train_is_told_so():
    for command in (["/bin/true"], ["bash", "-c", "echo x | cat >/dev/null"]):
        answer = run("--", *command)
        equal(answer.returncode, 0, "status")
        contains(answer.stderr, "nothing was measured: this command did not train", "reason")
        contains(answer.stderr, "gnscope doctor", "what to do")


@test
def a_command_that_fails_first_is_told_so():
    for script, how in (("exit 3", "ended with status 3"), ("kill -USR1 $$", "was ended by signal 10")):
        answer = run("--", "sh", "-c", script)
        contains(answer.stderr, "nothing was measured: the command %s before it had trained a step" % how, "reason")
        contains(gnscope("show", "--store", store).stdout, how, "show")


@test
def the_environment_of_the_command():
    script = 'echo "$LD_PRELOAD|$GNSCOPE_STORE|$GNSCOPE_SAMPLES|$GNSCOPE_EVERY|$GNSCOPE_BUDGET|$GNSCOPE_NAME|$GNSCOPE_SESSION"'
    answer = run("--samples", 8, "--every", 3, "--name", "n", "--", "sh", "-c", script)
    got = answer.stdout.decode().strip().split("|")
    equal(got[:6], [os.path.realpath(SHIM), store, "8", "3", "", "n"], "flags")
    equal(got[6].startswith("/gnscope-%d-" % os.getuid()), True, "session " + got[6])
    env = {**os.environ, "GNSCOPE_SAMPLES": "5", "GNSCOPE_EVERY": "7", "LD_PRELOAD": os.path.realpath(SHIM) + ".copy"}
    shutil.copy(SHIM, env["LD_PRELOAD"])
    got = run("--budget", "2.5", "--", "sh", "-c", script, env=env).stdout.decode().strip().split("|")
    os.unlink(env["LD_PRELOAD"])
    equal(got[0], os.path.realpath(SHIM) + ":" + env["LD_PRELOAD"], "what was preloaded stays, behind ours")
    equal(got[2:5], ["5", "", "2.5"], "a variable goes through; --budget takes GNSCOPE_EVERY away")
    torch = ["sh", "-c", 'echo "<$GNSCOPE_TORCH>"']
    equal(run("--", *torch).stdout, b"<>\n", "PyTorch is read by default")
    equal(run("--no-torch", "--", *torch, env={**os.environ, "GNSCOPE_TORCH": "1"}).stdout, b"<0>\n", "the flag wins")
    gpu = ["sh", "-c", 'echo "<$GNSCOPE_GPU>"']
    equal(run("--", *gpu).stdout, b"<>\n", "GPUs are looked at by default")
    equal(run("--no-gpu", "--", *gpu).stdout, b"<0>\n", "--no-gpu reaches the command")
    kernels = ["sh", "-c", 'echo "<$GNSCOPE_KERNELS>"']
    equal(run("--", *kernels).stdout, b"<>\n", "kernel times have a default")
    equal(run("--kernels", "on", "--", *kernels, env={**os.environ, "GNSCOPE_KERNELS": "off"}).stdout, b"<on>\n", "--kernels reaches the command")
    wrong = run("--kernels", "some", "--", *kernels)
    equal((wrong.returncode, b"kernels 'some' is not auto, on or off" in wrong.stderr), (2, True), "--kernels some")


@test
def signal_dispositions_and_masks_of_the_command_are_untouched():
    def state(command):
        lines = open("/proc/self/status") if command is None else command.decode().split("\n")
        return [l for l in lines if l.startswith(("SigBlk", "SigIgn", "SigCgt"))]
    plain = subprocess.run(["cat", "/proc/self/status"], stdout=subprocess.PIPE).stdout
    equal(state(run("--", "cat", "/proc/self/status").stdout), state(plain), "signals")
    nohup = lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)
    plain = subprocess.run(["cat", "/proc/self/status"], stdout=subprocess.PIPE, preexec_fn=nohup).stdout
    equal(state(run("--", "cat", "/proc/self/status", preexec_fn=nohup).stdout), state(plain), "signals under nohup")


@test
def no_descriptor_leaks_into_the_command():
    plain = subprocess.run(["ls", "/proc/self/fd"], stdout=subprocess.PIPE).stdout
    equal(run("--", "ls", "/proc/self/fd").stdout, plain, "descriptors")
    equal(run("--loss-regex", "(1)", "--", "ls", "/proc/self/fd").stdout, plain, "descriptors with --loss-regex")


@test
def what_a_trainer_measures_is_stored_and_told():
    answer = run("--name", "known", "--samples", 64, "--", *NOTED, TRAINER, 200)
    equal(answer.returncode, 0, answer.stderr.decode())
    equal(answer.stdout, b"training\n", "stdout")
    lines = answer.stderr.decode().split("\n")[:-1]
    equal(len(lines), 5, "five lines: " + answer.stderr.decode())
    contains(lines[0], "Batch 64 is SMALL: 0.13x the critical batch size of 500", "verdict first")
    contains(lines[1], "B_noise 500 samples (95% CI", "numbers")
    contains(lines[2], "200 of 200 steps measured", "steps")
    equal(lines[3], "gnscope: warnings: blas_only", "nothing was lost, and no word of it")
    equal(lines[4], "gnscope: next: gnscope advise %d" % show("known")["run"], "next")
    run_of = show("known")
    near(run_of["b_noise"], 500, 1e-9, "b_noise")
    equal(run_of["steps_measured"], 200, "steps")
    equal(run_of["status"], "finished", "status")
    contains(run_of["command"], TRAINER + " 200", "command")
    equal(sessions_left(), [], "shared memory")


@test
def how_a_run_ended_is_stored():
    for name, extra, status, code in (("f", ["exit=7"], "failed", 7), ("k", ["kill=9"], "killed", -9), ("o", [], "finished", 0)):
        run("--name", name, "--", TRAINER, 20, *extra)
        equal(query("select status, exit_code from run where name='%s'" % name), [(status, code)], name)
        equal(query("select count(*) from step s join run r using (run_id) where r.name='%s' and s.measured" % name), [(20,)],
              "every finished step is stored: " + name)


@test
def a_recorder_that_is_killed_is_started_again():
    trainer = subprocess.Popen([PROGRAM, "run", "--store", store, "--name", "phoenix", "--", TRAINER, "300", "sleep_us=10000"],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    killed = 0
    for _ in range(2):
        time.sleep(0.9)
        for pid in children(trainer.pid):
            if b"record" in open("/proc/%d/cmdline" % pid, "rb").read().split(b"\0"):
                os.kill(pid, signal.SIGKILL)
                killed += 1
    out, err = trainer.communicate(timeout=60)
    equal(trainer.returncode, 0, err.decode())
    equal(killed, 2, "recorders killed")
    equal(query("select count(*), count(distinct step) from step s join run r using (run_id) where r.name='phoenix'"), [(300, 300)],
          "every step once")
    equal(len(err.decode().split("\n")), 6, "five lines: " + err.decode())


def children(pid):
    return [int(c) for c in open("/proc/%d/task/%d/children" % (pid, pid)).read().split()]


@test
def a_run_whose_parent_was_killed_is_closed_as_lost():
    parent = subprocess.Popen([PROGRAM, "run", "--store", store, "--name", "orphan", "--", *NOTED, TRAINER, "150", "sleep_us=10000"],
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(0.6)
    parent.kill()
    parent.wait()
    for _ in range(300):
        if query("select status from run where name='orphan'") == [("lost",)] and not sessions_left():
            break
        time.sleep(0.1)
    equal(query("select status from run where name='orphan'"), [("lost",)], "status")
    equal(query("select count(*) from step s join run r using (run_id) where r.name='orphan'"), [(150,)], "the trainer went on to its end")
    equal(sessions_left(), [], "shared memory")


@test
def a_store_that_is_refused_stops_before_the_command_runs():
    foreign = os.path.join(folder, "notes.txt")
    open(foreign, "w").write("my notes\n" * 1000)
    marker = os.path.join(folder, "ran")
    for path in (foreign, folder):
        answer = gnscope("run", "--store", path, "--", "touch", marker)
        one_sentence(answer, 1, path, path)
        equal(os.path.exists(marker), False, "the command did not run")
    equal(open(foreign).read(), "my notes\n" * 1000, "untouched")


@test
def a_background_child_writes_to_the_end():
    path = os.path.join(folder, "background")
    script = "(trap 'echo killed >%s; exit' PIPE; sleep 1; echo late || exit 5; echo whole >%s) & echo first; exit 3" % (path, path)
    with open(path + ".out", "wb") as out:
        answer = subprocess.run([PROGRAM, "run", "--store", store, "--loss-regex", "loss (.*)", "--", "sh", "-c", script], stdout=out,
                                stderr=subprocess.DEVNULL, timeout=60)
    equal(answer.returncode, 3, "status")
    for _ in range(100):
        if os.path.exists(path) and open(path).read():
            break
        time.sleep(0.1)
    equal(open(path).read(), "whole\n", "the child was not killed")
    equal(open(path + ".out").read(), "first\nlate\n", "its output is there")


@test
def an_expression_without_end_stops_neither_output_nor_signals():
    for expression, line in ((r"(.*)\1\1\1x", "a" * 4000), ("(a{1,255}){1,255}", "a" * 60)):
        trainer = subprocess.Popen([PROGRAM, "run", "--store", store, "--loss-regex", expression, "--", "sh", "-c", "echo %s; echo end; exec sleep 600" % line],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        equal([trainer.stdout.readline(), trainer.stdout.readline()], [line.encode() + b"\n", b"end\n"], "the output")
        trainer.terminate()
        said = trainer.communicate(timeout=60)[1]
        equal(trainer.returncode, -signal.SIGTERM, "the signal arrives")
        contains(said, "took over a second on one line", expression)


SCRIPT = ["sh", "-c", "echo out; echo err >&2; exit 7"]


def in_namespace(mounts, *command, env=None):
    """None: no mounts may be made here."""
    answer = subprocess.run(["unshare", "-rm", "sh", "-c", mounts + ' || exit 99; exec "$0" "$@"', *map(str, command)], stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, env=env)
    return None if answer.returncode in (1, 99) else answer


def runs_all_the_same(answer, why, what):
    if answer is None:
        return print("skipped %s: not permitted here" % what)
    equal((answer.returncode, answer.stdout), (7, b"out\n"), what + ": the command's own status and output")
    lines = [l for l in answer.stderr.decode().split("\n") if l.startswith("gnscope")]
    equal(answer.stderr.decode().count("err\n"), 1, what)
    contains(lines[0] if len(lines) == 1 else answer.stderr, why, what)
    return None


@test
def the_command_runs_where_nothing_can_be_measured():
    bare = {k: v for k, v in os.environ.items() if k not in ("HOME", "XDG_STATE_HOME", "GNSCOPE_STORE")}
    why = "gnscope run: the command runs, but nothing is measured: "
    runs_all_the_same(gnscope("run", "--", *SCRIPT, env=bare), why + "no place for the store", "no HOME")
    runs_all_the_same(in_namespace("mount -t tmpfs -o ro none /mnt", PROGRAM, "run", "--", *SCRIPT, env={**bare, "HOME": "/mnt"}),
                      "Read-only file system", "a read-only HOME")
    runs_all_the_same(in_namespace("mount -t tmpfs -o ro none /mnt", PROGRAM, "run", "--store", "/mnt/a.db", "--", *SCRIPT),
                      "/mnt is read-only", "a read-only store")
    for mount, why in (("ro", "Read-only file system"), ("nr_inodes=1", "No space left on device; free some space")):
        runs_all_the_same(in_namespace("mount -t tmpfs -o %s none /dev/shm" % mount, PROGRAM, "run", "--store", store, "--", *SCRIPT), why,
                          "/dev/shm " + mount)
    runs_all_the_same(in_namespace("mount --bind /proc/self/fdinfo /dev/shm", PROGRAM, "run", "--store", store, "--", *SCRIPT), "/dev/shm",
                      "no /dev/shm")
    for files in (4, 5, 6, 7, 8, 10):
        answer = subprocess.run(["sh", "-c", 'ulimit -n %d; exec "$0" "$@"' % files, PROGRAM, "run", "--store", store, "--", *SCRIPT],
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        equal((answer.returncode, answer.stdout), (7, b"out\n"), "%d files" % files)
        contains(answer.stderr, "gnscope", "a sentence")
    answer = gnscope("run", "--", "/no/such/command", env=bare)
    equal(answer.returncode, 127, "not found, unmeasured")
    contains(answer.stderr, "cannot run '/no/such/command'", "not found, unmeasured")


@test
def a_process_that_could_not_join_says_why():
    train = [os.path.join(os.environ["GNS_BUILD"], "bin", "life"), "plain", "20"]
    answer = in_namespace("mount -t tmpfs -o size=64k none /dev/shm", PROGRAM, "run", "--store", store, "--lib", os.environ["GNS_REAL_SHIM"], "--", *train)
    if answer is not None:
        equal(answer.returncode, 0, "status")
        contains(answer.stderr, "a process trained but could not hand over its measurements", "what happened")
        contains(answer.stderr, "4 MiB of shared memory in /dev/shm cannot be had: No space left on device", "why")
    answer = subprocess.run(["sh", "-c", 'ulimit -f 5000; exec "$0" "$@"', PROGRAM, "run", "--store", os.path.join(folder, "small.db"), "--lib", os.environ["GNS_REAL_SHIM"], "--", *train],
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    contains(answer.stderr, "the limit on the size of files (ulimit -f)", "why")
    answer = subprocess.run(["sh", "-c", 'ulimit -f 1; exec "$0" "$@"', PROGRAM, "run", "--store", store, "--", *SCRIPT], stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE)
    equal((answer.returncode, answer.stdout), (7, b"out\n"), "a store beyond the limit on the size of files")


@test
def the_shim_library_must_be_there():
    env = {k: v for k, v in os.environ.items() if k != "GNSCOPE_LIB"}
    one_sentence(run("--lib", "/no/such/lib.so", "--", "true"), 1, "/no/such/lib.so", "--lib")
    one_sentence(run("--", "true", env={**env, "GNSCOPE_LIB": "/none.so"}), 1, "/none.so", "GNSCOPE_LIB")
    alone = os.path.join(folder, "alone")
    os.makedirs(alone)
    shutil.copy(PROGRAM, alone)
    answer = subprocess.run([alone + "/gnscope", "run", "--store", store, "--", "true"], env=env, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE)
    one_sentence(answer, 1, "libgnscope.so", "beside the program")
    spaced = os.path.join(folder, "with space.so")
    shutil.copy(SHIM, spaced)
    one_sentence(run("--lib", spaced, "--", "true"), 1, "space", "a path that LD_PRELOAD cannot hold")


main()
