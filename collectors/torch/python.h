/* The C API of the Python that this process runs, found by name at run time. The stable ABI (PEP 384), 3.9 and later, and a few
 * functions that are older than it; no layout of Python's is relied on but PyMethodDef, PyMemberDef, PyGetSetDef, PyType_Spec and
 * an object head of two words, which is checked (free-threaded and tracing builds have another). */
#ifndef GNS_COLLECTORS_TORCH_PYTHON_H
#define GNS_COLLECTORS_TORCH_PYTHON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

typedef struct gns_py_object PyObject;
typedef struct gns_py_thread PyThreadState;
typedef ssize_t Py_ssize_t;

#define GNS_PY_HEAD_SIZE (2 * sizeof(void *)) /* of an object: count and type */

static inline PyObject *gns_py_type(PyObject *o) /* borrowed */
{
	return ((PyObject **)o)[1];
}

struct gns_py_method { /* PyMethodDef */
	const char *name;
	void *function;
	int flags;
	const char *doc;
};
enum { GNS_PY_VARARGS = 0x1, GNS_PY_KEYWORDS = 0x2, GNS_PY_NOARGS = 0x4, GNS_PY_FASTCALL = 0x80 };

struct gns_py_member { /* PyMemberDef */
	const char *name;
	int type;
	Py_ssize_t offset;
	int flags;
	const char *doc;
};
enum { GNS_PY_SSIZE = 19, GNS_PY_READONLY = 1 };

struct gns_py_getset { /* PyGetSetDef */
	const char *name;
	void *get, *set;
	const char *doc;
	void *closure;
};

struct gns_py_slot { /* PyType_Slot */
	int slot;
	void *function;
};
struct gns_py_spec { /* PyType_Spec */
	const char *name;
	int basicsize, itemsize;
	unsigned flags;
	struct gns_py_slot *slots;
};
enum { GNS_PY_TP_CALL = 50, GNS_PY_TP_DEALLOC = 52, GNS_PY_TP_DESCR_GET = 54, GNS_PY_TP_GETATTRO = 58, GNS_PY_TP_METHODS = 64,
       GNS_PY_TP_SETATTRO = 69, GNS_PY_TP_MEMBERS = 72, GNS_PY_TP_GETSET = 73 };
enum { GNS_PY_METHOD_DESCRIPTOR = 1 << 17, GNS_PY_VERSION_TAG = 1 << 18 };

enum { GNS_PY_FILE_INPUT = 257 };

/* X(result, name, arguments) */
#define GNS_PY_FUNCTIONS(X)                                                                     \
	X(void, Py_IncRef, (PyObject *))                                                        \
	X(void, Py_DecRef, (PyObject *))                                                        \
	X(PyObject *, Py_BuildValue, (const char *, ...))                                       \
	X(PyObject *, Py_CompileString, (const char *, const char *, int))                      \
	X(PyObject *, PyEval_EvalCode, (PyObject *, PyObject *, PyObject *))                    \
	X(PyThreadState *, PyEval_SaveThread, (void))                                           \
	X(void, PyEval_RestoreThread, (PyThreadState *))                                        \
	X(PyObject *, PyErr_Occurred, (void))                                                   \
	X(void, PyErr_Clear, (void))                                                            \
	X(void, PyErr_Fetch, (PyObject **, PyObject **, PyObject **))                           \
	X(void, PyErr_Restore, (PyObject *, PyObject *, PyObject *))                            \
	X(void, PyErr_NormalizeException, (PyObject **, PyObject **, PyObject **))              \
	X(void, PyErr_SetString, (PyObject *, const char *))                                    \
	X(int, PyErr_ExceptionMatches, (PyObject *))                                            \
	X(int, PyErr_GivenExceptionMatches, (PyObject *, PyObject *))                           \
	X(int, PyException_SetTraceback, (PyObject *, PyObject *))                              \
	X(PyObject *, PyObject_Call, (PyObject *, PyObject *, PyObject *))                      \
	X(PyObject *, PyObject_CallNoArgs, (PyObject *))                                        \
	X(PyObject *, PyObject_CallFunctionObjArgs, (PyObject *, ...))                          \
	X(PyObject *, PyObject_CallMethodObjArgs, (PyObject *, PyObject *, ...))                \
	X(PyObject *, PyObject_GetAttr, (PyObject *, PyObject *))                               \
	X(PyObject *, PyObject_GetAttrString, (PyObject *, const char *))                       \
	X(int, PyObject_SetAttrString, (PyObject *, const char *, PyObject *))                  \
	X(int, PyObject_IsTrue, (PyObject *))                                                   \
	X(PyObject *, PyObject_Str, (PyObject *))                                               \
	X(PyObject *, PyObject_GenericGetAttr, (PyObject *, PyObject *))                        \
	X(int, PyObject_GenericSetAttr, (PyObject *, PyObject *, PyObject *))                   \
	X(PyObject *, PyObject_GenericGetDict, (PyObject *, void *))                            \
	X(int, PyObject_GenericSetDict, (PyObject *, PyObject *, void *))                       \
	X(void, PyObject_ClearWeakRefs, (PyObject *))                                           \
	X(void, PyObject_Free, (void *))                                                        \
	X(PyObject *, PyType_FromSpec, (struct gns_py_spec *))                                  \
	X(PyObject *, PyType_GenericAlloc, (PyObject *, Py_ssize_t))                            \
	X(PyObject *, PyMethod_New, (PyObject *, PyObject *))                                   \
	X(PyObject *, PyCFunction_NewEx, (struct gns_py_method *, PyObject *, PyObject *))      \
	X(PyObject *, PyModule_New, (const char *))                                             \
	X(PyObject *, PyImport_ImportModule, (const char *))                                    \
	X(Py_ssize_t, PyList_Size, (PyObject *))                                                \
	X(PyObject *, PyList_GetItem, (PyObject *, Py_ssize_t))                                 \
	X(PyObject *, PyList_New, (Py_ssize_t))                                                 \
	X(int, PyList_Append, (PyObject *, PyObject *))                                         \
	X(int, PyType_IsSubtype, (PyObject *, PyObject *))                                      \
	X(PyObject *, PyDict_New, (void))                                                       \
	X(int, PyDict_SetItemString, (PyObject *, const char *, PyObject *))                    \
	X(Py_ssize_t, PyTuple_Size, (PyObject *))                                               \
	X(PyObject *, PyTuple_GetItem, (PyObject *, Py_ssize_t))                                \
	X(PyObject *, PySequence_GetItem, (PyObject *, Py_ssize_t))                             \
	X(PyObject *, PyDict_GetItemString, (PyObject *, const char *))                         \
	X(PyObject *, PyBool_FromLong, (long))                                                  \
	X(PyObject *, PyLong_FromLongLong, (long long))                                         \
	X(long long, PyLong_AsLongLong, (PyObject *))                                           \
	X(PyObject *, PyUnicode_InternFromString, (const char *))                               \
	X(const char *, PyUnicode_AsUTF8AndSize, (PyObject *, Py_ssize_t *))                    \
	X(double, PyFloat_AsDouble, (PyObject *))

struct gns_python {
#define GNS_PY_MEMBER(result, name, arguments) result(*name) arguments;
	GNS_PY_FUNCTIONS(GNS_PY_MEMBER)
#undef GNS_PY_MEMBER
	PyObject *exception, *type_error, *none; /* Exception, TypeError, None: borrowed for good */
	PyObject *float_type, *int_type;
};
extern struct gns_python gns_py;

/* With the GIL. False when this Python lacks something, or is not laid out as we know it. */
bool gns_python_find(void);

#endif
