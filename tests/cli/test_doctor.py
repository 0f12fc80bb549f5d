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
    for part in ("stopped after", "layer2.weight", "measured", "1 called a product"):
        contains(answer.stdout, part, "doctor")
    answer = gnscope("doctor", "--seconds", "1", "--", "sleep", "60")
    contains(answer.stdout, "stopped after", "time is up")


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
