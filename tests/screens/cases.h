/* The screens that are kept: tests/screens/expected/NAME.txt. */
#ifndef GNS_TESTS_SCREENS_CASES_H
#define GNS_TESTS_SCREENS_CASES_H

#include "tests/screens/models.h"
#include "tui/view.h"

struct screen_case {
	const char *name;
	void (*model)(struct gns_model *model);
	enum gns_view view;
	int width, height;
	enum gns_renderer_kind kind;
	bool help, paused;
	int64_t window;
};

extern const struct screen_case screen_cases[];
extern const size_t n_screen_cases;

/* The case drawn, as text; the caller frees. */
char *screen_text(const struct screen_case *screen);

#endif
