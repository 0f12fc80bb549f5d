/* Settings that stay: $XDG_CONFIG_HOME/gnscope/top.conf (or ~/.config/gnscope/top.conf), lines of a name and a value, "#" begins a
 * comment. Written only on request. Names: view, x_axis (steps, samples, time), cost_axis (steps, hours, money), price, devices,
 * theme (dark, light, none), marks (braille, block, ascii), mouse (yes, no), fold (off, blocks, tops), sort_layers, sort_kernels,
 * sort_runs (given, name, first, second, third), each with a "-" before it when turned around. */
#ifndef GNS_TUI_CONFIG_H
#define GNS_TUI_CONFIG_H

#include "gnscope/error.h"
#include "tui/state.h"

/* -ENOENT: no home. */
int gns_top_config_path(char *buf, size_t size);
/* Takes what the file says; lines that are not understood are passed over and the first is told in ui.notice. No file: nothing. */
void gns_top_config_read(struct gns_top *top, const char *path);
/* Made with its folder, replaced as a whole. */
int gns_top_config_write(const struct gns_top *top, const char *path, struct gns_error *err);

#endif
