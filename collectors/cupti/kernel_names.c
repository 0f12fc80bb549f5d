/* Families and readable names of kernels. The words are those of public libraries' kernels; tests/unit/test_kernel_names.c lists names as
 * profilers have shown them. */
#include "kernel_names.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

#define BASE_MAX 512
#define TEXT_MAX 1024

const char *gns_device_family_name(enum gns_device_family family)
{
	static const char *const names[] = { "gpu matmul", "gpu attention", "gpu conv", "gpu norm", "gpu elementwise", "gpu optimizer",
					     "gpu comm", "gpu copy", "gpu gnscope", "gpu other" };
	return (unsigned)family < GNS_DEVICE_FAMILIES_N ? names[family] : names[GNS_DEVICE_OTHER];
}

struct rule {
	enum gns_device_family family;
	const char *word;
	const char *but; /* not where this goes on from there: "lambda" is no LAMB */
};

/* In order: the first that matches. What is told apart by its second word comes before what has that word for another reason. */
static const struct rule rules[] = {
	{ GNS_DEVICE_COMM, "nccl", NULL }, { GNS_DEVICE_COMM, "nvshmem", NULL }, { GNS_DEVICE_COMM, "deep_ep", NULL },
	{ GNS_DEVICE_COMM, "all_reduce", NULL }, { GNS_DEVICE_COMM, "allreduce", NULL }, { GNS_DEVICE_COMM, "all_gather", NULL },
	{ GNS_DEVICE_COMM, "reduce_scatter", NULL }, { GNS_DEVICE_COMM, "cross_device_reduce", NULL },
	{ GNS_DEVICE_COPY, "memcpy", NULL }, { GNS_DEVICE_COPY, "memset", NULL },
	{ GNS_DEVICE_OPTIMIZER, "multi_tensor", NULL }, { GNS_DEVICE_OPTIMIZER, "multitensor", NULL },
	{ GNS_DEVICE_OPTIMIZER, "triton_for_fused", NULL }, { GNS_DEVICE_OPTIMIZER, "adam", NULL },
	{ GNS_DEVICE_OPTIMIZER, "lamb", "lambda" }, { GNS_DEVICE_OPTIMIZER, "sgd", NULL }, { GNS_DEVICE_OPTIMIZER, "adagrad", NULL },
	{ GNS_DEVICE_OPTIMIZER, "rmsprop", NULL }, { GNS_DEVICE_OPTIMIZER, "optimizer", NULL },
	{ GNS_DEVICE_NORM, "layer_norm", NULL }, { GNS_DEVICE_NORM, "layernorm", NULL }, { GNS_DEVICE_NORM, "batch_norm", NULL },
	{ GNS_DEVICE_NORM, "batchnorm", NULL }, { GNS_DEVICE_NORM, "group_norm", NULL }, { GNS_DEVICE_NORM, "groupnorm", NULL },
	{ GNS_DEVICE_NORM, "instance_norm", NULL }, { GNS_DEVICE_NORM, "rmsnorm", NULL }, { GNS_DEVICE_NORM, "rms_norm", NULL },
	{ GNS_DEVICE_NORM, "qknorm", NULL }, { GNS_DEVICE_NORM, "bn_fw", NULL }, { GNS_DEVICE_NORM, "bn_bw", NULL },
	{ GNS_DEVICE_NORM, "gammabeta", NULL }, { GNS_DEVICE_NORM, "rowwisemoments", NULL },
	{ GNS_DEVICE_NORM, "cucomputegradinput", NULL },
	{ GNS_DEVICE_NORM, "ln_fwd", NULL }, { GNS_DEVICE_NORM, "ln_bwd", NULL },
	{ GNS_DEVICE_ATTENTION, "flash", NULL }, { GNS_DEVICE_ATTENTION, "fmha", NULL }, { GNS_DEVICE_ATTENTION, "attention", NULL },
	{ GNS_DEVICE_ATTENTION, "attn", NULL }, { GNS_DEVICE_ATTENTION, "sdpa", NULL },
	{ GNS_DEVICE_ELEMENTWISE, "triton_poi_", NULL }, { GNS_DEVICE_ELEMENTWISE, "triton_red_", NULL },
	{ GNS_DEVICE_ELEMENTWISE, "triton_per_", NULL },
	{ GNS_DEVICE_CONV, "cudnn", NULL }, { GNS_DEVICE_CONV, "conv", "convert" }, { GNS_DEVICE_CONV, "implicit", NULL },
	{ GNS_DEVICE_CONV, "winograd", NULL }, { GNS_DEVICE_CONV, "fprop", NULL }, { GNS_DEVICE_CONV, "dgrad", NULL },
	{ GNS_DEVICE_CONV, "wgrad", NULL }, { GNS_DEVICE_CONV, "im2col", NULL }, { GNS_DEVICE_CONV, "col2im", NULL },
	{ GNS_DEVICE_CONV, "nchwtonhwc", NULL }, { GNS_DEVICE_CONV, "nhwctonchw", NULL },
	{ GNS_DEVICE_MATMUL, "cutlass", NULL }, { GNS_DEVICE_MATMUL, "cublas", NULL }, { GNS_DEVICE_MATMUL, "gemm", NULL },
	{ GNS_DEVICE_MATMUL, "gemv", NULL }, { GNS_DEVICE_MATMUL, "matmul", NULL }, { GNS_DEVICE_MATMUL, "xmma", NULL },
	{ GNS_DEVICE_MATMUL, "nvjet", NULL }, { GNS_DEVICE_MATMUL, "splitkreduce", NULL }, { GNS_DEVICE_MATMUL, "triton_tem_fused", NULL },
	{ GNS_DEVICE_MATMUL, "ampere_", NULL }, { GNS_DEVICE_MATMUL, "volta_", NULL }, { GNS_DEVICE_MATMUL, "turing_", NULL },
	{ GNS_DEVICE_MATMUL, "sm80_", NULL }, { GNS_DEVICE_MATMUL, "sm90_", NULL }, { GNS_DEVICE_MATMUL, "sm100_", NULL },
	{ GNS_DEVICE_COPY, "catarray", NULL }, { GNS_DEVICE_COPY, "transpose", NULL }, { GNS_DEVICE_COPY, "permute", NULL },
	{ GNS_DEVICE_ELEMENTWISE, "elementwise", NULL }, { GNS_DEVICE_ELEMENTWISE, "vectorized", NULL },
	{ GNS_DEVICE_ELEMENTWISE, "pointwise", NULL }, { GNS_DEVICE_ELEMENTWISE, "reduce", NULL },
	{ GNS_DEVICE_ELEMENTWISE, "softmax", NULL }, { GNS_DEVICE_ELEMENTWISE, "dropout", NULL },
	{ GNS_DEVICE_ELEMENTWISE, "gelu", NULL }, { GNS_DEVICE_ELEMENTWISE, "relu", NULL }, { GNS_DEVICE_ELEMENTWISE, "silu", NULL },
	{ GNS_DEVICE_COPY, "copy", NULL },
};

static bool starts(const char *text, const char *word)
{
	while (*word)
		if (tolower((unsigned char)*text++) != *word++)
			return false;
	return true;
}

static const char *find(const char *text, const char *word)
{
	for (; *text; text++)
		if (starts(text, word))
			return text;
	return NULL;
}

static bool matches(const struct rule *rule, const char *text)
{
	const char *at = find(text, rule->word);
	while (at && rule->but && starts(at, rule->but))
		at = find(at + 1, rule->word);
	return at != NULL;
}

static enum gns_device_family first_of(const char *text)
{
	for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
		if (matches(&rules[i], text))
			return rules[i].family;
	return GNS_DEVICE_OTHER;
}

/* The qualified name of a mangled function: the identifiers before its template arguments (Itanium C++ ABI, 5.1: <source-name> is a length
 * and that many letters). Empty for what begins otherwise. */
static void base_of_mangled(const char *name, char *out, size_t size)
{
	size_t n = 0;
	name += 2 + (name[2] == 'N');
	while (isdigit((unsigned char)*name)) {
		size_t length = 0;
		while (isdigit((unsigned char)*name) && length < BASE_MAX)
			length = length * 10 + (size_t)(*name++ - '0');
		for (; length && *name && n + 2 < size; length--)
			out[n++] = *name++;
		if (length)
			break;
		out[n++] = ':';
	}
	out[n] = 0;
}

/* One past "(anonymous namespace)" and its like, where that is what begins here. */
static const char *past_unnamed(const char *name)
{
	static const char *const unnamed[] = { "(anonymous namespace)::", "<unnamed>::", NULL };
	for (const char *const *u = unnamed; *u; u++)
		if (strncmp(name, *u, strlen(*u)) == 0)
			return name + strlen(*u);
	return name;
}

/* What is neither return type, template argument nor parameter. */
static void base_of(const char *name, char *out, size_t size)
{
	size_t n = 0;
	int depth = 0;
	if (strncmp(name, "_Z", 2) == 0) {
		base_of_mangled(name, out, size);
		return;
	}
	for (; *name && n + 1 < size; name++) {
		const char *past = past_unnamed(name);
		if (past != name) {
			name = past - 1;
			continue;
		}
		if (*name == '(' && depth == 0)
			break;
		if (*name == ' ' && depth == 0)
			n = 0;
		else if (*name == '<')
			depth++;
		else if (*name == '>' && depth > 0)
			depth--;
		else if (depth == 0)
			out[n++] = *name;
	}
	out[n] = 0;
}

enum gns_device_family gns_kernel_family(const char *name)
{
	char base[BASE_MAX];
	base_of(name, base, sizeof base);
	if (strncmp(base, "gns_", 4) == 0 || strncmp(name, "gns_", 4) == 0)
		return GNS_DEVICE_OWN;
	bool holder = find(base, "cutlass") || find(base, "device_kernel");
	enum gns_device_family family = holder ? first_of(name) : first_of(base);
	return family == GNS_DEVICE_OTHER && !holder ? first_of(name) : family;
}

/* Template arguments one level deep, no casts, no parameters. */
static size_t shorten(const char *name, char *out, size_t size)
{
	size_t n = 0, word = 0;
	int depth = 0, parens = 0;
	for (; *name && n + 6 < size; name++) {
		const char *past = past_unnamed(name);
		if (past != name) {
			name = past - 1;
			continue;
		}
		if (*name == '(' && depth == 0)
			break;
		if (*name == ' ' && depth == 0) {
			n = word = 0;
			continue;
		}
		if (*name == '(') {
			parens++;
		} else if (*name == ')') {
			parens -= parens > 0;
		} else if (parens) {
			continue;
		} else if (*name == '<' && ++depth > 1) {
			if (depth == 2) {
				memcpy(out + n, "<...>", 5);
				n += 5;
			}
		} else if (*name == '>' && depth-- > 1) {
			continue;
		} else if (depth < 2) {
			if (depth < 0)
				depth = 0;
			out[n++] = *name;
		}
	}
	out[n] = 0;
	return n;
}

void gns_kernel_pretty(const char *name, char *out, size_t size)
{
	char text[TEXT_MAX];
	size_t n;
	if (strncmp(name, "_Z", 2) != 0 && strpbrk(name, "<("))
		n = shorten(name, text, sizeof text);
	else
		n = 0;
	if (!n) {
		n = strnlen(name, sizeof text - 1);
		memcpy(text, name, n);
		text[n] = 0;
	}
	if (n >= size) { /* the ends of names tell more than their middles */
		size_t tail = (size - 4) / 3, head = size - 4 - tail;
		memcpy(out, text, head);
		memcpy(out + head, "...", 3);
		memcpy(out + head + 3, text + n - tail, tail + 1);
	} else {
		memcpy(out, text, n + 1);
	}
	for (char *c = out; *c; c++)
		if (!isprint((unsigned char)*c) || (unsigned char)*c >= 127)
			*c = '?';
}
