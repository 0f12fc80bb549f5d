/* A bounded stack of blocks in order of steps: neighbours are merged when it is full, so that a run of any length
 * keeps about as many blocks as an interval needs. Sums merge without loss. */
#include "internal.h"

#include <stdlib.h>

int gns_pile_init(struct gns_pile *pile, size_t max)
{
	*pile = (struct gns_pile){ .max = max, .target = 1 };
	pile->blocks = malloc(max * sizeof *pile->blocks);
	return pile->blocks ? 0 : -ENOMEM;
}

void gns_pile_free(struct gns_pile *pile)
{
	free(pile->blocks);
	*pile = (struct gns_pile){ 0 };
}

static void halve(struct gns_pile *pile)
{
	size_t n = 0;
	for (size_t i = 0; i < pile->n; i += 2) {
		struct gns_block block = pile->blocks[i];
		if (i + 1 < pile->n)
			gns_block_merge(&block, &pile->blocks[i + 1]);
		pile->blocks[n++] = block;
	}
	pile->n = n;
	pile->target *= 2;
}

void gns_pile_add(struct gns_pile *pile, const struct gns_block *block)
{
	if (!(block->count > 0))
		return;
	if (pile->n > 0 && pile->blocks[pile->n - 1].count < pile->target) {
		gns_block_merge(&pile->blocks[pile->n - 1], block);
		return;
	}
	if (pile->n == pile->max)
		halve(pile);
	pile->blocks[pile->n++] = *block;
}

int gns_pile_noise(const struct gns_pile *pile, struct gns_ratio *out, struct gns_meanvar *mv)
{
	*out = (struct gns_ratio){ NAN, NAN, NAN, false, 0 };
	if (mv)
		*mv = (struct gns_meanvar){ NAN, NAN, NAN, NAN, NAN, GNS_VAR_NONE };
	if (pile->n == 0)
		return -ENODATA;
	return gns_noise_from_blocks(pile->blocks, pile->n, GNS_Z95, out, mv);
}
