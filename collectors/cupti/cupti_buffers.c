/* The buffers that CUPTI writes its records to. */
#include "cupti_buffers.h"

#include "profiler/shim/process/pages.h"

bool gns_buffers_init(struct gns_buffers *all)
{
	if (!all->pages)
		all->pages = gns_pages(GNS_BUFFERS * GNS_BUFFER_SIZE);
	return all->pages != NULL;
}

uint8_t *gns_buffers_lend(struct gns_buffers *all)
{
	uint8_t *found = NULL;
	if (!gns_lock_take(&all->lock))
		return NULL;
	for (uint32_t i = 0; all->pages && i < GNS_BUFFERS && !found; i++) {
		if (all->buffer[i].lent)
			continue;
		all->buffer[i].lent = true;
		all->buffer[i].since = all->now;
		found = all->pages + i * GNS_BUFFER_SIZE;
	}
	all->refused += !found;
	gns_lock_release(&all->lock);
	return found;
}

bool gns_buffers_owns(const struct gns_buffers *all, const uint8_t *buffer)
{
	return all->pages && buffer >= all->pages && buffer < all->pages + GNS_BUFFERS * GNS_BUFFER_SIZE;
}

void gns_buffers_take(struct gns_buffers *all, const uint8_t *buffer)
{
	if (!gns_buffers_owns(all, buffer))
		return;
	if (!gns_lock_take(&all->lock))
		return;
	all->buffer[(size_t)(buffer - all->pages) / GNS_BUFFER_SIZE].lent = false;
	gns_lock_release(&all->lock);
}

void gns_buffers_boundary(struct gns_buffers *all, uint64_t number)
{
	if (!gns_lock_take(&all->lock))
		return;
	all->now = number;
	gns_lock_release(&all->lock);
}

uint32_t gns_buffers_out(struct gns_buffers *all, uint64_t boundary)
{
	uint32_t out = 0;
	if (!gns_lock_take(&all->lock))
		return 0;
	for (uint32_t i = 0; i < GNS_BUFFERS; i++)
		out += all->buffer[i].lent && all->buffer[i].since < boundary;
	gns_lock_release(&all->lock);
	return out;
}

void gns_buffers_rest(struct gns_buffers *all)
{
	if (!gns_lock_take(&all->lock))
		return;
	for (uint32_t i = 0; all->pages && i < GNS_BUFFERS; i++)
		if (!all->buffer[i].lent)
			madvise(all->pages + i * GNS_BUFFER_SIZE, GNS_BUFFER_SIZE, MADV_DONTNEED);
	gns_lock_release(&all->lock);
}
