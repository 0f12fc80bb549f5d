"""A report in a real browser without a network: Chromium, headless, says and shows what show and the dashboard say.

Needs Chromium (scripts/install-deps brings chromium-headless-shell); without it the test fails rather than being passed over. A network
namespace of its own keeps it from everything; where the kernel forbids that, a proxy that is not there does."""
import shutil
import struct
import zlib

from harness import *
from page import Tree, figures, number

BROWSER = next((b for b in map(shutil.which, ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")) if b), None)
INK = {"light": (0x0a, 0x62, 0xa6), "dark": (0x6b, 0xb3, 0xf5)}
PAPER = {"light": (0xff, 0xff, 0xff), "dark": (0x13, 0x17, 0x1c)}
ALONE = ["unshare", "--map-root-user", "--net"]
if subprocess.run(ALONE + ["true"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode:
    ALONE = []

path = generate("--store", "PATH", "--steps", "2000", "--layers", "6", "--warnings", "--noise", "0.2", "--name", "in a browser")
file = os.path.join(folder, "report.html")
answer = gnscope("report", "--store", path, "-o", file)
equal((answer.returncode, answer.stderr), (0, b""), "report")


def browse(*args):
    if not BROWSER:
        raise AssertionError("there is no Chromium on this machine: scripts/install-deps installs chromium-headless-shell")
    profile = tempfile.mkdtemp(dir=folder)
    answer = subprocess.run(ALONE + [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars",
                                     "--proxy-server=127.0.0.1:9", "--user-data-dir=" + profile, *args, "file://" + file],
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120)
    equal(answer.returncode, 0, "browser: " + answer.stderr.decode(errors="replace")[-2000:])
    return answer.stdout


def pixels(png):
    """Rows of (r, g, b) of an 8-bit PNG."""
    data, at, packed = open(png, "rb").read(), 8, b""
    width, height, depth, kind = struct.unpack(">IIBB", data[16:26])
    size = {2: 3, 6: 4}[kind]
    equal(depth, 8, "depth")
    while at < len(data):
        n, name = struct.unpack(">I4s", data[at:at + 8])
        packed += data[at + 8:at + 8 + n] if name == b"IDAT" else b""
        at += 12 + n
    raw, rows, above = zlib.decompress(packed), [], bytes(width * size)
    for y in range(height):
        how, line = raw[y * (width * size + 1)], bytearray(raw[y * (width * size + 1) + 1:(y + 1) * (width * size + 1)])
        for i in range(len(line) if how else 0):
            left, up, corner = line[i - size] if i >= size else 0, above[i], above[i - size] if i >= size else 0
            p = left + up - corner
            best = min((abs(p - left), 0, left), (abs(p - up), 1, up), (abs(p - corner), 2, corner))[2]
            line[i] = (line[i] + (0, left, up, (left + up) // 2, best)[how]) & 0xff
        rows.append([tuple(line[x:x + 3]) for x in range(0, len(line), size)])
        above = line
    return rows


@test
def it_says_what_show_says():
    root = Tree(browse("--dump-dom").decode("utf-8").strip().split("<!DOCTYPE html>", 1)[1]).root
    it = show(path=path)
    words = gnscope("show", "--store", path).stdout.decode().split("\n")
    equal(root.one("p", **{"class": "verdict"}).text(), words[0], "verdict")
    for key in ("b_noise", "b_crit"):
        fact = root.one("dd", data_key=key)
        near(number(fact.text().split(" ")[0]), it[key], 1e-3, key)
        lo, hi = fact.parent.text().split("95% CI ")[1].split(" to ")
        near(number(lo), it[key + "_lo"], 1e-3, key + ", lower limit")
        near(number(hi), it[key + "_hi"], 1e-3, key + ", upper limit")
    equal([b.text() for b in root.one("ul", **{"class": "warnings"}).all("b")], [w["name"] for w in it["warnings"]], "warnings")


@test
def its_pictures_are_those_of_the_dashboard():
    root = Tree(browse("--dump-dom").decode("utf-8").strip().split("<!DOCTYPE html>", 1)[1]).root
    equal(sorted(figures(root)), ["layers", "loss", "noise", "time", "tradeoff"], "pictures")
    now = json.loads(gnscope("top", "--store", path, "--once", "--json", "--width", "140", "--height", "50").stdout)
    shown = figures(root)["noise"].points("b_noise")
    for point in now["points"]:
        if point["b_noise"] is None:
            continue
        inside = [y for x, y in shown if point["step_lo"] <= x <= point["step_hi"]]
        for y in inside:
            if not point["b_noise_lo"] / 1.5 <= y <= point["b_noise_hi"] * 1.5:
                raise AssertionError("steps %d to %d: %g is not near %g" % (point["step_lo"], point["step_hi"], y, point["b_noise"]))
    batch = figures(root)["noise"].points("batch")
    near(batch[0][1], now["samples_per_step"], 1e-3, "the batch's line")
    near(figures(root)["noise"].points("b_crit")[0][1], now["b_crit"], 1e-3, "B_crit's line")


@test
def it_is_drawn_light_and_dark():
    for theme, setting in (("light", 1), ("dark", 0)):
        png = os.path.join(folder, theme + ".png")
        browse("--window-size=1000,1000", "--blink-settings=preferredColorScheme=%d" % setting, "--screenshot=" + png)
        rows = pixels(png)
        equal(rows[3][3], PAPER[theme], theme + ": paper")
        equal(sum(row.count(INK[theme]) for row in rows) > 300, True, theme + ": the curve's ink")


main()
