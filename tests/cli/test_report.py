"""report: the page says what show says, its pictures show what their SQL gives, and nothing gets out of its place."""
import math
import re
import resource
import shutil
import struct
import xml.etree.ElementTree
import zlib

from harness import *
from page import Picture, Tree, figures, number

out = os.path.join(folder, "out")
os.mkdir(out)
# Under the address sanitizer: fontconfig, which cairo asks for fonts, keeps some of what it read to itself.
open(os.path.join(folder, "leaks"), "w").write("leak:libfontconfig\n")
os.environ["LSAN_OPTIONS"] = "print_suppressions=0:suppressions=" + os.path.join(folder, "leaks")
short = generate("--store", "PATH", "--steps", "900", "--layers", "9", "--warnings", "--noise", "0.3", "--name", "short")
long = generate("--store", "PATH", "--steps", "40960", "--every", "4", "--layers", "5", "--from", "100", "--to", "20000", "--name", "long")
noisy = generate("--store", "PATH", "--steps", "200", "--noise", "40", "--batch", "16", "--name", "noisy")
ranks = generate("--store", "PATH", "--steps", "700", "--ranks", "2", "--layers", "3", "--name", "two ranks")
run("--name", "known", "--samples", 64, "--", TRAINER, 400)
run("--name", "nothing", "--", "true")


def report(name, *args, path=short, **kw):
    """The written file's path."""
    target = os.path.join(out, name)
    answer = gnscope("report", "--store", path, *args, "-o", target, **kw)
    equal((answer.returncode, answer.stderr), (0, b""), "report " + name)
    return target


def page(name, *args, path=short):
    return Tree(open(report(name, *args, "--force", path=path), encoding="utf-8").read()).root


def limits(cell):
    """"5.31 [5.13 to 5.5]" -> 5.13, 5.5; without brackets both are the number: they are equal as written."""
    lo, hi = cell.split(" [")[1].rstrip("]").split(" to ") if " [" in cell else (cell, cell)
    return number(lo), number(hi)


def sql_of(section, name):
    return section.one("code", data_sql=name).text()


def same(got, want, tolerance, what):
    equal(len(got), len(want), what + ": how many")
    for g, w in zip(got, want):
        if isinstance(w, str):
            equal(g, w, what)
        else:
            near(g, w, tolerance, what)


# ---- the page ----

@test
def the_page_needs_nothing_from_elsewhere():
    text = open(report("alone.html"), encoding="utf-8").read()
    root = Tree(text).root
    equal(list(root.all("script")) + list(root.all("link")) + list(root.all("img")) + list(root.all("iframe")), [], "elements that fetch")
    for node in root.all():
        for key in ("src", "href", "xlink:href", "srcset", "onload", "onclick", "style"):
            equal(key in node.attrs, False, "%s of <%s>" % (key, node.tag))
    equal([u for u in re.findall(r"url\(([^)]*)\)", text) if not u.startswith("#clip-")], [], "url()")
    equal([u for u in re.findall(r"[a-z]+://[^\"' <]*", text) if u != "http://www.w3.org/2000/svg"], [], "addresses")
    equal("@import" in text or "@font-face" in text, False, "styles from elsewhere")
    contains(root.one("meta", http_equiv="Content-Security-Policy").attrs["content"], "default-src 'none'", "policy")
    contains(text, "prefers-color-scheme:dark", "dark")
    contains(text, "@media print", "print")


@test
def the_page_says_what_show_says():
    for path, name in ((short, "short"), (long, "long"), (noisy, "noisy"), (store, "known"), (store, "nothing")):
        root, it = page(name + ".html", name, path=path), show(name, path=path)
        words = gnscope("show", "--store", path, name).stdout.decode().split("\n")
        equal(root.one("p", **{"class": "verdict"}).text(), words[0], name + ": verdict")
        for key, line in (("b_noise", "B_noise"), ("b_crit", "B_crit")):
            said = next(w for w in words if w.startswith(line + " ")).split(None, 1)[1]
            fact = root.one("dd", data_key=key)
            if it[key] is not None:
                equal(fact.text(), said.split(" (")[0], "%s: %s" % (name, key))
                contains(fact.parent.text(), said.split("(")[1].rstrip(")"), "%s: limits of %s" % (name, key))
            elif it[key + "_lo"] is not None:
                contains(fact.text(), "≥ " + said.split(">= ")[1].split()[0], "%s: bound of %s" % (name, key))
            else:
                contains(fact.parent.text(), "unresolved", "%s: %s" % (name, key))
        for key in ("samples_per_step", "step_ms", "loss", "steps"):
            value = number(root.one("dd", data_key=key).text().split(" ")[0])
            if it[key] is None:
                equal(math.isnan(value), True, "%s: %s absent" % (name, key))
            elif it[key]:
                near(value, it[key], 0.01, "%s: %s" % (name, key))
        for warning in it["warnings"]:
            contains(root.text(), warning["name"] + ": " + warning["text"], name + ": warning")
        equal(len(list(root.one("ul", **{"class": "warnings"}).all("li"))) if it["warnings"] else 0, len(it["warnings"]), name + ": warnings")


@test
def the_noise_picture_shows_what_its_sql_gives():
    for path in (short, long, ranks, store):
        root = page("noise.html", *(["known"] if path == store else []), path=path)
        rows = query(sql_of(root, "noise"), path)
        numbers = json.load(open(report("noise.json", "--force", *(["known"] if path == store else []), path=path)))["runs"][0]
        series = numbers["series"]
        same([p["step_lo"] for p in series], [r[0] for r in rows], 0, "stretches")
        same([p["measured"] for p in series], [r[1] for r in rows], 0, "measured")
        same([p["s"] / p["g2"] for p in series], [r[2] for r in rows], 1e-9, "numbers")
        shown = figures(root)["noise"].points("b_noise")
        want = [((p["step_lo"] + p["step_hi"]) / 2, p["b_noise"]) for p in series if p["resolved"]]
        same([x for x, _ in shown], [x for x, _ in want], 2e-3, "places")
        same([y for _, y in shown], [y for _, y in want], 1e-3, "heights")
        if len(want) < 10:
            raise AssertionError("only %d points" % len(want))


@test
def the_band_of_the_noise_picture_is_that_of_the_numbers():
    root = page("band.html", path=short)
    series = json.load(open(report("band.json", "--force")))["runs"][0]["series"]
    picture, corners = figures(root)["noise"], []
    for node in picture.svg.all("path", data_name="band"):
        flat = list(map(float, re.findall(r"-?[0-9.]+", node.attrs["d"])))
        corners += [(round(picture.x(x)), picture.y(y)) for x, y in zip(flat[::2], flat[1::2])]
    for p in series:
        if p["resolved"]:
            at = sorted(y for x, y in corners if abs(x - (p["step_lo"] + p["step_hi"]) / 2) <= 1)
            same(at, [p["b_noise_lo"], p["b_noise_hi"]], 2e-3, "limits of steps from %d" % p["step_lo"])


@test
def unresolved_stretches_are_open_above():
    root = page("open.html", path=noisy)
    series = json.load(open(report("open.json", "--force", path=noisy)))["runs"][0]["series"]
    open_ones = [p for p in series if not p["resolved"] and p["b_noise_lo"] is not None and p["b_noise_lo"] > 0]
    if not open_ones:
        raise AssertionError("no unresolved stretch in the noisy run")
    picture = figures(root)["noise"]
    low = [picture.y(float(re.findall(r"-?[0-9.]+", n.attrs["d"])[1])) for n in picture.svg.all("path", data_name="at_least")]
    seen = [p["b_noise_lo"] for p in open_ones if p["b_noise_lo"] >= float(picture.y_axis[1])]
    same(low, seen, 2e-3, "at least")
    contains(root.text(), "unresolved", "caption")


@test
def the_loss_picture_shows_what_its_sql_gives():
    rare = generate("--store", "PATH", "--steps", "3000", "--every", "100")
    for path in (short, long, ranks, rare):
        root = page("loss.html", path=path)
        rows, shown = query(sql_of(root, "loss"), path), figures(root)["loss"].points("loss")
        same([y for _, y in shown], [r[1] for r in rows], 2e-3, "losses")
        width = rows[1][0] - rows[0][0]
        same([x for x, _ in shown[:-1]], [r[0] + (width - 1) / 2 for r in rows[:-1]], 2e-3, "places")


@test
def the_tradeoff_shows_what_its_sql_gives():
    for path in (short, long, ranks):
        root = page("tradeoff.html", path=path)
        rows, picture, it = query(sql_of(root, "tradeoff"), path), figures(root)["tradeoff"], show(path=path)
        same([r[0] for r in rows], [it["samples_per_step"] * 2 ** i for i in range(-3, 4)], 1e-12, "batches")
        now = rows[3]
        same([picture.points(n)[0][1] for n in ("steps_here", "samples_here")], now[1:3], 5e-3, "your batch")
        near(picture.points("steps_here")[0][0], now[0], 2e-3, "the batch's place")
        near(picture.points("b_crit")[0][0], it["b_crit"], 2e-3, "B_crit's place")
        near(now[1], 1 + it["b_crit"] / it["samples_per_step"], 1e-3, "B_crit of the table estimate")
        cells = [[c.text() for c in r.all("td")] for r in root.one("table", data_table="batches").all("tr")][1:]
        for cell, row in zip(cells, rows):
            same([number(c) for c in cell[:3]], row[:3], 6e-3, "table")
            near(number(cell[3]) / 100, row[3], 0.02, "share that counts")
            same(limits(cell[1]), [1 + it["b_crit_" + end] / row[0] for end in ("lo", "hi")], 6e-3, "limits of steps")
            same(limits(cell[2]), [1 + row[0] / it["b_crit_" + end] for end in ("hi", "lo")], 6e-3, "limits of samples")
            if cell[4] != "1 (now)":
                ratio = lambda crit: (1 + crit / row[0]) / (1 + crit / it["samples_per_step"])
                same((number(cell[4]), *limits(cell[4])), [ratio(it["b_crit"]), *sorted(ratio(it["b_crit_" + end]) for end in ("lo", "hi"))], 6e-3, "steps")
                more = row[0] / it["samples_per_step"]
                same((number(cell[5]), *limits(cell[5])), [more * ratio(it["b_crit"]), *sorted(more * ratio(it["b_crit_" + end]) for end in ("lo", "hi"))], 6e-3,
                     "samples")
        for curve, factor in (("steps", lambda b: 1 + it["b_crit"] / b), ("samples", lambda b: 1 + b / it["b_crit"])):
            for x, y in picture.points(curve):
                near(y, factor(x), 5e-3, curve + " curve")


@test
def the_weights_show_what_their_sql_gives():
    for path in (short, long, ranks):
        root = page("layers.html", path=path)
        rows = {r[0]: r for r in query(sql_of(root, "layers"), path) if r[1] == "gemm"}
        layers = [l for l in show("--layers", path=path)["layers"]]
        picture = figures(root)["layers"]
        dots = [(picture.x(float(n.attrs["cx"])), float(n.attrs["cy"])) for n in picture.svg.all("circle", data_name="b_noise")]
        resolved = [l for l in layers if l["resolved"]]
        same([d[0] for d in dots], [rows[l["name"]][2] for l in resolved], 2e-3, "B_noise of weights")
        same([l["s"] for l in layers if not l["excluded"]], [rows[l["name"]][3] for l in layers if not l["excluded"]], 1e-9, "s")
        total = sum(r[3] for r in rows.values())
        bars = picture.rects("share_s")
        want = [rows[l["name"]][3] / total for l in layers if not l["excluded"]]
        same([b["width"] / bars[0]["width"] for b in bars], [w / want[0] for w in want], 5e-3, "bars")
        table = [[c.text() for c in r.all("td")] for r in root.one("table", data_table="layers").all("tr")][1:]
        equal([t[0] for t in table], [l["name"] for l in layers], "names")
        equal([t[1] for t in table], ["x".join(map(str, l["shape"])) for l in layers], "shapes")
        for cell, layer in zip(table, layers):
            if layer["resolved"]:
                same((number(cell[2]), *limits(cell[2])), [layer[k] for k in ("b_noise", "b_noise_lo", "b_noise_hi")], 6e-3, "limits of a weight")
            if layer["excluded"]:
                contains(cell[2], "left out: ", "why " + layer["name"])


@test
def the_time_shows_what_its_sql_gives():
    for path in (short, long, ranks):
        root = page("time.html", path=path)
        rows = dict(query(sql_of(root, "time"), path))
        step = rows.pop("step")
        own = rows.pop("gnscope")
        parts = sorted(rows.values(), reverse=True) + [own]
        parts.append(step - sum(parts))
        picture = figures(root)["time"]
        widths = [r["width"] + 1.5 if r["width"] > 3 else 2 * r["width"] for r in picture.rects("part")]
        equal(len(widths), len(parts), "parts")
        for got, want in zip(widths, parts):
            near(got / picture.width, want / step, 0.01 if want / step > 0.01 else 1, "part")
        cells = [[c.text() for c in r.all("td")] for r in root.one("table", data_table="kernels").all("tr")][1:]
        for cell, row in zip(cells, query(sql_of(root, "kernels"), path)):
            equal((cell[0], cell[1]), (row[1], row[0]), "kernel")
            same([number(cell[2]), number(cell[4]), number(cell[5]), number(cell[6])], [row[3], row[2], row[5], row[4]], 6e-3, "times")


@test
def the_devices_show_what_their_sql_gives():
    path = generate("--store", "PATH", "--steps", "1402", "--device", "--ranks", "2", "--seed", "5")
    root = page("devices.html", path=path)
    contains(root.text(), "Where the time of a step goes on the device", "title")
    cells = [[c.text() for c in r.all("td")] for r in root.one("table", data_table="devices").all("tr")][1:]
    rows = query(sql_of(root, "devices"), path)
    equal(len(cells), len(rows), "devices")
    for cell, row in zip(cells, rows):
        equal((cell[0], cell[1]), ("GPU %d of rank %d" % (row[1], row[0]), "350 of 1,402"), "device")
        for got, want in zip(cell[3:8], row[3:8]):
            equal(abs(float(got.rstrip("%")) / 100 - want) < (5.1e-4 if want >= 0.1 else 5.1e-5), True, "share %s, %g" % (got, want))
    steps = sorted(r[0] / 1e6 for r in query("select wall_ns from device_step where rank=0", path))
    near(number(cells[0][2]), (steps[174] + steps[175]) / 2, 6e-3, "median")
    cells = [[c.text() for c in r.all("td")] for r in root.one("table", data_table="device_kernels").all("tr")][1:]
    rows = query(sql_of(root, "device_kernels"), path)
    equal(len(cells), 7, "kernels")
    for cell, row in zip(cells, rows):
        equal((cell[0], cell[1]), (row[1], row[0]), "kernel")
        same([number(cell[2]), number(cell[4]), number(cell[5])], [row[3], row[2], row[4]], 6e-3, "times")
        equal([c.replace(",", "") for c in cell[6:10]], ["-" if v is None else str(v) for v in row[5:9]], "what it is")
    text = open(report("devices.md", path=path)).read()
    contains(text, "## Kernels on devices", "Markdown")
    mine, it = json.load(open(report("devices.json", path=path)))["runs"][0], show(path=path)
    for key in ("devices", "device_kernels", "libraries", "kernel_times"):
        equal(mine[key], it[key], key)
    equal("on the device" in page("plain.html", path=short).text(), False, "of a run without a device")


@test
def why_there_are_no_kernel_times():
    path = shutil.copy(short, os.path.join(folder, "why.db"))
    with sqlite3.connect(path) as db:
        db.execute("insert into collector values (1, 0, 'cublas', 'cublasGemmEx', 12, null)")
        db.execute("insert into event(run_id, rank, time_ns, name, text) values (1, 0, 5, 'cupti_owner', '<b>nsys</b>')")
    db.close()
    contains(page("why.html", path=path).text(), "Of the device, no kernel times: CUPTI serves one client at a time, and <b>nsys</b> had it.", "page")
    contains(gnscope("show", "--store", path).stdout, "no kernel times: CUPTI serves one client at a time, and <b>nsys</b> had it", "show")
    contains(show(path=path)["kernel_times"], "nsys", "json")


@test
def a_long_run_gives_a_small_page():
    if os.path.getsize(report("size.html", path=long)) > 2 << 20:
        raise AssertionError("more than 2 MB")


@test
def runs_side_by_side():
    path = generate("--store", "PATH", "--runs", "3", "--steps", "400", "--name", "beside")
    root = page("three.html", "1", "2", "3", "2", path=path)
    sections = list(root.all("section"))
    equal([s.attrs["class"] for s in sections], ["compare", "run", "run", "run"], "sections")
    picture = figures(sections[0])["noise"]
    equal(len({n.attrs["class"] for n in picture.svg.all("path", data_name="b_noise")}), 3, "inks")
    table = [[c.text() for c in r.all("td")] for r in root.one("table", data_table="runs").all("tr")][1:]
    for i, row in enumerate(table, 1):
        it = show(str(i), path=path)
        equal(row[0], "%d %s" % (i, it["name"]), "run")
        near(number(row[2]), it["b_noise"], 6e-3, "B_noise")
    ids = [n.attrs["id"] for n in root.all() if "id" in n.attrs]
    equal(len(ids), len(set(ids)), "ids on the page")


# ---- a sweep ----

def sweep(name, points):
    """Points are (batch, lr, seed, steps or -steps when censored); 0 steps: not done."""
    path = shutil.copy(short, os.path.join(folder, "sweep-%s.db" % name))
    with sqlite3.connect(path) as db:
        db.execute("insert into sweep(sweep_id,name,command,target_loss,window,lr_rule,start_ns) values(1,?,'[]',0.45,1.5,'none',1)", (name,))
        for batch, lr, seed, steps in points:
            word = "reached" if steps > 0 else "capped" if steps < 0 else "waiting"
            db.execute("insert into sweep_run(sweep_id,batch,lr,seed,status,steps,samples) values(1,?,?,?,?,?,?)",
                       (batch, lr, seed, word, abs(steps) or None, abs(steps) * batch or None))
    return path


@test
def a_sweep_and_the_law_through_it():
    law = lambda b: 321 * (1 + 300 / b)
    path = sweep("mlp", [(b, lr, s, law(b) * (1 + 0.02 * (s - 1)) * k) for b in (16, 64, 256, 1024) for lr, k in ((0.1, 1), (0.2, 1.5)) for s in range(3)] +
                 [(4096, 0.1, 0, -200), (8192, 0.1, 0, 0)])
    root = page("sweep.html", "--sweep", "mlp", path=path)
    answer = gnscope("fit", "--store", path, "--json")
    equal((answer.returncode, answer.stderr), (0, b""), "fit")
    it = json.loads(answer.stdout)
    near(number(root.one("p", **{"class": "verdict"}).text().split(": ")[1].split(" ")[0]), it["b_crit"], 1e-2, "verdict")
    picture, rows = figures(root)["sweep"], query(sql_of(root, "sweep"), path)
    reached = sorted((r[0], r[4]) for r in rows if r[3] == "reached")
    same(sorted(y for _, y in picture.points("run")), sorted(s for _, s in reached), 2e-3, "steps of runs")
    same(sorted(x for x, _ in picture.points("run")), sorted(b for b, _ in reached), 2e-3, "batches of runs")
    equal(len(list(picture.svg.all("path", data_name="censored"))), sum(r[3] == "capped" for r in rows), "runs that did not get there")
    for x, y in picture.points("law"):
        near(y, it["s_min"] + it["e_min"] / x, 5e-3, "law")
    near(picture.points("b_crit")[0][0], it["b_crit"], 2e-3, "B_crit")
    table = [[c.text() for c in r.all("td")] for r in root.one("table", data_table="sweep").all("tr")][1:]
    same([number(c[5]) for c in table if c[5] != "-"], [b["steps"] for b in it["batches"] if b["steps"]], 1e-2, "medians")
    equal([s.attrs["class"] for s in root.all("section")], ["compare"], "no run was named")
    equal([s.attrs["class"] for s in page("both.html", "--sweep", "1", "short", path=path).all("section")], ["compare", "run"], "sweep and run")
    numbers = json.load(open(report("sweep.json", "--sweep", "mlp", path=path)))["sweep"]
    for key in ("s_min", "s_min_lo", "e_min", "e_min_hi", "b_crit", "b_crit_lo", "b_crit_hi", "target_loss"):
        equal(numbers[key], it[key], key)
    xml.etree.ElementTree.parse(report("sweep.svg", "--sweep", "mlp", path=path))
    contains(open(report("sweep.md", "--sweep", "mlp", path=path)).read(), "# Sweep mlp", "Markdown")


@test
def sweeps_without_an_answer():
    contains(page("never.html", "--sweep", "never", path=sweep("never", [(16, 0.1, 0, -50), (64, 0.1, 0, -50)])).text(), "none of 2 runs reached", "never")
    contains(page("one.html", "--sweep", "one", path=sweep("one", [(16, 0.1, s, 90 + s) for s in range(3)])).text(), "at one batch size only", "one batch")
    empty = sweep("none", [(16, 0.1, 0, 0)])
    contains(page("none.html", "--sweep", "none", path=empty).text(), "no run of the sweep is done yet", "none")
    one_sentence(gnscope("report", "--store", empty, "--sweep", "none", "-o", os.path.join(out, "none.svg")), 1, "no run of the sweep has steps", "picture")
    one_sentence(gnscope("report", "--store", short, "--sweep", "unheard", "-o", os.path.join(out, "x.html")), 1, "", "unknown sweep")
    one_sentence(gnscope("report", "--store", short, "--figure", "sweep", "-o", "x.svg"), 2, "needs --sweep NAME", "no sweep")
    one_sentence(gnscope("report", "--store", empty, "--sweep", "none", "--figure", "loss", "-o", "x.svg"), 2, "of a run", "no run")


# ---- the other formats ----

@test
def the_numbers_are_those_of_show():
    for path, name in ((short, "short"), (store, "known"), (store, "nothing")):
        whole = json.load(open(report("numbers.json", "--force", name, path=path)))
        mine, it = whole["runs"][0], show("--layers", name, path=path)
        for key in mine:
            if key in it:
                equal(mine[key], it[key], key)
        if len(set(mine) & set(it)) < 26:
            raise AssertionError("keys of show that are missing: %s" % (set(it) - set(mine)))
        for name in ("recent", "series", "split", "kernels", "settings", "events", "sql", "verdict"):
            equal(name in mine, True, name)
    same([f["ms"] for f in json.load(open(report("split.json")))["runs"][0]["split"]["families"]],
         [r[1] for r in sorted(query("select k.family, sum(total_ns)/1e8 from kernel_step join kernel k using(run_id,kernel_id) where step in "
                                     "(select step from step where measured order by step desc limit 100) group by 1", short), key=lambda r: -r[1])], 1e-9, "split")


@test
def settings_of_the_training():
    path = shutil.copy(short, os.path.join(folder, "settings.db"))
    with sqlite3.connect(path) as db:
        if not db.execute("select 1 from sqlite_master where name='setting'").fetchone():
            raise AssertionError("no table of settings")
        columns = [r[1] for r in db.execute("pragma table_info(setting)")]
        put = "insert into setting(run_id,%s,name,value,text) values(1,?,?,?,?)" % columns[columns.index("step")]
        db.executemany(put, [(1, "optimizer", None, "AdamW"), (1, "lr", 0.001, None), (300, "lr", 0.0005, None), (1, "beta2", 0.999, None)])
    table = page("settings.html", path=path).one("table", data_table="settings")
    rows = {r[0]: r[1:] for r in ([c.text() for c in tr.all("td")] for tr in table.all("tr")) if r}
    equal(rows["optimizer"][0], "AdamW", "optimizer")
    equal(rows["lr"], ["0.0005", "300", "1", "0.001"], "learning rate and its change")
    equal(rows["beta2"][0], "0.999", "beta2")


@test
def pictures_of_their_own():
    for figure in ("noise", "loss", "tradeoff", "layers", "time"):
        svg = open(report(figure + ".svg", "--figure", figure), "rb").read()
        tree = xml.etree.ElementTree.fromstring(svg)
        equal(tree.tag, "{http://www.w3.org/2000/svg}svg", figure)
        contains(svg, "run 1", figure + ": heading")
        equal(b"var(--" in svg, False, figure + ": colours are its own")
        png = open(report(figure + ".png", "--figure", figure), "rb").read()
        equal(png[:8], b"\x89PNG\r\n\x1a\n", figure + ".png")
        chunks, at = [], 8
        while at < len(png):
            n, kind = struct.unpack(">I4s", png[at:at + 8])
            equal(struct.unpack(">I", png[at + 8 + n:at + 12 + n])[0], zlib.crc32(png[at + 4:at + 8 + n]), "check of %s" % kind)
            chunks.append(kind)
            at += 12 + n
        equal((chunks[0], chunks[1], chunks[-1]), (b"IHDR", b"tEXt", b"IEND"), "chunks")
        width, height = struct.unpack(">II", png[16:24])
        near(width / height, float(tree.attrib["width"]) / float(tree.attrib["height"]), 0.01, "shape of " + figure)
        pdf = open(report(figure + ".pdf", "--figure", figure), "rb").read()
        equal((pdf[:5], pdf.rstrip()[-5:]), (b"%PDF-", b"%%EOF"), figure + ".pdf")


@test
def an_svg_file_shows_what_the_page_shows():
    svg = open(report("same.svg", "--figure", "noise"), encoding="utf-8").read()
    alone = Picture(Tree(svg.split("?>", 1)[1]).root.one("svg"))
    shown = figures(page("same.html"))["noise"].points("b_noise")
    same([y for _, y in alone.points("b_noise")], [y for _, y in shown], 1e-3, "heights")


@test
def markdown_has_the_words_and_tables():
    text = open(report("words.md"), encoding="utf-8").read()
    plain = re.sub(r"\\(.)", r"\1", text)
    contains(plain, gnscope("show", "--store", short).stdout.decode().split("\n")[0], "verdict")
    for layer in show("--layers", path=short)["layers"]:
        contains(plain, "| %s | %s |" % (layer["name"], "x".join(map(str, layer["shape"]))), "weight")
    for block in re.split(r"\n\n+", text):
        rows = [l for l in block.split("\n") if l.startswith("|")]
        equal(len({len(re.findall(r"(?<!\\)\|", l)) for l in rows}) <= 1, True, "columns of a table")


@test
def to_standard_output():
    for args, start in (([], b"<!DOCTYPE html>"), (["--format", "svg"], b"<?xml"), (["--format", "json"], b"{"), (["--format", "png"], b"\x89PNG"),
                        (["--format", "pdf"], b"%PDF"), (["--format", "md"], b"<!-- gnscope report -->")):
        answer = gnscope("report", "--store", short, "-o", "-", *args)
        equal((answer.returncode, answer.stderr, answer.stdout[:len(start)]), (0, b"", start), str(args))


# ---- what comes from the database is not to be trusted ----

HOSTILE = "</title></svg></script><script>alert(1)</script><img src=x onerror=alert(1)> \" ' & ]]> --> | ` ${x} \x1b[31m \x07 \u202e \ufffe"


@test
def names_stay_names():
    path = shutil.copy(short, os.path.join(folder, "hostile.db"))
    with sqlite3.connect(path) as db:
        db.execute("update run set name=?, command=?, host=?, optimizer=?", (HOSTILE, HOSTILE, HOSTILE, HOSTILE))
        db.execute("update param set name = ? || param_id", (HOSTILE,))
        db.execute("update kernel set name = ? || kernel_id, family = ? || (kernel_id % 3)", (HOSTILE, HOSTILE))
        db.execute("update event set name = ?, text = ?", (HOSTILE, HOSTILE))
        db.execute("update rank set sample_unit = ?", (HOSTILE,))
        db.execute("update param set name = cast(x'ff3c623ec0' as text) where param_id = 1")
    plain = page("plain.html")
    text = open(report("hostile.html", path=path), "rb").read()
    root = Tree(text.decode("utf-8")).root
    for tag in ("script", "img", "title", "svg", "b"):
        equal(len(list(root.all(tag))), len(list(plain.all(tag))), "elements " + tag)
    for byte in b"\x1b\x07\x00":
        equal(byte in text, False, "control character %d" % byte)
    equal("\u202e" in text.decode(), False, "direction override")
    for figure in ("noise", "loss", "tradeoff", "layers", "time"):
        svg = open(report("hostile-%s.svg" % figure, "--figure", figure, path=path), "rb").read()
        tags = {e.tag.split("}")[1] for e in xml.etree.ElementTree.fromstring(svg).iter() if isinstance(e.tag, str)}
        equal(tags <= {"svg", "title", "desc", "rect", "path", "text", "circle", "g", "clipPath"}, True, "elements %s" % tags)
        report("hostile-%s.pdf" % figure, "--figure", figure, path=path)
        report("hostile-%s.png" % figure, "--figure", figure, path=path)
    words = open(report("hostile.md", path=path), encoding="utf-8").read()
    equal("<script" in words or "<img" in words, False, "markup in Markdown")
    json.load(open(report("hostile.json", path=path)))


@test
def numbers_that_are_none_are_not_drawn():
    path = shutil.copy(short, os.path.join(folder, "odd.db"))
    with sqlite3.connect(path) as db:
        db.execute("update rollup set s = 9e999 where block % 3 = 0")
        db.execute("update step set dur_ns = -5, s = 1e300, g2 = -1e-300 where step % 7 = 0")
        db.execute("update grad set q_small = null where param_id = 2")
        db.execute("update kernel_step set total_ns = -1, flops = 'x'")
        db.execute("update param set rows = -3, numel = -1")
    text = open(report("odd.html", path=path), encoding="utf-8").read()
    Tree(text)
    equal(re.findall(r"(?:[\" ,]|L|M)-?(?:nan|inf)\b", text), [], "places that are no numbers")


# ---- whole or not at all ----

@test
def a_file_of_ours_is_replaced_and_no_other():
    for name in ("again.html", "again.svg", "again.pdf", "again.png", "again.md", "again.json"):
        report(name)
        report(name)
    for name in ("notes.md", "package.json", "art.svg"):
        other = os.path.join(out, name)
        open(other, "w").write("mine, written with gnscope in mind")
        one_sentence(gnscope("report", "--store", short, "-o", other), 1, "--force replaces it", name)
        equal(open(other).read(), "mine, written with gnscope in mind", name)
        report(name, "--force")
    open(os.path.join(out, "empty.html"), "w").close()
    report("empty.html")


@test
def nothing_is_left_of_a_file_that_could_not_be_written():
    def small():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (36000, 36000)) # SQLite's shared memory is 32 KiB
    room = os.path.join(folder, "room")
    os.mkdir(room)
    target = os.path.join(room, "full.html")
    report("../room/full.html")
    before = open(target).read()
    for name in ("full.html", "full.png", "full.json"):
        one_sentence(gnscope("report", "--store", short, "-o", os.path.join(room, name), preexec_fn=small), 1, "written" if ".png" in name else "cannot write", name)
    equal(os.listdir(room), ["full.html"], "what is there")
    equal(open(target).read(), before, "the file of before")
    one_sentence(gnscope("report", "--store", short, "-o", "/dev/full", "--format", "html"), 1, "/dev/full", "a full device")


@test
def wrong_and_missing():
    bad = lambda *args: gnscope("report", "--store", short, *args)
    one_sentence(bad(), 2, "missing -o FILE", "no output")
    one_sentence(bad("-o", "x"), 2, "'x' does not say what to write", "no suffix")
    one_sentence(bad("-o", "x.docx"), 2, "does not say what to write", "unknown suffix")
    one_sentence(bad("-o", "a.b/x"), 2, "does not say what to write", "a dot in the folder")
    one_sentence(bad("-o", "x.html", "--format", "gif"), 2, "no such format 'gif'", "format")
    one_sentence(bad("-o", "x.svg", "--figure", "cake"), 2, "no such picture 'cake'", "figure")
    one_sentence(bad("-o", "x.html", "--figure", "noise"), 2, "--figure is for", "figure of a page")
    one_sentence(bad("-o", "x.html", *"123456789"), 2, "too many for one report", "nine runs")
    one_sentence(bad("-o", os.path.join(out, "x.html"), "unheard"), 1, "unheard", "run")
    one_sentence(bad("-o", os.path.join(folder, "none", "x.html")), 1, "there is no folder", "folder")
    one_sentence(bad("-o", os.path.join(folder, "out.html", "x.html")), 1, "there is no folder", "folder that is not there")
    os.mkdir(os.path.join(out, "folder.html"))
    one_sentence(bad("-o", os.path.join(out, "folder.html")), 1, "it is a folder", "a folder")
    one_sentence(bad("-o", "/proc/x.html"), 1, "cannot be written to" if os.path.isdir("/proc") else "", "unwritable folder")
    one_sentence(gnscope("report", "--store", os.path.join(folder, "no.db"), "-o", "x.html"), 1, "no.db", "store")
    three = generate("--store", "PATH", "--runs", "2", "--steps", "100")
    one_sentence(gnscope("report", "--store", three, "1", "2", "-o", os.path.join(out, "two.svg"), "--figure", "layers"), 1, "name one of them", "one run")
    equal(os.path.exists(os.path.join(out, "two.svg")), False, "no file")


@test
def a_run_without_numbers():
    root = page("none.html", "nothing", path=store)
    contains(root.one("p", **{"class": "verdict"}).text(), "nothing was measured", "verdict")
    equal(list(root.all("figure")), [], "pictures")
    equal("nan" in root.text().lower(), False, "no nan")
    for figure in ("noise", "loss", "tradeoff", "layers", "time"):
        one_sentence(gnscope("report", "--store", store, "nothing", "-o", os.path.join(out, "none.svg"), "--figure", figure), 1, "", figure)


@test
def a_store_without_kernels_or_losses():
    path = generate("--store", "PATH", "--steps", "300", "--no-kernels", "--no-losses")
    root = page("bare.html", path=path)
    contains(root.text(), "No picture: the store has no kernel times of this run.", "kernels")
    contains(root.text(), "No picture: the loss is not known", "loss")
    one_sentence(gnscope("report", "--store", path, "-o", os.path.join(out, "bare.svg"), "--figure", "time"), 1, "no kernel times", "figure")


main()
