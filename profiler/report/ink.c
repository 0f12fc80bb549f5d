/* See ink.h. The hues are those of Okabe and Ito (2008), darker on white and lighter on black for contrast. */
#include "profiler/report/ink.h"

const struct gns_colour gns_colours[GNS_INKS] = {
	[GNS_INK_TEXT] = {"text", 0x1a1f26, 0xe8ebef},
	[GNS_INK_FAINT] = {"faint", 0x5d6773, 0x9aa5b1},
	[GNS_INK_GRID] = {"grid", 0xe8ebef, 0x252c35},
	[GNS_INK_FRAME] = {"frame", 0xb6bec7, 0x4b5663},
	[GNS_INK_PAPER] = {"paper", 0xffffff, 0x13171c},
	[GNS_INK_NOISE] = {"noise", 0x0a62a6, 0x6bb3f5},
	[GNS_INK_CRIT] = {"crit", 0xb4540a, 0xf0a15c},
	[GNS_INK_BATCH] = {"batch", 0x0b7a5c, 0x4fcfa6},
	[GNS_INK_OWN] = {"own", 0xb4540a, 0xf0a15c},
	[GNS_INK_FIRST] = {"s1", 0x0a62a6, 0x6bb3f5},
	[GNS_INK_FIRST + 1] = {"s2", 0xc2610c, 0xf0a15c},
	[GNS_INK_FIRST + 2] = {"s3", 0x0b7a5c, 0x4fcfa6},
	[GNS_INK_FIRST + 3] = {"s4", 0x9a3d8d, 0xd992cf},
	[GNS_INK_FIRST + 4] = {"s5", 0x2e9bd0, 0x9fd8f7},
	[GNS_INK_FIRST + 5] = {"s6", 0x84720a, 0xddcb4e},
	[GNS_INK_FIRST + 6] = {"s7", 0xa3293d, 0xf28d9c},
	[GNS_INK_FIRST + 7] = {"s8", 0x55606b, 0xb3bcc6},
};

enum gns_ink gns_ink_series(size_t i)
{
	return (enum gns_ink)(GNS_INK_FIRST + i % GNS_INK_SERIES);
}
