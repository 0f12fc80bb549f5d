"""doctor: plain words for what is there and what is not."""
from harness import *


@test
def before_the_first_run():
    answer = gnscope("doctor", "--store", os.path.join(folder, "none.db"))
    equal(answer.returncode, 0, answer.stdout.decode())
    contains(answer.stdout, "does not exist yet", "store")
    contains(answer.stdout, "  session  ", "sessions, of whomever")
    equal(gnscope("doctor", "--lib", "/no/lib.so", "--store", "/none").returncode, 1, "no library")


@test
def a_run_with_data():
    run("--name", "known", "--", TRAINER, 60)
    answer = gnscope("doctor", "--store", store, "known")
    equal(answer.returncode, 0, answer.stdout.decode())
    for part in ("60 of 60 measured", "layer1.weight", "coverage", store):
        contains(answer.stdout, part, "doctor")


@test
def a_run_without_data():
    run("--name", "nothing", "--", "true")
    answer = gnscope("doctor", "--store", store)
    equal(answer.returncode, 1, answer.stdout.decode())
    contains(answer.stdout, "nothing was measured", "reason")
    equal(gnscope("doctor", "--store", store, "unheard").returncode, 1, "unknown run")


@test
def a_command_that_does_not_train():
    answer = gnscope("doctor", "--", *NOTED, "sleep", "1")
    equal(answer.returncode, 1, answer.stdout.decode())
    for part in ("the shim is loaded", "no library of matrix products", "nothing was measured"):
        contains(answer.stdout, part, "doctor")
    equal([f for f in os.listdir(folder) if f.startswith("gnscope-doctor-")], [], "nothing left")
    equal(sessions_left(), [], "shared memory")


@test
def a_command_that_trains_is_stopped_when_enough_was_seen():
    answer = gnscope("doctor", "--", TRAINER, "100000", "sleep_us=5000")
    equal(answer.returncode, 0, answer.stdout.decode())
    for part in ("stopped after", "layer2.weight", "measured", "1 called something that is collected"):
        contains(answer.stdout, part, "doctor")
    answer = gnscope("doctor", "--seconds", "1", "--", "sleep", "60")
    contains(answer.stdout, "stopped after", "time is up")


@test
def a_command_under_pytorch_is_explained():
    answer = gnscope("doctor", "--steps", "5", "--", TRAINER, "100000", "sleep_us=5000", "torch=1", "optimizers=2", "batch=32")
    equal(answer.returncode, 0, answer.stdout.decode())
    text = answer.stdout.decode()
    for part in ("torch     PyTorch 2.15.0: its layers are measured", "stopped after", "optimizer AdamW, learning rate 0.001",
                 "measured  45.5% from PyTorch's own graph, one sample at a time, 2 weights: layer1.weight, layer2.weight\n",
                 "left out  54.5% in a compiled region, 1 weight: stem.weight; run it once without torch.compile",
                 "samples   32 a step: 32 in a micro-step of one process were told", "another   optimizer of this program has run 2 (doctor.2)",
                 "optimizer SGD, learning rate 0.001", "of 660 parameters that this optimizer trains"):
        contains(text, part, "doctor")
    equal("warning   compiled" in text, False, "told once")
    steps = int(text.split("steps     ")[1].split(" ")[0])
    equal(5 <= steps < 2000, True, "stopped early: %d" % steps)
    one_sentence(gnscope("doctor", "--steps", "0", "--", "true"), 2, "not a whole number", "--steps 0")


@test
def a_stubborn_command_is_killed():
    answer = gnscope("doctor", "--steps", "1", "--", "sh", "-c", "trap '' TERM; \"$0\" 1000000 sleep_us=2000", TRAINER)
    contains(answer.stdout, "stopped after", "killed")
    equal(sessions_left() if os.path.exists(sessions) else [], [], "shared memory")


@test
def all_left_out_is_said():
    run("--name", "gpu", "--", TRAINER, 30, "torch=1", "left_out=5")
    text = gnscope("show", "--store", store, "gpu").stdout.decode()
    contains(text.split("\n")[0], "nothing was measured: all 3 weights are left out: not in the processor's memory", "reason")
    contains(text, "0% of 660 trainable parameters", "coverage")
    contains(text, "warning    device: 3 weights not in the processor's memory, as on a GPU, are left out (100% of all)", "warning")


@test
def a_command_that_fails_shows_its_last_words():
    answer = gnscope("doctor", "--", "sh", "-c", "echo one; echo 'no such data' >&2; exit 3")
    contains(answer.stdout, "failed with status 3", "status")
    contains(answer.stdout, "| no such data", "last words")


@test
def a_command_that_is_not_there():
    answer = gnscope("doctor", "--", "no-such-command-here")
    equal(answer.returncode, 127, "status")
    contains(answer.stderr, "no such command on PATH", "sentence")
    one_sentence(gnscope("doctor", "--"), 2, "missing", "nothing after --")


main()
