/* Loads plugins as Python loads extension modules, unloads them and loads them again: each keeps its own BLAS, and none is called where it
 * once was.
 *
 *     host PLUGIN PLUGIN_WITH_ANOTHER_BLAS */
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

typedef int (*multiply)(const float *, const float *, float *, int);

static void *load(const char *path, int flags, multiply *fn)
{
	void *handle = dlopen(path, RTLD_NOW | flags);
	if (!handle) {
		fprintf(stderr, "host: %s\n", dlerror());
		exit(2);
	}
	*(void **)fn = dlsym(handle, "plugin_multiply");
	return handle;
}

static int right(multiply fn)
{
	float a[4] = { 1, 2, 3, 4 }, b[4] = { 5, 6, 7, 8 }, c[4] = { 0 };
	int calls = fn(a, b, c, 2);
	if (c[0] != 23 || c[1] != 34 || c[2] != 31 || c[3] != 46)
		exit(3);
	return calls;
}

int main(int argc, char **argv)
{
	multiply one, two;
	if (argc < 3)
		return 2;
	void *first = load(argv[1], RTLD_LOCAL, &one), *second = load(argv[2], RTLD_LOCAL, &two);
	for (int i = 1; i <= 5; i++) {
		/* each counts its own calls alone */
		if (right(one) != i || right(two) != i)
			return 4;
	}
	if (dlerror())
		return 5;
	for (int round = 0; round < 20; round++) {
		uintptr_t page = (uintptr_t)dlsym(first, "naive_calls") & ~(uintptr_t)4095;
		dlclose(first);
		dlclose(second);
		/* where the BLAS lay something else lies now, while the plugin comes back to its place */
		mmap((void *)page, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
		first = load(argv[1], RTLD_LOCAL, &one);
		second = load(argv[2], round % 2 ? RTLD_LOCAL : RTLD_DEEPBIND, &two);
		right(one);
		right(two);
	}
	return 0;
}
