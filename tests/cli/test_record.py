"""record, the hidden command: its arguments, and a recorder that nobody supervises."""
from harness import *


@test
def arguments():
    one_sentence(gnscope("record"), 2, "--session NAME is missing", "none")
    one_sentence(gnscope("record", "--session", "/x", "--parent", "x"), 2, "not a process id", "--parent")
    answer = gnscope("record", "--session", "/gnscope-0-none", "--store", store)
    equal(answer.returncode, 1, "no such session")
    equal(answer.stderr.count(b"\n"), 1, "one sentence: %r" % answer.stderr)


main()
