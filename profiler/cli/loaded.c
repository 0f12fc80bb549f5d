/* See loaded.h. */
#include "profiler/cli/loaded.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* The first that fits is taken. */
static const struct {
	const char *part, *collector, *words;
} known[] = {
	{"libgnscope.so", "", "the shim is loaded"},
	{"libopenblas", "blas", "OpenBLAS: its GEMMs are seen"},
	{"libblis", "blas", "BLIS: its GEMMs are seen"},
	{"libmkl_rt", "blas", "MKL, dynamic: its GEMMs are seen"},
	{"libcblas.so", "blas", "CBLAS: its GEMMs are seen"},
	{"libblas.so", "blas", "BLAS: its GEMMs are seen"},
	{"libtorch_python", "torch", "PyTorch for Python: its layers are seen"},
	{"libtorch_cpu", "", "PyTorch's GEMMs: timed where it calls a dynamic BLAS; wheels from PyPI have MKL built in, which hides them"},
	{"libtorch_cuda", "", "PyTorch for the GPU"},
	{"libcublasLt.so", "cublaslt", "cuBLASLt: its GEMMs are seen"},
	{"libcublas.so", "cublas", "cuBLAS: its GEMMs are seen"},
	{"libcudnn.so", "cudnn", "cuDNN: its calls are counted; PyTorch's collector measures convolutions"},
	{"libcudnn_graph.so", "cudnn", "cuDNN: its calls are counted; PyTorch's collector measures convolutions"},
	{"libcudart.so", "", "CUDA's runtime"},
	{"libcuda.so", "cuda", "the driver of NVIDIA's GPUs"},
	{"libcupti.so", "cupti", "CUPTI: kernels are timed through it"},
	{"libdnnl", "", "oneDNN: its GEMMs are not seen"},
	{"xla_extension", "", "JAX/XLA: finds its libraries by itself, so nothing of it is seen"},
	{"libjax", "", "JAX/XLA: finds its libraries by itself, so nothing of it is seen"},
	{"libtensorflow", "", "TensorFlow: its GEMMs are built in and not seen"},
	{"libnccl.so", "nccl", "NCCL: its reductions of gradients are seen"},
	{"libmpi.so", "", "MPI: not collected yet"},
};

static void note_library(struct gns_loaded *loaded, const char *path)
{
	const char *file = strrchr(path, '/');
	for (int i = 0; i < loaded->n; i++)
		if (strcmp(loaded->library[i].path, path) == 0)
			return;
	for (size_t k = 0; file && k < sizeof known / sizeof known[0] && loaded->n < GNS_LOADED_MAX; k++)
		if (strstr(file, known[k].part)) {
			struct gns_loaded_library *library = &loaded->library[loaded->n++];
			snprintf(library->path, sizeof library->path, "%s", path);
			library->words = known[k].words;
			library->collector = known[k].collector;
			loaded->shim |= k == 0;
			loaded->torch |= strcmp(known[k].part, "libtorch_python") == 0;
			return;
		}
}

static void note_interpreter(struct gns_loaded *loaded, pid_t pid)
{
	char name[64], path[PATH_MAX];
	snprintf(name, sizeof name, "/proc/%ld/exe", (long)pid);
	ssize_t n = readlink(name, path, sizeof path - 1);
	path[n > 0 ? n : 0] = '\0';
	const char *file = strrchr(path, '/');
	if (file && strncmp(file + 1, "python", 6) == 0)
		memcpy(loaded->python, path, (size_t)n + 1);
}

void gns_loaded_look(struct gns_loaded *loaded, pid_t pid)
{
	char name[64], line[PATH_MAX + 128];
	snprintf(name, sizeof name, "/proc/%ld/maps", (long)pid);
	FILE *maps = fopen(name, "re");
	while (maps && fgets(line, sizeof line, maps)) {
		char *path = strchr(line, '/');
		loaded->looks++;
		line[strcspn(line, "\n")] = '\0';
		if (path)
			note_library(loaded, path);
	}
	if (maps)
		fclose(maps);
	note_interpreter(loaded, pid);
}

const struct gns_loaded_library *gns_loaded_of(const struct gns_loaded *loaded, const char *collector)
{
	for (int i = 0; i < loaded->n; i++)
		if (strcmp(loaded->library[i].collector, collector) == 0)
			return &loaded->library[i];
	return NULL;
}
