# Several processes that train one model.


def world_of(p):
    return 1
