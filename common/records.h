#ifndef COMMON_RECORDS_H
#define COMMON_RECORDS_H

#include <stddef.h>
#include <stdint.h>

#include "common/fields.h"
#include "common/ipc_fields.h"

/*
 * Records: listings that travel from the validator to a worker (CALL_RECORDS)
 * in a sealed memory file, one after the other: u8 kind, u32 length, then
 * the fields of REC_<kind> in the encoding of ipc_fields.h.  Manifests go
 * along as the bytes that are on disk; only the worker parses them.
 */

#define RECORD_BYTES_MAX (17u << 20) /* one manifest blob */

enum record_kind {
	RECORD_STORE = 1,
	RECORD_NS,
	RECORD_GROUP,
	RECORD_SNAP,
	RECORD_FILE, /* a file of the SNAP or GROUP before it */
	RECORD_PRUNE,
	RECORD_TASK,
	RECORD_LINE,
	RECORD_COUNT, /* snapshot and group counts of a type */
	RECORD_ARCHIVE,
	RECORD_KIND_END,
};

#define REC_STORE(F)                  \
	F(str, name, IPC_STORE_MAX)   \
	F(str, comment, IPC_TEXT_MAX) \
	F(str, maintenance, IPC_TEXT_MAX)
#define REC_NS(F) F(str, ns, IPC_NS_MAX)
/* comment: first line of the group's notes. */
#define REC_GROUP(F)                  \
	F(u8, type, 0)                \
	F(str, id, IPC_ID_MAX)        \
	F(i64, last_backup, 0)        \
	F(u64, count, 0)              \
	F(str, owner, IPC_AUTHID_MAX) \
	F(str, comment, IPC_TEXT_MAX)
/* manifest: the blob index.json.blob as on disk; empty if unreadable. */
#define REC_SNAP(F)                   \
	F(u8, type, 0)                \
	F(str, id, IPC_ID_MAX)        \
	F(i64, time, 0)               \
	F(str, owner, IPC_AUTHID_MAX) \
	F(u8, protected, 0)           \
	F(bytes, manifest, RECORD_BYTES_MAX)
#define REC_FILE(F)                \
	F(str, name, IPC_NAME_MAX) \
	F(u64, size, 0)
#define REC_PRUNE(F)           \
	F(str, ns, IPC_NS_MAX) \
	F(u8, type, 0)         \
	F(str, id, IPC_ID_MAX) \
	F(i64, time, 0)        \
	F(u8, keep, 0)         \
	F(u8, protected, 0)
/* endtime 0: running.  status: "OK", "WARNINGS: n", an error, "unknown". */
#define REC_TASK(F)                \
	F(str, upid, IPC_UPID_MAX) \
	F(i64, endtime, 0)         \
	F(str, status, IPC_TEXT_MAX)
#define REC_LINE(F)  \
	F(u64, n, 0) \
	F(bytes, text, 16384)
#define REC_COUNT(F)      \
	F(u8, type, 0)    \
	F(u64, groups, 0) \
	F(u64, snapshots, 0)
/* A file of a manifest (MANIFEST_OP_FILES).  crypt_mode: enum crypt_mode. */
#define REC_ARCHIVE(F)             \
	F(str, name, IPC_NAME_MAX) \
	F(u8, crypt_mode, 0)       \
	F(u8, has_csum, 0)         \
	F(b32, csum, 0)            \
	F(u64, size, 0)

/* struct rec_STORE, rec_put_STORE(), rec_get_STORE() and so on, made like
 * those of common/msg.h; put writes kind and length too. */
#include "common/records_gen.h"

/* Reads kind and length of the next record and gives a reader of just its
 * fields.  Returns 1, 0 at the end, -1 if damaged. */
int record_next(struct wire_r *all, enum record_kind *kind_out,
    struct wire_r *body_out);

#endif
