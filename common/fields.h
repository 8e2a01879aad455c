#ifndef COMMON_FIELDS_H
#define COMMON_FIELDS_H

#include <stdint.h>
#include <string.h>

#include "common/wire.h"

/*
 * From a list of fields, F(type, name, max) as ipc_fields.h explains them,
 * to struct members, length limits and codecs.  Used for messages (msg.h)
 * and records (records.h); each macro below is one value of F.
 */

#define MSG_DECL_u8(name, max) uint8_t name;
#define MSG_DECL_u16(name, max) uint16_t name;
#define MSG_DECL_u32(name, max) uint32_t name;
#define MSG_DECL_u64(name, max) uint64_t name;
#define MSG_DECL_i64(name, max) int64_t name;
#define MSG_DECL_b32(name, max) uint8_t name[32];
#define MSG_DECL_str(name, max) char name[(max) + 1];
#define MSG_DECL_bytes(name, max) \
	const uint8_t *name;      \
	uint32_t name##_len;
#define MSG_DECL(type, name, max) MSG_DECL_##type(name, max)

#define MSG_MINLEN_u8(max) 1
#define MSG_MINLEN_u16(max) 2
#define MSG_MINLEN_u32(max) 4
#define MSG_MINLEN_u64(max) 8
#define MSG_MINLEN_i64(max) 8
#define MSG_MINLEN_b32(max) 32
#define MSG_MINLEN_str(max) 2
#define MSG_MINLEN_bytes(max) 4
#define MSG_MINLEN(type, name, max) +MSG_MINLEN_##type(max)

#define MSG_MAXLEN_u8(max) 1
#define MSG_MAXLEN_u16(max) 2
#define MSG_MAXLEN_u32(max) 4
#define MSG_MAXLEN_u64(max) 8
#define MSG_MAXLEN_i64(max) 8
#define MSG_MAXLEN_b32(max) 32
#define MSG_MAXLEN_str(max) (2 + (max))
#define MSG_MAXLEN_bytes(max) (4 + (max))
#define MSG_MAXLEN(type, name, max) +MSG_MAXLEN_##type(max)

/* Codecs: "w", "r" and "m" are the names inside the generated functions. */
#define MSG_PUT_u8(name, max) wire_w_u8(w, m->name);
#define MSG_PUT_u16(name, max) wire_w_u16(w, m->name);
#define MSG_PUT_u32(name, max) wire_w_u32(w, m->name);
#define MSG_PUT_u64(name, max) wire_w_u64(w, m->name);
#define MSG_PUT_i64(name, max) wire_w_i64(w, m->name);
#define MSG_PUT_b32(name, max) wire_w_bytes(w, m->name, 32);
#define MSG_PUT_str(name, max) \
	wire_w_blob16(w, m->name, strnlen(m->name, (max)));
#define MSG_PUT_bytes(name, max)   \
	if (m->name##_len > (max)) \
		w->error = 1;      \
	else                       \
		wire_w_blob32(w, m->name, m->name##_len);
#define MSG_PUT(type, name, max) MSG_PUT_##type(name, max)

#define MSG_GET_u8(name, max) m->name = wire_r_u8(r);
#define MSG_GET_u16(name, max) m->name = wire_r_u16(r);
#define MSG_GET_u32(name, max) m->name = wire_r_u32(r);
#define MSG_GET_u64(name, max) m->name = wire_r_u64(r);
#define MSG_GET_i64(name, max) m->name = wire_r_i64(r);
#define MSG_GET_b32(name, max) wire_r_copy(r, m->name, 32);
#define MSG_GET_str(name, max) wire_r_str16(r, m->name, (max) + 1);
#define MSG_GET_bytes(name, max)                   \
	{                                          \
		size_t len_;                       \
		m->name = wire_r_blob32(r, &len_); \
		m->name##_len = (uint32_t)len_;    \
		if (len_ > (max))                  \
			r->error = 1;              \
	}
#define MSG_GET(type, name, max) MSG_GET_##type(name, max)

/* The two functions' bodies: 0, or -1 on anything out of bounds. */
#define MSG_PUT_BODY(FIELDS)              \
	{                                 \
		(void)m;                  \
		FIELDS(MSG_PUT)           \
		return w->error ? -1 : 0; \
	}
#define MSG_GET_BODY(FIELDS)              \
	{                                 \
		memset(m, 0, sizeof(*m)); \
		FIELDS(MSG_GET)           \
		return r->error ? -1 : 0; \
	}

#endif
