"""sql: the three forms, refusal to write, the shell."""
import csv
import io

from harness import *

run("--name", "a,\"b\"", "--", TRAINER, 5)


def sql(*args):
    return gnscope("sql", "--store", store, *args)


@test
def a_table():
    answer = sql("select 1 as one, 'x' as \"text\", null as gap, 2.5 as half union all select 22, 'longer', 3, 0.25")
    equal(answer.returncode, 0, answer.stderr.decode())
    equal(answer.stdout.decode(), "one  text    gap  half\n  1  x       -     2.5\n 22  longer    3  0.25\n", "table")


@test
def csv_reads_back():
    answer = sql("--csv", "select 'a,\"b\"' as q, 'two\nlines' as l, null as n, 7 as i union all select 'plain', '', 1, 2")
    rows = list(csv.reader(io.StringIO(answer.stdout.decode(), newline="")))
    equal(rows, [["q", "l", "n", "i"], ['a,"b"', "two\nlines", "", "7"], ["plain", "", "1", "2"]], "rows")


@test
def no_format_harms_a_terminal_or_a_spreadsheet():
    query = "select 'a' || char(27, 127, 155, 8238, 8294) || 'z' as t, '=1+1' as f, -3 as i, -0.5 as r"
    for form in ([], ["--csv"], ["--json"]):
        out = sql(*form, query).stdout.decode()
        for point in (27, 127, 155, 8238, 8294):
            equal(chr(point) in out, False, "U+%04X in %s: %r" % (point, form, out))
    equal(json.loads(sql("--json", query).stdout)[0]["t"], "a\x1b\x7f\x9b\u202e\u2066z", "JSON keeps the value")
    equal(list(csv.reader(io.StringIO(sql("--csv", query).stdout.decode())))[1], ["a?????z", "'=1+1", "-3", "-0.5"], "cells")


@test
def json_has_types():
    answer = sql("--json", "select 1 as i, 0.5 as r, 'x\u00e9' as t, null as n, 1 as i")
    equal(json.loads(answer.stdout), [{"i": 1, "r": 0.5, "t": "x\u00e9", "n": None, "i:2": 1}], "row")
    equal(json.loads(sql("--json", "select 1 where 0").stdout), [], "no rows")


@test
def real_rows():
    equal(json.loads(sql("--json", "select step, measured from step order by step").stdout),
          [{"step": i, "measured": 1} for i in range(1, 6)], "steps")
    many = sql("with recursive n(i) as (select 1 union all select i+1 from n where i < 20000) select i, i*i as square from n")
    equal(len(many.stdout.split(b"\n")), 20002, "20,000 rows")


@test
def writing_is_refused():
    before = query("select count(*) from run")
    for statement in ("delete from run", "update run set name='x'", "create table t(x)", "drop table run", "pragma user_version=9",
                      "attach '%s' as other" % os.path.join(folder, "other.db"), "vacuum"):
        answer = sql(statement)
        equal(answer.returncode, 1, "%s: %r" % (statement, answer.stdout))
        equal(answer.stderr.count(b"\n"), 1, "one sentence: %r" % answer.stderr)
    equal(query("select count(*) from run"), before, "untouched")
    equal(os.path.exists(os.path.join(folder, "other.db")), False, "nothing made")


@test
def wrong_statements_are_told():
    one_sentence(sql("select x from nowhere"), 1, "nowhere", "no table")
    one_sentence(sql("selec 1"), 1, "selec", "syntax")
    one_sentence(sql("--csv", "--json", "select 1"), 2, "exclude each other", "both forms")
    one_sentence(sql("--csv"), 2, "need a query", "no query")


@test
def without_a_query_the_sqlite3_shell_reads_the_store():
    answer = gnscope("sql", "--store", store, input=b"select count(*) from step;\ndelete from run;\n")
    contains(answer.stdout, "5\n", "shell")
    contains(answer.stderr, "readonly", "writing in the shell")
    empty = os.path.join(folder, "no-tools")
    os.makedirs(empty, exist_ok=True)
    one_sentence(gnscope("sql", "--store", store, env={**os.environ, "PATH": empty}), 1, "apt install sqlite3", "no shell")


main()
