/* Prints kept screens: `draw_screens` lists the names, `draw_screens NAME` prints one, `draw_screens --write DIR` writes all of
 * them. A screen that is written must be looked at before it is committed. */
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/screens/cases.h"

int main(int argc, char **argv)
{
	setlocale(LC_CTYPE, "C.UTF-8");
	setenv("TZ", "UTC", 1);
	for (size_t i = 0; i < n_screen_cases; i++) {
		char *text = argc > 1 ? screen_text(&screen_cases[i]) : NULL, path[4096];
		if (argc == 1) {
			puts(screen_cases[i].name);
		} else if (argc == 3 && strcmp(argv[1], "--write") == 0) {
			snprintf(path, sizeof path, "%s/%s.txt", argv[2], screen_cases[i].name);
			FILE *f = fopen(path, "w");
			if (!f || fputs(text, f) == EOF || fclose(f) != 0) {
				perror(path);
				return 1;
			}
		} else if (strcmp(argv[1], screen_cases[i].name) == 0) {
			fputs(text, stdout);
		}
		free(text);
	}
	return 0;
}
