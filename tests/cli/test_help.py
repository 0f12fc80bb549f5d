"""help, --version, unknown commands, wrong options."""
from harness import *

COMMANDS = ["run", "top", "list", "show", "report", "export", "fit", "advise", "sql", "sweep", "import", "doctor"]


@test
def version():
    answer = gnscope("--version")
    equal(answer.returncode, 0, "status")
    equal(answer.stdout.split()[0], b"gnscope", "name")


@test
def help_of_everything_fits_80_columns():
    for args in [["help"], ["--help"], ["-h"], ["record", "--help"]] + [[c, "--help"] for c in COMMANDS] + [["help", c] for c in COMMANDS]:
        answer = gnscope(*args)
        equal(answer.returncode, 0, str(args))
        equal(answer.stderr, b"", str(args))
        contains(answer.stdout, "Usage: gnscope", str(args))
        for line in answer.stdout.decode().split("\n"):
            if len(line) > 80:
                raise AssertionError("%s: %d columns: %s" % (args, len(line), line))


@test
def help_lists_the_commands_and_hides_the_recorder():
    text = gnscope("help").stdout.decode()
    for command in COMMANDS:
        contains(text, "\n  %s " % command, "help")
    equal("record" in text, False, "hidden")


@test
def help_says_how_to_start():
    contains(gnscope("help").stdout, "gnscope run -- python3 train.py\n", "PyTorch tells what a sample is")


@test
def missing_and_unknown_commands():
    one_sentence(gnscope(), 2, "a command is missing", "none")
    one_sentence(gnscope("shwo"), 2, "'show'", "nearest")
    one_sentence(gnscope("lst"), 2, "'list'", "nearest")
    one_sentence(gnscope("zzzzzzzz"), 2, "no such command 'zzzzzzzz'", "unknown")
    one_sentence(gnscope("--frobnicate"), 2, "no such option", "option before a command")
    one_sentence(gnscope("help", "nothing"), 2, "no such command", "help of nothing")


@test
def wrong_options_of_every_command():
    for command in COMMANDS + ["record"]:
        one_sentence(gnscope(command, "--frobnicate"), 2, "no such option '--frobnicate'", command)
        one_sentence(gnscope(command, "-x"), 2, "no such option '-x'", command)
        one_sentence(gnscope(command, "--store"), 2, "needs a value", command)
    one_sentence(gnscope("show", "--json=1"), 2, "takes no value", "show")


@test
def too_many_arguments():
    for command in ["top", "list", "show", "sql", "doctor", "record"]:
        one_sentence(gnscope(command, "--store", store, "a", "b") if command != "record"
                     else gnscope(command, "--session", "/x", "a"), 2, "unexpected argument", command)


@test
def a_full_disk_at_the_output_is_told():
    answer = subprocess.run([PROGRAM, "help"], stdout=open("/dev/full", "w"), stderr=subprocess.PIPE)
    equal(answer.returncode, 1, "status")
    contains(answer.stderr, "cannot write the output", "sentence")


@test
def the_man_page_names_every_command_option_and_variable():
    page = open(os.path.join(SOURCE, "docs/man/gnscope.1")).read().replace("\\-", "-")
    for command in COMMANDS:
        contains(page, command, "man page")
        text = gnscope(command, "--help").stdout.decode().split("Example:")[0]
        for word in text.replace(",", " ").split():
            option = word.strip("().;=1")
            if option.startswith("--") and len(option) > 2:
                contains(page, "Fl -" + option[2:].split("=")[0], "man page, option of " + command)
            if option.startswith("GNSCOPE_"):
                contains(page, option.split("=")[0], "man page, variable")


main()
