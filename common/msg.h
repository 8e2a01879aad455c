#ifndef COMMON_MSG_H
#define COMMON_MSG_H

#include <stdint.h>

#include "common/ipc_fields.h"

struct wire_r;
struct wire_w;

/*
 * Messages as C structs: for each row NAME of ipc_msgs.def
 *   struct msg_NAME, MSG_ID_NAME, MSG_MIN_NAME, MSG_MAX_NAME,
 *   int msg_put_NAME(struct wire_w *, const struct msg_NAME *),
 *   int msg_get_NAME(struct wire_r *, struct msg_NAME *)
 * put returns -1 if the buffer is too small or a field too long; get returns
 * -1 on anything out of bounds (the caller still checks that all bytes were
 * consumed, which ipc.c does after each handler).
 * Strings passed to put are taken up to their NUL.
 */

/* Peer states of the state column; a receiver holds one of them. */
#define IPC_S_NEW 0x01u     /* nothing said yet */
#define IPC_S_READY 0x02u   /* greeted */
#define IPC_S_SESSION 0x04u /* a session is attached */
#define IPC_S_ANY 0xffu

/* Directions. */
#define IPC_D_TO_VAL 1
#define IPC_D_TO_WRK 2
#define IPC_D_TO_AUTH 3
#define IPC_D_TO_CHK 4
#define IPC_D_TO_MASTER 5
#define IPC_D_TO_SRV 6
#define IPC_D_TO_CTL 7
#define IPC_D_TO_JOB 8

#define IPC_APPEND_ENTRY_LEN 48
#define IPC_APPEND_ENTRIES_MAX (IPC_BULK_MAX / IPC_APPEND_ENTRY_LEN)
#define IPC_SOURCE_DEPOSIT 0xffffffffu
#define IPC_WRITERS_MAX 256
#define IPC_FILES_MAX 256 /* indexes and blobs opened per session */

enum session_kind {
	SESSION_KIND_BACKUP = 1,
	SESSION_KIND_READER = 2,
};

#define SESSION_FLAG_DEBUG 0x1u
#define SESSION_FLAG_BENCHMARK 0x2u

enum credential_kind {
	CREDENTIAL_TICKET = 1,
	CREDENTIAL_TOKEN = 2,
};

enum manifest_op {
	MANIFEST_OP_READ = 1, /* verify_state and upid only */
	MANIFEST_OP_STATS,    /* add chunk_upload_stats n0..n3 */
	MANIFEST_OP_VERIFY,   /* set verify_state: state, text = UPID */
	MANIFEST_OP_NOTES,    /* set notes: text */
};

enum worker_state {
	WORKER_STATE_HANDSHAKE = 1,
	WORKER_STATE_HTTP,
	WORKER_STATE_BACKUP,
	WORKER_STATE_READER,
};

#define MSG_DECL_u8(name, max) uint8_t name;
#define MSG_DECL_u16(name, max) uint16_t name;
#define MSG_DECL_u32(name, max) uint32_t name;
#define MSG_DECL_u64(name, max) uint64_t name;
#define MSG_DECL_i64(name, max) int64_t name;
#define MSG_DECL_b32(name, max) uint8_t name[32];
#define MSG_DECL_str(name, max) char name[(max) + 1];
#define MSG_DECL_bytes(name, max) \
	const uint8_t *name; \
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

/* The dummy member keeps messages without fields a valid struct. */
#define IPC_MSG(channel, dir, NAME, handler, id, states, fds) \
	enum { \
		MSG_ID_##NAME = (id), \
		MSG_MIN_##NAME = 0 MSG_##NAME(MSG_MINLEN), \
		MSG_MAX_##NAME = 0 MSG_##NAME(MSG_MAXLEN), \
	}; \
	struct msg_##NAME { \
		MSG_##NAME(MSG_DECL) \
		uint8_t msg_unused_; \
	}; \
	int msg_put_##NAME(struct wire_w *w, const struct msg_##NAME *m); \
	int msg_get_##NAME(struct wire_r *r, struct msg_##NAME *m);
#include "common/ipc_msgs.def"
#undef IPC_MSG

/* "APPEND" for 6; "?" for a number that no row has. */
const char *msg_name(unsigned int id);

#endif
