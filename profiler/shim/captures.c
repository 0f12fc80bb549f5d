/* The end of a capture. */
#include "captures.h"

void gns_core_capture_ends(void *stream)
{
	(void)stream;
}
