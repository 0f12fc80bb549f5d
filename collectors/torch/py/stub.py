# Waits for the end of `import torch`, then stands at the doors through which every trainer goes.
# Runs in a namespace of its own that holds `_g` (the functions in C) and nothing of the trainer's.
import sys


def _once_imported(spec, act):
    """Calls act() when importlib sets spec._initializing to False, its last word on an import."""
    plain = type(spec)

    class Waiting(plain):
        @property
        def _initializing(self):
            return self.__dict__.get("_initializing", False)

        @_initializing.setter
        def _initializing(self, value):
            self.__dict__["_initializing"] = value
            if not value:
                self.__class__ = plain
                act()

    spec.__class__ = Waiting


def _ignore(*_):
    pass


loading = []  # the rest: begun, done
# Saved tensors go through hooks of the training program's, as in a checkpoint; told: a node says whether its own do.
packing = {"seen": False, "told": False}


def _first(args, kwargs):
    return args[0] if args else None


def _optimizer_made(optimizer, result, failed):
    """The first optimizer brings in the rest of this half; every one is taken in."""
    if failed or optimizer is None or not _g.state():
        return
    if not loading:
        loading.append(True)
        _g.load()
        loading.append(True)
    for _ in range(1000):  # another thread may be at it; in a child it never comes to its end
        if len(loading) == 2 or not _g.state():
            break
        time.sleep(0.001)
    if len(loading) == 2 and _g.state():
        adopt(optimizer)


replicas = []  # weak references to DistributedDataParallel modules


def _replica_made(module, result, failed):
    if not failed and module is not None:
        replicas[:] = [ref for ref in replicas if ref() is not None] + [weakref.ref(module)]
        if len(loading) == 2:
            era["named"] = 0


def _hooks_made(hooks, result, failed):
    if failed or hooks is None:
        return
    packing["seen"] = True
    hooks.unpack_hook = _g.point(hooks.unpack_hook, "unpack")


def _unpacked(token, tensor, failed):
    """What the engine itself gets of a packed tensor; nobody may ask for it twice."""
    packing["seen"] = True
    found = getattr(progress, "unpacked", None)
    if found is not None and not failed:
        found.append(tensor)


def _stand_before(owner, name, point):
    wrapped = _g.point(getattr(owner, name), point)
    wrapped._torchdynamo_disable = True
    setattr(owner, name, wrapped)
    return wrapped


def _ready():
    global torch, weakref, threading, time, types, functools, progress
    import weakref, threading, time, types, functools
    torch = sys.modules.get("torch")
    progress = threading.local()  # .run: the innermost backward of this thread; .unpacked: for the node at work
    _g.handlers("made", _first, _optimizer_made)
    _g.handlers("unpack", None, _unpacked)
    _g.handlers("replica", _first, _replica_made)
    try:
        packing["told"] = hasattr(getattr(torch._C._autograd, "SavedTensor", None), "unpack_hook")
        packing_point = "packing" if packing["told"] else "packing_unseen"
        _g.handlers(packing_point, _first, _hooks_made)
        _stand_before(torch.optim.Optimizer, "__init__", "made")
        _stand_before(torch.optim.Optimizer, "add_param_group", "groups")
        _stand_before(torch.autograd, "backward", "backward")
        _stand_before(torch.autograd.graph.saved_tensors_hooks, "__init__", packing_point)
        _stand_before(torch.nn.parallel.DistributedDataParallel, "__init__", "replica")
        utils, clip = torch.nn.utils, sys.modules["torch.nn.utils.clip_grad"]
        clip.clip_grad_norm_ = _stand_before(utils, "clip_grad_norm_", "clip_norm")
        clip.clip_grad_value_ = _stand_before(utils, "clip_grad_value_", "clip_value")
    except (AttributeError, KeyError):
        pass  # an import that failed half way, or a PyTorch without these


_spec = getattr(sys.modules.get("torch"), "__spec__", None)
if _spec is not None:
    if getattr(_spec, "_initializing", False):
        _once_imported(_spec, _ready)
    else:
        _ready()
