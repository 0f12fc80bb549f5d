/* One bit at a time into a table once, then a byte at a time: records are short. */
#include "profiler/export/export.h"

uint32_t gns_crc32c(const void *data, size_t size)
{
	static uint32_t table[256];
	const unsigned char *bytes = data;
	uint32_t crc = ~0u;
	for (uint32_t i = 0; !table[255] && i < 256; i++) {
		uint32_t value = i;
		for (int bit = 0; bit < 8; bit++)
			value = value & 1 ? value >> 1 ^ 0x82f63b78u : value >> 1;
		table[i] = value;
	}
	for (size_t i = 0; i < size; i++)
		crc = crc >> 8 ^ table[(crc ^ bytes[i]) & 0xff];
	return ~crc;
}
