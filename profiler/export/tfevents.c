/* The few fields of Event that a scalar needs, encoded by hand: protobuf's wire format is a tag, then the value. */
#include <math.h>
#include <string.h>

#include "profiler/export/export.h"

enum wire { VARINT = 0, FIXED64 = 1, BYTES = 2, FIXED32 = 5 };
enum { EVENT_WALL_TIME = 1, EVENT_STEP = 2, EVENT_FILE_VERSION = 3, EVENT_SUMMARY = 5, EVENT_SOURCE = 10,
       SOURCE_WRITER = 1, SUMMARY_VALUE = 1, VALUE_TAG = 1, VALUE_SIMPLE = 2 };

struct message { unsigned char bytes[256]; size_t n; };

static void put_byte(struct message *m, unsigned value)
{
	if (m->n < sizeof m->bytes)
		m->bytes[m->n++] = (unsigned char)value;
}

static void put_varint(struct message *m, uint64_t value)
{
	for (; value >= 0x80; value >>= 7)
		put_byte(m, (unsigned)(value & 0x7f) | 0x80);
	put_byte(m, (unsigned)value);
}

static void put_fixed(struct message *m, uint64_t value, int bytes)
{
	for (int i = 0; i < bytes; i++)
		put_byte(m, (unsigned)(value >> (8 * i)) & 0xff);
}

static void put_key(struct message *m, unsigned field, enum wire wire)
{
	put_varint(m, field << 3 | wire);
}

static void put_double(struct message *m, unsigned field, double value)
{
	uint64_t bits;
	memcpy(&bits, &value, sizeof bits);
	put_key(m, field, FIXED64);
	put_fixed(m, bits, 8);
}

static void put_float(struct message *m, unsigned field, float value)
{
	uint32_t bits;
	memcpy(&bits, &value, sizeof bits);
	put_key(m, field, FIXED32);
	put_fixed(m, bits, 4);
}

static void put_bytes(struct message *m, unsigned field, const void *data, size_t n)
{
	put_key(m, field, BYTES);
	put_varint(m, n);
	for (size_t i = 0; i < n; i++)
		put_byte(m, ((const unsigned char *)data)[i]);
}

static uint32_t masked(const void *data, size_t n)
{
	uint32_t crc = gns_crc32c(data, n);
	return (crc >> 15 | crc << 17) + 0xa282ead8u;
}

/* Length, its check, the bytes, their check; all little-endian. */
static void write_record(FILE *out, const struct message *m)
{
	struct message frame = {.n = 0};
	put_fixed(&frame, m->n, 8);
	put_fixed(&frame, masked(frame.bytes, 8), 4);
	fwrite(frame.bytes, 1, frame.n, out);
	fwrite(m->bytes, 1, m->n, out);
	frame.n = 0;
	put_fixed(&frame, masked(m->bytes, m->n), 4);
	fwrite(frame.bytes, 1, frame.n, out);
}

void gns_tfevents_start(struct gns_tfevents *events, FILE *out, double wall_time)
{
	static const char version[] = "brain.Event:2", writer[] = "gnscope " GNS_VERSION;
	struct message event = {.n = 0}, source = {.n = 0};
	events->out = out;
	put_double(&event, EVENT_WALL_TIME, wall_time);
	put_bytes(&event, EVENT_FILE_VERSION, version, sizeof version - 1);
	put_bytes(&source, SOURCE_WRITER, writer, sizeof writer - 1);
	put_bytes(&event, EVENT_SOURCE, source.bytes, source.n);
	write_record(out, &event);
}

void gns_tfevents_scalar(struct gns_tfevents *events, double wall_time, int64_t step, const char *tag, double value)
{
	struct message scalar = {.n = 0}, summary = {.n = 0}, event = {.n = 0};
	if (!isfinite(value) || strlen(tag) > 100)
		return;
	put_bytes(&scalar, VALUE_TAG, tag, strlen(tag));
	put_float(&scalar, VALUE_SIMPLE, (float)value);
	put_bytes(&summary, SUMMARY_VALUE, scalar.bytes, scalar.n);
	put_double(&event, EVENT_WALL_TIME, wall_time);
	put_key(&event, EVENT_STEP, VARINT);
	put_varint(&event, (uint64_t)step);
	put_bytes(&event, EVENT_SUMMARY, summary.bytes, summary.n);
	write_record(events->out, &event);
}
