"""export: each format read back by a reader of its own, its numbers against the database."""
import csv
import io
import re
import shutil
import struct

from harness import *

out = os.path.join(folder, "out")
path = generate("--store", "PATH", "--runs", "2", "--steps", "300", "--layers", "3", "--every", "2", "--warnings", "--device")
run("--name", "nothing", "--", "true")


def export(*args, store_path=path):
    answer = gnscope("export", "--store", store_path, *args)
    equal((answer.returncode, answer.stderr), (0, b""), "export %s" % (args,))
    return answer.stdout


TABLES = {
    "steps": "select run_id, step, rank, start_ns, dur_ns, overhead_ns, samples, micro_steps, measured, refused, source, n_small, n_big, q_small, "
             "q_big, s, g2, loss from step where run_id in (%s) order by 1, 2, 3",
    "grad": "select g.run_id, step, rank, g.param_id, name, source, n_small, n_big, groups, q_small, q_big from grad g join param using "
            "(run_id, param_id) where g.run_id in (%s) order by 1, 2, 3, 4, 6",
    "estimate": "select run_id, step, half_life, s, g2, b_noise, lo, hi, resolved, b_crit, b_crit_lo, b_crit_hi from estimate where run_id in (%s) "
                "order by 1, 2, 3",
    "devices": "select run_id, step, rank, device, wall_ns, compute_ns, comm_exposed_ns, copy_exposed_ns, idle_ns, comm_ns, copy_ns, own_ns, queue_ns, "
               "kernels, dropped from device_step where run_id in (%s) order by 1, 2, 3, 4",
    "device_kernels": "select d.run_id, step, rank, family, name, calls, total_ns, max_ns, grid, block, registers, shared from device_kernel_step d "
                      "join kernel using (run_id, kernel_id) where d.run_id in (%s) order by 1, 2, 3, d.kernel_id",
}


def match(got, want, what):
    equal(len(got), len(want), what + ": rows")
    for g, w in zip(got, want):
        for a, b in zip(g, w):
            if isinstance(b, float):
                near(float(a), b, 1e-14, what)
            else:
                equal(a, "" if b is None else str(b), what)


@test
def csv_by_the_rfc():
    for table, sql in TABLES.items():
        for ids in (["1"], ["1", "2"], ["2", "2"]):
            text = export("--format", "csv", "--table", table, *ids)
            lines = text.split(b"\r\n")
            equal((lines[-1], b"\n" in b"".join(lines)), (b"", False), table + ": line ends")
            rows = list(csv.reader(io.StringIO(text.decode(), newline=""), strict=True))
            equal({len(r) for r in rows}, {len(rows[0])}, table + ": columns")
            match(rows[1:], query(sql % ",".join(ids), path), table)
    equal(export("--format", "csv", "1"), export("--format", "csv", "--table", "steps", "1"), "steps is the default")


@test
def quoted_names():
    name = 'a "b", c\r\nd; \u20ac'
    other = os.path.join(folder, "quoted.db")
    shutil.copy(path, other)
    with sqlite3.connect(other) as db:
        db.execute("update param set name = ?", (name,))
    rows = list(csv.reader(io.StringIO(export("--format", "csv", "--table", "grad", "1", store_path=other).decode(), newline=""), strict=True))
    equal({r[4] for r in rows[1:]}, {name}, "names in CSV")
    equal({r["name"] for r in json.loads(export("--format", "json", "--table", "grad", "1", store_path=other))}, {name}, "names in JSON")


@test
def json_array():
    for table, sql in TABLES.items():
        rows = json.loads(export("--format", "json", "--table", table, "2"))
        want = query(sql % "2", path)
        equal(len(rows), len(want), table)
        for got, row in zip(rows, want):
            for a, b in zip(got.values(), row):
                if isinstance(b, float):
                    near(a, b, 1e-14, table)
                else:
                    equal(a, b, table)


@test
def weights_with_their_limits():
    want = show("--layers", "1", path=path)["layers"]
    rows = list(csv.DictReader(io.StringIO(export("--format", "csv", "--table", "layers", "1").decode(), newline="")))
    equal([r["name"] for r in rows], [l["name"] for l in want], "names")
    for got, layer in zip(rows, want):
        for key in ("q_small", "q_big", "s", "g2", "b_noise", "b_noise_lo", "b_noise_hi", "share_s", "share_g2"):
            if layer[key] is None:
                equal(got[key], "", key)
            else:
                near(float(got[key]), layer[key], 1e-14, key)
    equal([r["name"] for r in json.loads(export("--format", "json", "--table", "layers", "1"))], [l["name"] for l in want], "JSON")


# ---- OpenMetrics ----

SAMPLE = re.compile(r'^([a-zA-Z_:][a-zA-Z0-9_:]*)\{((?:[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*",?)*)\} (\S+)$')
SUFFIXES = {"gauge": {""}, "counter": {"_total", "_created"}, "info": {"_info"}}


def openmetrics(text):
    """By the grammar of the specification: families together, TYPE first, UNIT a suffix, EOF last. -> {(name, run): value}"""
    lines = text.split("\n")
    equal(lines[-2:], ["# EOF", ""], "end")
    values, family, seen = {}, None, set()
    for line in lines[:-2]:
        words = line.split(" ", 3)
        if words[0] == "#":
            if words[1] == "TYPE":
                equal(words[2] in seen, False, "family twice: " + words[2])
                family, kind = words[2], words[3]
                seen.add(family)
                equal(kind in SUFFIXES, True, "type " + kind)
            elif words[1] == "UNIT":
                equal(words[2].endswith("_" + words[3]), True, "unit of " + words[2])
            else:
                equal(words[1], "HELP", "what a comment may be")
            equal(words[2], family, "metadata of its family")
            continue
        hit = SAMPLE.match(line)
        if not hit:
            raise AssertionError("no sample: %r" % line)
        equal(hit[1][len(family):] in SUFFIXES[kind] and hit[1].startswith(family), True, "name %s in family %s" % (hit[1], family))
        labels = dict(re.findall(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"', hit[2]))
        key = (hit[1], labels["run"])
        equal(key in values, False, "sample twice")
        values[key] = float(hit[3])
    return values


@test
def openmetrics_text():
    values = openmetrics(export("--format", "openmetrics", "1", "2").decode())
    for name, run_id in (("1", 1), ("2", 2)):
        it = show(name, path=path)
        for metric, want in (("gnscope_b_noise", it["b_noise"]), ("gnscope_b_noise_low", it["b_noise_lo"]), ("gnscope_b_noise_high", it["b_noise_hi"]),
                             ("gnscope_b_crit", it["b_crit"]), ("gnscope_batch", it["samples_per_step"]), ("gnscope_loss", it["loss"]),
                             ("gnscope_step_seconds", it["step_ms"] / 1e3), ("gnscope_overhead_ratio", it["overhead_pct"] / 100),
                             ("gnscope_coverage_ratio", it["coverage"]), ("gnscope_steps_total", it["steps"]),
                             ("gnscope_steps_measured_total", it["steps_measured"]), ("gnscope_steps_dropped_total", it["dropped"])):
            near(values[(metric, str(run_id))], want, 1e-14, metric)
        equal(("gnscope_learning_rate", str(run_id)) in values, it["lr"] is not None, "an absent number")


@test
def openmetrics_of_names_and_of_nothing():
    other = os.path.join(folder, "names.db")
    shutil.copy(path, other)
    with sqlite3.connect(other) as db:
        db.execute("update run set name = ?, host = ?", ('q"u\\o\nte', "\x1b[31m"))
    text = export("--format", "openmetrics", "1", store_path=other).decode()
    openmetrics(text)
    contains(text, 'name="q\\"u\\\\o?te"', "escaped")
    values = openmetrics(export("--format", "openmetrics", store_path=store).decode())
    equal(("gnscope_b_noise", "1") in values, False, "no number")
    equal(values[("gnscope_steps_total", "1")], 0, "no steps")


# ---- TensorBoard ----

def crc32c(data):
    crc = 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ 0xffffffff


equal(crc32c(b"123456789"), 0xe3069283, "the reader's own check")


def masked(data):
    crc = crc32c(data)
    return (crc >> 15 | crc << 17 & 0xffffffff) + 0xa282ead8 & 0xffffffff


def records(data):
    at = 0
    while at < len(data):
        length, check = struct.unpack("<QI", data[at:at + 12])
        equal(check, masked(data[at:at + 8]), "check of a length at %d" % at)
        body = data[at + 12:at + 12 + length]
        equal(struct.unpack("<I", data[at + 12 + length:at + 16 + length])[0], masked(body), "check of a record at %d" % at)
        yield body
        at += 16 + length
    equal(at, len(data), "the last record is whole")


def message(data):
    """Protobuf's wire format: {field: [values]}."""
    fields, at = {}, 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            value |= (data[at] & 0x7f) << shift
            shift += 7
            at += 1
            if not data[at - 1] & 0x80:
                return value

    while at < len(data):
        key = varint()
        kind = key & 7
        if kind == 0:
            value = varint()
        elif kind == 2:
            size = varint()
            value, at = data[at:at + size], at + size
        else:
            size, form = {1: (8, "<d"), 5: (4, "<f")}[kind]
            value, at = struct.unpack(form, data[at:at + size])[0], at + size
        fields.setdefault(key >> 3, []).append(value)
    return fields


def scalars(file):
    events = [message(r) for r in records(open(file, "rb").read())]
    equal(events[0][3], [b"brain.Event:2"], "version")
    found = {}
    for event in events[1:]:
        value = message(message(event[5][0])[1][0])
        found.setdefault(value[1][0].decode(), []).append((event[2][0], value[2][0], event[1][0]))
    return found


@test
def tensorboard_events():
    target = os.path.join(folder, "tb")
    export("--format", "tensorboard", "-o", target, "1", "2")
    equal(sorted(os.listdir(target)), ["generated-1-1", "generated-2-2"], "a folder for each run")
    for run_id in (1, 2):
        where = os.path.join(target, "generated-%d-%d" % (run_id, run_id))
        (file,) = os.listdir(where)
        contains(file, ".tfevents.", "name of the file")
        found = scalars(os.path.join(where, file))
        for tag, sql in (("gnscope/b_noise", "select noise_step, b_noise from run where run_id=%d"),
                         ("gnscope/b_noise_low", "select noise_step, b_noise_lo from run where run_id=%d"),
                         ("gnscope/recent_b_noise_500", "select step, b_noise from b_noise where run_id=%d and b_noise is not null order by 1"),
                         ("gnscope/recent_b_noise_500_low", "select step, lo from b_noise where run_id=%d and lo is not null order by 1"),
                         ("gnscope/recent_b_noise_500_high", "select step, hi from b_noise where run_id=%d and hi is not null order by 1"),
                         ("gnscope/b_crit", "select step, b_crit from b_noise where run_id=%d and b_crit is not null order by 1"),
                         ("gnscope/loss", "select step, avg(loss) from step where run_id=%d and loss is not null group by 1 order by 1"),
                         ("gnscope/batch", "select step, sum(samples) from step where run_id=%d group by 1 order by 1"),
                         ("gnscope/step_ms", "select step, avg(dur_ns)/1e6 from step where run_id=%d and dur_ns is not null group by 1 order by 1")):
            want = query(sql % run_id, path)
            equal([s for s, _, _ in found.get(tag, [])], [s for s, _ in want], tag + ": steps")
            for (_, got, _), (_, value) in zip(found.get(tag, []), want):
                near(got, value, 1e-6, tag)
        start = dict(query("select step, min(start_ns) from step where run_id=%d group by 1" % run_id, path))
        for step, _, clock in found["gnscope/loss"]:
            near(clock, start[step] / 1e9, 1e-12, "wall clock")
    export("--format", "tensorboard", "-o", target, "1")


def dashboard(run_id):
    answer = gnscope("top", "--store", path, "--once", "--json", str(run_id))
    return None if b"without the dashboard" in answer.stderr else json.loads(answer.stdout)


@test
def one_name_has_one_number():
    """B_noise and what goes with it, read from the same run in every way there is."""
    equal(query("select count(*) from run where b_noise is not null", path), [(2,)], "resolved runs")
    for run_id in (1, 2):
        it = show(str(run_id), path=path)
        metrics = openmetrics(export("--format", "openmetrics", str(run_id)).decode())
        metric = lambda name: next(v for (n, _), v in metrics.items() if n == name)
        target = os.path.join(folder, "one-%d" % run_id)
        export("--format", "tensorboard", "-o", target, str(run_id))
        (where,) = [os.path.join(d, f) for d, _, files in os.walk(target) for f in files]
        board = {tag: points[-1][1] for tag, points in scalars(where).items()}
        file = os.path.join(folder, "one-%d.json" % run_id)
        equal(gnscope("report", "--store", path, "-o", file, str(run_id)).returncode, 0, "report")
        report = json.load(open(file))["runs"][0]
        (view,) = query("select b_noise, b_noise_lo, b_noise_hi, b_crit, b_crit_lo, b_crit_hi from run_summary where run_id=%d" % run_id, path)
        view = dict(zip(("b_noise", "b_noise_lo", "b_noise_hi", "b_crit", "b_crit_lo", "b_crit_hi"), view))
        for key in view:
            near(view[key], it[key], 1e-9, "SQL view: " + key)
            name = key.replace("_lo", "_low").replace("_hi", "_high")
            near(metric("gnscope_" + name), it[key], 1e-12, "OpenMetrics: " + key)
            if name in ("b_noise", "b_noise_low", "b_noise_high", "b_crit"):
                near(board["gnscope/" + name], it[key], 1e-6, "TensorBoard: " + key)
        for other, what in ((report, "report"), (dashboard(run_id), "dashboard")):
            for key in ("b_noise", "b_noise_lo", "b_noise_hi", "b_crit", "b_crit_lo", "b_crit_hi", "step_ms", "samples_per_step"):
                if other:
                    near(other[key], it[key], 1e-9, what + ": " + key)
            for key in ("steps_measured", "verdict", "trend", "verdict_text"):
                if other:
                    equal(other[key], it[key], what + ": " + key)
        near(metric("gnscope_batch"), it["samples_per_step"], 1e-12, "OpenMetrics: batch")
        near(metric("gnscope_steps_measured_total"), it["steps_measured"], 1e-12, "OpenMetrics: measured")
        equal(report["split"], it["split"], "the parts of a step")
        listed = {r["run"]: r for r in json.loads(gnscope("list", "--store", path, "--json").stdout)}
        equal(listed[run_id]["steps_measured"], it["steps_measured"], "list: measured")
        words = gnscope("show", "--store", path, str(run_id)).stdout.decode()
        said = re.search(r"^B_noise +([\d,.]+) samples \(95% CI ([\d,.]+) to ([\d,.]+)\)$", words, re.M).groups()
        for text, key in zip(said, ("b_noise", "b_noise_lo", "b_noise_hi")):
            near(float(text.replace(",", "")), it[key], 5e-3, "text: " + key)


@test
def a_name_leads_nowhere():
    other = os.path.join(folder, "away.db")
    shutil.copy(path, other)
    with sqlite3.connect(other) as db:
        db.execute("update run set name = '../../etc/x' where run_id = 1")
    target = os.path.join(folder, "away")
    export("--format", "tensorboard", "-o", target, "1", store_path=other)
    (name,) = os.listdir(target)
    equal("/" in name or name.startswith("."), False, name)


# ---- files ----

@test
def files_are_whole_and_not_replaced():
    os.makedirs(out, exist_ok=True)
    for form, name in (("csv", "a.csv"), ("json", "a.json"), ("openmetrics", "a.prom")):
        file = os.path.join(out, name)
        equal(export("--format", form, "-o", file), b"", "stdout")
        equal(open(file, "rb").read(), export("--format", form), name)
        answer = gnscope("export", "--store", path, "--format", form, "-o", file)
        equal(answer.returncode, 0 if form == "openmetrics" else 1, name + " again: " + answer.stderr.decode())
        export("--format", form, "-o", file, "--force")
    equal(sorted(os.listdir(out)), ["a.csv", "a.json", "a.prom"], "nothing else")


@test
def wrong_and_missing():
    bad = lambda *args: gnscope("export", "--store", path, *args)
    one_sentence(bad(), 2, "give --format", "no format")
    one_sentence(bad("--format", "parquet"), 2, "no such format 'parquet'", "format")
    one_sentence(bad("--format", "csv", "--table", "cake"), 2, "no such table 'cake'", "table")
    one_sentence(bad("--format", "openmetrics", "--table", "grad"), 2, "--table is for csv and json", "table of metrics")
    one_sentence(bad("--format", "tensorboard"), 2, "give one with -o", "no folder")
    one_sentence(bad("--format", "csv", "unheard"), 1, "unheard", "run")
    one_sentence(bad("--format", "csv", "-o", os.path.join(folder, "none", "x")), 1, "there is no folder", "folder")
    open(os.path.join(folder, "file"), "w").close()
    one_sentence(bad("--format", "tensorboard", "-o", os.path.join(folder, "file")), 1, "a file of that name is there", "file for folder")
    one_sentence(bad("--format", "csv", *["1"] * 65), 2, "too many at once", "runs")
    one_sentence(gnscope("export", "--format", "csv", "--store", os.path.join(folder, "no.db")), 1, "no.db", "store")
    answer = subprocess.run([PROGRAM, "export", "--store", path, "--format", "csv"], stdout=open("/dev/full", "w"), stderr=subprocess.PIPE)
    equal(answer.returncode, 1, "a full output")
    equal(answer.stderr.count(b"\n"), 1, "one sentence: %r" % answer.stderr)


@test
def a_run_with_nothing():
    equal(export("--format", "csv", store_path=store).count(b"\r\n"), 1, "only the names")
    equal(json.loads(export("--format", "json", store_path=store)), [], "no rows")
    export("--format", "tensorboard", "-o", os.path.join(folder, "empty"), store_path=store)


main()
