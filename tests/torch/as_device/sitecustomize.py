"""For tests without a GPU: the tensors of this processor are taken for those of device 0 of the fake libcuda, which computes on this processor.

The product knows nothing of it: its functions that ask where a tensor is are replaced here, from outside, where a test puts this folder
on PYTHONPATH. GNS_FAKE_SYNC=1 (a kernel is done when its launch returns, since PyTorch will not wait for it) and GNS_FAKE_ANY=1 belong to it."""
import ctypes
import gc
import os


def make_context():
    cuda = ctypes.CDLL("libcuda.so.1", ctypes.RTLD_GLOBAL)
    context = ctypes.c_void_p()
    for rc in (cuda.cuInit(0), cuda.cuDevicePrimaryCtxRetain(ctypes.byref(context), 0), cuda.cuCtxSetCurrent(context)):
        if rc:
            raise SystemExit("the fake libcuda gives error %d" % rc)


def take_for_device():
    """The collector's Python half, wherever its names are."""
    import torch
    codes = ((torch.float32, 1), (torch.float64, 2), (torch.float16, 3), (torch.bfloat16, 4), (torch.int64, 5), (torch.int32, 6))
    for names in [o for o in gc.get_objects() if type(o) is dict and "_g" in o and "device_of" in o]:
        names["device_of"] = lambda tensor: 0
        names["era"]["devices"] = 1  # a PyTorch with a CUDA of its own would take the fake one for it
        names["_g"].setup(codes, torch.Tensor, lambda tensor: 0, lambda device: 0)


def watch():
    import torch
    made = torch.optim.Optimizer.__init__

    def init(self, *args, **kwargs):
        made(self, *args, **kwargs)
        take_for_device()

    torch.optim.Optimizer.__init__ = init


if os.environ.get("GNS_TEST_AS_DEVICE"):
    make_context()
    watch()
