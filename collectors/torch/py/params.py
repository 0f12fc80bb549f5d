# What is known of the trainer's optimizers and of their parameters. Nothing here keeps a tensor or an optimizer alive.


class Param:
    __slots__ = ("id", "ref", "key", "stream", "shape", "code", "name", "left", "step", "n", "ranks", "spoiled", "retained", "hint",
                 "reached", "recurrent", "time_major", "fails", "leftover")

    def __init__(self, tensor, stream, name, code):
        self.ref = weakref.ref(tensor, functools.partial(_param_died, id(tensor)))
        self.key = id(tensor)
        self.stream = stream
        self.shape = tuple(tensor.shape)
        self.code = code
        self.name = name
        self.left = ""        # why it is left out, as last told
        self.step = -1        # the stream's step in which it was last reached by a measured backward
        self.n = 0            # samples of that step so far
        self.spoiled = False  # in that step something happened that cannot be measured
        self.leftover = False # that is: a gradient of an earlier step was still there
        self.retained = False # in that step a graph was kept that may be used again
        self.ranks = 1        # that average its gradient
        self.recurrent = 0       # 1: of a recurrent layer; 2: what its state is multiplied by
        self.time_major = False  # of a model that has layers whose operands are (time, samples, ...)
        self.hint = None      # the samples' dimension inside the module it belongs to, where the module says so
        self.fails = 0        # times in a row that its operands could not be read as they should
        self.reached = False  # it had a gradient at least once
        self.id = _g.param(stream.id, name, self.shape, code, tensor.data_ptr() if code else 0)

    def leave(self, reason):
        if reason != self.left:
            self.left = reason
            _g.leave_out(self.id, reason)


class Stream:
    """The steps of one optimizer."""

    __slots__ = ("id", "ref", "step", "params", "backwards", "micro_steps", "depth", "closure", "told", "loss_scale",
                 "groups", "max_norm")

    def __init__(self, optimizer, number):
        self.id = number
        self.ref = weakref.ref(optimizer, functools.partial(_optimizer_died, id(optimizer)))
        self.step = 0
        self.params = []
        self.backwards = 0     # of the step so far, as every step counts them
        self.micro_steps = 0   # of the step so far, that reached a parameter of it: known of measured steps alone
        self.depth = 0         # of step() inside step()
        self.closure = False   # step() was called with one
        self.told = None       # the settings as last told
        self.loss_scale = None
        self.max_norm = None
        self.groups = -1       # parameters in its groups when they were last looked through


known = {}    # id of a tensor -> Param
streams = {}  # id of an optimizer -> Stream
era = {"generation": None, "codes": {}, "named": 0}
undo = []     # puts PyTorch's own functions back; for tests


def _param_died(key, ref):
    p = known.get(key)
    if p is not None and p.ref is ref:
        del known[key]


def _optimizer_died(key, ref):
    s = streams.get(key)
    if s is not None and s.ref is ref:
        del streams[key]


def param_of(tensor):
    p = known.get(id(tensor))
    return p if p is not None and p.ref() is tensor else None


def stream_of(optimizer):
    s = streams.get(id(optimizer))
    return s if s is not None and s.ref() is optimizer else None


def forget_all():
    known.clear()
    streams.clear()
    era["generation"] = None


def _begin():
    codes = [(torch.float32, 1), (torch.float64, 2), (torch.float16, 3), (torch.bfloat16, 4), (torch.int64, 5), (torch.int32, 6)]
    era["codes"] = dict(codes[:4])
    _g.setup(tuple(codes))
    _g.take_over()


def adopt(optimizer):
    """Registers an optimizer, or what a later add_param_group brought."""
    if era["generation"] != _g.generation():
        forget_all()
        era["generation"] = _g.generation()
        _begin()
    stream = stream_of(optimizer)
    if stream is None:
        number = _g.stream(type(optimizer).__name__)
        if number < 0:
            return None
        stream = streams[id(optimizer)] = Stream(optimizer, number)
        watch_step(type(optimizer))
        if number == 0:
            _g.event(0, "torch", "PyTorch " + str(torch.__version__))
    _adopt_groups(stream, optimizer)
    open_doors()
    expect_first_call()
    return stream


def _adopt_groups(stream, optimizer):
    stream.groups = 0
    for g, group in enumerate(optimizer.param_groups):
        names = group.get("param_names")
        stream.groups += len(group["params"])
        for i, tensor in enumerate(group["params"]):
            if isinstance(tensor, torch.nn.parameter.UninitializedTensorMixin):
                stream.groups -= 1  # of a lazy module: looked at again at the next step
            elif param_of(tensor) is None and isinstance(tensor, torch.Tensor):
                name = names[i] if names and i < len(names) else "group%d.%d" % (g, i)
                _adopt_param(stream, tensor, str(name))


def _adopt_param(stream, tensor, name):
    code = era["codes"].get(tensor.dtype, 0)
    p = Param(tensor, stream, name, code)
    if p.id <= 0:
        return
    known[id(tensor)] = p
    stream.params.append(p)
    p.leave(unfit(tensor, code) or "unused")
    era["named"] = 0


def unfit(tensor, code):
    """Why a parameter cannot be measured whatever it is used for, or ""."""
    if tensor.device.type != "cpu":
        return "device"
    if not code:
        return "dtype"
    if type(tensor) not in (torch.nn.Parameter, torch.Tensor):
        name = type(tensor).__name__
        if name in ("FlatParameter", "DTensor"):
            return "sharded"
    if tensor.layout is not torch.strided:
        return "sparse"
    if tensor._backward_hooks or getattr(tensor, "_post_accumulate_grad_hooks", None):
        return "user_hook"
    return ""
