"""sweep: steps to the target under a known law, what counts as not reached, interruption and going on, bad input."""
import pty
import select
import time

from harness import *

# loss = 0.5 (k / S)^-0.5 with S = 100 (1 + 200/batch) x how far the learning rate is from 0.1: the loss is 0.5 after S steps.
LAW = os.path.join(folder, "law.py")
with open(LAW, "w") as f:
    f.write('''
import math, os, random, signal, sys, time
set = dict(word.split("=", 1) for word in sys.argv[1:])
with open(os.environ["TMPDIR"] + "/started", "a") as f:
    f.write("%d %s\\n" % (os.getpid(), " ".join(sys.argv[1:])))
if "deaf" in set:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if "crash" in set and set["crash"] in ("all", set["batch"]):
    sys.exit("RuntimeError: out of memory")
batch, lr = int(set["batch"]), float(set.get("lr", 0.1))
random.seed(int(set.get("seed", 0)) * 1000 + batch)
S = 100 * (1 + 200 / batch) * (1 + math.log2(lr / 0.1) ** 2)
for k in range(1, int(set.get("length", 100000)) + 1):
    loss = 0.5 * (k / S) ** -0.5 + random.gauss(0, float(set.get("noise", 0)) / batch ** 0.5)
    loss = max(loss, float(set.get("floor", -1)))
    if set.get("diverge") == set["batch"] and k > 50:
        loss = float("nan") if set.get("nan") else 100.0 * k
    print("step %d loss %.9g" % (k, loss), flush=True)
    time.sleep(float(set.get("sleep", 0)))
''')
READ = ["--loss-regex", "loss ([0-9.e+-]+|nan)", "--step-regex", "step ([0-9]+)"]
TRAIN = ["--", sys.executable, LAW, "batch={batch}"]


def law(batch, lr=0.1):
    return 100 * (1 + 200 / batch) * (1 + __import__("math").log2(lr / 0.1) ** 2)


def sweep(*args, **kw):
    return gnscope("sweep", "--store", store, *args, **kw)


def found(name):
    answer = gnscope("sweep", "--store", store, "--show", name, "--json")
    equal(answer.returncode, 0, answer.stderr.decode())
    return json.loads(answer.stdout)


def started():
    """Command lines of the trainings so far, and forgets them."""
    path = os.path.join(folder, "started")
    lines = open(path).read().split("\n")[:-1] if os.path.exists(path) else []
    if lines:
        os.unlink(path)
    return lines


def alive(pid):
    try:
        return open("/proc/%d/stat" % pid).read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


@test
def steps_to_the_target_are_those_of_the_law():
    answer = sweep("--name", "law", "--batch", "50,200,800", "--target-loss", 0.5, *READ, *TRAIN)
    equal(answer.returncode, 0, answer.stderr.decode())
    result = found("law")
    equal([p["batch"] for p in result["points"]], [50, 200, 800], "batches")
    for p in result["points"]:
        near(p["steps"], law(p["batch"]), 0.005, "steps at %d" % p["batch"])
        near(p["samples"], p["steps"] * p["batch"], 1e-12, "samples")
        equal((p["status"], p["reached"], p["censored"], p["lr"], p["seed"]), ("reached", True, False, None, None), "point")
        equal(query("select name, status from run where run_id=%d" % p["run"]), [("law b%d" % p["batch"], "reached")], "its run")
    equal(result["complete"], True, "complete")
    contains(answer.stderr, "gnscope sweep: 3 of 3: b800: reached after 125 steps", "a line for each run")
    contains(answer.stdout, "next: gnscope fit --sweep law", "what to type next")
    equal([f for f in os.listdir(folder) if f.endswith((".log", ".lock"))], [], "nothing is left beside the store")


@test
def noise_moves_the_steps_by_no_more_than_it_says():
    sweep("--name", "noisy", "--batch", "20,100,500", "--target-loss", 0.5, "--seeds", 3, "--jobs", 2, *READ, *TRAIN, "seed={seed}", "noise=1")
    points = found("noisy")["points"]
    equal(len(points), 9, "points")
    equal(len({(p["batch"], p["seed"]) for p in points}), 9, "each batch with each seed")
    for p in points:
        off = (p["steps"] - law(p["batch"])) / p["steps_se"]
        if not abs(off) < 4:
            raise AssertionError("%r is %.1f standard errors from %g" % (p, off, law(p["batch"])))
        near(p["steps"], law(p["batch"]), 0.25, "steps")


@test
def losses_come_from_the_store_too():
    answer = sweep("--name", "stored", "--batch", "4,8", "--target-loss", 0.1, "--loss-regex", "loss ([0-9.e+-]+)", "--", *NOTED, TRAINER,
                   100000, "loss=1", "batch={batch}")
    equal(answer.returncode, 0, answer.stderr.decode())
    for p in found("stored")["points"]:
        near(p["steps"], 100, 0.03, "the loss is 10/k")
        equal(query("select max(samples) from step where run_id=%d" % p["run"]), [(p["batch"],)], "samples told to the run")
    equal(sessions_left(), [], "shared memory")


@test
def the_quickest_learning_rate_is_repeated_with_the_other_seeds():
    started()
    sweep("--name", "tuned", "--batch", "100,400", "--target-loss", 0.5, "--seeds", "4,9", "--lr", "0.05,0.1,0.8", *READ, *TRAIN, "lr={lr}",
          "seed={seed}", "sleep=0.001")
    points = found("tuned")["points"]
    equal(any(p["status"] == "slower" for p in points), True, "a rate is given up")
    equal({(p["batch"], p["lr"], p["seed"]) for p in points},
          {(b, lr, s) for b in (100, 400) for lr, s in ((0.05, 4), (0.1, 4), (0.8, 4), (0.1, 9))}, "points")
    for p in points:
        if p["status"] == "slower": # unless it was there before it could be stopped
            equal((p["lr"], p["censored"]), (0.8, True), "what is given up: %r" % p)
            equal(2 * law(p["batch"]) * 0.98 < p["steps"] < law(p["batch"], 0.8), True, "beyond twice the quickest: %r" % p)
        else:
            near(p["steps"], law(p["batch"], p["lr"]), 0.01, "steps: %r" % p)
    equal(len(started()), 8, "trainings")
    answer = sweep("--name", "edge", "--batch", "100,400", "--target-loss", 0.5, "--lr", "0.05,0.08", *READ, *TRAIN, "lr={lr}")
    contains(answer.stdout, "the best learning rate is at the edge of those tried at batch 100 (largest), 400 (largest)", "edge")
    equal(found("edge")["warnings"][0]["name"], "lr_edge", "warning")


@test
def learning_rates_follow_the_rule():
    def rates(*args):
        answer = sweep("--dry-run", "--batch", "16,64", "--target-loss", 1, *args, "--", "t", "{batch}", "{lr}")
        equal(answer.returncode, 0, answer.stderr.decode())
        return [float(line.split()[2]) for line in answer.stdout.decode().split("\n")[:-1]]
    equal(rates("--lr", 0.1), [0.1, 0.1], "none")
    equal(rates("--lr", 0.1, "--lr-rule", "linear"), [0.1, 0.4], "linear")
    equal(rates("--lr", 0.1, "--lr-rule", "sqrt"), [0.1, 0.2], "sqrt")
    equal(rates("--lr", 0.1, "--lr-rule", "sqrt", "--lr-batch", 64), [0.05, 0.1], "sqrt from another batch")
    equal(rates("--lr", 1, "--lr-rule", "noise:48"), [0.25, 0.571428571], "noise")
    equal(sweep("--dry-run", "--batch", "16,64", "--target-loss", 1, "--", "a{batch}b{batch}", "{x}", "{{batch}}").stdout,
          b"a16b16 {x} {16}\na64b64 {x} {64}\n", "placeholders, and what is none")


@test
def a_target_that_is_not_reached_is_censored():
    answer = sweep("--name", "capped", "--batch", "50,200", "--target-loss", 0.5, "--max-steps", 300, *READ, *TRAIN)
    equal(answer.returncode, 0, answer.stderr.decode())
    one, two = found("capped")["points"]
    equal((one["status"], one["reached"], one["censored"]), ("capped", False, True), "a limit")
    equal(200 < one["steps"] <= 400, True, "trained in vain: %r" % one)
    equal(two["status"], "reached", "the other")
    contains(answer.stderr, "b50: not reached: at the limit within", "line")
    started()
    sweep("--name", "capped", "--batch", "50,200", "--target-loss", 0.5, "--max-steps", 300, *READ, *TRAIN)
    equal(started(), [], "with the same limit nothing is run again")
    sweep("--name", "capped", "--batch", "50,200", "--target-loss", 0.5, "--max-samples", 150000, *READ, *TRAIN)
    equal(len(started()), 1, "with a higher one only what was stopped at it")
    near(found("capped")["points"][0]["steps"], law(50), 0.005, "then it is reached")
    sweep("--name", "ended", "--batch", "50,200", "--target-loss", 0.5, *READ, *TRAIN, "length=300")
    equal([p["status"] for p in found("ended")["points"]], ["ended", "reached"], "the command's own end")
    for name, extra in (("grows", []), ("nan", ["nan=1"])):
        sweep("--name", name, "--batch", "50,200", "--target-loss", 0.5, *READ, *TRAIN, "diverge=50", *extra)
        equal([p["status"] for p in found(name)["points"]], ["diverged", "reached"], name)


@test
def a_loss_that_is_no_longer_matched_has_diverged():
    sweep("--name", "silent", "--batch", "50,200", "--target-loss", 0.5, "--loss-regex", "loss ([0-9.e+-]+)", "--step-regex", "step ([0-9]+)",
          *TRAIN, "diverge=50", "nan=1", "sleep=0.001")
    equal([p["status"] for p in found("silent")["points"]], ["diverged", "reached"], "status")


@test
def no_run_that_reaches_the_target_is_told():
    answer = sweep("--name", "floor", "--batch", "50,200", "--target-loss", 0.1, "--max-steps", 400, *READ, *TRAIN, "floor=0.4")
    equal(answer.returncode, 1, "status")
    contains(answer.stderr, "no run reached the loss 0.1: the lowest smoothed loss was 0.40", "sentence")
    contains(answer.stderr, "(b200); raise --target-loss", "which, and what to do")


@test
def an_interrupted_sweep_goes_on_where_it_was():
    args = ["--name", "broken off", "--batch", "100,400,200", "--target-loss", 0.5, *READ, "--", *NOTED, *TRAIN[1:], "sleep=0.002"]
    started()
    process = subprocess.Popen([PROGRAM, "sweep", "--store", store, *map(str, args)], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    for _ in range(1200):
        states = query("select r.status from sweep s join sweep_run r using (sweep_id) where s.name='broken off' order by sweep_run_id")
        if states[:2] == [("reached",), ("running",)]:
            break
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    equal(process.returncode, 130, err.decode())
    contains(err, "interrupted with 1 of 3 runs done; run the same command again to resume", "sentence")
    lines = started()
    equal([pid for pid in (int(line.split()[0]) for line in lines) if alive(pid)], [], "no training is left")
    equal(sessions_left(), [], "shared memory")
    equal(found("broken off")["complete"], False, "not complete")
    started()
    answer = sweep(*args)
    equal(answer.returncode, 0, answer.stderr.decode())
    equal(len(started()), 2, "only what was missing")
    equal([p["status"] for p in found("broken off")["points"]], ["reached"] * 3, "points")
    equal(len(query("select 1 from run where name='broken off b100'")), 1, "the first was not run again")


@test
def a_sweep_that_is_killed_leaves_no_training_behind():
    started()
    process = subprocess.Popen([PROGRAM, "sweep", "--store", store, "--name", "killed", "--batch", "1,2", "--target-loss", "0.01", *READ, "--",
                                *NOTED, *TRAIN[1:], "sleep=0.01"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(400):
        if os.path.exists(os.path.join(folder, "started")):
            break
        time.sleep(0.05)
    one_sentence(sweep("--name", "killed", "--batch", "1,2", "--target-loss", 0.01, *READ, *TRAIN), 1, "being run by another process", "lock")
    pid = int(started()[0].split()[0])
    equal(alive(pid), True, "it trains")
    process.kill()
    process.wait()
    for _ in range(300):
        if not alive(pid) and not sessions_left():
            break
        time.sleep(0.1)
    equal(alive(pid), False, "the training")
    equal(sessions_left(), [], "shared memory")


@test
def a_command_that_does_not_listen_is_ended_by_force():
    started()
    sweep("--name", "deaf", "--batch", "200,400", "--target-loss", 0.5, "--jobs", 2, *READ, *TRAIN, "deaf=1", "sleep=0.001")
    equal([p["status"] for p in found("deaf")["points"]], ["reached"] * 2, "points")
    equal([line for line in started() if alive(int(line.split()[0]))], [], "no training is left")
    equal(query("select distinct status, exit_code from run where name like 'deaf%'"), [("reached", -9)], "its run")


@test
def a_command_that_fails_at_once_stops_the_sweep():
    started()
    answer = sweep("--name", "crash", "--batch", "50,200", "--target-loss", 0.5, *READ, *TRAIN, "crash=all")
    equal(answer.returncode, 1, "status")
    equal(len(started()), 1, "trainings")
    last = answer.stderr.decode().split("\n")[-2]
    contains(last, "the first run (b50) came to nothing: ended with status 1; its last line: RuntimeError: out of memory; its output is in ",
             "sentence")
    log = last.split("its output is in ")[1].split(";")[0]
    contains(open(log).read(), "out of memory", "the output is kept")
    answer = sweep("--name", "none", "--batch", "1,2", "--target-loss", 0.5, "--", "no-such-command", "{batch}")
    contains(answer.stderr, "no such command on PATH", "not there")
    equal(answer.returncode, 1, "status")


@test
def a_batch_that_fails_later_does_not():
    answer = sweep("--name", "big", "--batch", "50,800,200", "--target-loss", 0.5, *READ, *TRAIN, "crash=800")
    equal(answer.returncode, 0, answer.stderr.decode())
    contains(answer.stderr, "1 of 3 runs failed; the same command tries them again", "sentence")
    result = found("big")
    equal([p["status"] for p in result["points"]], ["reached", "reached", "failed"], "points")
    contains(result["points"][2]["note"], "out of memory", "note")
    equal(result["complete"], False, "not complete")


@test
def losses_that_cannot_be_read_are_told():
    answer = sweep("--name", "u1", "--batch", "1,2", "--target-loss", 0.5, "--loss-regex", "Loss=([0-9.]+)", "--step-regex", "step ([0-9]+)",
                   *TRAIN, "length=20")
    contains(answer.stderr, "no loss was read: no line matched the expression; its last line: step 20 loss", "expression")
    answer = sweep("--name", "u2", "--batch", "1,2", "--target-loss", 0.5, "--loss-regex", "loss ([0-9.]+)", *TRAIN, "length=20")
    contains(answer.stderr, "no training step was seen, so that losses have no step: give --step-regex", "steps")
    answer = sweep("--name", "u3", "--batch", "1,2", "--target-loss", 0.5, *TRAIN, "length=20")
    contains(answer.stderr, "no loss was read: the program reports none; give --loss-regex", "nothing")
    answer = sweep("--name", "u4", "--batch", "1,2", "--target-loss", 0.5, *READ, *TRAIN, "length=5")
    contains(answer.stderr, "only 5 losses were read, 8 are needed", "few")


@test
def bad_input_is_one_sentence():
    fine = ["--batch", "1,2", "--target-loss", "0.5"]
    for args, part in (
            ([*fine, "--", "true"], "the command has no {batch}"),
            ([*fine], "command to run is missing"),
            (["--target-loss", 1, "--", "t", "{batch}"], "--batch is missing"),
            (["--batch", "1,2", "--", "t", "{batch}"], "--target-loss is missing"),
            (["--batch", "16", "--target-loss", 1, "--", "t", "{batch}"], "one batch size says nothing about others"),
            (["--batch", "1,x", "--target-loss", 1, "--", "t", "{batch}"], "'x' is not a whole number from 1"),
            (["--batch", "1,,2", "--target-loss", 1, "--", "t", "{batch}"], "'' is not a whole number"),
            (["--batch", "0,2", "--target-loss", 1, "--", "t", "{batch}"], "'0' is not a whole number from 1"),
            (["--batch", "2,2", "--target-loss", 1, "--", "t", "{batch}"], "--batch has 2 twice"),
            (["--batch", "1-100", "--target-loss", 1, "--", "t", "{batch}"], "more than 64"),
            (["--batch", "1,2", "--target-loss", "low", "--", "t", "{batch}"], "'low' is not a number"),
            ([*fine, "--lr", "0.1", "--", "t", "{batch}"], "--lr is given but the command has no {lr}"),
            ([*fine, "--", "t", "{batch}", "{lr}"], "the command has {lr} but no learning rate is given"),
            ([*fine, "--lr", "0", "--", "t", "{batch}", "{lr}"], "'0' is not a number above 0"),
            ([*fine, "--lr-rule", "cubic", "--", "t", "{batch}"], "'cubic' is none of"),
            ([*fine, "--lr-rule", "sqrt", "--", "t", "{batch}"], "no --lr is given"),
            ([*fine, "--seeds", "3", "--", "t", "{batch}"], "several seeds are given but the command has no {seed}"),
            ([*fine, "--seeds", "none", "--", "t", "{batch}", "{seed}"], "neither a number of seeds"),
            ([*fine, "--give-up", "0.5", "--", "t", "{batch}"], "neither 0 nor a number from 1"),
            ([*fine, "--jobs", "0", "--", "t", "{batch}"], "--jobs '0'"),
            ([*fine, "--window", "1", "--", "t", "{batch}"], "--window '1'"),
            ([*fine, "--loss-regex", "(", "--", "t", "{batch}"], "not a POSIX extended regular expression"),
            ([*fine, "--loss-regex", "x", "--", "t", "{batch}"], "no group"),
            ([*fine, "--step-regex", "(x)", "--", "t", "{batch}"], "--step-regex needs --loss-regex"),
            ([*fine, "--every", "1", "--budget", "1", "--", "t", "{batch}"], "exclude each other"),
            (["--show", "x", "y"], "unexpected argument")):
        one_sentence(sweep(*args), 2, part, part)
    one_sentence(sweep("--show", "nothing"), 1, "there is no sweep 'nothing'", "a sweep that is not there")
    one_sentence(sweep("--name", "law", "--batch", "1,2", "--target-loss", 0.4, *READ, *TRAIN), 1, "already a sweep 'law'", "another target")
    one_sentence(sweep("--name", "law", "--batch", "1,2", "--target-loss", 0.5, *READ, *TRAIN, "more"), 1, "of another command", "another command")


@test
def a_sweep_grows_by_repeating_it_with_more():
    started()
    sweep("--name", "law", "--batch", "50,200,800,3200", "--target-loss", 0.5, *READ, *TRAIN)
    equal(len(started()), 1, "trainings")
    near(found("law")["points"][3]["steps"], law(3200), 0.01, "the new batch")


@test
def a_terminal_sees_a_bar():
    parent, child = pty.openpty()
    process = subprocess.Popen([PROGRAM, "sweep", "--store", store, "--name", "bar", "--batch", "100,400", "--target-loss", "0.5", *READ, *TRAIN,
                                "sleep=0.003"], stdout=subprocess.DEVNULL, stderr=child, stdin=subprocess.DEVNULL)
    os.close(child)
    seen = b""
    while select.select([parent], [], [], 60)[0]:
        try:
            data = os.read(parent, 65536)
        except OSError:
            break
        if not data:
            break
        seen += data
    equal(process.wait(), 0, "status")
    contains(seen, "\r\x1b[K[....................] 0 of 2, - left | b100: step ", "bar")
    contains(seen, ", to 0.5", "target")
    contains(seen, "[##########..........] 1 of 2, ", "half")
    equal(seen.rstrip().endswith(b"\x1b[K"), True, "the bar is taken away: %r" % seen[-80:])


main()
