/* The C API of the Python in this process. */
#include "python.h"

#include <dlfcn.h>
#include <string.h>

struct gns_python gns_py;

static bool find_functions(void)
{
	static const struct {
		const char *name;
		size_t at;
	} wanted[] = {
#define ENTRY(result, name, arguments) { #name, offsetof(struct gns_python, name) },
		GNS_PY_FUNCTIONS(ENTRY)
#undef ENTRY
	};
	for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
		void *found = dlsym(RTLD_DEFAULT, wanted[i].name);
		if (!found) {
			dlerror();
			return false;
		}
		memcpy((char *)&gns_py + wanted[i].at, &found, sizeof found);
	}
	return true;
}

static PyObject *find_object(const char *name)
{
	PyObject **found = dlsym(RTLD_DEFAULT, name);
	if (!found)
		dlerror();
	return found ? *found : NULL;
}

/* object.__basicsize__ */
static bool head_is_known(void)
{
	PyObject *builtins = gns_py.PyImport_ImportModule("builtins"), *object = NULL, *size = NULL;
	if (builtins)
		object = gns_py.PyObject_GetAttrString(builtins, "object");
	if (object)
		size = gns_py.PyObject_GetAttrString(object, "__basicsize__");
	bool known = size && gns_py.PyLong_AsLongLong(size) == (long long)GNS_PY_HEAD_SIZE;
	gns_py.Py_DecRef(size);
	gns_py.Py_DecRef(object);
	gns_py.Py_DecRef(builtins);
	if (gns_py.PyErr_Occurred())
		gns_py.PyErr_Clear();
	return known;
}

bool gns_python_find(void)
{
	if (!find_functions() || !head_is_known())
		return false;
	gns_py.exception = find_object("PyExc_Exception");
	gns_py.type_error = find_object("PyExc_TypeError");
	gns_py.float_type = dlsym(RTLD_DEFAULT, "PyFloat_Type");
	gns_py.int_type = dlsym(RTLD_DEFAULT, "PyLong_Type");
	gns_py.none = gns_py.Py_BuildValue("");
	return gns_py.exception && gns_py.type_error && gns_py.none && gns_py.float_type && gns_py.int_type;
}
