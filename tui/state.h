/* The dashboard's own state, shared by top.c (the loop), keys.c and config.c; nothing here is for others. */
#ifndef GNS_TUI_STATE_H
#define GNS_TUI_STATE_H

#include "tui/control.h"
#include "tui/feed.h"
#include "tui/theme.h"
#include "tui/top.h"
#include "tui/view.h"

enum gns_asking { GNS_ASK_NOTHING = 0, GNS_ASK_FILTER, GNS_ASK_PRICE, GNS_ASK_DEVICES, GNS_ASK_EVERY };

struct gns_top {
	const struct gns_top_options *options;
	struct gns_feed feed;
	struct gns_model model;
	struct gns_ui ui;
	struct gns_canvas canvas;
	struct gns_control control;
	enum gns_asking asking;
	enum gns_theme theme;
	bool ascii, mouse;
	double replay_at;    /* step that is shown */
	uint64_t replay_ms;  /* when it was */
	char path[4096];
};

/* One key. False: leave. */
bool gns_top_key(struct gns_top *top, int key);
/* The next frame of a replay; called before every poll. */
void gns_top_replay(struct gns_top *top, uint64_t now_ms);

#endif
