/* The embedded files: compiled or as texts, run in a namespace of their own. */
#include <dlfcn.h>

#include "collectors/torch/torch.h"

static PyObject *namespace;

static bool make_namespace(PyObject *native)
{
	PyObject *builtins = gns_py.PyImport_ImportModule("builtins");
	PyObject *name = gns_py.PyUnicode_InternFromString("gnscope");
	namespace = gns_py.PyDict_New();
	bool made = builtins && native && name && namespace && !gns_py.PyDict_SetItemString(namespace, "__builtins__", builtins) &&
		    !gns_py.PyDict_SetItemString(namespace, "__name__", name) && !gns_py.PyDict_SetItemString(namespace, "_g", native);
	gns_py.Py_DecRef(name);
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

bool gns_torch_begin(PyObject *native)
{
	find_codes();
	return make_namespace(native) && exec(&gns_torch_files[0]);
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
