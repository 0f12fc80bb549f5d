# What the parameters are called in the trainer's modules.


def named(run):
    pass
