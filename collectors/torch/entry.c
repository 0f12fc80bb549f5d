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

static PyObject *namespace;

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

static bool make_namespace(void)
{
	PyObject *builtins = gns_py.PyImport_ImportModule("builtins"), *native = gns_torch_native();
	PyObject *name = gns_py.PyUnicode_InternFromString("gnscope");
	namespace = gns_py.PyDict_New();
	bool made = builtins && native && name && namespace && !gns_py.PyDict_SetItemString(namespace, "__builtins__", builtins) &&
		    !gns_py.PyDict_SetItemString(namespace, "__name__", name) && !gns_py.PyDict_SetItemString(namespace, "_g", native);
	gns_py.Py_DecRef(name);
	gns_py.Py_DecRef(native);
	gns_py.Py_DecRef(builtins);
	return made;
}

static PyObject *codes; /* a tuple, in the order of the files; NULL: they are to be compiled */

/* Neither function has to be there: then it is the texts. */
static void find_codes(void)
{
	long (*magic)(void) = (long (*)(void))dlsym(RTLD_DEFAULT, "PyImport_GetMagicNumber");
	PyObject *(*read)(const char *, Py_ssize_t) =
		(PyObject * (*)(const char *, Py_ssize_t)) dlsym(RTLD_DEFAULT, "PyMarshal_ReadObjectFromString");
	dlerror();
	if (magic && read && gns_torch_code.magic && magic() == gns_torch_code.magic)
		codes = read((const char *)gns_torch_code.data, (Py_ssize_t)gns_torch_code.size);
	if (gns_py.PyErr_Occurred())
		gns_py.PyErr_Clear();
}

static PyObject *code_of(const struct gns_torch_file *file)
{
	PyObject *code = codes ? gns_py.PyTuple_GetItem(codes, file - gns_torch_files) : NULL;
	gns_py.Py_IncRef(code);
	return code ? code : gns_py.Py_CompileString(file->text, file->name, GNS_PY_FILE_INPUT);
}

static bool exec(const struct gns_torch_file *file)
{
	PyObject *code = code_of(file);
	PyObject *done = code ? gns_py.PyEval_EvalCode(code, namespace, namespace) : NULL;
	gns_py.Py_DecRef(code);
	gns_py.Py_DecRef(done);
	return done != NULL;
}

PyObject *gns_torch_load(void)
{
	bool done = true;
	for (const struct gns_torch_file *file = gns_torch_files + 1; done && file->name; file++)
		done = exec(file);
	gns_py.Py_DecRef(codes);
	codes = NULL;
	if (!done)
		return NULL;
	gns_py.Py_IncRef(gns_py.none);
	return gns_py.none;
}

/* Whatever fails here fails silently: `import torch` has nothing to do with it. */
static void install(void)
{
	struct gns_feeding_time time;
	if (namespace || !wanted() || !gns_python_find())
		return;
	gns_feeding_time_begin(&time);
	find_codes();
	if (!make_namespace() || !exec(&gns_torch_files[0])) {
		if (gns_py.PyErr_Occurred())
			gns_torch_failed();
		gns_py.PyErr_Clear();
	}
	gns_feeding_time_end(&time);
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
