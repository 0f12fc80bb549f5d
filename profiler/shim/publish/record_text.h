/* Text in a record. */
#ifndef GNS_PROFILER_SHIM_PUBLISH_RECORD_TEXT_H
#define GNS_PROFILER_SHIM_PUBLISH_RECORD_TEXT_H

#include <stddef.h>
#include <string.h>

/* Truncated to `size` bytes, and not terminated when it fills them: readers must use `size`. */
static inline void gns_publish_text(char *dst, size_t size, const char *src)
{
	size_t n = strnlen(src, size);
	memcpy(dst, src, n);
	memset(dst + n, 0, size - n);
}

#endif
