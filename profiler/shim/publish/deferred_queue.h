/* Private to late.c and late_graph.c. */
#ifndef GNS_LATE_QUEUE_H
#define GNS_LATE_QUEUE_H

#include <stdatomic.h>

#include "deferred.h"
#include "publish.h"

struct gns_late_batch { /* records with items, then records that wait behind them */
	uint64_t first, item; /* absolute, in the rings */
	uint32_t records, tail, items;
	uint32_t tail_sent;
	uint32_t n_sets;
	bool settled; /* items applied, sets released, own records sent */
	struct gns_set *set[GNS_LATE_SETS];
};

struct gns_late_graph {
	uint32_t first, records, item, items; /* in the templates' store */
	uint32_t stream, n_sets;
	uint64_t taken, measured; /* deliveries that were made steps of; the newest with numbers */
	uint64_t seen_ns, seen_real_ns;
	bool closed;
	struct gns_set *set[GNS_LATE_SETS];
};

struct gns_late {
	struct gns_record *record; /* GNS_LATE_RECORDS, a ring */
	struct gns_late_item *item;
	uint64_t record_head, record_tail, item_head, item_tail;
	struct gns_late_batch batch[GNS_LATE_STEPS];
	uint64_t head, tail;
	uint32_t new_items, n_new; /* of the step that is being staged, past item_head; its sets */
	struct gns_set *new_set[GNS_LATE_SETS];
	bool too_many;
	struct gns_record *template_record;
	struct gns_late_item *template_item;
	uint32_t template_records, template_items;
	struct gns_late_graph graph[GNS_LATE_GRAPHS];
	uint32_t graphs, every;
	int64_t shift[GNS_STREAMS_MAX];  /* of step numbers */
	uint64_t newest[GNS_STREAMS_MAX];
	struct gns_late_counts counts;
	uint64_t not_same_before; /* the step that is being settled */
	_Atomic bool waiting;
};

#define GNS_LATE_TEMPLATES (GNS_LATE_RECORDS / 4)

static inline struct gns_record *gns_late_record(struct gns_late *late, uint64_t at)
{
	return &late->record[at % GNS_LATE_RECORDS];
}

static inline struct gns_late_item *gns_late_item(struct gns_late *late, uint64_t at)
{
	return &late->item[at % GNS_LATE_ITEMS];
}

/* The field of the step's number, NULL where a record has none. */
uint64_t *gns_late_step_of(struct gns_record *record);
/* By the rule, with slot's values; false: the record is to be left out. */
bool gns_late_apply(struct gns_late *late, const struct gns_late_item *item, struct gns_record *record, const double *values);
/* What STEP and GRAD records have to say of each other after that; `at` gives the i-th record. */
void gns_late_settle(struct gns_late *late, struct gns_record *(*at)(struct gns_late *, uint64_t), uint64_t first, uint32_t n);
/* Behind all that waits; `count` records have been written at record_head. */
bool gns_late_room(const struct gns_late *late, uint32_t records);
void gns_late_append(struct gns_late *late, uint32_t count);

/* late_graph.c: the staged step becomes a template; what is not its own stays staged. False: no room. */
bool gns_late_graph_add(struct gns_publish *publish);
void gns_late_graph_poll(struct gns_publish *publish);

#endif
