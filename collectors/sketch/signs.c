/* The counter-based generator and the table of buckets and signs. */
#include <string.h>

#include "kernels.h"

/* Finaliser of splitmix64 (Steele, Lea, Flood 2014), variant 13 of Stafford. */
static inline uint64_t mix(uint64_t v)
{
	v = (v ^ (v >> 30)) * 0xbf58476d1ce4e5b9ull;
	v = (v ^ (v >> 27)) * 0x94d049bb133111ebull;
	return v ^ (v >> 31);
}

static inline uint64_t make_key(uint64_t seed, uint64_t stream, uint64_t sample)
{
	uint64_t key = mix(seed + 0x9e3779b97f4a7c15ull);

	key = mix(key + stream * 0xd1342543de82ef95ull + 0x632be59bd9b4e019ull);
	return mix(key + sample * 0xaf251af3b0f025b5ull + 0x8ebc6af09c88c6e3ull);
}

static inline uint64_t draw(uint64_t key, uint64_t counter)
{
	return mix(key + counter * 0x9e3779b97f4a7c15ull);
}

uint64_t gns_sketch_bits(uint64_t seed, uint64_t stream, uint64_t sample, uint64_t counter)
{
	return draw(make_key(seed, stream, sample), counter);
}

/* Bit l of `bits` to the top bit of byte l. */
static inline uint64_t spread_signs(uint64_t bits)
{
	uint64_t v = (bits & 0xff) * 0x0101010101010101ull & 0x8040201008040201ull;
	return (v + 0x7f7f7f7f7f7f7f7full) & 0x8080808080808080ull;
}

void gns_sketch_table(int8_t *table, size_t cols, uint64_t seed, uint64_t stream, uint64_t sample, unsigned group)
{
	uint64_t key = make_key(seed, stream, sample);
	uint64_t counter = (uint64_t)group << 32;

	for (size_t col = 0; col < cols; col += 32, counter++) {
		uint64_t bits = draw(key, counter), turns = bits >> 32;
		for (unsigned block = 0; block < 4; block++, bits >>= 8, turns >>= 3) {
			uint64_t bytes = 0x0706050403020100ull ^ (turns & 7) * 0x0101010101010101ull;
			bytes |= (block & 1) * 0x0808080808080808ull | spread_signs(bits);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
			bytes = __builtin_bswap64(bytes);
#endif
			memcpy(table + col + 8 * block, &bytes, sizeof bytes);
		}
	}
}
