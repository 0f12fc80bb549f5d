# The entry points' handlers: what is done at backward() and step() of measured steps, and of others where something is new
# (collectors/torch/points.h).


def open_points():
    _g.handlers("backward", before_backward, after_backward)
    _g.handlers("step", before_step, after_step)
    _g.handlers("clip_norm", both, after_clip)
    _g.handlers("clip_value", both, after_clip_value)
    _g.handlers("forked", None, lambda token, result, failed: forget_all())
    watch_zeroing()
    watch_scaler()
    watch_graphs()


def both(args, kwargs):
    return (args, kwargs)


PLAIN = ()  # a backward pass that nothing is measured of


def before_backward(args, kwargs):
    number_streams()
    if not _g.any_measuring():
        return _plain_backward(args)
    tensors = args[0] if args else kwargs.get("tensors")
    if isinstance(tensors, torch.Tensor):
        tensors = (tensors,)
    elif not isinstance(tensors, (tuple, list)):
        return PLAIN
    return _begin_run(tensors, args, kwargs)


def _plain_backward(args):
    """Only its loss is wanted. A pass that is given gradients is a checkpoint's, inside another, or of no loss."""
    loss = args[0] if args and (len(args) < 2 or args[1] is None) else None
    if isinstance(loss, torch.Tensor):
        loss = (loss,)
    return _loss_of(loss) or PLAIN if isinstance(loss, (tuple, list)) else PLAIN


running = []  # the outermost runs, of all threads


def _outer():
    """The run that this one is inside of. That of a reentrant checkpoint on a device is in a thread of the engine's own."""
    run = getattr(progress, "run", None)
    if run is not None or len(running) != 1:
        return run
    task = getattr(torch._C, "_current_graph_task_id", None)
    return running[0] if task is not None and task() >= 0 else None


def _begin_run(tensors, args, kwargs):
    create = kwargs.get("create_graph", args[3] if len(args) > 3 else False)
    outer = _outer()
    run = Run(outer)
    run.before, progress.run = getattr(progress, "run", None), run
    if outer is None:
        _g.phase("backward")
    retain = kwargs.get("retain_graph", args[2] if len(args) > 2 else None)
    run.retain = bool(create if retain is None else retain)
    if kwargs.get("inputs", args[5] if len(args) > 5 else None) is not None:
        run.skipped = True
    for stream in streams.values():
        stream.step = _g.steps(stream.id)
    forget_first_call()
    if outer is None:
        _g.threads(torch.get_num_threads())
    run.begin([t.grad_fn for t in tensors if isinstance(t, torch.Tensor) and t.grad_fn is not None])
    if outer is None:
        run.loss = _loss_of(tensors)
        if run.loss is None and run.streams and all(isinstance(t, torch.Tensor) and t.numel() == 1 and device_of(t) >= 0 for t in tensors):
            run.loss_there = tuple(tensors)
        running.append(run)
    return run


def after_backward(run, result, failed):
    if run is PLAIN or run is None:
        return
    if type(run) is not Run:
        if not failed and len(streams) == 1:  # of several, which one it is for is known of measured passes alone
            for stream in streams.values():
                _tell_loss(stream, run)
        return
    progress.run = run.before
    if run.outer is None:
        running[:] = [other for other in running if other is not run]
        _g.backward_done()
    run.end(failed)
    if run.outer is not None:
        return
    for stream in run.streams:
        stream.micro_steps += 1
        _tell_loss(stream, run.loss)
        _tell_loss_there(stream, run.loss_there)
    run.loss_there = ()
    _g.phase("forward")
    expect_first_call()


def _loss_of(tensors):
    """(the sum of the roots as the trainer means it, the factor by which they are scaled), None where it is not on this processor."""
    value = 0.0
    for t in tensors:
        if not isinstance(t, torch.Tensor) or t.numel() != 1 or not t.is_cpu or device_of(t) >= 0:
            return None
        value += t.item()
    scale = scale_of(tensors)
    return value / scale, scale


def _tell_loss(stream, loss):
    if loss is None:
        return
    value, scale = loss
    _g.loss(stream.id, value)
    if scale != 1.0 or stream.loss_scale is not None:
        tell_scale(stream, scale)


def _tell_loss_there(stream, tensors):
    """Of a measured step: the device tells it, and the scale, when it gets there."""
    for t in tensors:
        at_device(t, _g.loss_there, stream.id)
    scale = scale_there(tensors)
    if scale is not None:
        at_device(scale, _g.scale_there, stream.id)


def watch_zeroing():
    if "zeroing" in era:
        return
    era["zeroing"] = True
    _g.handlers("zeroed", _first, _after_zero_grad)
    for owner in (torch.optim.Optimizer, torch.nn.Module):
        undo.append(functools.partial(setattr, owner, "zero_grad", owner.zero_grad))
        _stand_before(owner, "zero_grad", "zeroed")


def _after_zero_grad(owner, result, failed):
    """Notes of each gradient that it is zero for as long as nothing writes to it: to look takes as long as reading all of it."""
    if failed or owner is None:
        return
    groups = getattr(owner, "param_groups", None)
    for tensor in owner.parameters() if groups is None else (t for group in groups for t in group["params"]):
        p, grad = known.get(id(tensor)), tensor.grad
        if p is not None:
            plain = grad is not None and grad.layout is torch.strided
            p.zeroed = (version_of(grad), grad.data_ptr()) if plain else None


def watch_graphs():
    """What is measured as a graph is captured is measured as it is replayed, and nothing else is: there must be something."""
    graph = getattr(torch.cuda, "CUDAGraph", None)
    if graph is None or "graph" in era or not hasattr(graph, "capture_begin"):
        return
    original = era["graph"] = graph.capture_begin
    _g.handlers("capture", _before_capture, None)
    _stand_before(graph, "capture_begin", "capture")
    undo.append(functools.partial(setattr, graph, "capture_begin", original))


def _before_capture(args, kwargs):
    for stream in streams.values():
        if not _g.passes(stream.id) and not stream.micro_steps:
            _g.measure_now(stream.id)
    expect_first_call()


watched = []  # the functions that stand in for an optimizer's own; kept, so that their ids stay theirs


def watch_step(cls):
    """PyTorch wraps step() itself, in a function that keeps the optimizer's own in a cell: ours goes into that cell."""
    step = cls.__dict__.get("step") or cls.step
    names, cells = getattr(getattr(step, "__code__", None), "co_freevars", ()), getattr(step, "__closure__", None) or ()
    for name, cell in zip(names, cells):
        if name == "func" and getattr(step, "hooked", False):
            if not any(cell.cell_contents is w for w in watched):
                cell.cell_contents = _g.point(cell.cell_contents, "step")
                cell.cell_contents._torchdynamo_disable = True
                watched.append(cell.cell_contents)
            return
    if any(getattr(step, "__wrapped__", None) is w for w in watched):
        return
    inner = _g.point(step, "step")
    watched.append(inner)

    @functools.wraps(step)
    def outer(*args, **kwargs):
        return inner(*args, **kwargs)

    outer.__wrapped__ = inner
    cls.step = outer


def before_step(args, kwargs):
    """Of the outermost step() of an optimizer alone."""
    optimizer = args[0] if args else None
    stream = streams.get(id(optimizer))
    if stream is None or stream.owners != era["owners"] or sum(len(g["params"]) for g in optimizer.param_groups) != stream.groups:
        stream = adopt(optimizer)
    if stream.id is None:
        number_stream(id(optimizer), stream)
    if stream.id < 0:
        return None
    stream.closure = (args[1] if len(args) > 1 else kwargs.get("closure")) is not None
    if not stream.closure:
        close_step(stream, optimizer)
    return stream


def after_step(stream, result, failed):
    """stream None: its step was closed without Python."""
    if stream is not None and stream.closure:
        stream.closure = False
        optimizer = stream.ref()
        if optimizer is not None and not failed:
            close_step(stream, optimizer)
    if _g.any_measuring():
        _g.phase("forward")
        expect_first_call()
    else:
        forget_first_call()


def close_step(stream, optimizer):
    measured = _g.measuring(stream.id)
    micro = stream.micro_steps if measured or len(streams) > 1 else _g.passes(stream.id)
    groups = optimizer.param_groups
    tell_settings(stream, optimizer)
    if measured and any(p.leftover and p.step == _g.steps(stream.id) for p in stream.params.values()):
        _g.count("gradient_not_zeroed")
    stream.micro_steps = 0
    if _g.step(stream.id, micro, _number(groups[0].get("lr")) if groups else None) < 0:  # a forked child that trains
        forget_all()


def _number(value):
    if value is None:
        return None
    if isinstance(value, torch.Tensor):
        return float(value) if value.numel() == 1 and value.device.type == "cpu" else float("nan")
    return float(value)
