/* Where a step's time goes on the devices, as a panel that a view puts above its list. */
#ifndef GNS_TUI_DEVICE_H
#define GNS_TUI_DEVICE_H

#include "tui/view.h"

/* A bar for each device, what its parts are, and what is beside them; or the sentence why nothing is known. Draws into the upper part of
 * `rect` and returns the rows it took: 0 where the program uses no device, or where there is no room for a list below it. */
int gns_device_panel(struct gns_canvas *canvas, struct gns_rect rect, const struct gns_gpu *gpu, const struct gns_ui *ui);

/* The same in one line, of all devices together: "GPU 0: compute 79% · ...". "" where nothing is known. */
char *gns_device_line(char *buf, size_t size, const struct gns_gpu *gpu);

#endif
