/* What `gnscope doctor` tells of GPUs: the machine, the library, and what a run's collectors met there. */
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "collectors/collector.h"
#include "collectors/gpu/image.h"
#include "gnscope/text.h"
#include "profiler/cli/doctor.h"
#include "profiler/cli/words.h"
#include "tui/say.h"

/* Collectors that count the calls of each of their symbols. */
static const char *const of_gpu[] = {"cublas", "cublaslt", "cudnn", "nccl", "cupti", "cuda"};
#define COLLECTORS (sizeof of_gpu / sizeof *of_gpu)

/* ---- the machine and the library ---- */

static int count_devices(void)
{
	int n = 0;
	DIR *folder = opendir("/dev");
	for (struct dirent *entry; folder && (entry = readdir(folder));)
		n += strncmp(entry->d_name, "nvidia", 6) == 0 && entry->d_name[6] >= '0' && entry->d_name[6] <= '9';
	if (folder)
		closedir(folder);
	return n;
}

static void look_at_driver(void)
{
	char line[200] = "";
	FILE *file = fopen("/proc/driver/nvidia/version", "re");
	if (file && fgets(line, sizeof line, file))
		line[strcspn(line, "\n")] = '\0';
	if (file)
		fclose(file);
	int n = count_devices();
	if (line[0])
		gns_finding(n ? GNS_OK : GNS_NOTE, "gpu", "%d device%s; %s", n, n == 1 ? "" : "s", line);
	else
		gns_finding(GNS_OK, "gpu", "no NVIDIA driver on this machine (there is no /proc/driver/nvidia/version)");
}

/* The note that the build leaves in the library (collectors/gpu/image.h). */
static bool read_note(const char *path, char *note, size_t size)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	note[0] = '\0';
	if (fd < 0 || fstat(fd, &st) != 0 || st.st_size < 1) {
		if (fd >= 0)
			close(fd);
		return false;
	}
	char *bytes = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	close(fd);
	if (bytes == MAP_FAILED)
		return false;
	const char *found = memmem(bytes, (size_t)st.st_size, GNS_CUDA_NOTE, strlen(GNS_CUDA_NOTE));
	if (found) {
		found += strlen(GNS_CUDA_NOTE);
		size_t n = strnlen(found, (size_t)(bytes + st.st_size - found));
		snprintf(note, size, "%.*s", (int)(n < size ? n : size - 1), found);
	}
	munmap(bytes, (size_t)st.st_size);
	return found != NULL;
}

void gns_doctor_machine(const char *shim)
{
	char note[64];
	const char *gpu = getenv("GNSCOPE_GPU");
	look_at_driver();
	if (gpu && strcmp(gpu, "0") == 0)
		gns_finding(GNS_NOTE, "gpu", "GNSCOPE_GPU=0 is set: GPUs are left alone");
	if (!read_note(shim, note, sizeof note))
		return;
	if (strcmp(note, "none") == 0)
		gns_finding(GNS_NOTE, "gpu", "gnscope was built without nvcc: it has no kernels, so that nothing can be measured on a GPU");
	else
		gns_finding(GNS_OK, "gpu", "the shim has kernels for sm %s", note);
}

/* ---- a process ---- */

void gns_doctor_process(pid_t pid)
{
	static struct gns_loaded loaded; /* large */
	memset(&loaded, 0, sizeof loaded);
	gns_loaded_look(&loaded, pid);
	for (int i = 0; i < loaded.n; i++)
		for (size_t k = 0; k < COLLECTORS; k++)
			if (strcmp(loaded.library[i].collector, of_gpu[k]) == 0)
				gns_finding(GNS_OK, "process", "%d: %s: %s", (int)pid, loaded.library[i].path, loaded.library[i].words);
}

/* ---- a run ---- */

struct seen {
	struct gns_gpu gpu;
	struct gns_counter_row *counters;
	size_t n_counters;
	const struct gns_loaded *loaded; /* NULL: not looked at */
};

static int64_t counted(const struct seen *s, const char *collector, const char *name)
{
	int64_t sum = 0;
	for (size_t i = 0; i < s->n_counters; i++)
		if (strcmp(s->counters[i].collector, collector) == 0 && strcmp(s->counters[i].name, name) == 0)
			sum += s->counters[i].value;
	return sum;
}

static bool met(const struct seen *s, const char *library)
{
	for (size_t i = 0; i < s->gpu.n_libraries; i++)
		if (strcmp(s->gpu.libraries[i].name, library) == 0)
			return true;
	return s->loaded && gns_loaded_of(s->loaded, library);
}

static void print_libraries(const struct seen *s)
{
	for (size_t i = 0; i < s->gpu.n_libraries; i++) {
		const struct gns_library_row *l = &s->gpu.libraries[i];
		if (i > 0 && strcmp(l->name, l[-1].name) == 0 && strcmp(l->path, l[-1].path) == 0 && strcmp(l->version, l[-1].version) == 0)
			continue; /* another process's */
		gns_finding(GNS_OK, "library", "%s: %s%s%s", l->path[0] ? l->path : "(path not known)", l->name, l->version[0] ? " " : "", l->version);
	}
}

/* "cublasGemmEx 1,234, cublasSgemm_v2 12"; how many symbols were called. */
static size_t say_called(char *text, size_t size, const struct seen *s, const struct gns_collector *c, size_t *symbols)
{
	char number[48];
	size_t at = 0, called = 0;
	text[0] = '\0';
	for (*symbols = 0; c->symbols[*symbols]; ++*symbols) {
		int64_t calls = counted(s, c->name, c->symbols[*symbols]);
		called += calls > 0;
		if (calls > 0 && at < size)
			at += (size_t)snprintf(text + at, size - at, "%s%s %s", at ? ", " : "", c->symbols[*symbols],
					       gns_text_number(number, sizeof number, (double)calls));
	}
	return called;
}

static const struct gns_collector *collector_of(const char *name)
{
	for (const struct gns_collector *c = gns_collectors; c->name; c++)
		if (strcmp(c->name, name) == 0)
			return c;
	return NULL;
}

/* The driver's hooks are of graphs, CUPTI's of its other clients: that these are not called is nothing to look into. */
static bool may_rest(const char *collector)
{
	return strcmp(collector, "cuda") == 0 || strcmp(collector, "cupti") == 0;
}

/* Which hooks were called; of those that were not, whether there is a library that could have been called. */
static void print_hooks(const struct seen *s)
{
	char text[1200], absent[128] = "";
	bool others = false; /* a program that uses one library may well leave another alone, which came with it */
	for (size_t i = 0; i < COLLECTORS && !others; i++) {
		const struct gns_collector *c = collector_of(of_gpu[i]);
		size_t symbols;
		others = c && say_called(text, sizeof text, s, c, &symbols) > 0;
	}
	for (size_t i = 0; i < COLLECTORS; i++) {
		const struct gns_collector *c = collector_of(of_gpu[i]);
		size_t symbols, called = c ? say_called(text, sizeof text, s, c, &symbols) : 0;
		if (!c)
			continue;
		if (called > 0)
			gns_finding(GNS_OK, "hooks", "%s: calls of %zu of %zu were seen: %s", c->name, called, symbols, text);
		else if (met(s, c->name) && !may_rest(c->name))
			gns_finding(others ? GNS_OK : GNS_NOTE, "hooks", "%s: the library is loaded, but no call of its %zu function%s was seen: the program does not "
				    "use %s, or finds %s by dlopen and dlsym, past all hooks", c->name, symbols, symbols == 1 ? "" : "s",
				    symbols == 1 ? "it" : "them", symbols == 1 ? "it" : "them");
		else if (!met(s, c->name))
			snprintf(absent + strlen(absent), sizeof absent - strlen(absent), "%s%s", absent[0] ? ", " : "", c->name);
	}
	if (absent[0])
		gns_finding(GNS_OK, "hooks", "not loaded, so never called: %s", absent);
}

static void print_captures(const struct seen *s)
{
	int64_t captures = 0, launches = 0, measured = counted(s, "cuda", "graphs_measured"), steps = counted(s, "cuda", "graph_steps");
	static const char *const ends[] = {"cudaStreamEndCapture", "cudaStreamEndCapture_ptsz", "cuStreamEndCapture", "cuStreamEndCapture_ptsz"};
	static const char *const starts[] = {"cudaGraphLaunch", "cudaGraphLaunch_ptsz", "cuGraphLaunch", "cuGraphLaunch_ptsz"};
	for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
		captures += counted(s, "cuda", ends[i]);
		launches += counted(s, "cuda", starts[i]);
	}
	if (captures + launches + measured + steps == 0)
		return;
	gns_finding(GNS_OK, "graphs", "captures ended: %" PRId64 "; graphs launched: %" PRId64 " times; graphs that measure: %" PRId64 ", steps from their "
		    "replays: %" PRId64, captures, launches, measured, steps);
}

static void print_kernel_times(const struct seen *s)
{
	char text[400];
	for (size_t i = 0; i < s->gpu.n_devices; i++) {
		const struct gns_device_row *row = &s->gpu.devices[i];
		gns_finding(GNS_OK, "kernels", "GPU %" PRId64 " of rank %" PRId64 ": %s", row->device, row->rank, gns_say_device_step(text, sizeof text, row));
		gns_finding(GNS_OK, "", "%s", gns_say_device(text, sizeof text, row));
	}
	if (s->gpu.why_not[0])
		gns_finding(GNS_NOTE, "kernels", "%s", s->gpu.why_not);
	else if (s->gpu.owner[0])
		gns_finding(GNS_NOTE, "kernels", "CUPTI, which serves one client at a time, was also held by %s", s->gpu.owner);
	int64_t windows = counted(s, "cupti", "windows"), told = counted(s, "cupti", "steps_told"), host = counted(s, "cupti", "host_us");
	if (windows > 0)
		gns_finding(GNS_OK, "cupti", "windows: %" PRId64 ", steps reported: %" PRId64 ", given up: %" PRId64 ", records lost: %" PRId64 "; work on the host: %.3g ms",
			    windows, told, counted(s, "cupti", "steps_abandoned"), counted(s, "cupti", "dropped"), (double)host / 1e3);
}

/* What gnscope took of the devices, and why it takes nothing more (collectors/gpu/device.h: the newest reason, "driver_error 700"). */
static void print_devices(const struct seen *s)
{
	char word[32], words[128], mb[48];
	int64_t contexts = counted(s, "cuda", "contexts"), driver = counted(s, "cuda", "driver_version");
	if (contexts > 0)
		gns_finding(GNS_OK, "device", "contexts of CUDA: %" PRId64 ", device memory taken: %s MB, driver for CUDA %" PRId64 ".%" PRId64, contexts,
			    gns_say_three(mb, sizeof mb, (double)counted(s, "cuda", "device_bytes") / 1e6), driver / 1000, driver % 1000 / 10);
	for (size_t i = 0; i < s->n_counters; i++) {
		const struct gns_counter_row *row = &s->counters[i];
		if (strcmp(row->collector, "cuda") != 0 || strcmp(row->name, "off") != 0 || row->value == 0)
			continue;
		snprintf(word, sizeof word, "%.*s", (int)strcspn(row->text, " "), row->text);
		gns_finding(GNS_NOTE, "device", "not used: %s (%s)", gns_words_reason(words, sizeof words, word), row->text);
	}
}

/* Products that are not measured on a device. */
static void print_reasons(const struct seen *s)
{
	static const char *const reasons[] = {"refused_busy", "refused_slots", "refused_streams", "refused_scratch", "refused_capture", "scalars_on_device", "product_altered", "device_measurement_failed", "device_log_given_up", "gradients_incomplete", "products_element_type", "products_arguments", "products_no_device", "products_batch_cut", "products_layout", "calls_failed",
		"graph_steps_unseen"};
	char words[128], number[48];
	for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++) {
		int64_t times = counted(s, "cuda", reasons[i]) + counted(s, "shim", reasons[i]);
		if (times > 0)
			gns_finding(GNS_NOTE, "device", "%s: %s (%s)", gns_text_number(number, sizeof number, (double)times),
				    gns_words_reason(words, sizeof words, reasons[i]), reasons[i]);
	}
}

void gns_doctor_gpu(struct gns_store *store, int64_t run_id, const struct gns_loaded *loaded)
{
	struct seen s = {.loaded = loaded};
	struct gns_run_info run;
	if (gns_store_run_info(store, run_id, &run, NULL) != 0 || gns_store_gpu(store, run_id, 0, &s.gpu, NULL) != 0)
		return;
	if (gns_store_counters(store, run.main_run_id, &s.counters, &s.n_counters, NULL) != 0)
		s.n_counters = 0;
	bool any = s.gpu.n_libraries + s.gpu.n_devices > 0;
	for (size_t i = 0; i < COLLECTORS; i++) {
		any |= met(&s, of_gpu[i]);
		for (size_t k = 0; k < s.n_counters; k++)
			any |= strcmp(s.counters[k].collector, of_gpu[i]) == 0 && s.counters[k].value > 0;
	}
	if (any) {
		print_libraries(&s);
		print_hooks(&s);
		print_captures(&s);
		print_kernel_times(&s);
		print_devices(&s);
		print_reasons(&s);
	}
	free(s.counters);
	gns_gpu_free(&s.gpu);
}
