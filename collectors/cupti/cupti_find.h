/* CUPTI's functions in this process. */
#ifndef GNS_COLLECTORS_CUPTI_CUPTI_FIND_H
#define GNS_COLLECTORS_CUPTI_CUPTI_FIND_H

#include <stdbool.h>

#include "activities.h"
#include "cupti_api.h"

/* The libcupti that is loaded; where there is none, that of the process's CUDA (by its major version) is loaded, privately, from where the
 * dynamic linker looks. False: there is none, or it lacks a function. It stays loaded. */
bool gns_cupti_find(struct gns_cupti_api *api);

/* __cxa_demangle of the C++ runtime that the process has loaded, NULL if none. */
gns_demangle_fn gns_cupti_demangler(void);

/* Who called from there, for people: "torch.profiler (libtorch_cpu.so)", "libfoo.so". */
void gns_cupti_who(const void *call_site, char *text, size_t size);
/* Who holds CUPTI where a subscription was refused: by CUPTI's own word, where it can tell (CUDA 13). */
void gns_cupti_holder(const struct gns_cupti_api *api, char *text, size_t size);

#endif
