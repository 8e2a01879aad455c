#ifndef COMMON_MSG_H
#define COMMON_MSG_H

#include <stdint.h>

#include "common/fields.h"
#include "common/ipc_fields.h"

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

/* Who receives: the role bits of ipc.h. */
#define IPC_D_TO_VAL 0x01u
#define IPC_D_TO_WRK 0x02u
#define IPC_D_TO_AUTH 0x04u
#define IPC_D_TO_CHK 0x08u
#define IPC_D_TO_MASTER 0x10u
#define IPC_D_TO_SRV 0x20u
#define IPC_D_TO_CTL 0x40u
#define IPC_D_TO_JOB 0x80u
#define IPC_D_TO_HASHER 0x100u

/*
 * Raised with the first change after a release that a process of that release
 * would misread: before 1 was released it needs no other number.  MIN is the
 * release before, so that its workers finish their sessions at a new validator
 * (HELLO says what both speak).  Only WV and CTL meet another release for long;
 * a parent and its child do between the unpacking of packages and the restart,
 * when a message that has changed since fails as the child's death does.
 */
#define IPC_VERSION 1
#define IPC_VERSION_MIN 1

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
#define SESSION_FLAG_CALL 0x4u /* a reader for one call, refused like one */
/* The client's Upgrade header is missing or names something else: to be
 * refused, but not before its rights and the datastore were looked at. */
#define SESSION_FLAG_NO_UPGRADE 0x8u
#define SESSION_FLAG_OTHER_UPGRADE 0x10u

/* Of the call TASK_LIST.  Those from OK on: any of them suffices; none: all
 * pass. */
#define TASK_FLAG_RUNNING 0x1u /* only those that run */
#define TASK_FLAG_ERRORS 0x2u  /* only those that ended, and not with OK */
#define TASK_FLAG_OK 0x10u
#define TASK_FLAG_WARNING 0x20u
#define TASK_FLAG_ERROR 0x40u
#define TASK_FLAG_UNKNOWN 0x80u
#define TASK_FLAGS_FAILED \
	(TASK_FLAG_WARNING | TASK_FLAG_ERROR | TASK_FLAG_UNKNOWN)
#define TASK_FLAGS_STATUS (TASK_FLAG_OK | TASK_FLAGS_FAILED)

enum credential_kind {
	CREDENTIAL_TICKET = 1,
	CREDENTIAL_TOKEN = 2,
};

enum manifest_op {
	MANIFEST_OP_READ = 1, /* verify_state and upid only */
	MANIFEST_OP_STATS,    /* add chunk_upload_stats n0..n3 */
	MANIFEST_OP_VERIFY,   /* set verify_state: state, text is a UPID */
	MANIFEST_OP_NOTES,    /* set notes: text */
	MANIFEST_OP_FILES,    /* the result: an ARCHIVE record for each file */
};

/* What is said of a chunk (JOB_CHUNK_DOUBT). */
enum job_chunk {
	JOB_CHUNK_GOOD,
	JOB_CHUNK_MISSING,
	JOB_CHUNK_DAMAGED,
	JOB_CHUNK_REPLACED, /* damaged, but replaced by an upload meanwhile */
	JOB_CHUNK_UNKNOWN,  /* cannot be read: says nothing of the chunk */
};

#define JOB_CHECKERS_MAX 33 /* of a verification */

enum worker_state {
	WORKER_STATE_HANDSHAKE = 1,
	WORKER_STATE_HTTP,
	WORKER_STATE_BACKUP,
	WORKER_STATE_READER,
};

/* The dummy member keeps messages without fields a valid struct. */
#define IPC_MSG(channel, dir, NAME, handler, id, states, fds)             \
	enum {                                                            \
		MSG_ID_##NAME = (id),                                     \
		MSG_MIN_##NAME = 0 MSG_##NAME(MSG_MINLEN),                \
		MSG_MAX_##NAME = 0 MSG_##NAME(MSG_MAXLEN),                \
	};                                                                \
	struct msg_##NAME {                                               \
		MSG_##NAME(MSG_DECL) uint8_t msg_unused_;                 \
	};                                                                \
	int msg_put_##NAME(struct wire_w *w, const struct msg_##NAME *m); \
	int msg_get_##NAME(struct wire_r *r, struct msg_##NAME *m);
#include "common/ipc_msgs.def"
#undef IPC_MSG

/* "APPEND" for 6; "?" for a number that no row has. */
const char *msg_name(unsigned int id);

#endif
