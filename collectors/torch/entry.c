/* Where `import torch` passes: initModule, which torch/_C*.so calls in libtorch_python.so, with the GIL held. */
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include "collectors/torch/torch.h"
#include "profiler/shim/process/config.h"
#include "profiler/shim/core/layer_feed.h"
#include "profiler/shim/process/real_function.h"

/* Another library may have an initModule of its own, which ours must not bend: arguments and result go through untouched. */
typedef long (*init_fn)(long, long, long, long, long, long);

static bool wanted(void)
{
	struct gns_config config;
	gns_config_read(&config);
	return !config.off && !config.no_torch;
}

static bool is_torch(void *function)
{
	Dl_info from;
	if (!dladdr(function, &from) || !from.dli_fname)
		return false;
	const char *slash = strrchr(from.dli_fname, '/');
	return strncmp(slash ? slash + 1 : from.dli_fname, "libtorch_python.", 16) == 0;
}

/* Whatever fails here fails silently: `import torch` has nothing to do with it. */
static void install(void)
{
	struct gns_layer_feed_time time;
	static bool begun;
	if (begun || !wanted() || !gns_python_find())
		return;
	begun = true;
	gns_layer_feed_time_begin(&time);
	PyObject *native = gns_torch_native();
	bool done = native && gns_torch_begin(native);
	gns_py.Py_DecRef(native);
	if (!done) {
		if (gns_py.PyErr_Occurred())
			gns_torch_failed();
		gns_py.PyErr_Clear();
	}
	gns_layer_feed_time_end(&time);
}

__attribute__((visibility("default"))) long initModule(long, long, long, long, long, long);

long initModule(long a, long b, long c, long d, long e, long f)
{
	static struct gns_real real = { .name = "initModule", .self = (void *)initModule };
	init_fn next = (init_fn)gns_real_find(&real, __builtin_return_address(0));
	if (!next)
		return 0;
	long result = next(a, b, c, d, e, f);
	if (result && is_torch((void *)next))
		install();
	return result;
}
