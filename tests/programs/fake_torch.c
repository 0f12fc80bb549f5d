/* A libtorch_python.so of which there is only the door: for Pythons that have no PyTorch. */
extern void *Py_BuildValue(const char *format, ...);
__attribute__((visibility("default"))) void *initModule(void);

void *initModule(void)
{
	return Py_BuildValue("i", 5);
}
