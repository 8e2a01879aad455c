#ifndef COMMON_WIRE_H
#define COMMON_WIRE_H

#include <sys/types.h>

#include <endian.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/*
 * Bounds-checked little-endian reader and writer over a buffer, with a sticky
 * error: after the first read or write out of bounds everything reads as
 * zero or is dropped, and the caller looks once at the end (wire_r_end(),
 * wire_w_len()).  The buffer stays the caller's.
 */
struct wire_r {
	const uint8_t *p;
	const uint8_t *end;
	int error;
};

struct wire_w {
	uint8_t *start;
	uint8_t *p;
	uint8_t *end;
	int error;
};

static inline void
wire_r_init(struct wire_r *r, const void *buf, size_t len)
{
	r->p = buf;
	r->end = r->p + len;
	r->error = 0;
}

static inline size_t
wire_r_left(const struct wire_r *r)
{
	return (size_t)(r->end - r->p);
}

/* Lends len bytes, or NULL on error (never NULL for len 0 otherwise). */
static inline const uint8_t *
wire_r_bytes(struct wire_r *r, size_t len)
{
	const uint8_t *p = r->p;

	if (r->error || len > wire_r_left(r)) {
		r->error = 1;
		return NULL;
	}
	r->p += len;
	return p;
}

static inline uint64_t
wire_r_uint(struct wire_r *r, size_t len)
{
	const uint8_t *p = wire_r_bytes(r, len);
	uint64_t v = 0;

	while (p != NULL && len-- > 0)
		v = v << 8 | p[len];
	return v;
}

static inline uint8_t
wire_r_u8(struct wire_r *r)
{
	return (uint8_t)wire_r_uint(r, 1);
}

static inline uint16_t
wire_r_u16(struct wire_r *r)
{
	return (uint16_t)wire_r_uint(r, 2);
}

static inline uint32_t
wire_r_u32(struct wire_r *r)
{
	return (uint32_t)wire_r_uint(r, 4);
}

static inline uint64_t
wire_r_u64(struct wire_r *r)
{
	return wire_r_uint(r, 8);
}

static inline int64_t
wire_r_i64(struct wire_r *r)
{
	return (int64_t)wire_r_uint(r, 8);
}

/* Copies len bytes; on error dst is zeroed. */
static inline void
wire_r_copy(struct wire_r *r, void *dst, size_t len)
{
	const uint8_t *p = wire_r_bytes(r, len);

	if (p != NULL && len > 0)
		memcpy(dst, p, len);
	else if (len > 0)
		memset(dst, 0, len);
}

/* Length prefix, then bytes; lends them, NULL and 0 on error. */
static inline const uint8_t *
wire_r_blob16(struct wire_r *r, size_t *len_out)
{
	size_t len = wire_r_u16(r);
	const uint8_t *p = wire_r_bytes(r, len);

	*len_out = p != NULL ? len : 0;
	return p;
}

static inline const uint8_t *
wire_r_blob32(struct wire_r *r, size_t *len_out)
{
	size_t len = wire_r_u32(r);
	const uint8_t *p = wire_r_bytes(r, len);

	*len_out = p != NULL ? len : 0;
	return p;
}

/* A string with a u16 length prefix into dst with a NUL; an error if it does
 * not fit or has a NUL inside, then dst is "". */
static inline void
wire_r_str16(struct wire_r *r, char *dst, size_t dst_size)
{
	size_t len;
	const uint8_t *p = wire_r_blob16(r, &len);

	if (p == NULL || len >= dst_size || memchr(p, '\0', len) != NULL) {
		r->error = 1;
		len = 0;
	}
	if (len > 0)
		memcpy(dst, p, len);
	dst[len] = '\0';
}

/* 0 if no read failed and every byte was read, else -1. */
static inline int
wire_r_end(const struct wire_r *r)
{
	return r->error || r->p != r->end ? -1 : 0;
}

static inline void
wire_w_init(struct wire_w *w, void *buf, size_t size)
{
	w->start = w->p = buf;
	w->end = w->start + size;
	w->error = 0;
}

/* Room for len bytes that the caller fills now, or NULL. */
static inline uint8_t *
wire_w_room(struct wire_w *w, size_t len)
{
	uint8_t *p = w->p;

	if (w->error || len > (size_t)(w->end - w->p)) {
		w->error = 1;
		return NULL;
	}
	w->p += len;
	return p;
}

static inline void
wire_w_uint(struct wire_w *w, uint64_t v, size_t len)
{
	uint8_t *p = wire_w_room(w, len);

	v = htole64(v);
	if (p != NULL)
		memcpy(p, &v, len);
}

static inline void
wire_w_u8(struct wire_w *w, uint8_t v)
{
	wire_w_uint(w, v, 1);
}

static inline void
wire_w_u16(struct wire_w *w, uint16_t v)
{
	wire_w_uint(w, v, 2);
}

static inline void
wire_w_u32(struct wire_w *w, uint32_t v)
{
	wire_w_uint(w, v, 4);
}

static inline void
wire_w_u64(struct wire_w *w, uint64_t v)
{
	wire_w_uint(w, v, 8);
}

static inline void
wire_w_i64(struct wire_w *w, int64_t v)
{
	wire_w_uint(w, (uint64_t)v, 8);
}

static inline void
wire_w_bytes(struct wire_w *w, const void *src, size_t len)
{
	uint8_t *p = wire_w_room(w, len);

	if (p != NULL && len > 0)
		memcpy(p, src, len);
}

static inline void
wire_w_blob16(struct wire_w *w, const void *src, size_t len)
{
	if (len > UINT16_MAX)
		w->error = 1;
	wire_w_u16(w, (uint16_t)len);
	wire_w_bytes(w, src, len);
}

static inline void
wire_w_blob32(struct wire_w *w, const void *src, size_t len)
{
	if (len > UINT32_MAX)
		w->error = 1;
	wire_w_u32(w, (uint32_t)len);
	wire_w_bytes(w, src, len);
}

static inline void
wire_w_str16(struct wire_w *w, const char *s)
{
	wire_w_blob16(w, s, strlen(s));
}

/* Bytes written, or -1 after an error. */
static inline ssize_t
wire_w_len(const struct wire_w *w)
{
	return w->error ? -1 : (ssize_t)(w->p - w->start);
}

#endif
