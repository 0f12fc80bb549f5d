"""A stand-in for the functions in C under the collector's Python half: everything by brute force, in float64, materialised."""
import gc
import os
import types

import torch

HERE = os.path.dirname(os.path.abspath(__file__))
HALF = os.path.join(os.path.dirname(os.path.dirname(HERE)), "collectors", "torch", "py")
FILES = ("stub", "layout", "params", "graph", "layers", "samples", "order", "names", "settings", "ranks", "saved", "amp", "steps", "run", "shifts")


class Taken:
    """What is known of one parameter in one step."""

    def __init__(self):
        self.sum = 0.0      # of |A_i|^2 over the samples
        self.open = None    # per-sample gradients of uses that add up
        self.left = 0
        self.n = 0
        self.q_big = None


class Wrapped:
    def __init__(self, g, original, before, after):
        self.g, self.original, self.before, self.after = g, original, before, after

    def __get__(self, instance, owner=None):
        return self if instance is None else types.MethodType(self, instance)

    def _safe(self, f, *args):
        if f is None:
            return None
        try:
            return f(*args)
        except Exception as e:
            if self.g.loud:
                raise
            self.g.give_up(repr(e))

    def __call__(self, *args, **kwargs):
        token = self._safe(self.before, args, kwargs)
        try:
            result = self.original(*args, **kwargs)
        except BaseException:
            self._safe(self.after, token, None, True)
            raise
        self._safe(self.after, token, result, False)
        return result


class Point(Wrapped):
    """An entry point as collectors/torch/points.c has it, but that Python is called in every step."""

    def __init__(self, g, original, name):
        Wrapped.__init__(self, g, original, None, None)
        self.name = name

    def __call__(self, *args, **kwargs):
        g, name = self.g, self.name
        before, after = g.handled.get(name, (None, None))
        stream = g.bound.get(id(args[name == "scaled_step"])) if len(args) > (name == "scaled_step") else None
        if name == "backward" and (len(args) < 2 or args[1] is None):
            g.passed += 1
        if name == "step" and stream is not None and stream in g.stepping:
            return self.original(*args, **kwargs)
        if name == "scaled_step":
            steps = g.ended.get(stream)
            result = self.original(*args, **kwargs)
            if stream is not None and g.ended.get(stream) == steps:
                self._safe(after, args[1], result, False)
            return result
        token = self._safe(before, args, kwargs)
        if name == "step":
            stream = g.bound.get(id(args[0]))
            g.stepping.add(stream)
        try:
            result = self.original(*args, **kwargs)
        except BaseException:
            g.stepping.discard(stream)
            self._safe(after, token, None, True)
            raise
        g.stepping.discard(stream)
        self._safe(after, token, result, False)
        return result


class Mock:
    def __init__(self, samples=0, every=1, measure=True):
        self.told, self.every, self.on = samples, every, measure
        self.loud, self.layout = True, 0
        self.params, self.names, self.left, self.streams = {}, {}, {}, []
        self.data, self.history, self.events, self.counts, self.settings, self.phases = {}, [], [], {}, {}, []
        self.losses, self.gave_up, self.scales, self.ranks, self.begun = {}, None, {}, None, {}
        self.calls = self.looked = 0
        self.handled, self.bound, self.stepping, self.passed, self.passed_before, self.ended = {}, {}, set(), 0, {}, {}

    # life
    def setup(self, dtypes, tensor, device_of=None, stream_of=None):
        self.dtypes = dict(dtypes)

    def wrap(self, original, before, after):
        return Wrapped(self, original, before, after)

    def hook(self, f):
        return f

    def instances(self, kind):
        return [o for o in gc.get_objects() if issubclass(type(o), kind)]

    def point(self, original, name):
        return Point(self, original, name)

    def handlers(self, name, before, after):
        self.handled[name] = before, after

    def bind(self, address, stream, changed):
        self.bound[address] = stream
        self.ended[stream], self.passed_before[stream] = 0, self.passed

    def unbind(self, address):
        self.bound.pop(address, None)

    def unbind_all(self):
        self.bound.clear()

    def owners_changed(self):
        pass

    def settled(self, address):
        pass

    def pending(self, value):
        pass

    def steps(self, stream):
        return self.ended[stream]

    def passes(self, stream):
        return self.passed - self.passed_before[stream]

    def skip(self, stream):
        self.passed_before[stream] = self.passed
        for number in [k for k in self.data if self.params[k][0] == stream]:
            del self.data[number]
        self.losses.pop(stream, None)

    def state(self):
        return int(self.gave_up is None)

    def generation(self):
        return 1

    def take_over(self):
        pass

    def load(self):
        for name in FILES[1:]:
            execute(name, self.space)

    def give_up(self, reason):
        self.gave_up = reason

    def now(self):
        return 0

    def cost(self, ns):
        pass

    # what there is
    def stream(self, name):
        self.streams.append(name)
        self.begun[len(self.streams) - 1] = 0
        return len(self.streams) - 1

    def param(self, stream, name, shape, code, data_ptr=0):
        assert isinstance(shape, tuple) and isinstance(name, str)
        number = len(self.params) + 1
        self.params[number] = (stream, shape, code)
        self.names[number] = name
        return number

    def rename(self, number, name):
        self.names[number] = name

    def leave_out(self, number, reason):
        assert reason in ("", "tied", "recurrent", "compiled", "sparse", "device", "dtype", "operation", "user_hook", "sharded",
                          "unused", "checkpoint", "samples"), reason
        self.left[number] = reason
        if reason not in ("", "unused"):
            self.data.pop(number, None)

    def measuring(self, stream):
        return self.on and self.gave_up is None and self.begun[stream] % self.every == 0

    def any_measuring(self):
        return any(self.measuring(s) for s in self.begun)

    def phase(self, name):
        self.phases.append(name)

    def threads(self, n):
        pass

    def layout_told(self):
        return self.layout

    def samples_told(self):
        return self.told

    def world(self, rank, world):
        self.ranks = (rank, world)

    # per-sample gradients: (n, numbers)
    def _of(self, number):
        return self.data.setdefault(number, Taken())

    def _add(self, number, each, n):
        """each: per-sample gradients (n, ...)"""
        self.calls += 1
        if self.left.get(number) not in (None, "", "unused"):
            return 0
        assert each.shape[0] == n, (each.shape, n)
        t, each = self._of(number), each.reshape(n, -1)
        if t.open is None:
            t.sum += float(each.pow(2).sum())
            return 0
        assert each.shape[1] == t.open.shape[1], (each.shape, t.open.shape)
        t.open += each
        t.left -= 1
        if t.left == 0:
            self._close(t)
        return 0

    def _close(self, t):
        t.sum += float(t.open.pow(2).sum())
        t.open = None

    def uses(self, number, count, n, dim0, rest, tensor=None):
        t = self._of(number)
        assert dim0 * rest == torch.Size(self.params[number][1]).numel()
        t.open, t.left = torch.zeros(n, dim0 * rest, dtype=torch.float64), count
        return 0

    def backward_done(self):
        for t in self.data.values():
            if t.open is not None:
                self._close(t)

    def shift(self, number, value):
        """Held against what was measured otherwise: the term's share of each sample is part of the truth."""
        self._of(number).sum += value

    def void(self, number):
        self.data.pop(number, None)

    def is_zero(self, t):
        self.looked += 1
        return not bool(t.detach().count_nonzero())

    def grad(self, number, t, world):
        assert t.layout is torch.strided
        self._of(number).q_big = float(t.detach().double().pow(2).sum())

    def used(self, number, n):
        self._of(number).n += n

    def _rows(self, t, n, axis):
        t = t.detach()
        assert t.shape[axis] == n, (t.shape, n, axis)
        t = t.movedim(axis, 0).double()
        return t.reshape(n, -1, t.shape[-1])

    def _with_bias(self, rc, bias, each, n):
        """1: the bias was taken, too; one of several uses is measured on its own."""
        if rc or not bias or self._of(bias).open is not None:
            return rc
        return 1 if self._add(bias, each, n) == 0 else 0

    def linear(self, number, x, y, n, axis, bias=0):
        x, y = self._rows(x, n, axis), self._rows(y, n, axis)
        return self._with_bias(self._add(number, y.transpose(1, 2) @ x, n), bias, y.sum(1), n)

    def conv(self, number, x, y, n, stride, padding, dilation, groups, transposed, kernel, bias=0):
        assert type(transposed) is bool and x.shape[0] % n == 0
        dims = len(kernel)
        f = (torch.nn.functional.conv1d, torch.nn.functional.conv2d, torch.nn.functional.conv3d)[dims - 1]
        ft = (torch.nn.functional.conv_transpose1d, torch.nn.functional.conv_transpose2d, torch.nn.functional.conv_transpose3d)[dims - 1]
        x, y = x.detach().double(), y.detach().double()
        each = []
        with torch.enable_grad():
            for i in range(x.shape[0]):
                shape = (x.shape[1], y.shape[1] // groups) if transposed else (y.shape[1], x.shape[1] // groups)
                w = torch.zeros(shape + tuple(kernel), dtype=torch.float64, requires_grad=True)
                if transposed:
                    whole = [(a - 1) * s - 2 * p + d * (k - 1) + 1
                             for a, s, p, d, k in zip(x.shape[2:], stride, padding, dilation, kernel)]
                    extra = [a - b for a, b in zip(y.shape[2:], whole)]
                    out = ft(x[i:i + 1], w, None, stride, padding, tuple(extra), groups, dilation)
                else:
                    out = f(x[i:i + 1], w, None, stride, padding, dilation, groups)
                each.append(torch.autograd.grad(out, w, y[i:i + 1])[0])
        rc = self._add(number, torch.stack(each).unflatten(0, (n, -1)).sum(1), n)
        return self._with_bias(rc, bias, y.reshape(n, -1, y.shape[1], y[0, 0].numel()).sum((1, 3)), n)

    def embedding(self, number, ids, y, n, axis, padding_idx):
        shape = self.params[number][1]
        ids = ids.movedim(axis, 0).reshape(n, -1)
        y = self._rows(y, n, axis)
        each = torch.zeros((n,) + tuple(shape), dtype=torch.float64)
        for i in range(n):
            keep = ids[i] != padding_idx
            each[i].index_add_(0, ids[i][keep].long(), y[i][keep])
        return self._add(number, each, n)

    def gain(self, number, x, mean, rstd, y, n, kind, groups, bias=0):
        assert not bias or kind == 0
        for t in (x, mean, rstd, y):
            assert t.is_contiguous()
        x, y, mean, rstd = (t.detach().double() for t in (x, y, mean, rstd))
        if kind == 0:
            each = ((x - mean.unsqueeze(2)) * rstd.unsqueeze(2) * y).sum(1)
        elif kind == 1:
            rows = x.reshape(n, groups, -1)
            hat = ((rows - mean.reshape(n, groups, 1)) * rstd.reshape(n, groups, 1)).reshape(n, x.shape[1], -1)
            each = (hat * y.reshape(hat.shape)).sum(2)
        else:
            hat = (x.reshape(n, x.shape[1], -1) - mean.view(1, -1, 1)) * rstd.view(1, -1, 1)
            each = (hat * y.reshape(hat.shape)).sum(2)
        return self._with_bias(self._add(number, each, n), bias, y.sum(1) if bias else None, n)

    def reduce(self, number, g, n, axis, shape, other=None):
        g = g.detach().double()
        if other is not None:
            g = g * other.detach().double()
        g = g.movedim(axis, 0)
        assert g.shape[0] == n
        whole = (n,) + (1,) * (g.dim() - 1 - len(shape)) + tuple(shape)
        return self._add(number, g.sum_to_size(whole), n)

    # steps
    def loss(self, stream, value):
        self.losses[stream] = self.losses.get(stream, 0.0) + value

    def setting(self, stream, name, value, text):
        assert value is None or isinstance(value, float), (name, value)
        assert isinstance(text, str)
        self.settings[stream, name] = text if value is None else value

    def scale(self, stream, s):
        self.scales[stream] = s

    def event(self, stream, name, text):
        assert isinstance(text, str)
        self.events.append((stream, name, text))

    def count(self, name):
        self.counts[name] = self.counts.get(name, 0) + 1

    def step(self, stream, micro_steps, lr):
        got = {}
        scale = self.scales.pop(stream, 1.0)
        for number, t in list(self.data.items()):
            if self.params[number][0] == stream:
                del self.data[number]
                if t.n and t.q_big is not None:
                    got[self.names[number]] = (t.n, t.sum / scale ** 2, t.q_big / scale ** 2)
        self.history.append(dict(stream=stream, micro_steps=micro_steps, lr=lr, got=got, loss=self.losses.pop(stream, None),
                                 measured=self.measuring(stream)))
        self.begun[stream] += 1
        self.ended[stream] = self.ended.get(stream, 0) + 1
        self.passed_before[stream] = self.passed
        return int(self.measuring(stream))


def execute(name, space):
    path = os.path.join(HALF, name + ".py")
    with open(path) as f:
        exec(compile(f.read(), f"<gnscope {name}>", "exec"), space)


KEEP = {"autograd.backward": (torch.autograd, "backward"), "__init__": (torch.optim.Optimizer, "__init__"),
        "replica": (torch.nn.parallel.DistributedDataParallel, "__init__"), "groups": (torch.optim.Optimizer, "add_param_group"), "hooks": (torch.autograd.graph.saved_tensors_hooks, "__init__")}
CLIPS = ("clip_grad_norm_", "clip_grad_value_")
_originals = {k: getattr(o, n) for k, (o, n) in KEEP.items()}
_clips = {n: getattr(torch.nn.utils, n) for n in CLIPS}


def install(mock):
    mock.space = {"_g": mock, "__name__": "gnscope"}
    execute("stub", mock.space)
    return mock


def remove(mock):
    """Gives PyTorch its own functions back, so that tests do not meet each other."""
    import sys
    for k, (o, n) in KEEP.items():
        setattr(o, n, _originals[k])
    for n, f in _clips.items():
        setattr(torch.nn.utils, n, f)
        setattr(sys.modules["torch.nn.utils.clip_grad"], n, f)
    for undo in mock.space.get("undo", ()):
        undo()
    if "forget_first_call" in mock.space:
        mock.space["forget_first_call"]()
    for cls in list(_subclasses(torch.optim.Optimizer)):
        step = cls.__dict__.get("step")
        for cell in getattr(step, "__closure__", None) or ():
            if isinstance(cell.cell_contents, Wrapped):
                cell.cell_contents = cell.cell_contents.original
    mock.gave_up = mock.gave_up or "removed"


def _subclasses(cls):
    for sub in cls.__subclasses__():
        yield sub
        yield from _subclasses(sub)
