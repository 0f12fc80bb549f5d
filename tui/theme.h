/* Colours for a dark and a light background, after Okabe and Ito (2008): told apart by all common kinds of colour vision. No
 * meaning rests on them alone. */
#ifndef GNS_TUI_THEME_H
#define GNS_TUI_THEME_H

#include "tui/canvas.h"

enum gns_theme { GNS_THEME_DARK = 0, GNS_THEME_LIGHT, GNS_THEME_NONE, GNS_THEMES };

extern const char *const gns_theme_names[GNS_THEMES]; /* "dark", "light", "none" */
/* By name; -EINVAL. */
int gns_theme_find(const char *name, enum gns_theme *theme);
/* What the terminal says of its background (COLORFGBG), dark when it says nothing. */
enum gns_theme gns_theme_guess(void);
/* Foreground of a role on a terminal of so many colours (8 to 256); -1: the terminal's own. */
short gns_theme_color(enum gns_theme theme, enum gns_role role, int colors);

#endif
