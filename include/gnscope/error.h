/* Errors that leave a function of the program (not of the shim, which counts instead of talking).
 *
 * A function returns 0 or a negative errno; where it takes a `struct gns_error *`, a sentence for the
 * user is left there: what was tried, on what, why not, what to do next. The pointer may be NULL. */
#ifndef GNSCOPE_ERROR_H
#define GNSCOPE_ERROR_H

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

struct gns_error {
	char text[512]; /* one or more plain sentences, no newline at the end; "" when there is none */
};

/* Writes the sentence (truncated to the buffer) and returns `code`, so that `return gns_fail(err, -EIO, ...)`. */
__attribute__((format(printf, 3, 4))) static inline int gns_fail(struct gns_error *err, int code, const char *fmt, ...)
{
	if (err) {
		va_list ap;
		va_start(ap, fmt);
		vsnprintf(err->text, sizeof err->text, fmt, ap);
		va_end(ap);
	}
	return code;
}

#endif
