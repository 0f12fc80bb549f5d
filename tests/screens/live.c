/* The dashboard on the fake store, as its own program: live STORE [VIEW [WATCH_PID]]. */
#include <stdlib.h>

#include "tui/top.h"

int main(int argc, char **argv)
{
	struct gns_top_options options = {.store = argc > 1 ? argv[1] : "/", .view = argc > 2 ? argv[2] : NULL, .refresh_ms = 100,
					  .watch_pid = argc > 3 ? (pid_t)atol(argv[3]) : 0, .quit_with_watched = argc > 3};
	return gns_top_main(&options);
}
