/* Reads all that a store has, as the program does; what cannot be read is an error and no crash. */
#ifndef GNS_TESTS_FUZZ_READ_ALL_H
#define GNS_TESTS_FUZZ_READ_ALL_H

#include "gnscope/store.h"

void gns_fuzz_read_run(struct gns_store *store, int64_t run_id);
void gns_fuzz_read_all(struct gns_store *store);

#endif
