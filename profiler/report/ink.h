/* The colours of a picture, by what they mean. Two themes; told apart by eyes that see fewer colours, too. */
#ifndef GNS_PROFILER_REPORT_INK_H
#define GNS_PROFILER_REPORT_INK_H

#include <stddef.h>

enum gns_ink {
	GNS_INK_TEXT = 0, GNS_INK_FAINT, GNS_INK_GRID, GNS_INK_FRAME, GNS_INK_PAPER,
	GNS_INK_NOISE, GNS_INK_CRIT, GNS_INK_BATCH, GNS_INK_OWN,
	GNS_INK_FIRST, /* of GNS_INK_SERIES, for runs or kinds side by side */
	GNS_INKS = GNS_INK_FIRST + 8
};
#define GNS_INK_SERIES 8

struct gns_colour {
	const char *name; /* of the style sheet's variable */
	unsigned light, dark; /* 0xrrggbb */
};
extern const struct gns_colour gns_colours[GNS_INKS];

/* The ink of the i-th run or kind; they come round after GNS_INK_SERIES. */
enum gns_ink gns_ink_series(size_t i);

#endif
