# The operands that an operation has saved. Mostly the node has them; where the trainer's hooks have packed them away
# (checkpoints, save_on_cpu) they may be unpacked once, and that is the engine's: then what it got is looked through.


class Unread(Exception):
    """An operand that could not be told from others."""


def packed(node, name):
    """Whether asking the node for it would unpack it."""
    if not packing["seen"]:
        return False
    raw = getattr(node, "_raw_saved_" + name, None)
    if raw is None:
        return False
    return raw.unpack_hook is not None if hasattr(raw, "unpack_hook") else True


def peek(node, name):
    """Before the backward pass: the operand, or None where it is packed away."""
    return None if packed(node, name) else getattr(node, "_saved_" + name)


def start_unpacking(outputs):
    progress.unpacked = []


def done_unpacking():
    found = getattr(progress, "unpacked", None)
    progress.unpacked = None
    return found or ()


def pick(found, param, fits, nth):
    """Among what was unpacked: the one that fits, not being the parameter; or, of several like it, the nth."""
    fitting = [t for t in found if isinstance(t, torch.Tensor) and fits(t)]
    if nth is None and len(fitting) > 1:
        fitting = [t for t in fitting if t.data_ptr() != param.data_ptr()]
    if not fitting or nth is None and len(fitting) > 1 or nth is not None and len(fitting) < -nth:
        raise Unread
    return fitting[-1 if nth is None else nth]
