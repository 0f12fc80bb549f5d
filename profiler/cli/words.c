/* What a run means, in sentences. */
#include "profiler/cli/words.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "gnscope/text.h"

/* The counters that the collectors and the store keep, by name. `refuses`: it can explain why there is no number. */
static const struct {
	const char *name, *words;
	bool refuses;
} reasons[] = {
	{"products", "GEMMs seen", false},
	{"forward", "forward GEMMs of a weight", false},
	{"dgrad", "data-gradient GEMMs of a weight", false},
	{"wgrad", "weight-gradient GEMMs", false},
	{"other", "other GEMMs: attention and the like", false},
	{"no_weight_met", "not a weight gradient: neither operand was used with a weight before, as in attention", true},
	{"written_in_step", "not a weight: it was written within the step, so it is an activation", true},
	{"output_of_product", "not a weight: it is the output of a GEMM, so it is an activation", true},
	{"not_recurring", "not a weight: its address was not used again in the next step", true},
	{"still_learning", "passed before gnscope knew which operands are weights", true},
	{"product_of_weights", "both operands are weights", true},
	{"changes_like_activation", "not a weight, on a device: it changes from step to step as fresh data do (with full batches the two look alike)", true},
	{"table_full", "more candidates for weights than there is room for", true},
	{"samples_not_dividing", "the number of rows is not a multiple of --samples N", true},
	{"rows_differ", "layers have different numbers of rows: set --samples N", true},
	{"rows_changed", "the rows changed by whole samples, as in a smaller last batch: tell it with gns_samples", true},
	{"one_sample", "only one sample in the step: noise needs two or more", true},
	{"not_finite", "a norm was not finite: overflow, or a loss that is not a number", true},
	{"no_scratch_memory", "no memory could be had for scratch space", true},
	{"too_many_weights", "more weights than there is room for", true},
	{"element_type", "the numbers' type is not measured on this path", true},
	{"late_gradients", "gradients that came after their step had been closed", false},
	{"kernels_not_listed", "calls of shapes beyond those that are timed one by one", false},
	{"uses_forgotten", "uses of operands forgotten because there were too many", false},
	{"scan_not_permitted", "the kernel does not permit process_vm_readv: weights cannot be found, nothing is measured", false},
	{"malformed", "records that made no sense and were skipped", false},
	{"skipped_steps", "steps that the loss scaler skipped: their gradients were not finite", false},
	{"clipped_steps", "steps whose gradients were clipped", false},
	{"gradient_not_zeroed", "steps that began with gradients of an earlier one still there: call optimizer.zero_grad()", true},
	{"backward_without_step", "backward passes that no optimizer step followed", true},
	{"given_up", "times that PyTorch's part of gnscope turned itself off: an event says why", true},
	{"device_behind", "the device was too far behind for the values of the step to be waited for", true},
	{"device_learned", "times that weights were found among the GEMMs on a device", false},
	{"device_learned_anew", "times that this was learned again, for the program had changed", false},
	{"device_log_gaps", "GEMMs on a device that were not looked at while weights were being found", false},
	{"device_log_given_up", "times that no weights could be found among the GEMMs on a device", true},
	{"device_batches_cut", "batches on a device of more GEMMs than are looked at", false},
	{"device_measurement_failed", "measurements on a device that could not be launched", true},
	{"scalars_on_device", "GEMMs whose alpha or beta is in device memory, where it is not read", true},
	{"product_altered", "GEMMs on a device with another operand than the weight that was found", true},
	{"gradients_incomplete", "gradients on a device of which a part was not seen", true},
	{"steps_late", "steps whose values came back from a device", false},
	{"contexts", "contexts of CUDA that gnscope works in", false},
	{"device_bytes", "bytes of device memory that gnscope took", false},
	{"driver_version", "version of CUDA that the driver is for, times 1000", false},
	{"launches", "kernels that gnscope launched", false},
	{"sets_captured", "measurements that became part of a graph", false},
	{"graph_launches", "launches of graphs that were seen", false},
	{"refused_busy", "measurements on a device that were skipped: all sets of results were under way", true},
	{"refused_slots", "measurements on a device that were skipped: no slot was left for their results", true},
	{"refused_streams", "measurements on a device that were skipped: on more streams than a set of results has", true},
	{"refused_scratch", "measurements on a device that were skipped: too little scratch memory (GNS_DEVICE_SCRATCH_MIB)", true},
	{"refused_capture", "measurements on a device that were skipped: within a capture, but not of it", true},
	{"driver_errors", "calls of gnscope's that the driver refused", false},
	{"off", "number of the latest reason why a device is not used", false},
	{"no_driver", "no driver of CUDA's in the process, or one that lacks a function that is needed", true},
	{"no_image", "the device takes none of gnscope's kernels, or gnscope was built without them", true},
	{"no_context", "no context of CUDA was current", true},
	{"no_memory", "a context had no memory for gnscope's scratch space: GNS_DEVICE_SCRATCH_MIB makes it smaller", true},
	{"capturing", "a context was first used within a capture: it is tried again later", false},
	{"too_many_contexts", "more contexts of CUDA than there is room for", true},
	{"driver_error", "the driver refused a call of gnscope's: the device is left alone from then on", true},
	{"products_element_type", "GEMMs on a device with an element type that is not measured", true},
	{"products_arguments", "GEMMs on a device with invalid arguments", false},
	{"products_no_device", "GEMMs on a device that could not be used", true},
	{"products_batch_cut", "batches on a device of more GEMMs than are looked at", false},
	{"products_layout", "GEMMs of cuBLASLt in a layout or with an epilogue that is not supported", true},
	{"calls_failed", "calls that the library itself refused", false},
	{"graphs_measured", "CUDA graphs whose replays measure", false},
	{"graph_steps", "steps that came from replays of a graph", false},
	{"graph_steps_unseen", "replays of a graph whose results were overwritten before they were read", false},
	{"gradients_not_zeroed", "gradients on a device that began with those of an earlier step", true},
	{"operands_not_same", "operands on a device that were not what they were taken for: left out", true},
	{"windows", "windows in which CUPTI timed kernels", false},
	{"steps_told", "steps whose kernels were timed", false},
	{"steps_abandoned", "steps of a window that were given up: the device was behind, or CUPTI was handed over", false},
	{"names_not_listed", "kernels beyond those that are listed by name", false},
	{"host_us", "microseconds that gnscope spent in CUPTI", false},
	{"overhead_us", "microseconds of overhead, as CUPTI itself records them", false},
	{"not_found", "times that no CUPTI was found that fits the program's CUDA", false},
	{"handed_over", "times that CUPTI was left to another client", false},
	{"handed_to_pytorch", "convolutions that PyTorch's collector measures", false},
	{"weight_gradients_not_measured", "weight gradients of convolutions outside PyTorch, which are not measured", true},
	{"install_failed", "PyTorch was imported, but the collector could not be installed: only matrix multiplications are seen", true},
};

static int reason_of(const char *name)
{
	for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++)
		if (strcmp(name, reasons[i].name) == 0)
			return (int)i;
	return -1;
}

const char *gns_words_reason(char *dst, size_t size, const char *name)
{
	int known = reason_of(name);
	if (known >= 0)
		return reasons[known].words;
	gns_text_safe(dst, size, name);
	for (char *p = dst; *p; p++)
		if (*p == '_')
			*p = ' ';
	return dst;
}

char *gns_words_quantity(char *dst, size_t size, double value, const char *unit)
{
	char number[40], safe[32];
	snprintf(dst, size, "%s %s", gns_text_number(number, sizeof number, value), gns_text_safe(safe, sizeof safe, unit));
	return dst;
}

/* The counter that explains most. */
static void main_reason(char *dst, size_t size, struct gns_store *store, int64_t run_id, bool refused)
{
	struct gns_counter_row *rows = NULL;
	const struct gns_counter_row *best = NULL;
	size_t n = 0;
	dst[0] = '\0';
	if (!store || gns_store_counters(store, run_id, &rows, &n, NULL) != 0)
		return;
	for (size_t i = 0; i < n; i++) {
		int known = reason_of(rows[i].name);
		bool of_step = strcmp(rows[i].collector, "step_refused") == 0;
		if (rows[i].value > 0 && of_step == refused && known >= 0 && reasons[known].refuses && (!best || rows[i].value > best->value))
			best = &rows[i];
	}
	if (best)
		snprintf(dst, size, "; most often (%" PRId64 " times): %s", best->value, reasons[reason_of(best->name)].words);
	free(rows);
}

char *gns_words_left_out(char *dst, size_t size, const char *left_out)
{
	static const struct { const char *name, *words; } why[] = {
		{"tied", "used more than once in a pass"},
		{"recurrent", "in a fused recurrent layer"},
		{"compiled", "in a compiled region"},
		{"sparse", "its gradient is sparse"},
		{"device", "not in the processor's memory"},
		{"dtype", "its element type is not measured"},
		{"operation", "in an operation that no rule is known for"},
		{"user_hook", "a hook of the program changes its gradient"},
		{"sharded", "each rank holds a part of it"},
		{"unused", "it got no gradient so far"},
		{"checkpoint", "its operands are recomputed and could not be read"},
		{"samples", "of unknown samples: see --layout"},
	};
	char safe[32];
	const char *words = gns_text_safe(safe, sizeof safe, left_out);
	for (size_t i = 0; i < sizeof why / sizeof why[0]; i++)
		words = strcmp(left_out, why[i].name) == 0 ? why[i].words : words;
	snprintf(dst, size, "left out: %s", words);
	return dst;
}

char *gns_words_others(char *dst, size_t size, struct gns_store *store, int64_t run_id)
{
	struct gns_run_info *runs = NULL;
	char name[64], optimizer[48], ratio[128];
	size_t n = 0, at = 0;
	dst[0] = '\0';
	if (gns_store_streams(store, run_id, &runs, &n, NULL) != 0)
		return dst;
	for (size_t i = 0; i < n && at < size; i++) {
		struct gns_summary s;
		if (gns_store_summary(store, runs[i].run_id, 0, &s, NULL) != 0)
			continue;
		gns_text_safe(optimizer, sizeof optimizer, s.optimizer);
		at += (size_t)snprintf(dst + at, size - at, "%srun %" PRId64 " (%s%s%s): B_noise %s", at ? "; " : "", runs[i].run_id,
				       gns_text_safe(name, sizeof name, s.run.name), optimizer[0] ? ", " : "", optimizer,
				       s.run.steps_measured > 0 ? gns_text_ratio(ratio, sizeof ratio, &s.b_noise, s.sample_unit) : "not measured");
	}
	free(runs);
	return dst;
}

static bool switched_off(void)
{
	const char *off = getenv("GNSCOPE_OFF");
	return off && *off && strcmp(off, "0") != 0;
}

/* Every weight that is known is left out: the first of the reasons, "" otherwise. */
static void all_left_out(char *dst, size_t size, struct gns_store *store, int64_t run_id)
{
	struct gns_layer *layers = NULL;
	size_t n = 0;
	dst[0] = '\0';
	if (!store || gns_store_layers(store, run_id, 0, &layers, &n, NULL) != 0)
		return;
	bool all = n > 0;
	for (size_t i = 0; i < n; i++)
		all = all && layers[i].excluded;
	if (all)
		gns_words_left_out(dst, size, layers[0].left_out);
	free(layers);
}

/* The optimizer that did step, where this one did not. */
static bool stepping_elsewhere(char *dst, size_t size, struct gns_store *store, int64_t run_id)
{
	struct gns_run_info *runs = NULL;
	const struct gns_run_info *most = NULL;
	char name[64];
	size_t n = 0;
	if (!store || gns_store_streams(store, run_id, &runs, &n, NULL) != 0)
		return false;
	for (size_t i = 0; i < n; i++)
		if (runs[i].steps > 0 && (!most || runs[i].steps > most->steps))
			most = &runs[i];
	if (most)
		snprintf(dst, size, "nothing was measured of this optimizer, which took no step; another of the program took %" PRId64
			 ": gnscope show %" PRId64 " (%s)", most->steps, most->run_id, gns_text_safe(name, sizeof name, most->name));
	free(runs);
	return most != NULL;
}

/* A program that fails, on its arguments for one, tells nothing of what it would have trained with. */
static bool ended_early(const struct gns_summary *s, char *how, size_t size)
{
	if (strcmp(s->run.status, "failed") == 0)
		snprintf(how, size, "ended with status %d", s->run.exit_code);
	else if (strcmp(s->run.status, "killed") == 0 && s->run.exit_code < 0)
		snprintf(how, size, "was ended by signal %d", -s->run.exit_code);
	else
		return false;
	return true;
}

char *gns_words_why_nothing(char *dst, size_t size, struct gns_store *store, const struct gns_summary *s, int processes)
{
	char reason[256], left_out[128], how[48];
	all_left_out(left_out, sizeof left_out, store, s->run.run_id);
	main_reason(reason, sizeof reason, store, s->run.run_id, s->steps_refused > 0);
	if (s->run.steps_measured > 0)
		dst[0] = '\0';
	else if (s->run.steps == 0 && stepping_elsewhere(dst, size, store, s->run.run_id))
		return dst;
	else if (left_out[0])
		snprintf(dst, size, "nothing was measured: all %" PRId64 " parameters are %s", s->params, left_out);
	else if (s->steps_refused > 0)
		snprintf(dst, size, "nothing was measured: %" PRId64 " steps were chosen but could not be%s", s->steps_refused, reason);
	else if (s->run.steps > 0)
		snprintf(dst, size, "nothing was measured: %" PRId64 " steps were seen, none was chosen; set --every 1", s->run.steps);
	else if (processes == 0 && switched_off())
		snprintf(dst, size, "nothing was measured: GNSCOPE_OFF is set");
	else if (processes == GNS_PROCESSES_REFUSED)
		snprintf(dst, size, "nothing was measured: a process trained but could not hand over its measurements");
	else if (s->run.steps == 0 && ended_early(s, how, sizeof how))
		snprintf(dst, size, "nothing was measured: the command %s before it had trained a step", how);
	else if (processes == 0)
		snprintf(dst, size, "nothing was measured: this command did not train (no optimizer step, no BLAS call seen).");
	else
		snprintf(dst, size, "nothing was measured: no training step was recognised%s", reason);
	return dst;
}

char *gns_words_verdict(char *dst, size_t size, struct gns_store *store, const struct gns_summary *s, int processes)
{
	return s->run.steps_measured > 0 ? gns_text_verdict(dst, size, s, NULL) : gns_words_why_nothing(dst, size, store, s, processes);
}

static void line_numbers(FILE *out, const struct gns_summary *s)
{
	char noise[128], crit[128], unit[32];
	gns_text_safe(unit, sizeof unit, s->sample_unit);
	fprintf(out, "gnscope: over the run: B_noise %s; B_crit %s\n", gns_text_ratio(noise, sizeof noise, &s->b_noise, unit),
		gns_text_ratio(crit, sizeof crit, &s->b_crit, unit));
}

static void line_run(FILE *out, const struct gns_summary *s)
{
	char name[128], status[32];
	gns_text_safe(name, sizeof name, s->run.name);
	gns_text_safe(status, sizeof status, s->run.status);
	fprintf(out, "gnscope: run %" PRId64 " (%s) %s: %" PRId64 " of %" PRId64 " steps measured", s->run.run_id, name, status,
		s->measured, s->run.steps);
	if (isfinite(s->overhead_pct))
		fprintf(out, ", overhead %.2f%%", s->overhead_pct);
	if (isfinite(s->coverage))
		fprintf(out, ", coverage %.0f%%", 100 * s->coverage);
	fputc('\n', out);
}

/* Only where there is something to know. */
static void line_losses(FILE *out, const struct gns_summary *s, const char *trouble)
{
	char safe[512];
	const char *gap = "gnscope: ";
	if (s->dropped > 0) {
		fprintf(out, "%s%" PRId64 " step%s lost", gap, s->dropped, s->dropped == 1 ? " was" : "s were");
		gap = "; ";
	}
	if (trouble[0]) { /* what could not be written includes the count of lost steps */
		fprintf(out, "%snot all was stored: %s", gap, gns_text_safe(safe, sizeof safe, trouble));
		gap = "; ";
	}
	for (size_t i = 0; i < s->n_warnings; i++)
		fprintf(out, "%s%s%s", i ? ", " : gap, i ? "" : "warnings: ", gns_text_safe(safe, sizeof safe, s->warnings[i].name));
	if (s->dropped > 0 || trouble[0] || s->n_warnings)
		fputc('\n', out);
}

const char *gns_words_next(const struct gns_summary *s)
{
	return s->run.steps_measured == 0 ? "doctor" : gns_verdict_is_class(gns_verdict_of(s)) ? "advise" : "show";
}

void gns_words_closing(FILE *out, struct gns_store *store, const struct gns_summary *s, int processes, const char *trouble)
{
	char text[768];
	fprintf(out, "gnscope: %s\n", gns_words_verdict(text, sizeof text, store, s, processes));
	if (s->run.steps_measured > 0)
		line_numbers(out, s);
	else
		fputs("gnscope: what gnscope sees of a command, and what is missing: gnscope doctor -- COMMAND\n", out);
	line_run(out, s);
	if (gns_words_others(text, sizeof text, store, s->run.run_id)[0])
		fprintf(out, "gnscope: other optimizers: %s\n", text);
	line_losses(out, s, trouble);
	fprintf(out, "gnscope: next: gnscope %s %" PRId64 "\n", gns_words_next(s), s->run.run_id);
}
