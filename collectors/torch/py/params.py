# What is known of the trainer's optimizers and of their parameters. Nothing here keeps a tensor or an optimizer alive. A parameter is
# known by its id, which is its own for as long as its optimizer lives and holds it; a weak reference to a tensor would make
# PyTorch 1.13 complain in the trainer's output.


class Param:
    __slots__ = ("id", "key", "stream", "shape", "code", "name", "left", "step", "n", "ranks", "spoiled", "retained", "hint",
                 "reached", "recurrent", "time_major", "fails", "leftover", "version", "zeroed")

    def __init__(self, tensor, stream, name):
        self.key = id(tensor)
        self.stream = stream
        self.shape = tuple(tensor.shape)
        self.code = era["codes"].get(tensor.dtype, 0)
        self.name = name
        self.id = 0           # until its stream has a number
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
        self.zeroed = None    # version and address of its gradient when zero_grad() had made it zero
        self.version = None   # of its gradient on a device, when the last pass of this step had ended

    def enter(self, tensor):
        """Its stream has a number, and it is that stream's. One that wants no gradient waits until it has one."""
        if not self.id and tensor.requires_grad:
            self.id = _g.param(self.stream.id, self.name, self.shape, self.code, tensor.data_ptr() if self.code else 0)
            self.leave(unfit(tensor, self.code) or "unused")
            era["named"] = 0
        if self.id < 0 or not self.id and tensor.requires_grad:
            del known[self.key]
        return self.id > 0

    def leave(self, reason):
        if reason != self.left and self.id > 0:
            self.left = reason
            _g.leave_out(self.id, reason)


class Stream:
    """The steps of one optimizer. It has a number once a gradient may be for it: an optimizer that is made and never used has none."""

    __slots__ = ("id", "ref", "step", "params", "micro_steps", "closure", "told", "loss_scale",
                 "groups", "max_norm", "owners")

    def __init__(self, optimizer):
        self.id = None
        self.owners = 0        # as of `era`, when it last had all its parameters
        self.ref = weakref.ref(optimizer, functools.partial(_optimizer_died, id(optimizer)))
        self.step = 0          # the last one of which a pass was measured, as _g.steps() counts them
        self.params = {}       # id of a tensor -> Param
        self.micro_steps = 0   # of the step so far, that reached a parameter of it: known of measured steps alone
        self.closure = False   # step() runs, and was called with one
        self.told = None       # the settings as last told
        self.loss_scale = None
        self.max_norm = None
        self.groups = -1       # parameters in its groups when they were last looked through


known = {}    # id of a tensor -> Param of the optimizer that has it: of several, the one that was made or that stepped last
streams = {}  # id of an optimizer -> Stream, those with a number
waiting = {}  # the others
era = {"generation": None, "codes": {}, "named": 0, "owners": 0}
undo = []     # puts PyTorch's own functions back; for tests


def _optimizer_died(key, ref):
    for table in (streams, waiting):
        s = table.get(key)
        if s is not None and s.ref is ref:
            del table[key]
            _g.unbind(key)
            _owners_changed()  # whoever else has its parameters takes them at its next step
            for k, p in s.params.items():
                if known.get(k) is p:
                    del known[k]


def _owners_changed():
    era["owners"] += 1
    _g.owners_changed()


def param_of(tensor):
    return known.get(id(tensor))


def stream_of(optimizer):
    s = streams.get(id(optimizer)) or waiting.get(id(optimizer))
    return s if s is not None and s.ref() is optimizer else None


def forget_all():
    known.clear()
    streams.clear()
    waiting.clear()
    running.clear()
    _g.unbind_all()
    era["generation"] = None


def _begin():
    codes = [(torch.float32, 1), (torch.float64, 2), (torch.float16, 3), (torch.bfloat16, 4), (torch.int64, 5), (torch.int32, 6)]
    era["codes"] = dict(codes[:4])
    stream_of = getattr(torch._C, "_cuda_getCurrentRawStream", None)
    if stream_of is None:
        _g.setup(tuple(codes), torch.Tensor)
    else:
        _g.setup(tuple(codes), torch.Tensor, device_of, stream_of)
    _g.take_over()


def adopt(optimizer):
    """Takes an optimizer in, or what a later add_param_group brought."""
    if era["generation"] != _g.generation():
        forget_all()
        era["generation"] = _g.generation()
        _begin()
    stream = stream_of(optimizer)
    if stream is None:
        stream = waiting[id(optimizer)] = Stream(optimizer)
        watch_step(type(optimizer))
        open_points()
        _g.pending(True)
    own(stream, optimizer)
    return stream


def own(stream, optimizer):
    """Its parameters are this optimizer's from now on."""
    stream.groups = 0
    for g, group in enumerate(optimizer.param_groups):
        names = group.get("param_names")
        stream.groups += len(group["params"])
        for i, tensor in enumerate(group["params"]):
            if isinstance(tensor, torch.nn.parameter.UninitializedTensorMixin):
                stream.groups -= 1  # of a lazy module: looked at again at the next step
            elif isinstance(tensor, torch.Tensor):
                _own_param(stream, tensor, str(names[i]) if names and i < len(names) else "group%d.%d" % (g, i))
    stream.owners = era["owners"]
    _g.settled(id(optimizer))
    expect_first_call()


def _own_param(stream, tensor, name):
    p, before = stream.params.get(id(tensor)), known.get(id(tensor))
    if p is None:
        p = stream.params[id(tensor)] = Param(tensor, stream, name)
    if before is p:
        return
    if before is not None:
        _owners_changed()
    known[id(tensor)] = p
    if stream.id is not None:
        p.enter(tensor)


def number_streams():
    """A gradient is about to come: the optimizers that wait for one become streams, in the order in which they were made."""
    for key, stream in list(waiting.items()):
        if any(known.get(k) is p for k, p in stream.params.items()):
            number_stream(key, stream)
    _g.pending(False)  # one that has no parameter is numbered when it steps


def number_stream(key, stream):
    optimizer = stream.ref()
    number = -1 if optimizer is None else _g.stream(type(optimizer).__name__)
    del waiting[key]
    stream.id = number
    streams[key] = stream
    _g.bind(key, number, stream.owners != era["owners"])
    if number < 0:
        return
    if number == 0:
        _g.event(0, "torch", "PyTorch " + str(torch.__version__))
    for group in optimizer.param_groups:
        for tensor in group["params"]:
            p = stream.params.get(id(tensor))
            if p is not None and known.get(p.key) is p:
                p.enter(tensor)


def device_of(tensor):
    """The number of the CUDA device that a tensor is on, -1 for any other place. Nothing in these files may ask such a tensor for its values:
    that would wait for the device."""
    return tensor.get_device() if tensor.is_cuda else -1


def unfit(tensor, code):
    """Why a parameter cannot be measured whatever it is used for, or ""."""
    if device_of(tensor) < 0:
        if not tensor.is_cpu:
            return "device"
    elif not _g.device_ready():
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
