/* `gnscope top`: options for the dashboard, which is in tui/. */
#include <stdlib.h>

#include "profiler/cli/cli.h"
#include "tui/top.h"

static const char help[] =
	"Usage: gnscope top [OPTION]... [RUN]\n"
	"The dashboard of a live or a saved run. RUN is an id or a name; default: the\n"
	"latest. Press ? for the keys, q to quit.\n"
	"\n"
	"      --view V         now, tradeoff, layers, kernels, runs, health (or 1 to 6)\n"
	"      --window N       only the last N steps\n"
	"      --once           print the view as text and exit; needs no terminal\n"
	"      --json           the numbers of that view as one JSON object instead\n"
	"      --width N        columns of that text\n"
	"      --height N       lines of that text\n"
	"      --price P        price of a device-hour, for view 2\n"
	"      --devices N      number of devices; default: one for each rank\n"
	"      --refresh MS     refresh every MS milliseconds; default 250\n"
	"      --ascii          draw with ASCII only\n"
	"      --no-color       no colours (also by NO_COLOR)\n"
	"      --theme T        colours for a background: dark, light; or none\n"
	"      --no-mouse       do not use the mouse\n"
	"      --store FILE     the store to read                         (GNSCOPE_STORE)\n"
	"  -h, --help           this text\n";

static int whole(char **argv, const char *name, int64_t min, int64_t max, int64_t *out)
{
	if (gns_cli_integer(optarg, min, max, out) == 0)
		return 0;
	return gns_cli_usage(argv[0], "--%s '%s' is not a whole number from %lld to %lld", name, optarg, (long long)min, (long long)max);
}

static int above_zero(char **argv, const char *name, double *out)
{
	if (gns_cli_number(optarg, out) == 0 && *out > 0)
		return 0;
	return gns_cli_usage(argv[0], "--%s '%s' is not a number above 0", name, optarg);
}

int gns_cmd_top(int argc, char **argv)
{
	enum { STORE = 256, VIEW, WINDOW, ONCE, WIDTH, HEIGHT, REFRESH, ASCII, NO_COLOR, JSON, PRICE, DEVICES, THEME,
	       NO_MOUSE };
	static const struct option longs[] = {
		{"store", required_argument, NULL, STORE}, {"view", required_argument, NULL, VIEW},
		{"window", required_argument, NULL, WINDOW}, {"once", no_argument, NULL, ONCE},
		{"width", required_argument, NULL, WIDTH}, {"height", required_argument, NULL, HEIGHT},
		{"refresh", required_argument, NULL, REFRESH}, {"ascii", no_argument, NULL, ASCII},
		{"json", no_argument, NULL, JSON}, {"price", required_argument, NULL, PRICE},
		{"devices", required_argument, NULL, DEVICES}, {"theme", required_argument, NULL, THEME},
		{"no-mouse", no_argument, NULL, NO_MOUSE}, {"no-color", no_argument, NULL, NO_COLOR}, {"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0},
	};
	struct gns_top_options o = {0};
	struct gns_error err = {""};
	const char *store = NULL;
	char path[4096];
	int64_t n = 0;
	int rc = 0;
	opterr = 0;
	for (int c; rc == 0 && (c = getopt_long(argc, argv, ":h", longs, NULL)) != -1;) {
		switch (c) {
		case STORE: store = optarg; break;
		case VIEW: o.view = optarg; break;
		case ONCE: o.once = true; break;
		case ASCII: o.ascii = true; break;
		case JSON: o.json = true; break;
		case THEME: o.theme = optarg; break;
		case NO_MOUSE: o.no_mouse = true; break;
		case PRICE: rc = above_zero(argv, "price", &o.price); break;
		case DEVICES: rc = above_zero(argv, "devices", &o.devices); break;
		case NO_COLOR: o.no_color = true; break;
		case WINDOW: rc = whole(argv, "window", 1, INT64_MAX, &o.window); break;
		case WIDTH: rc = whole(argv, "width", 1, 10000, &n); o.width = (int)n; break;
		case HEIGHT: rc = whole(argv, "height", 1, 10000, &n); o.height = (int)n; break;
		case REFRESH: rc = whole(argv, "refresh", 10, 3600000, &n); o.refresh_ms = (int)n; break;
		case 'h': fputs(help, stdout); return GNS_EXIT_OK;
		default: return gns_cli_bad_option(argv, c);
		}
	}
	if (rc)
		return rc;
	o.run = optind < argc ? argv[optind++] : NULL;
	if (optind < argc)
		return gns_cli_usage(argv[0], "unexpected argument '%s' (top takes one RUN)", argv[optind]);
	if (o.json && !o.once)
		return gns_cli_usage(argv[0], "--json goes with --once");
	if (gns_cli_store_path(store, path, sizeof path, &err) != 0)
		return gns_cli_fail(argv[0], "%s", err.text);
	o.store = path;
	return gns_top_main(&o);
}

