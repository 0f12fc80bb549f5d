/* Strings from a trainer's process, made harmless for a terminal. */
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "gnscope/text.h"

/* Length of the valid sequence at s and its code point, or 0 (Unicode 15, table 3-7: no overlong form, no surrogate).
 * The terminating NUL is no continuation byte, so nothing is read past it. */
size_t gns_text_decode(const char *text, uint32_t *point)
{
	const unsigned char *s = (const unsigned char *)text;
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t length = s[0] < 0x80 ? 1 : (s[0] & 0xe0) == 0xc0 ? 2 : (s[0] & 0xf0) == 0xe0 ? 3 : (s[0] & 0xf8) == 0xf0 ? 4 : 0;
	if (length == 0)
		return 0;
	uint32_t value = length == 1 ? s[0] : s[0] & (0x7fu >> length);
	for (size_t i = 1; i < length; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		value = value << 6 | (s[i] & 0x3fu);
	}
	if (value < least[length] || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff))
		return 0;
	*point = value;
	return length;
}

bool gns_text_harmless(uint32_t point)
{
	if (point < 0x20 || (point >= 0x7f && point <= 0x9f)) /* C0, DEL, C1 */
		return false;
	if (point == 0x2028 || point == 0x2029) /* line and paragraph separator */
		return false;
	/* bidirectional marks, embeddings, overrides and isolates */
	return !(point == 0x061c || point == 0x200e || point == 0x200f || (point >= 0x202a && point <= 0x202e) ||
		 (point >= 0x2066 && point <= 0x2069));
}

char *gns_text_safe(char *dst, size_t size, const char *src)
{
	if (size == 0)
		return dst;
	const unsigned char *s = (const unsigned char *)(src ? src : "");
	size_t used = 0;
	while (*s) {
		uint32_t point = 0;
		size_t length = gns_text_decode((const char *)s, &point);
		bool keep = length > 0 && gns_text_harmless(point);
		size_t out = keep ? length : 1;
		if (used + out > size - 1)
			break;
		if (keep)
			memcpy(dst + used, s, length);
		else
			dst[used] = '?';
		used += out;
		s += length > 0 ? length : 1;
	}
	dst[used] = '\0';
	return dst;
}
