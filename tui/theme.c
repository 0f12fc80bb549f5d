/* See theme.h. */
#include "tui/theme.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

const char *const gns_theme_names[GNS_THEMES] = {"dark", "light", "none"};

enum { BLACK, RED, GREEN, YELLOW, BLUE, MAGENTA, CYAN };

static const short few[2][GNS_ROLES] = {
	[GNS_THEME_DARK] = {-1, -1, -1, BLUE, CYAN, CYAN, YELLOW, GREEN, MAGENTA, BLUE, GREEN, YELLOW, RED},
	[GNS_THEME_LIGHT] = {-1, -1, -1, BLUE, BLUE, BLUE, RED, BLACK, MAGENTA, BLUE, BLUE, RED, RED},
};

static const short many[2][GNS_ROLES] = {
	[GNS_THEME_DARK] = {-1, 247, -1, 242, 74, 67, 214, 43, 175, 111, 43, 214, 209},
	[GNS_THEME_LIGHT] = {-1, 241, -1, 247, 25, 67, 130, 29, 132, 61, 29, 130, 160},
};

int gns_theme_find(const char *name, enum gns_theme *theme)
{
	for (int i = 0; i < GNS_THEMES; i++)
		if (strcmp(name, gns_theme_names[i]) == 0) {
			*theme = (enum gns_theme)i;
			return 0;
		}
	return -EINVAL;
}

enum gns_theme gns_theme_guess(void)
{
	const char *said = getenv("COLORFGBG"), *background = said ? strrchr(said, ';') : NULL;
	if (background && (strcmp(background, ";7") == 0 || strcmp(background, ";15") == 0))
		return GNS_THEME_LIGHT;
	return GNS_THEME_DARK;
}

short gns_theme_color(enum gns_theme theme, enum gns_role role, int colors)
{
	if (theme == GNS_THEME_NONE || colors < 8)
		return -1;
	return colors >= 256 ? many[theme][role] : few[theme][role];
}
