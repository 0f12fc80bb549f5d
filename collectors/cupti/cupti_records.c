/* From steps on devices to records. */
#include "cupti_records.h"

#include "profiler/shim/publish/publish.h"

static bool new_shape(const struct gns_kernel_time *longest, const struct gns_kernel_time *use)
{
	return use->max_ns > longest->max_ns && (use->grid != longest->grid || use->block != longest->block ||
						 use->registers != longest->registers || use->shared != longest->shared);
}

static void stage_kernel(struct gns_publish *p, const struct gns_activities *all, uint32_t row, const struct gns_kernel_time *use)
{
	struct gns_rec_kernel *r = &gns_publish_stage(p, GNS_REC_KERNEL, 0)->u.kernel;
	r->kernel_id = GNS_CUPTI_FIRST_KERNEL + row;
	r->registers = use->registers;
	r->block = use->block;
	r->grid = use->grid;
	r->shared = use->shared;
	gns_publish_text(r->family, sizeof r->family, gns_device_family_name((enum gns_device_family)all->family[row]));
	gns_publish_text(r->name, sizeof r->name, all->row[row].pretty);
}

static void stage_use(struct gns_publish *p, uint64_t step, uint32_t row, const struct gns_kernel_time *use)
{
	gns_publish_stage(p, GNS_REC_KERNEL_STEP, 0)->u.kernel_step = (struct gns_rec_kernel_step){
		.step = step, .kernel_id = GNS_CUPTI_FIRST_KERNEL + row, .calls = use->calls, .total_ns = use->total_ns,
		.max_ns = use->max_ns,
	};
}

static void stage_device(struct gns_publish *p, uint64_t step, const struct gns_told_device *d, uint64_t dropped)
{
	const struct gns_account *a = &d->account;
	gns_publish_stage(p, GNS_REC_DEVICE_STEP, 0)->u.device_step = (struct gns_rec_device_step){
		.step = step, .device = d->device, .kernels = a->kernels, .wall_ns = a->wall_ns, .compute_ns = a->compute_ns,
		.comm_exposed_ns = a->comm_exposed_ns, .copy_exposed_ns = a->copy_exposed_ns, .idle_ns = a->idle_ns, .comm_ns = a->comm_ns,
		.copy_ns = a->copy_ns, .own_ns = a->own_ns, .queue_ns = a->queue_ns, .dropped = dropped,
	};
}

bool gns_cupti_publish(struct gns_publish *p, const struct gns_told *told, struct gns_activities *all, uint64_t dropped)
{
	bool tell[GNS_KERNEL_ROWS] = { false };
	for (uint32_t row = 0; row < all->n_rows; row++) {
		const struct gns_kernel_time *use = &told->use[row];
		if (!use->calls)
			continue;
		tell[row] = !all->row[row].told || new_shape(&all->row[row].longest, use);
		if (tell[row])
			stage_kernel(p, all, row, use);
		stage_use(p, told->step, row, use);
	}
	for (uint32_t i = 0; i < told->n_devices; i++)
		stage_device(p, told->step, &told->device[i], dropped);
	if (!gns_publish_send(p, 0))
		return false;
	for (uint32_t row = 0; row < all->n_rows; row++)
		if (tell[row]) {
			all->row[row].told = true;
			all->row[row].longest = told->use[row];
		}
	return true;
}
