#ifndef COMMON_FORMAT_CHUNKER_H
#define COMMON_FORMAT_CHUNKER_H

/*
 * The content-defined chunker (buzhash, datastore-format 8.7): decides where
 * chunks of a stream end.  Client and test data only; a server assumes
 * nothing about boundaries.
 */

#include <stddef.h>
#include <stdint.h>

#define CHUNKER_WINDOW 64
#define CHUNKER_AVG_ARCHIVE (4u << 20)
#define CHUNKER_AVG_CATALOG (512u << 10)

struct chunker {
	uint32_t hash;
	uint32_t break_min; /* boundary if (hash & mask) >= this */
	uint32_t mask;
	size_t len; /* of the chunk so far */
	size_t min;
	size_t max;
	uint8_t window[CHUNKER_WINDOW];
};

/* avg: a power of two, at least 256. */
void chunker_init(struct chunker *c, size_t avg);
/* Forgets the chunk so far (a boundary was forced). */
void chunker_reset(struct chunker *c);
/* Bytes of data up to and including the boundary, after which the chunker
 * starts anew; 0 if data has none and all of it belongs to the chunk. */
size_t chunker_scan(struct chunker *c, const uint8_t *data, size_t len);

#endif
