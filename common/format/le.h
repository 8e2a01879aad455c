#ifndef COMMON_FORMAT_LE_H
#define COMMON_FORMAT_LE_H

/* Little-endian integers at fixed places of a buffer whose length the caller
 * has checked; sequences of fields go through common/wire.h. */

#include <endian.h>
#include <stdint.h>
#include <string.h>

static inline uint32_t
get_le32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return le32toh(v);
}

static inline uint64_t
get_le64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return le64toh(v);
}

static inline void
put_le32(uint8_t *p, uint32_t v)
{
	v = htole32(v);
	memcpy(p, &v, sizeof(v));
}

static inline void
put_le64(uint8_t *p, uint64_t v)
{
	v = htole64(v);
	memcpy(p, &v, sizeof(v));
}

#endif
