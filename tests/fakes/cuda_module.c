/* Modules: every image holds every kernel that is known here. */
#include <stdlib.h>
#include <string.h>

#include "cuda_private.h"
#include "emulate.h"

#define PARAMETERS_MAX 32

struct kernel {
	struct kernel *next;
	char name[64];
	void (*run)(const uint32_t grid[3], const uint32_t block[3], void *const *parameters); /* NULL: emulated */
	unsigned n;
	size_t sizes[PARAMETERS_MAX];
};

struct module {
	struct fake_context *context;
	bool live;
	struct module *all;
};

struct function {
	struct module *module;
	const struct kernel *kernel;
};

static struct kernel *kernels;
static struct module *modules;

void gns_fake_register_kernel(const char *name, void (*run)(const uint32_t grid[3], const uint32_t block[3], void *const *parameters),
			      unsigned n, const size_t *sizes)
{
	struct kernel *k = calloc(1, sizeof *k);
	strncpy(k->name, name, sizeof k->name - 1);
	k->run = run;
	k->n = n;
	if (n > PARAMETERS_MAX)
		gns_fake_die("kernel %s: more than %d parameters", name, PARAMETERS_MAX);
	if (n)
		memcpy(k->sizes, sizes, n * sizeof *sizes);
	fake_lock();
	k->next = kernels;
	kernels = k;
	fake_unlock();
}

static const struct kernel *find(const char *name)
{
	fake_lock();
	struct kernel *k = kernels;
	while (k && strcmp(k->name, name))
		k = k->next;
	fake_unlock();
	size_t size = gns_emulate_size(name);
	if (!k && size) {
		gns_fake_register_kernel(name, NULL, 1, &size);
		k = kernels;
	}
	return k;
}

void fake_module_end(struct fake_context *context)
{
	for (struct module *m = modules; m; m = m->all)
		if (m->context == context)
			m->live = false;
}

CUresult cuModuleLoadData(CUmodule *module, const void *image)
{
	ENTER_CONTEXT();
	fake_unsafe("cuModuleLoadData");
	struct module *m = calloc(1, sizeof *m);
	m->context = fake_current();
	m->live = true;
	fake_lock();
	m->all = modules;
	modules = m;
	fake_unlock();
	*module = (CUmodule)m;
	return image ? CUDA_SUCCESS : (CUresult)CUDA_ERROR_INVALID_VALUE;
}

CUresult cuModuleLoadDataEx(CUmodule *module, const void *image, unsigned int n, CUjit_option *options, void **values)
{
	return cuModuleLoadData(module, image);
}

CUresult cuModuleUnload(CUmodule module)
{
	ENTER_CONTEXT();
	fake_unsafe("cuModuleUnload");
	((struct module *)module)->live = false;
	return CUDA_SUCCESS;
}

CUresult cuModuleGetFunction(CUfunction *function, CUmodule module, const char *name)
{
	ENTER_CONTEXT();
	struct module *m = (struct module *)module;
	const struct kernel *k = find(name);
	if (!m->live || m->context != fake_current())
		gns_fake_die("cuModuleGetFunction(%s): the module is %s", name, m->live ? "of another context" : "gone");
	if (!k)
		return CUDA_ERROR_NOT_FOUND;
	struct function *f = calloc(1, sizeof *f);
	*f = (struct function){ m, k };
	*function = (CUfunction)f;
	return CUDA_SUCCESS;
}

CUresult cuFuncLoad(CUfunction function)
{
	ENTER_CONTEXT();
	fake_unsafe("cuFuncLoad");
	return CUDA_SUCCESS;
}

/* ---- launches ---- */

struct launch {
	const struct kernel *kernel;
	uint32_t grid[3], block[3];
	size_t at[PARAMETERS_MAX]; /* of each parameter behind this struct */
};

static void run(void *args)
{
	struct launch *l = args;
	void *parameters[PARAMETERS_MAX];
	for (unsigned i = 0; i < l->kernel->n; i++)
		parameters[i] = (char *)(l + 1) + l->at[i];
	if (l->kernel->run)
		l->kernel->run(l->grid, l->block, parameters);
	else if (gns_emulate_launch(l->kernel->name, l->grid, l->block[0], parameters))
		gns_fake_die("%s: %u threads a block cannot be emulated", l->kernel->name, l->block[0]);
}

struct fake_op *fake_launch_op(CUfunction function, const uint32_t grid[3], const uint32_t block[3], void **parameters)
{
	struct launch l = { .kernel = ((struct function *)function)->kernel, .grid = { grid[0], grid[1], grid[2] },
			    .block = { block[0], block[1], block[2] } };
	size_t size = 0;
	for (unsigned i = 0; i < l.kernel->n; i++) {
		l.at[i] = size;
		size += (l.kernel->sizes[i] + 15) / 16 * 16;
	}
	struct fake_op *op = fake_op_new(l.kernel->name, run, &l, sizeof l);
	op->size = sizeof l + size;
	op->args = realloc(op->args, op->size);
	for (unsigned i = 0; i < l.kernel->n; i++)
		memcpy((char *)((struct launch *)op->args + 1) + l.at[i], parameters[i], l.kernel->sizes[i]);
	memcpy(op->activity.grid, l.grid, sizeof l.grid);
	op->activity.block = l.block[0] * l.block[1] * l.block[2];
	return op;
}

/* A context that is to break does so here. */
static int break_now(struct fake_context *c)
{
	fake_lock();
	if (c->break_at && --c->break_at == 0)
		c->error = c->break_with;
	fake_unlock();
	return c->error;
}

CUresult cuLaunchKernel(CUfunction function, unsigned int grid_x, unsigned int grid_y, unsigned int grid_z, unsigned int block_x,
			unsigned int block_y, unsigned int block_z, unsigned int shared, CUstream stream, void **parameters, void **extra)
{
	ENTER_CONTEXT();
	const struct function *f = (struct function *)function;
	const char *name = f->kernel->name;
	if (!f->module->live || f->module->context != fake_current())
		gns_fake_die("cuLaunchKernel(%s): its module is %s", name, f->module->live ? "of another context" : "gone");
	if (extra || !grid_x || !grid_y || !grid_z || grid_y > 65535 || grid_z > 65535 || !block_x || block_x * block_y * block_z > 1024)
		return CUDA_ERROR_INVALID_VALUE;
	if (!f->kernel->run && block_y * block_z != 1)
		gns_fake_die("cuLaunchKernel(%s): emulated blocks have one dimension", name);
	int rc = break_now(fake_current());
	if (rc)
		return (CUresult)rc;
	struct fake_stream *s = fake_stream_of(stream, name);
	struct fake_op *op = fake_launch_op(function, (const uint32_t[]){ grid_x, grid_y, grid_z },
					    (const uint32_t[]){ block_x, block_y, block_z }, parameters);
	return (CUresult)fake_submit(s, op, name);
}
