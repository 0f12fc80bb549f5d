#!/usr/bin/env python3
"""Screens to the letter: keys go into a real terminal of fixed size, the screen must be the kept one.

Usage: kept.py GNSCOPE GENERATE EXPECTED_DIR [--write [NAME-PREFIX]]
The databases are made by the fixed generator. A screen that is written must be looked at before it is committed.
Waits for the kept screen, up to 20 seconds each; nothing is judged by time.
"""
import os, re, shlex, subprocess, sys, tempfile, time

GNSCOPE, GENERATE, EXPECTED = (os.path.abspath(a) for a in sys.argv[1:4])
WRITE = sys.argv[5] if len(sys.argv) > 5 else "" if len(sys.argv) > 4 else None
SIZES = ((40, 10), (80, 24), (200, 60))

VIEWS = [([], "now"), (["2"], "tradeoff"), (["a"], "tradeoff-hours"), (["a"], "tradeoff-money"), (["a", "3"], "layers"), (["4"], "kernels"),
         (["5"], "runs"), (["6"], "health"), (["?"], "help")]
# Each goes on from the one before.
BEHAVIOUR = [(["1", "+"], "zoom"), (["+", "+"], "zoom-3"), (["f"], "frozen"), (["["], "scrolled"), (["["], "scrolled-2"), (["x"], "samples"),
             (["x"], "time"), (["x", "0"], "whole-again"), (["w", "w"], "window"), (["w", "w", "b"], "ascii-marks"), (["b", "b", "P"], "no-trainer"),
             (["3", "s", "s"], "layers-by-noise"), (["S"], "layers-by-noise-turned"), (["/", "1", "3"], "layers-prompt"),
             (["Enter"], "layers-filter"), (["Escape", "S", "s", "s", "s", "t"], "layers-blocks"), (["t"], "layers-tops"),
             (["Enter", "j", "j"], "layers-open"), (["4", "s", "s", "s"], "kernels-by-calls"), (["/", "w", "g", "r", "Enter"], "kernels-filter"),
             (["5", "j", "m", "m"], "overlay"), (["x"], "overlay-samples"), (["x"], "overlay-time"), (["x", "2"], "tradeoff-fit"),
             (["a"], "tradeoff-fit-hours"), (["$", "2", ".", "5", "Enter", "D", "8", "Enter", "a"], "tradeoff-priced"),
             (["$", "x", "Enter"], "tradeoff-bad-price"), (["a", "1", "n"], "older-run"), (["2"], "tradeoff-rows"),
             (["n", "n", "1"], "oldest-unresolved"), (["2"], "tradeoff-unresolved"), (["6", "j", "j", "j"], "health-scrolled"), (["e"], "no-interval")]


def make_store(path):
    def generate(*args):
        subprocess.run([GENERATE, "--store", path, *args], check=True, stdout=subprocess.DEVNULL)
    generate("--name", "short", "--steps", "60", "--noise", "4", "--layers", "3", "--seed", "7", "--start", "1759900000000000000")
    generate("--name", "rows", "--steps", "900", "--batch", "64", "--rows", "--every", "3", "--seed", "9", "--start", "1759950000000000000")
    generate("--name", "wide", "--steps", "2000", "--batch", "256", "--seed", "5", "--start", "1759980000000000000")
    generate("--name", "long", "--steps", "6000", "--layers", "24", "--warnings", "--seed", "3")


class Terminal:
    def __init__(self, folder, width, height):
        self.sock = tempfile.mktemp(prefix="tmux-", dir=folder)
        keep = {k: v for k, v in os.environ.items() if k not in ("TMUX", "GNSCOPE_STORE", "COLORFGBG")}
        self.env = dict(keep, LC_ALL="C.UTF-8", TERM="xterm-256color", TZ="UTC", NO_COLOR="1", XDG_CONFIG_HOME=os.path.join(folder, "config"))
        self.tmux("-f", "/dev/null", "new-session", "-d", "-x", str(width), "-y", str(height), "sh")
        self.tmux("set-option", "-g", "status", "off")

    def tmux(self, *args):
        return subprocess.run(["tmux", "-S", self.sock, *args], env=self.env, check=True, capture_output=True, text=True).stdout

    def keys(self, keys):
        for key in keys:
            self.tmux("send-keys", *(["-l", key] if len(key) == 1 else [key]))

    def screen(self):
        return re.sub(r"database [\d.,]+ .B", "database SIZE", self.tmux("capture-pane", "-p"))

    def settled(self):
        """The screen once it has been the same for half a second; for writing only."""
        last, since = None, 0
        while since < 5:
            now = self.screen()
            since = since + 1 if now == last else 0
            last = now
            time.sleep(0.1)
        return last

    def end(self):
        subprocess.run(["tmux", "-S", self.sock, "kill-server"], capture_output=True)


def compare(terminal, name):
    path = os.path.join(EXPECTED, name + ".txt")
    if WRITE is not None and name.startswith(WRITE):
        with open(path, "w") as f:
            f.write(terminal.settled())
        return True
    with open(path) as f:
        expected = f.read()
    for _ in range(200):
        screen = terminal.screen()
        if screen == expected:
            return True
        time.sleep(0.1)
    print(f"FAIL {name}\n--- kept\n{expected}--- drawn\n{screen}", flush=True)
    return False


def main():
    failed = count = 0
    with tempfile.TemporaryDirectory() as folder:
        store = os.path.join(folder, "runs.db")
        make_store(store)
        for width, height in SIZES:
            for charset in ("utf8", "ascii"):
                # A terminal of its own: what is typed while the last dashboard still leaves would be lost.
                terminal = Terminal(folder, width, height)
                try:
                    more = BEHAVIOUR if (width, charset) == (80, "utf8") else []
                    flag = "--ascii" if charset == "ascii" else ""
                    terminal.keys([f"clear; {shlex.quote(GNSCOPE)} top {flag} --store {shlex.quote(store)}; clear", "Enter"])
                    for keys, name in VIEWS + more:
                        terminal.keys(keys)
                        failed += not compare(terminal, f"{name}-{width}x{height}-{charset}")
                        count += 1
                finally:
                    terminal.end()
    print(f"{count} screens, {failed} differ")
    return 1 if failed else 0


sys.exit(main())
