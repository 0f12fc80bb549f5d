/* What is counted of devices, and a device that has failed. */
#include "device_private.h"

#include <errno.h>

struct gns_device_counts gns_device_counts;

const char *gns_device_off_name(enum gns_device_off why)
{
	static const char *const names[GNS_DEVICE_OFFS] = {
		[GNS_DEVICE_ON] = "on",
		[GNS_DEVICE_NO_DRIVER] = "no_driver",
		[GNS_DEVICE_NO_IMAGE] = "no_image",
		[GNS_DEVICE_NO_CONTEXT] = "no_context",
		[GNS_DEVICE_NO_MEMORY] = "no_memory",
		[GNS_DEVICE_CAPTURING] = "capturing",
		[GNS_DEVICE_TOO_MANY] = "too_many_contexts",
		[GNS_DEVICE_FAILED] = "driver_error",
	};
	return why < GNS_DEVICE_OFFS ? names[why] : "unknown";
}

int gns_device_failed(struct gns_device *device, CUresult rc)
{
	GNS_DEVICE_COUNT(errors);
	atomic_store_explicit(&gns_device_counts.error, (int)rc, memory_order_relaxed);
	atomic_store_explicit(&gns_device_counts.off, GNS_DEVICE_FAILED, memory_order_relaxed);
	atomic_store_explicit(&device->off, GNS_DEVICE_FAILED, memory_order_relaxed);
	int ready = GNS_DEVICE_READY;
	atomic_compare_exchange_strong(&device->state, &ready, GNS_DEVICE_CLOSED);
	return -EIO;
}

unsigned gns_device_sms(const struct gns_device *device)
{
	return (unsigned)device->sms;
}

int gns_device_number(const struct gns_device *device)
{
	return device->number;
}

void gns_device_stats(struct gns_device_stats *out)
{
	*out = (struct gns_device_stats){
		.devices = gns_device_counts.devices, .bytes = gns_device_counts.bytes, .launches = gns_device_counts.launches,
		.captures = gns_device_counts.captures, .replays = gns_device_counts.replays,
		.refused_busy = gns_device_counts.refused_busy, .refused_slots = gns_device_counts.refused_slots,
		.refused_streams = gns_device_counts.refused_streams, .refused_scratch = gns_device_counts.refused_scratch,
		.refused_capture = gns_device_counts.refused_capture, .errors = gns_device_counts.errors,
		.off = (enum gns_device_off)gns_device_counts.off, .driver_version = gns_device_counts.driver_version, .error = gns_device_counts.error,
	};
}

void gns_device_replayed(void)
{
	GNS_DEVICE_COUNT(replays);
}

