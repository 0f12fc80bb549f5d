/* Calls into libraries that the process does not have: under gnscope its wrappers answer, as the API would with an error. */
#include <dlfcn.h>
#include <stdio.h>

/* More zeros than any of the functions has parameters. */
static void call(const char *name)
{
	unsigned (*function)(long, long, long, long, long, long, long, long, long, long, long, long, long, long, long, long, long, long, long,
			     long) = (__typeof__(function))dlsym(RTLD_DEFAULT, name);
	if (!function)
		printf("%s: not there\n", name);
	else
		printf("%s: %u\n", name, function(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0));
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		call(argv[i]);
	return 0;
}
