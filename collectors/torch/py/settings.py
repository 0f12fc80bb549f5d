# How the training is set: the optimizer and its numbers, told when they change.


def tell_settings(stream, optimizer):
    if stream.told is not None and not _g.measuring(stream.id):
        return
    found = {"optimizer": type(optimizer).__name__}
    for g, group in enumerate(optimizer.param_groups[:8]):
        for name, value in group.items():
            if name not in ("params", "param_names") and (g or name != "lr"):  # that one is each step's own
                _take(found, name if g == 0 else "%s.%d" % (name, g), value)
    told = stream.told or {}
    for name, value in found.items():
        if told.get(name) != value and (_of_first_group(name) or told or _differs(found, name)):
            tell_setting(stream, name, value)
    stream.told = found


def _of_first_group(name):
    return not name.rpartition(".")[2].isdigit()


def _differs(found, name):
    """A further group's number is worth telling where it is not the first group's."""
    first = name.rpartition(".")[0]
    return first == "lr" or found.get(first) != found[name]


def _take(found, name, value):
    if name.startswith("betas") and isinstance(value, (tuple, list)):
        rest = name[5:]
        for i, beta in enumerate(value):
            _take(found, "beta%d%s" % (i + 1, rest), beta)
    elif isinstance(value, (bool, int, float)):
        found[name] = float(value)
    elif isinstance(value, torch.Tensor) and value.numel() == 1 and value.device.type == "cpu":
        found[name] = float(value)
    elif isinstance(value, str):
        found[name] = value


def tell_setting(stream, name, value):
    if isinstance(value, float):
        _g.setting(stream.id, name[:31], value, "")
    else:
        _g.setting(stream.id, name[:31], None, value[:63])
