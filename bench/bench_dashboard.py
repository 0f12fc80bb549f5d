#!/usr/bin/python3
"""What the dashboard costs: time to the first frame, processor, memory, bytes to the terminal. Prints a Markdown table.

Usage: bench_dashboard.py [--build DIR] [--long N] [--seconds S] [--keep FILE]

The stores are made by the fixed generator (a long one takes minutes; --keep FILE makes it once and uses it again). The
dashboard runs in a pseudo-terminal of 80 x 24. First frame: from the start of the process to the first byte after which the
screen holds the verdict, the median of several starts. While written: a generator writes a run at full speed into the store
that is shown; processor by the kernel's own count over S seconds, memory the peak resident set. Run it on an otherwise idle
machine: what else runs there is in the first column of numbers too.
"""
import argparse
import fcntl
import os
import platform
import pty
import select
import signal
import statistics
import struct
import subprocess
import tempfile
import termios
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
LAYERS = 100
HZ = os.sysconf("SC_CLK_TCK")


class Dashboard:
    """In a pseudo-terminal; what it writes is counted."""

    def __init__(self, gnscope, store, view, run=None):
        self.start = time.monotonic()
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            env = dict(os.environ, TERM="xterm-256color", LC_ALL="C.UTF-8", XDG_CONFIG_HOME="/nonexistent")
            args = [gnscope, "top", "--store", store, "--view", view] + ([run] if run else [])
            time.sleep(0.05)  # until the size is set
            os.execve(gnscope, args, env)
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.start += 0.05
        self.bytes = 0
        self.chunks = 0
        self.text = b""

    def read(self, seconds, until=None):
        """Counts what comes in `seconds`, or until a text came. True when it came."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if not select.select([self.fd], [], [], left)[0]:
                continue
            data = os.read(self.fd, 65536)
            self.bytes += len(data)
            self.chunks += 1
            self.text = (self.text + data)[-200000:]
            if until and until in self.text:
                return True
        return False

    def ticks(self):
        with open(f"/proc/{self.pid}/stat") as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return int(fields[11]) + int(fields[12])

    def peak_mb(self):
        with open(f"/proc/{self.pid}/status") as f:
            return next(int(line.split()[1]) for line in f if line.startswith("VmHWM")) / 1024

    def close(self):
        os.kill(self.pid, signal.SIGTERM)
        os.waitpid(self.pid, 0)
        os.close(self.fd)


def first_frame(gnscope, store, view, run, word):
    times = []
    for _ in range(9):
        d = Dashboard(gnscope, store, view, run)
        if not d.read(30, word):
            raise SystemExit(f"bench_dashboard: view {view} of {run} never showed {word!r}: {d.text[-300:]!r}")
        times.append((time.monotonic() - d.start) * 1e3)
        peak = d.peak_mb()
        d.close()
    return statistics.median(times), peak


VIEWS = (("now", b"[1 Now]"), ("tradeoff", b"[2 Tradeoff]"), ("layers", b"[3 Layers]"), ("kernels", b"[4 Kernels]"), ("runs", b"[5 Runs]"),
         ("health", b"[6 Health]"))


def opening(gnscope, store, long_steps):
    print(f"\n| view | first frame, 1,000 steps | first frame, {long_steps:,} steps | ratio | peak memory |\n|---|---|---|---|---|")
    for view, word in VIEWS:
        short, _ = first_frame(gnscope, store, view, "thousand", word)
        long, peak = first_frame(gnscope, store, view, "million", word)
        print(f"| {view} | {short:.1f} ms | {long:.1f} ms | {long / short:.2f} | {peak:.1f} MB |", flush=True)


def writing(gnscope, generate, folder, seconds):
    """A writer that never rests, and a dashboard that looks four times a second."""
    print(f"\n| view, while a run is written at full speed | processor | output in a quarter of a second | peak memory | \"locked\" on the screen |\n|---|---|---|---|---|")
    for view, word in VIEWS:
        store = os.path.join(folder, view + ".db")
        writer = subprocess.Popen([generate, "--store", store, "--steps", "100000000", "--layers", str(LAYERS)], stdout=subprocess.DEVNULL)
        time.sleep(2)
        d = Dashboard(gnscope, store, view)
        d.read(30, word)
        d.read(2)
        before, used, at = d.bytes, d.ticks(), time.monotonic()
        d.text = b""
        d.read(seconds)
        passed = time.monotonic() - at
        share = 100 * (d.ticks() - used) / HZ / passed
        frame = (d.bytes - before) / (passed * 4)
        locked = "yes" if b"locked" in d.text or b"busy" in d.text else "no"
        print(f"| {view} | {share:.1f}% | {frame:,.0f} bytes | {d.peak_mb():.1f} MB | {locked} |", flush=True)
        d.close()
        writer.kill()
        writer.wait()


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--build", default=os.path.join(ROOT, "build"))
    p.add_argument("--long", type=int, default=1000000, help="steps of the long run (default: %(default)s)")
    p.add_argument("--seconds", type=float, default=10, help="of watching a run that is written (default: %(default)s)")
    p.add_argument("--keep", help="the store of the two runs: made when missing, used when there")
    a = p.parse_args()
    gnscope, generate = (os.path.join(a.build, "bin", name) for name in ("gnscope", "gns_generate"))
    with tempfile.TemporaryDirectory() as folder:
        store = a.keep or os.path.join(folder, "runs.db")
        if not os.path.exists(store):
            for name, steps, seed in (("thousand", 1000, 1), ("million", a.long, 2)):
                subprocess.run([generate, "--store", store, "--steps", str(steps), "--layers", str(LAYERS), "--name", name, "--seed", str(seed)],
                               check=True, stdout=subprocess.DEVNULL)
        print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, Linux {platform.release()}; store of "
              f"{os.path.getsize(store) / 1e6:,.0f} MB, {LAYERS} weights")
        opening(gnscope, store, a.long)
        writing(gnscope, generate, folder, a.seconds)


main()
