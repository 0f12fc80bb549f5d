# Waits for the end of `import torch`, then stands at the three doors through which every trainer goes.
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


class Method:
    """A builtin does not bind to an instance by itself; this does, and puts no frame of ours under the trainer's."""

    def __init__(self, wrapped, original):
        self.wrapped = wrapped
        self.__wrapped__ = original
        for name in ("__name__", "__qualname__", "__doc__"):
            setattr(self, name, getattr(original, name, ""))

    def __get__(self, instance, owner=None):
        return self.wrapped if instance is None else types.MethodType(self.wrapped, instance)

    def __call__(self, *args, **kwargs):
        return self.wrapped(*args, **kwargs)


def _ignore(*_):
    pass


def _optimizer_made(token, result, failed):
    """The first optimizer brings in the rest of this half; every one is taken in."""
    if failed or token is None or not _g.state():
        return
    if "adopt" not in globals():
        _g.load()
    adopt(token)


def _ready():
    global torch, gc, weakref, threading, types, functools
    import gc, weakref, threading, types, functools
    torch = sys.modules.get("torch")
    try:
        made = torch.optim.Optimizer.__init__
        wrapped = _g.wrap(made, lambda args, kwargs: args[0] if args else None, _optimizer_made)
        torch.optim.Optimizer.__init__ = wrapped if hasattr(wrapped, "__get__") else Method(wrapped, made)
        torch.autograd.backward = _g.wrap(torch.autograd.backward, _before_backward, _after_backward)
        for name, after in (("clip_grad_norm_", _after_clip), ("clip_grad_value_", _after_clip_value)):
            clip = _g.wrap(getattr(torch.nn.utils, name), _before_clip, after)
            setattr(torch.nn.utils, name, clip)
            setattr(sys.modules["torch.nn.utils.clip_grad"], name, clip)
    except AttributeError:
        pass  # an import that failed half way, or a PyTorch without these


# Before there is an optimizer these do nothing; the rest of this half puts its own in their places.
doors = {"before_backward": _ignore, "after_backward": _ignore, "after_clip": _ignore, "after_clip_value": _ignore}


def _before_backward(args, kwargs):
    return doors["before_backward"](args, kwargs)


def _after_backward(token, result, failed):
    doors["after_backward"](token, result, failed)


def _before_clip(args, kwargs):
    return (args, kwargs)


def _after_clip(token, result, failed):
    doors["after_clip"](token, result, failed)


def _after_clip_value(token, result, failed):
    doors["after_clip_value"](token, result, failed)


_spec = getattr(sys.modules.get("torch"), "__spec__", None)
if _spec is not None:
    if getattr(_spec, "_initializing", False):
        _once_imported(_spec, _ready)
    else:
        _ready()
