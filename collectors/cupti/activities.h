/* What CUPTI has recorded, taken out of its buffers: kernels and copies as a list, their names as a table. Filled by CUPTI's own thread
 * (or the one that flushes), read by the trainer's at step boundaries; one lock between them. Memory is taken once, gns_activities_init;
 * what does not fit is counted. */
#ifndef GNS_COLLECTORS_CUPTI_ACTIVITIES_H
#define GNS_COLLECTORS_CUPTI_ACTIVITIES_H

#include "profiler/shim/process/lock.h"

#include "time_split.h"

#define GNS_ACTIVITIES_MAX (1u << 17)
#define GNS_KERNEL_ROWS 512u       /* the first GNS_DEVICE_FAMILIES_N rows stand for what is beyond, by family */
#define GNS_KERNEL_TEXT (1u << 19)

struct gns_activity_row {
	uint64_t hash;
	uint32_t text;      /* where in the texts; mangled as it came */
	uint32_t length;
	bool resolved;      /* pretty is what a KERNEL record says; by the reader */
	bool told;          /* KERNEL has been published */
	char pretty[GNS_KERNEL_NAME_MAX + 1];
	struct gns_kernel_time longest; /* of all steps told so far */
};

struct gns_activities {
	struct gns_lock lock;
	struct gns_activity *list, *scratch; /* GNS_ACTIVITIES_MAX */
	uint32_t n;
	bool sorted;
	struct gns_activity_row row[GNS_KERNEL_ROWS];
	uint8_t family[GNS_KERNEL_ROWS];
	uint32_t n_rows, n_text;
	char *text;
	uint64_t added;       /* records since the beginning */
	uint64_t dropped;     /* records that CUPTI or we had no room for */
	uint64_t incomplete;  /* kernels that had not ended when their buffer came */
	uint64_t names_not_listed;
	uint64_t overhead_ns; /* CUPTI's own, as it says */
};

bool gns_activities_init(struct gns_activities *all);
void gns_activities_clear(struct gns_activities *all); /* the list; names stay */

/* One record of CUPTI's, of any kind. `cupti_version`: cuptiGetVersion. */
void gns_activities_add(struct gns_activities *all, const void *record, uint32_t cupti_version);

/* The rest is for the reader, under the lock. */
void gns_activities_sort(struct gns_activities *all);
/* Takes out what is over on this device at `until`. */
void gns_activities_forget(struct gns_activities *all, uint32_t device, uint64_t until);
/* Fills in `pretty` and the final family of a row. demangle: NULL, or __cxa_demangle. */
typedef char *(*gns_demangle_fn)(const char *mangled, char *buffer, size_t *size, int *status);
void gns_activities_resolve(struct gns_activities *all, uint32_t row, gns_demangle_fn demangle, void (*release)(void *));

#endif
