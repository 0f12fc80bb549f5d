# Several processes that train one model.


def look_at_replica(module):
    if not any(ref() is module for ref in replicas):
        replicas.append(weakref.ref(module))
    world = int(torch.distributed.get_world_size(module.process_group))
    _g.world(int(torch.distributed.get_rank(module.process_group)), world)
    for tensor in module.parameters():
        p = param_of(tensor)
        if p is not None:
            p.ranks = world


def world_of(p):
    """Ranks over which the gradient is averaged already: not under no_sync()."""
    if p.ranks == 1:
        return 1
    for ref in replicas:
        module = ref()
        if module is not None and not module.require_backward_grad_sync:
            return 1
    return p.ranks
