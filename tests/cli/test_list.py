"""list: the table and the JSON, an empty store, names that would harm a terminal, stores that are refused."""
from harness import *

HARM = "evil\x1b[2J\x07\u202ename"


@test
def a_missing_store_is_told():
    one_sentence(gnscope("list", "--store", os.path.join(folder, "none.db")), 1, "none.db", "missing")
    one_sentence(gnscope("list"), 1, os.path.join(folder, "state", "gnscope", "runs.db"), "the default store")
    one_sentence(gnscope("list", env={**os.environ, "GNSCOPE_STORE": "/nowhere/x.db"}), 1, "/nowhere/x.db", "GNSCOPE_STORE")


@test
def refused_stores_are_told_and_untouched():
    text = os.path.join(folder, "text.db")
    open(text, "w").write("not a database, only text\n" * 100)
    foreign = os.path.join(folder, "foreign.db")
    with sqlite3.connect(foreign) as db:
        db.execute("create table notes(x)")
    newer = os.path.join(folder, "newer.db")
    gnscope("run", "--store", newer, "--", TRAINER, 3)
    db = sqlite3.connect(newer)
    db.execute("pragma user_version = 999")
    db.commit()
    db.close()
    for path in (text, foreign, newer, folder):
        before = open(path, "rb").read() if path != folder else b""
        for command in (["list"], ["show"], ["sql", "select 1"]):
            one_sentence(gnscope(*command, "--store", path), 1, path, path)
        equal(open(path, "rb").read() == before if path != folder else True, True, "untouched: " + path)


@test
def runs_newest_first():
    run("--name", "first", "--", TRAINER, 30)
    run("--name", HARM, "--", TRAINER, 40, "exit=3")
    answer = gnscope("list", "--store", store)
    equal(answer.returncode, 0, "status")
    lines = answer.stdout.decode().split("\n")
    equal(lines[0].split(), ["RUN", "NAME", "STATUS", "STARTED", "STEPS", "MEASURED", "B_NOISE"], "head")
    contains(lines[1], "failed", "newest first")
    contains(lines[2], "first", "oldest last")
    contains(lines[2], "500 samples (95% CI", "B_noise")


@test
def control_bytes_are_harmless():
    for command in (["list"], ["show"], ["doctor"], ["sql", "select name, command from run"]):
        out = gnscope(*command, "--store", store).stdout
        for byte in (b"\x1b", b"\x07", "\u202e".encode()):
            equal(byte in out, False, "%r in %s: %r" % (byte, command, out))
        contains(out, "evil", str(command))
    answer = gnscope("show", "--store", store, "no\x1b[31msuch")
    equal(b"\x1b" in answer.stderr, False, "in a sentence")


@test
def json_has_numbers_and_names_as_they_are():
    runs = json.loads(gnscope("list", "--store", store, "--json").stdout)
    equal([list(r) for r in runs][0], ["run", "name", "command", "status", "exit_code", "host", "world", "start", "end", "steps",
                                      "steps_measured"], "keys")
    equal([r["name"] for r in runs], [HARM, "first"], "names")
    equal([r["exit_code"] for r in runs], [3, 0], "exit codes")
    equal([r["steps"] for r in runs], [40, 30], "steps")
    equal([type(r["run"]) for r in runs], [int, int], "types")


@test
def an_empty_store_says_what_to_do():
    empty = os.path.join(folder, "empty.db")
    gnscope("run", "--store", empty, "--", "true")
    db = sqlite3.connect(empty)
    for (table,) in db.execute("select name from sqlite_schema where type='table' and name not like 'sqlite%'").fetchall():
        db.execute('delete from "%s"' % table)
    db.commit()
    db.close()
    contains(gnscope("list", "--store", empty).stdout, "no runs yet", "list")
    equal(gnscope("list", "--store", empty, "--json").stdout.strip(), b"[]", "list --json")
    equal(gnscope("show", "--store", empty).returncode, 1, "show")


main()
