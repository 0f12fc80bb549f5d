# What the parameters are called in the trainer's modules, and what kind of module they are in.
WRAPPERS = {"DistributedDataParallel": "module", "DataParallel": "module", "OptimizedModule": "_orig_mod",
            "FullyShardedDataParallel": "_fsdp_wrapped_module", "CheckpointWrapper": "_checkpoint_wrapped_module"}


def named(run):
    """Once for every set of parameters, and after a model was made a replica."""
    if era["named"]:
        return
    era["named"] = 1
    try:
        for ref in list(replicas):
            if ref() is not None:
                look_at_replica(ref())
        _find_names()
    except Exception:
        pass  # then they go by their places in the optimizer


def _find_names():
    """By the module that the training program has called, where all parameters are under it: to look through all objects there are takes
    tens of milliseconds."""
    called = first_call["module"] and first_call["module"]()
    best = {}  # Param -> (parameters under its root, the root's type, name)
    if called is not None:
        _name_under(called, best)
    if any(p not in best for p in known.values()):
        best = _names_of_all()
    for p, name in _unlike(best).items():
        if name != p.name:
            p.name = name
            _g.rename(p.id, name)


def _names_of_all():
    modules = [m for m in _g.instances(torch.nn.Module) if "_parameters" in m.__dict__]
    children = {id(child) for m in modules for child in m._modules.values() if child is not None}
    best = {}
    for root in modules:
        if id(root) not in children:
            _name_under(root, best)
    return best


def _unlike(best):
    """Names that two models have are told apart by the models' types."""
    types, names = {}, {}
    for p, (_, kind, name) in best.items():
        types.setdefault(name, []).append(kind)
    twice = {kind for kinds in types.values() if len(kinds) > 1 for kind in kinds}
    for p, (_, kind, name) in best.items():
        names[p] = kind + "." + name if kind in twice else name
    return names


def _name_under(root, best):
    time_major, found, seen = False, [], set()
    todo = [(root, "", None)]  # last in, first out: a tied parameter goes by its first name
    while todo:
        module, path, hint = todo.pop()
        if id(module) in seen or "_parameters" not in module.__dict__:
            continue
        seen.add(id(module))
        hint = _look_at(module, hint)
        if isinstance(module, (torch.nn.RNNBase, torch.nn.MultiheadAttention)):
            time_major = time_major or not module.batch_first
        for name, tensor in module._parameters.items():
            p = None if tensor is None else param_of(tensor)
            if p is not None:
                found.append((p, path + name))
                p.hint = hint
                p.recurrent = 0 if not isinstance(module, torch.nn.RNNBase) else 2 if name.startswith("weight_hh") else 1
        hidden = WRAPPERS.get(type(module).__name__)
        for name, child in reversed(list(module._modules.items())):
            if child is not None:
                todo.append((child, path if name == hidden else path + name + ".", hint))
    for p, name in found:
        p.time_major = p.time_major or time_major
        if p not in best or best[p][0] < len(found):
            best[p] = len(found), type(root).__name__, name


def _look_at(module, hint):
    """Notes what a module says of the order of its operands' dimensions; the samples' dimension in its parameters' products."""
    kind = type(module).__name__
    if kind == "DistributedDataParallel":
        look_at_replica(module)
    if isinstance(module, (torch.nn.RNNBase, torch.nn.MultiheadAttention)):
        return 1
    if isinstance(module, (torch.nn.TransformerEncoderLayer, torch.nn.TransformerDecoderLayer)):
        return 0 if getattr(module.self_attn, "batch_first", False) else 1
    return hint
