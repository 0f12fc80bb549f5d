/* Byte for byte, in order, at once. */
#include "profiler/cli/pass.h"

#include <fcntl.h>
#include <pty.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

/* A write of this much does not block where poll said that there is room (pipe(7)). */
#define CHUNK 4096

static int open_terminal(struct gns_channel *c)
{
	struct termios settings;
	struct winsize size = {0};
	if (tcgetattr(c->dst, &settings) != 0)
		return -errno;
	ioctl(c->dst, TIOCGWINSZ, &size);
	settings.c_oflag &= ~(tcflag_t)OPOST;
	settings.c_lflag &= ~(tcflag_t)ECHO;
	if (openpty(&c->src, &c->give, NULL, &settings, &size) != 0)
		return -errno;
	fcntl(c->src, F_SETFD, FD_CLOEXEC);
	fcntl(c->give, F_SETFD, FD_CLOEXEC);
	return 0;
}

static int open_pipe(struct gns_channel *c)
{
	int fds[2];
	if (pipe2(fds, O_CLOEXEC) != 0)
		return -errno;
	c->src = fds[0];
	c->give = fds[1];
	return 0;
}

int gns_channel_open(struct gns_channel *c, int dst, struct gns_error *err)
{
	c->dst = dst;
	c->src = c->give = -1;
	c->from = c->to = c->line_len = 0;
	c->terminal = isatty(dst);
	int rc = c->terminal ? open_terminal(c) : open_pipe(c);
	if (rc)
		return gns_fail(err, rc, "cannot make a %s for the command's output: %s", c->terminal ? "pseudo-terminal" : "pipe",
				strerror(-rc));
	fcntl(c->src, F_SETFL, O_NONBLOCK);
	return 0;
}

static void shut(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void gns_channel_started(struct gns_channel *c)
{
	shut(&c->give);
}

void gns_channel_close(struct gns_channel *c)
{
	shut(&c->give);
	shut(&c->src);
}

void gns_channel_resize(struct gns_channel *c)
{
	struct winsize size;
	if (c->terminal && c->src >= 0 && ioctl(c->dst, TIOCGWINSZ, &size) == 0)
		ioctl(c->src, TIOCSWINSZ, &size);
}

static void end_line(struct gns_channel *c)
{
	if (c->line_len && c->on_line) {
		c->line[c->line_len] = '\0';
		c->on_line(c->arg, c->line);
	}
	c->line_len = 0;
}

static void look(struct gns_channel *c, const char *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (bytes[i] == '\n' || bytes[i] == '\r')
			end_line(c);
		else if (c->line_len < GNS_PASS_LINE)
			c->line[c->line_len++] = bytes[i];
	}
}

static void take(struct gns_channel *c)
{
	ssize_t n = read(c->src, c->buffer, sizeof c->buffer);
	if (n > 0) {
		c->from = 0;
		c->to = (size_t)n;
		look(c, c->buffer, c->to);
	} else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
		shut(&c->src);
	}
}

static void give(struct gns_channel *c)
{
	size_t n = c->to - c->from;
	ssize_t done = write(c->dst, c->buffer + c->from, n < CHUNK ? n : CHUNK);
	if (done > 0)
		c->from += (size_t)done;
	else if (done < 0 && errno != EAGAIN && errno != EINTR) {
		c->from = c->to;
		shut(&c->src); /* the reader is gone: the trainer is to meet that too */
	}
}

int gns_channel_poll(const struct gns_channel *c, struct pollfd *fds)
{
	if (c->to > c->from)
		fds[0] = (struct pollfd){.fd = c->dst, .events = POLLOUT};
	else if (c->src >= 0)
		fds[0] = (struct pollfd){.fd = c->src, .events = POLLIN};
	else
		return 0;
	return 1;
}

void gns_channel_serve(struct gns_channel *c, const struct pollfd *fds, int n)
{
	if (n == 0 || !fds[0].revents)
		return;
	if (c->to > c->from)
		give(c);
	else
		take(c);
}

void gns_channel_drain(struct gns_channel *c)
{
	shut(&c->give);
	while (c->src >= 0 || c->to > c->from) {
		if (c->to > c->from) {
			struct pollfd out = {.fd = c->dst, .events = POLLOUT};
			poll(&out, 1, -1);
			give(c);
			continue;
		}
		struct pollfd in = {.fd = c->src, .events = POLLIN};
		if (poll(&in, 1, 0) <= 0)
			break;
		take(c);
	}
	end_line(c);
}

/* Until no process has the other end. */
static void serve_to_the_end(struct gns_channel *const *channels)
{
	for (;;) {
		struct pollfd fds[2];
		int n = gns_channel_poll(channels[0], fds);
		int more = gns_channel_poll(channels[1], fds + n);
		if (n + more == 0)
			return;
		poll(fds, (nfds_t)(n + more), -1);
		gns_channel_serve(channels[0], fds, n);
		gns_channel_serve(channels[1], fds + n, more);
	}
}

void gns_channel_outlive(struct gns_channel *a, struct gns_channel *b)
{
	struct gns_channel *const channels[] = {a, b};
	if (a->src < 0 && b->src < 0)
		return;
	if (fork() != 0)
		return;
	a->on_line = b->on_line = NULL;
	signal(SIGHUP, SIG_IGN); /* as an orphan of the trainer's would, it outlives the terminal's foreground */
	serve_to_the_end(channels);
	_exit(0);
}
