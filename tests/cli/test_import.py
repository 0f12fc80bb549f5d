"""import: a run that was kept while the store was locked."""
from harness import *


def spools():
    return [os.path.join(folder, n) for n in os.listdir(folder) if ".spool-" in n]


@test
def arguments():
    one_sentence(gnscope("import"), 2, "file to import is missing", "none")
    one_sentence(gnscope("import", os.path.join(folder, "none")), 1, "No such file", "no such file")
    with open(os.path.join(folder, "diary"), "w") as f:
        f.write("no spool " * 4000)
    one_sentence(gnscope("import", f.name), 1, "not a file that gnscope's recorder has kept", "another file")
    equal(os.path.exists(f.name), True, "which is left alone")


@test
def a_run_beside_a_locked_store():
    run("--name", "first", "--", TRAINER, 20)
    lock = sqlite3.connect(store, isolation_level=None)
    lock.execute("begin immediate")
    answer = run("--name", "kept", "--", TRAINER, 50)
    equal(answer.returncode, 0, "the command's own status")
    file, = spools()
    contains(answer.stderr, "another program keeps it locked", "why")
    contains(answer.stderr, "gnscope import " + file, "what to type")
    equal(os.stat(file).st_mode & 0o777, 0o600, "mode")
    lock.execute("rollback")
    lock.close()
    other = os.path.join(folder, "copy.spool")
    with open(file, "rb") as f, open(other, "wb") as g:
        g.write(f.read())
    listed = gnscope("list", "--store", store)
    contains(listed.stderr, "in the store now", "list imports")
    equal(spools(), [], "and removes")
    steps = query("select count(*), max(step) from step join run using(run_id) where name='kept'")
    equal(steps, [(50, 50)], "steps")
    equal(query("select status, exit_code from run where name='kept'"), [("finished", 0)], "end")
    again = gnscope("import", other)
    equal(again.returncode, 0, again.stderr)
    contains(again.stdout, ": 0 records from ", "nothing twice")
    equal(query("select count(*), max(step) from step join run using(run_id) where name='kept'"), steps, "steps")


main()
