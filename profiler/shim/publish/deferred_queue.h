/* Private to the files of deferred values. */
#ifndef GNS_PROFILER_SHIM_PUBLISH_DEFERRED_QUEUE_H
#define GNS_PROFILER_SHIM_PUBLISH_DEFERRED_QUEUE_H

#include <stdatomic.h>

#include "deferred.h"
#include "publish.h"

struct gns_deferred_batch { /* records with items, and the records without that wait behind them (the tail) */
	uint64_t first, item; /* absolute, in the rings */
	uint32_t records, tail, items;
	uint32_t tail_sent;
	uint32_t n_sets;
	bool settled; /* items are applied, sets released, the records before the tail sent */
	struct gns_set *set[GNS_DEFERRED_SETS];
};

struct gns_deferred_graph {
	uint32_t first, records, item, items; /* in the templates' store */
	uint32_t stream, n_sets;
	uint64_t taken, measured; /* deliveries that steps were made of; the latest one with numbers */
	uint64_t seen_ns, seen_real_ns;
	bool closed;
	struct gns_set *set[GNS_DEFERRED_SETS];
};

struct gns_deferred {
	struct gns_record *record; /* GNS_DEFERRED_RECORDS, a ring */
	struct gns_deferred_item *item;
	uint64_t record_head, record_tail, item_head, item_tail;
	struct gns_deferred_batch batch[GNS_DEFERRED_STEPS];
	uint64_t head, tail;
	uint32_t new_items, n_new; /* of the step that is being staged: its items, after item_head; its sets */
	struct gns_set *new_set[GNS_DEFERRED_SETS];
	bool too_many;
	struct gns_record *template_record;
	struct gns_deferred_item *template_item;
	uint32_t template_records, template_items;
	struct gns_deferred_graph graph[GNS_DEFERRED_GRAPHS];
	uint32_t graphs, every;
	int64_t shift[GNS_STREAMS_MAX];  /* added to step numbers: replays count as steps, captures do not */
	uint64_t newest[GNS_STREAMS_MAX];
	struct gns_deferred_counts counts;
	uint64_t not_same_before; /* counts.not_same before the step that is being settled */
	_Atomic bool waiting;
};

#define GNS_DEFERRED_TEMPLATES (GNS_DEFERRED_RECORDS / 4)

static inline struct gns_record *gns_deferred_record(struct gns_deferred *deferred, uint64_t at)
{
	return &deferred->record[at % GNS_DEFERRED_RECORDS];
}

static inline struct gns_deferred_item *gns_deferred_item(struct gns_deferred *deferred, uint64_t at)
{
	return &deferred->item[at % GNS_DEFERRED_ITEMS];
}

/* The record's field with the number of the step; NULL: this kind has none. */
uint64_t *gns_deferred_step_of(struct gns_record *record);
/* Applies an item with the values of its set; false: the record is left out. */
bool gns_deferred_apply(struct gns_deferred *deferred, const struct gns_deferred_item *item, struct gns_record *record,
			const double *values);
/* Then makes the STEP record agree with the GRAD records that are left; `at` gives the i-th record. */
void gns_deferred_settle(struct gns_deferred *deferred, struct gns_record *(*at)(struct gns_deferred *, uint64_t),
			 uint64_t first, uint32_t n);
/* _room: is there room for `records`? _append: queues `count` records, already written at record_head, behind all
 * others. */
bool gns_deferred_room(const struct gns_deferred *deferred, uint32_t records);
void gns_deferred_append(struct gns_deferred *deferred, uint32_t count);

/* deferred_graph.c: makes the staged step a template; records that do not belong to the step stay staged. False: no
 * room. */
bool gns_deferred_graph_add(struct gns_publish *publish);
void gns_deferred_graph_poll(struct gns_publish *publish);

#endif
