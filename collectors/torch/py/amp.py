# What changes a gradient between backward() and step(): a loss scale, and clipping.


def after_clip(token, total, failed):
    """Clipping is after what is measured; it is worth a word, since it changes what a step does with its gradient."""
    (args, kwargs), limit = token, None
    limit = kwargs.get("max_norm", args[1] if len(args) > 1 else None)
    stream = _stream_of_params(args[0] if args else kwargs.get("parameters"))
    if failed or stream is None or not _number_here(limit) or not isinstance(total, torch.Tensor):
        return
    limit = float(limit)
    if stream.max_norm != limit:
        stream.max_norm = limit
        _g.setting(stream.id, "max_norm", limit, "")
    if device_of(total) >= 0:
        _g.event(stream.id, "clipping", "max_norm %g; how often is known on the device alone" % limit)
    elif total.is_cpu and float(total) > limit:
        _g.count("clipped_steps")
        _g.event(stream.id, "clipping", "max_norm %g" % limit)


def after_clip_value(token, result, failed):
    args, kwargs = token
    stream = _stream_of_params(args[0] if args else kwargs.get("parameters"))
    limit = kwargs.get("clip_value", args[1] if len(args) > 1 else None)
    if not failed and stream is not None and _number_here(limit):
        _g.event(stream.id, "clipping", "clip_value %g" % float(limit))


def _number_here(value):
    return value is not None and not (isinstance(value, torch.Tensor) and device_of(value) >= 0)


def _stream_of_params(parameters):
    """Of a generator nothing is left to look at: then it is the only stream's."""
    if isinstance(parameters, torch.Tensor):
        parameters = (parameters,)
    if isinstance(parameters, (list, tuple)):
        for tensor in parameters:
            p = param_of(tensor)
            if p is not None:
                return p.stream
        return None
    return next(iter(streams.values())) if len(streams) == 1 else None


scaled = {"ref": None, "scale": 1.0, "there": None}  # the loss as GradScaler last scaled it, and the scaler where only a device knows by what


def watch_scaler():
    cls = getattr(torch.amp, "GradScaler", None) if hasattr(torch, "amp") else None
    cls = cls or getattr(torch.cuda.amp, "GradScaler", None)
    if cls is None or era.get("scaler") is cls:
        return
    era["scaler"] = cls
    _g.handlers("scale", _before_scale, _after_scale)
    _g.handlers("scaled_step", None, _after_skipped_step)
    for name, point in (("scale", "scale"), ("step", "scaled_step")):
        original = cls.__dict__.get(name)
        if original is not None:
            _stand_before(cls, name, point)
            undo.append(functools.partial(setattr, cls, name, original))


def _before_scale(args, kwargs):
    return args[0]


def _after_scale(scaler, result, failed):
    if scaler is None or failed or not isinstance(result, torch.Tensor) or not scaler.is_enabled():
        return
    scale = getattr(scaler, "_scale", None)
    if isinstance(scale, torch.Tensor) and device_of(scale) >= 0:
        scaled["ref"], scaled["scale"], scaled["there"] = weakref.ref(result), 1.0, weakref.ref(scaler)
    elif result.is_cpu:
        scaled["ref"], scaled["scale"], scaled["there"] = weakref.ref(result), float(scaler.get_scale()), None


def scale_of(tensors):
    ref = scaled["ref"]
    loss = None if ref is None else ref()
    return scaled["scale"] if loss is not None and any(t is loss for t in tensors) else 1.0


def scale_there(tensors):
    """The tensor by which the device has multiplied one of these, None: no such."""
    loss, scaler = (None if ref is None else ref() for ref in (scaled["ref"], scaled["there"]))
    return scaler._scale if loss is not None and scaler is not None and any(t is loss for t in tensors) else None


def tell_scale(stream, scale):
    if scale != stream.loss_scale:
        stream.loss_scale = scale
        _g.setting(stream.id, "loss_scale", scale, "")
    _g.scale(stream.id, scale)


def _after_skipped_step(optimizer, result, failed):
    """GradScaler.step() has not called the optimizer's."""
    stream = stream_of(optimizer)
    if stream is not None:
        stream.micro_steps = 0
        _g.skip(stream.id)
        _g.count("skipped_steps")
        _g.event(stream.id, "skipped_steps", "GradScaler found inf or nan")
