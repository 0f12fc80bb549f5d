# How the training is set: the optimizer and its numbers.


def tell_settings(stream, optimizer):
    pass
