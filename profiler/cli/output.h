/* A file that a command writes: whole or not at all. */
#ifndef GNS_OUTPUT_H
#define GNS_OUTPUT_H

#include <stdbool.h>
#include <stdio.h>

#include "gnscope/error.h"

struct gns_output {
	const char *path;       /* as given; "-": standard output */
	char temporary[4352];
	FILE *file;
};

/* `ours`: bytes that tell a file of ours, near its beginning (for PDF: anywhere); NULL: it cannot be told. A file that is there
 * and is not known as ours is refused unless `force`; so is what is no regular file (a device or a pipe is written as it is).
 * Errors leave a sentence. */
int gns_output_open(struct gns_output *output, const char *path, const char *ours, bool force, struct gns_error *err);
/* Makes the file appear under its name; `whole` false, or anything that could not be written: removes it instead. */
int gns_output_close(struct gns_output *output, bool whole, struct gns_error *err);

#endif
