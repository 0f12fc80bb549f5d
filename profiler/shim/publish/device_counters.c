/* Counters and events of devices. */
#include "device_counters.h"

#include <stdio.h>
#include <string.h>

#include "collectors/gpu/device.h"
#include "publish.h"

static void say_why(char *text, size_t size, const struct gns_device_stats *s)
{
	if (s->off == GNS_DEVICE_FAILED)
		snprintf(text, size, "%s %d", gns_device_off_name(s->off), s->error);
	else if (s->off)
		snprintf(text, size, "%s", gns_device_off_name(s->off));
}

size_t gns_device_counters(struct gns_counter *out)
{
	struct gns_device_stats s;

	gns_device_stats(&s);
	const struct gns_counter list[GNS_DEVICE_COUNTERS] = {
		{ .name = "contexts", .value = s.devices },
		{ .name = "device_bytes", .value = s.bytes },
		{ .name = "driver_version", .value = (uint64_t)s.driver_version },
		{ .name = "launches", .value = s.launches },
		{ .name = "sets_captured", .value = s.captures },
		{ .name = "graph_launches", .value = s.replays },
		{ .name = "refused_busy", .value = s.refused_busy },
		{ .name = "refused_slots", .value = s.refused_slots },
		{ .name = "refused_streams", .value = s.refused_streams },
		{ .name = "refused_scratch", .value = s.refused_scratch },
		{ .name = "refused_capture", .value = s.refused_capture },
		{ .name = "driver_errors", .value = s.errors },
		{ .name = "off", .value = s.off },
	};
	const bool used = s.devices || s.off || s.replays;
	for (size_t i = 0; i < GNS_DEVICE_COUNTERS; i++) {
		out[i] = used ? list[i] : (struct gns_counter){ 0 };
		out[i].collector = used ? "cuda" : NULL;
	}
	if (used)
		say_why(out[GNS_DEVICE_COUNTERS - 1].text, sizeof out->text, &s);
	return GNS_DEVICE_COUNTERS;
}

void gns_device_events(struct gns_publish *publish, uint32_t stream, uint64_t step)
{
	static struct {
		enum gns_device_off off;
		uint64_t captures;
	} told;
	struct gns_device_stats s;
	char text[64] = "";

	gns_device_stats(&s);
	if (s.off == told.off && s.captures == told.captures)
		return;
	if (s.off != told.off && s.off) {
		say_why(text, sizeof text, &s);
		if (!gns_publish_event(publish, stream, step, "device_off", text))
			return;
	}
	told.off = s.off;
	snprintf(text, sizeof text, "%llu", (unsigned long long)s.captures);
	if (s.captures != told.captures && gns_publish_event(publish, stream, step, "graph_captured", text))
		told.captures = s.captures;
}
