/* The end of a capture. */
#include "captures.h"

#include "products_device.h"

void gns_core_capture_ends(void *stream)
{
	gns_products_device_capture_ends(stream);
}
