/* The operand uses of this micro-step. */
#include "operand_uses.h"

#include "profiler/shim/process/pages.h"
#include "fingerprint.h"

#define NEIGHBOURS 32u

bool gns_operand_uses_init(struct gns_operand_uses *uses)
{
	*uses = (struct gns_operand_uses){ .slots = gns_pages(GNS_OPERAND_USES_SLOTS * sizeof *uses->slots),
					   .cycle = 1 };
	return uses->slots != NULL;
}

void gns_operand_uses_free(struct gns_operand_uses *uses)
{
	gns_pages_free(uses->slots, GNS_OPERAND_USES_SLOTS * sizeof *uses->slots);
	uses->slots = NULL;
}

void gns_operand_uses_next_cycle(struct gns_operand_uses *uses)
{
	uses->cycle++;
	uses->seq = 0;
}

static uint32_t home(const void *data)
{
	return (uint32_t)(((uint64_t)(uintptr_t)data * 0x9e3779b97f4a7c15ull) >> 49);
}

_Static_assert(GNS_OPERAND_USES_SLOTS == 1u << 15, "home() yields 15 bits");

static bool same_weight(const struct gns_operand_use *u, const struct gns_operand *weight)
{
	return u->weight.data == weight->data && u->weight_free == weight->free_n &&
	       u->weight_sum_fast == weight->sum_fast;
}

uint64_t gns_operand_uses_add(struct gns_operand_uses *uses, const struct gns_operand *matrix,
			      const struct gns_operand *weight, uint32_t dtype)
{
	struct gns_operand_use *free_slot = NULL, *oldest = NULL;
	uint32_t at = home(matrix->data);
	for (uint32_t i = 0; i < NEIGHBOURS; i++) {
		struct gns_operand_use *u = &uses->slots[(at + i) % GNS_OPERAND_USES_SLOTS];
		if (u->cycle != uses->cycle) {
			if (!free_slot)
				free_slot = u;
			if (!u->cycle)
				break; /* never used: no entry comes after it */
			continue;
		}
		if (u->data == matrix->data && same_weight(u, weight)) {
			free_slot = u; /* the same pair again: an evaluation pass, a recomputation */
			break;
		}
		if (!oldest || u->seq < oldest->seq)
			oldest = u;
	}
	if (!free_slot) {
		uses->lost++;
		free_slot = oldest;
	}
	struct gns_key key = gns_operand_key(matrix, dtype);
	*free_slot = (struct gns_operand_use){
		.print = uses->no_prints ? 0 : gns_fingerprint_hash(&key),
		.data = matrix->data, .cycle = uses->cycle, .seq = uses->seq++, .rows = matrix->free_n, .width = matrix->sum_n,
		.weight = gns_operand_key(weight,
					  dtype), .weight_free = weight->free_n, .weight_sum_fast = weight->sum_fast, };
	return free_slot->print;
}

unsigned gns_operand_uses_find(struct gns_operand_uses *uses, const struct gns_operand *matrix, size_t other_width,
			       uint32_t dtype, struct gns_operand_use **found)
{
	unsigned n = 0;
	uint32_t at = home(matrix->data);
	struct gns_key key = gns_operand_key(matrix, dtype);
	uint64_t print = 0;
	for (uint32_t i = 0; i < NEIGHBOURS; i++) {
		struct gns_operand_use *u = &uses->slots[(at + i) % GNS_OPERAND_USES_SLOTS];
		if (!u->cycle)
			break;
		if (u->cycle != uses->cycle || u->taken || u->data != matrix->data || u->rows != matrix->sum_n ||
		    u->width != matrix->free_n || u->weight_free != other_width || u->weight.dtype != dtype)
			continue;
		if (!uses->no_prints) {
			if (!print)
				print = gns_fingerprint_hash(&key);
			if (u->print != print)
				continue;
		}
		if (n == GNS_OPERAND_USES_FOUND && u->seq < found[n - 1]->seq)
			continue;
		unsigned j = n < GNS_OPERAND_USES_FOUND ? n++ : n - 1;
		for (; j > 0 && found[j - 1]->seq < u->seq; j--)
			found[j] = found[j - 1];
		found[j] = u;
	}
	return n;
}
