#!/usr/bin/env python3
"""The live dashboard in a real terminal: tmux draws, this script types, resizes, signals and looks.

Usage: terminal.py LIVE_PROGRAM [PART-OF-A-TEST'S-NAME]
Waits for what must appear, up to a minute each; nothing is judged by time.
"""
import os, random, shlex, signal, subprocess, sys, tempfile, time

LIVE = os.path.abspath(sys.argv[1])
failures = []


class Terminal:
    """One tmux server of its own with one shell, 80 x 24."""

    def __init__(self, width=80, height=24, env=None):
        self.dir = tempfile.TemporaryDirectory()
        self.sock = os.path.join(self.dir.name, "s")
        self.store = os.path.join(self.dir.name, "store")
        open(self.store, "w").close()
        env = dict(os.environ, LC_ALL="C.UTF-8", TERM="xterm-256color", XDG_CONFIG_HOME=os.path.join(self.dir.name, "config"), **(env or {}))
        self.env = {k: v for k, v in env.items() if k not in ("TMUX", "NO_COLOR", "GNSCOPE_STORE", "COLORFGBG")}
        self.tmux("-f", "/dev/null", "new-session", "-d", "-x", str(width), "-y", str(height), "sh")
        self.tmux("set-option", "-g", "status", "off")
        self.keys("PS1='rea''dy> '; clear", "Enter")
        self.wait("ready>")

    def tmux(self, *args):
        return subprocess.run(["tmux", "-S", self.sock, *args], env=self.env, check=True, capture_output=True, text=True).stdout

    def screen(self, *more):
        return self.tmux("capture-pane", "-p", *more)

    def keys(self, *keys):
        self.tmux("send-keys", *keys)

    def wait(self, text, absent=False):
        for _ in range(600):
            screen = self.screen()
            if (text in screen) != absent:
                return screen
            time.sleep(0.1)
        raise AssertionError(f"{'still there' if absent else 'never appeared'}: {text!r}\n{screen}")

    def start(self, *args, env=""):
        self.keys(f"{env} {shlex.quote(LIVE)} {self.store} {' '.join(args)}; echo status=$?", "Enter")

    def pid(self):
        """Of the dashboard: the child of the pane's shell."""
        shell = self.tmux("display-message", "-p", "#{pane_pid}").strip()
        for _ in range(600):
            with open(f"/proc/{shell}/task/{shell}/children") as f:
                children = f.read().split()
            if children:
                return int(children[-1])
            time.sleep(0.1)
        raise AssertionError("the dashboard does not run")

    def restored(self, status):
        """Back on the main screen, cursor visible, echo and line mode on."""
        screen = self.wait(f"status={status}")
        assert "B_noise" not in screen, "the dashboard is still on the screen:\n" + screen
        flags = self.tmux("display-message", "-p", "#{alternate_on} #{cursor_flag} #{keypad_cursor_flag} #{mouse_any_flag}").split()
        assert flags == ["0", "1", "0", "0"], f"alternate screen, cursor, keypad, mouse: {flags}"
        self.keys("clear; stty -a", "Enter")
        screen = self.wait("iexten")
        assert "-icanon" not in screen and "-echo " not in screen and "-isig" not in screen and "-icrnl" not in screen, screen
        self.keys("echo typed''text", "Enter")
        screen = self.wait("typedtext")
        assert "echo typed''text" in screen, "no echo:\n" + screen

    def end(self):
        subprocess.run(["tmux", "-S", self.sock, "kill-server"], capture_output=True)
        self.dir.cleanup()


def check(test):
    terminal = Terminal()
    try:
        test(terminal)
        print("ok  ", test.__name__)
    except AssertionError as error:
        failures.append(test.__name__)
        print("FAIL", test.__name__, error)
    finally:
        terminal.end()


def keys_switch_views_and_q_restores(t):
    t.start()
    t.wait("Batch 256 is SMALL: 0.26x")
    for key, mark, text in (("2", "[2 Tradeoff]", "you are here"), ("3", "[3 Layers]", "fc1.weight"), ("4", "[4 Kernels]", "sgemm"),
                            ("5", "[5 Runs]", "char_lm"), ("6", "[6 Health]", "rejected_attention"), ("Tab", "[1 Now]", "B_noise"),
                            ("Left", "[6 Health]", "Counters"), ("Right", "[1 Now]", "loss"), ("?", "pause the display", "more"),
                            ("Escape", "[1 Now]", "loss"), ("p", "display paused", ""), ("w", "last 10,000 steps", "")):
        t.keys(key)
        t.wait(mark)
        t.wait(text)
    t.keys("q")
    t.restored(0)


def the_step_moves_on(t):
    t.start()
    first = t.wait("step 2,0").splitlines()[0]
    t.wait(first, absent=True)
    t.keys("q")
    t.restored(0)


def enter_switches_the_run(t):
    t.start("runs")
    t.wait("char_lm")
    t.keys("j")
    t.keys("Enter")
    t.wait("[1 Now]")
    assert "char_lm" in t.wait("char_lm").splitlines()[0]
    t.keys("q")
    t.restored(0)


def colours_are_there_and_can_be_refused(t):
    t.start()
    t.wait("B_noise")
    assert "38;5;214m" in t.screen("-e"), "no colour for B_crit"
    t.keys("q")
    t.restored(0)
    t.keys("clear", "Enter")
    t.start(env="NO_COLOR=1")
    t.wait("B_noise")
    assert "38;5;" not in t.screen("-e"), "colour in spite of NO_COLOR"
    t.keys("q")
    t.restored(0)


def ascii_locale(t):
    t.start(env="LC_ALL=C")
    screen = t.wait("B_noise")
    assert screen.isascii(), screen
    t.keys("q")
    t.restored(0)


def resize_storm(t):
    t.start()
    t.wait("B_noise")
    draw = random.Random(1)
    for i in range(500):
        t.tmux("resize-window", "-x", str(draw.randint(1, 300)), "-y", str(draw.randint(1, 100)))
        if i % 5 == 0:
            t.keys(draw.choice("123456?xabft+-[]w"))
    t.keys("Escape", "0", "1")
    for width, height in ((40, 10), (200, 60), (80, 24)):
        t.tmux("resize-window", "-x", str(width), "-y", str(height))
        t.keys("1")
        t.wait("[1 Now]" + (" 2 3" if width == 40 else " 2 Tradeoff"))
    t.wait("Batch 256 is SMALL: 0.26x the critical batch size")
    t.keys("q")
    t.restored(0)


def zooms_scrolls_freezes_and_replays(t):
    t.start()
    t.wait("Batch 256")
    for key, text in (("+", "last 1,0"), ("+", "last 5"), ("f", "frozen"), ("[", "steps 1,"), ("]", "last 5"), ("0", "batch 256"), ("r", "replay ×"),
                      (">", "replay ×"), ("Space", "stopped"), ("r", "batch 256")):
        t.keys(key)
        t.wait(text)
    t.wait("replay", absent=True)
    t.keys("q")
    t.restored(0)


def the_mouse_takes_tabs_and_rows_and_can_be_left_alone(t):
    t.start()
    t.wait("Batch 256")
    t.keys("-l", "\033[M 58\033[M#58")  # pressed and released in column 21 of row 24: the third tab
    t.wait("[3 Layers]")
    t.keys("-l", "\033[M %'")  # column 5 of row 7: the second weight
    t.wait("▸ fc2.weight")
    t.keys("-l", "\033[M`%'")  # wheel up
    t.wait("▸ fc1.weight")
    t.keys("q")
    t.restored(0)


def settings_are_written_on_request(t):
    t.start()
    t.wait("Batch 256")
    t.keys("2", "a", "a", "W")
    t.wait("the settings are in")
    t.keys("q")
    t.restored(0)
    t.keys("clear", "Enter")
    t.start()
    t.wait("money")
    t.keys("q")
    t.restored(0)
    t.keys("clear; echo nonsense 5 >> $XDG_CONFIG_HOME/gnscope/top.conf", "Enter")
    t.start()
    t.wait("is not understood and passed over: nonsense 5")
    t.keys("q")
    t.restored(0)


def by_signal(number):
    def test(t):
        t.start()
        t.wait("B_noise")
        os.kill(t.pid(), number)
        t.restored(128 + number)
    test.__name__ = "restored_after_" + signal.Signals(number).name
    return test


def restored_after_a_segmentation_fault(t):
    t.start(env="FAKE_FAULT=segv")
    t.restored(128 + signal.SIGSEGV)


def restored_after_abort(t):
    t.start(env="FAKE_FAULT=abort")
    t.restored(128 + signal.SIGABRT)


def a_second_signal_ends_a_stuck_dashboard(t):
    t.start(env="FAKE_STUCK=1")
    t.wait("B_noise")
    while not os.path.exists(t.store + ".stuck"):
        time.sleep(0.1)
    pid = t.pid()
    os.kill(pid, signal.SIGTERM)
    while "SigPnd:\t0000000000000000\nShdPnd:\t0000000000000000" not in open(f"/proc/{pid}/status").read():
        time.sleep(0.1)
    os.kill(pid, signal.SIGTERM)
    t.restored(128 + signal.SIGTERM)


def suspends_and_comes_back(t):
    t.start("3")
    t.wait("fc1.weight")
    t.keys("C-z")
    screen = t.wait("topped")
    assert "fc1.weight" not in screen, screen
    t.keys("fg", "Enter")
    t.wait("fc1.weight")
    t.keys("q")
    t.wait("fc1.weight", absent=True)
    t.wait("ready>")


def waits_in_plain_sentences(t):
    t.start(env="FAKE_STORE=waiting")
    t.wait("waiting for the first measured step: 3 weights found, step 12")
    t.keys("q")
    t.restored(0)
    t.keys("clear", "Enter")
    t.start(env="FAKE_STORE=no-run")
    t.wait("There is no run in this store yet.")
    t.keys("q")
    t.restored(0)


def a_store_that_comes_later(t):
    os.unlink(t.store)
    t.start()
    t.wait("There is no run database at")
    open(t.store, "w").close()
    t.wait("Batch 256")
    t.keys("q")
    t.restored(0)


def ends_with_the_watched_process(t):
    watched = subprocess.Popen(["sleep", "1000"])
    t.start("1", str(watched.pid))
    t.wait("B_noise")
    watched.kill()
    t.restored(0)  # a zombie until waited for: gone all the same
    watched.wait()


for one in (keys_switch_views_and_q_restores, the_step_moves_on, enter_switches_the_run, colours_are_there_and_can_be_refused, ascii_locale,
            resize_storm, zooms_scrolls_freezes_and_replays, the_mouse_takes_tabs_and_rows_and_can_be_left_alone,
            settings_are_written_on_request, by_signal(signal.SIGINT), by_signal(signal.SIGTERM), by_signal(signal.SIGHUP), by_signal(signal.SIGQUIT),
            restored_after_a_segmentation_fault, restored_after_abort, a_second_signal_ends_a_stuck_dashboard, suspends_and_comes_back,
            waits_in_plain_sentences, a_store_that_comes_later, ends_with_the_watched_process):
    if len(sys.argv) < 3 or sys.argv[2] in one.__name__:
        check(one)
sys.exit(f"{len(failures)} failed: {', '.join(failures)}" if failures else 0)
