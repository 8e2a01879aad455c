#ifndef COMMON_IPC_FIELDS_H
#define COMMON_IPC_FIELDS_H

/*
 * The fields of every row of ipc_msgs.def, in wire order.
 *
 *   F(type, name, max)
 *
 * u8 u16 u32 u64 i64   little-endian integers (max is 0, unused)
 * b32                  32 bytes: a digest, key or checksum
 * str                  text of at most max bytes without NUL: u16 length,
 *                      bytes; decoded into char name[max + 1]
 * bytes                at most max bytes: u32 length, bytes; decoded as
 *                      const uint8_t *name and uint32_t name_len, lent until
 *                      the handler returns
 *
 * The longest message must fit IPC_BODY_MAX (checked at compile time).
 */

#define IPC_GRANT_MAX 49152
#define IPC_TEXT_MAX 1024
#define IPC_NS_MAX 256
#define IPC_ID_MAX 255 /* backup id: one file name */
#define IPC_NAME_MAX 255
#define IPC_AUTHID_MAX 64
#define IPC_STORE_MAX 32
#define IPC_PEER_MAX 64
#define IPC_UPID_MAX 768
#define IPC_BULK_MAX 57344
#define IPC_TYPE_ANY 0xffu
#define IPC_PASSWORD_MAX 1024

/* ---- WV, worker to validator ---- */

/* First message of a connection; answered by WELCOME, or FAIL if no version
 * is shared. */
#define MSG_HELLO(F)           \
	F(u16, version_min, 0) \
	F(u16, version_max, 0) \
	F(str, program, 32)

/* kind: enum session_kind.  Answered by BACKUP_READY (with the arena),
 * SESSION_READY (reader) or FAIL; the session id is the header's. */
#define MSG_SESSION_OPEN(F)            \
	F(u8, kind, 0)                 \
	F(bytes, grant, IPC_GRANT_MAX) \
	F(str, store, IPC_STORE_MAX)   \
	F(str, ns, IPC_NS_MAX)         \
	F(u8, type, 0)                 \
	F(str, id, IPC_ID_MAX)         \
	F(i64, time, 0)                \
	F(u32, flags, 0)               \
	F(str, peer, IPC_PEER_MAX)

/* The session id is the header's; brings the session's arena back (a reader,
 * which has none: an empty memory file).
 * Answered by RESUMED or FAIL. */
#define MSG_SESSION_RESUME(F) F(b32, resume_key, 0)

/* A file of the base snapshot (backup session; an index also becomes a
 * source for APPEND and its chunks are checked from now on) or of the
 * snapshot (reader session; an index also becomes a source for CHUNK_OPEN).
 * The same name again gives the same number. */
#define MSG_FILE_OPEN(F) F(str, name, IPC_NAME_MAX)

/* writer: number chosen by the worker, 1..256, once each.  kind: enum
 * index_kind.  size: of the image, 0 for dynamic.  reuse: start as a copy
 * of the base's index of that name, whose checksum must be reuse_csum. */
#define MSG_INDEX_CREATE(F)        \
	F(u16, writer, 0)          \
	F(u8, kind, 0)             \
	F(str, name, IPC_NAME_MAX) \
	F(u64, size, 0)            \
	F(u8, reuse, 0)            \
	F(b32, reuse_csum, 0)

/* entries: count records of IPC_APPEND_ENTRY_LEN bytes: u64 start offset,
 * u32 source (IPC_SOURCE_DEPOSIT or a file number), u32 position (deposit
 * number or entry of the file), 32 bytes digest.  first: how many entries
 * this writer had before (idempotent by entry number).  Entries in front of
 * a failing one stay appended; FAIL then.  count 0 (first too) only asks how
 * many there are. */
#define MSG_APPEND(F)     \
	F(u16, writer, 0) \
	F(u64, first, 0)  \
	F(u32, count, 0)  \
	F(bytes, entries, IPC_BULK_MAX)

#define MSG_INDEX_CLOSE(F) \
	F(u16, writer, 0)  \
	F(u64, count, 0)   \
	F(u64, size, 0)    \
	F(b32, csum, 0)

/* A chunk lies in the arena from block on, len bytes.  number: position in
 * the session's deposit log, counted by the worker from 0 without holes
 * (a rejected one stays empty).  size: plain bytes. */
#define MSG_DEPOSIT(F)    \
	F(u32, number, 0) \
	F(u16, writer, 0) \
	F(u32, block, 0)  \
	F(u32, len, 0)    \
	F(u32, size, 0)   \
	F(b32, digest, 0)

/* A blob for the snapshot lies in the arena; answered by DONE. */
#define MSG_BLOB_PUT(F)            \
	F(str, name, IPC_NAME_MAX) \
	F(u32, block, 0)           \
	F(u32, len, 0)

/* file, position: where that digest stands in an opened index. */
#define MSG_CHUNK_OPEN(F)   \
	F(u32, file, 0)     \
	F(u32, position, 0) \
	F(b32, digest, 0)

#define MSG_FINISH(F)

/* A line for the task log; no answer. */
#define MSG_SESSION_LOG(F) \
	F(u8, level, 0)    \
	F(str, text, IPC_TEXT_MAX)

/* The client is gone; clean 1 if by end of connection.  Answered by DONE. */
#define MSG_SESSION_CLOSE(F) \
	F(u8, clean, 0)      \
	F(str, text, IPC_TEXT_MAX)

/* A management call; op: enum call_op (call_ops.def says which of the other
 * fields it uses).  Answered by CALL_REPLY, CALL_RECORDS or FAIL. */
#define MSG_CALL_FIELDS(F)              \
	F(u16, op, 0)                   \
	F(bytes, grant, IPC_GRANT_MAX)  \
	F(str, store, IPC_STORE_MAX)    \
	F(str, ns, IPC_NS_MAX)          \
	F(u8, type, 0)                  \
	F(str, id, IPC_ID_MAX)          \
	F(i64, time, 0)                 \
	F(str, name, IPC_UPID_MAX)      \
	F(str, auth_id, IPC_AUTHID_MAX) \
	F(u32, flags, 0)                \
	F(u64, n0, 0)                   \
	F(u64, n1, 0)                   \
	F(u64, n2, 0)                   \
	F(u64, n3, 0)                   \
	F(u64, n4, 0)                   \
	F(u64, n5, 0)
#define MSG_CALL(F) MSG_CALL_FIELDS(F)
/* The same with a sealed memory file that holds a long value (notes, log). */
#define MSG_CALL_DATA(F) MSG_CALL_FIELDS(F)

/* ---- WV, validator to worker ---- */

#define MSG_WELCOME(F)     \
	F(u16, version, 0) \
	F(u64, boot, 0)

#define MSG_SESSION_READY(F)  \
	F(b32, resume_key, 0) \
	F(str, upid, IPC_UPID_MAX)

/* base_time: 0 if there is no base.  credit_slots: deposits and blobs that
 * may be unanswered at a time; bytes are limited by the arena's blocks. */
#define MSG_BACKUP_READY(F)        \
	F(b32, resume_key, 0)      \
	F(str, upid, IPC_UPID_MAX) \
	F(i64, base_time, 0)       \
	F(u32, arena_blocks, 0)    \
	F(u32, credit_slots, 0)

/* code: enum err_code; fails one request, not the session. */
#define MSG_FAIL(F)     \
	F(u16, code, 0) \
	F(str, text, IPC_TEXT_MAX)

#define MSG_DONE(F)

/* kind: enum archive_kind; entries is 0 for a blob. */
#define MSG_FILE_READY(F) \
	F(u32, file, 0)   \
	F(u8, kind, 0)    \
	F(u64, size, 0)   \
	F(u64, entries, 0)

#define MSG_APPENDED(F)  \
	F(u64, count, 0) \
	F(u64, end, 0)

#define MSG_DEPOSITED(F)    \
	F(u8, duplicate, 0) \
	F(u32, stored_len, 0)

#define MSG_CHUNK_READY(F) F(u64, size, 0)

/* Finish waits: so many referenced chunks are still unchecked. */
#define MSG_FINISH_WAIT(F) F(u64, left, 0)

#define MSG_FINISHED(F)

/* The session is over; every request of it fails with this from now on. */
#define MSG_ABORTED(F)  \
	F(u16, code, 0) \
	F(str, text, IPC_TEXT_MAX)

#define MSG_RESUMED(F) F(u32, credit_slots, 0)

#define MSG_CALL_REPLY(F) \
	F(u64, n0, 0)     \
	F(u64, n1, 0)     \
	F(u64, n2, 0)     \
	F(str, text, IPC_TEXT_MAX)

/* size bytes of records (common/records.h) in the sealed memory file. */
#define MSG_CALL_RECORDS(F) \
	F(u64, size, 0)     \
	F(u64, n0, 0)       \
	F(u64, n1, 0)       \
	F(u64, n2, 0)

/* ---- WA, worker to auth ---- */

/* Once per connection.  scheme: TLS SignatureScheme.  tbs: the message that
 * is signed, not its digest, so that auth sees that it is a TLS handshake. */
#define MSG_SIGN(F)       \
	F(u16, scheme, 0) \
	F(bytes, tbs, 4096)

#define MSG_LOGIN(F)                         \
	F(str, user, IPC_AUTHID_MAX)         \
	F(bytes, password, IPC_PASSWORD_MAX) \
	F(str, peer, IPC_PEER_MAX)

/* kind: enum credential_kind.  The identity that passes stays the
 * connection's until the next VERIFY. */
#define MSG_VERIFY(F)          \
	F(u8, kind, 0)         \
	F(u8, need_csrf, 0)    \
	F(str, auth_id, 256)   \
	F(bytes, secret, 2048) \
	F(bytes, csrf, 512)    \
	F(str, peer, IPC_PEER_MAX)

/* For the connection's identity.  purpose: enum grant_purpose.  store and
 * ns may be empty: the grant then carries rights for all below.  subject:
 * another auth id (new owner), which the grant names if it is active. */
#define MSG_GRANT_GET(F)             \
	F(u8, purpose, 0)            \
	F(str, store, IPC_STORE_MAX) \
	F(str, ns, IPC_NS_MAX)       \
	F(str, subject, IPC_AUTHID_MAX)

/* op: enum access_op (server/auth/access_ops.def says which of the other
 * fields it uses). */
#define MSG_ACCESS_CALL(F)              \
	F(u16, op, 0)                   \
	F(str, auth_id, IPC_AUTHID_MAX) \
	F(str, path, 512)               \
	F(bytes, secret, 1024)          \
	F(u32, flags, 0)

/* ---- WA, auth to worker ---- */

/* chain: certificates in PEM, the leaf first.  client_ca: PEM, empty if
 * clients need no certificate. */
#define MSG_AUTH_WELCOME(F)    \
	F(bytes, chain, 24576) \
	F(bytes, client_ca, 24576)

#define MSG_AUTH_FAIL(F)    \
	F(u16, code, 0)     \
	F(u32, delay_ms, 0) \
	F(str, text, IPC_TEXT_MAX)

#define MSG_SIGNED(F) F(bytes, signature, 1024)

#define MSG_LOGGED_IN(F)                \
	F(str, auth_id, IPC_AUTHID_MAX) \
	F(str, ticket, 1024)            \
	F(str, csrf, 512)

#define MSG_VERIFIED(F) F(str, auth_id, IPC_AUTHID_MAX)

#define MSG_GRANT(F) F(bytes, grant, IPC_GRANT_MAX)

/* size bytes of JSON (the "data" of the answer) in the sealed memory file. */
#define MSG_ACCESS_REPLY(F) F(u64, size, 0)

/* ---- VC, validator to checker ---- */

/* Two sealed memory files: the session's arena (read) and the checker's own
 * (written), which has some blocks more at its end for manifests.  The first
 * one of a lent checker is written by its job. */
#define MSG_CHK_ARENAS(F)    \
	F(u32, in_blocks, 0) \
	F(u32, out_blocks, 0)

/* Copy from the first arena to the same blocks of the second, then judge. */
#define MSG_CHK_CHUNK(F) \
	F(u32, block, 0) \
	F(u32, len, 0)   \
	F(u32, size, 0)  \
	F(b32, digest, 0)

#define MSG_CHK_BLOB(F)  \
	F(u32, block, 0) \
	F(u32, len, 0)

/* A manifest in the arena (an upload): parsed, compared with the session,
 * server-only members removed; the result is written at out_block. */
#define MSG_CHK_MANIFEST(F)    \
	F(u32, block, 0)       \
	F(u32, len, 0)         \
	F(u32, out_block, 0)   \
	F(u8, type, 0)         \
	F(str, id, IPC_ID_MAX) \
	F(i64, time, 0)

/* A stored manifest, by descriptor: op (enum manifest_op) reads or changes
 * it; the changed one is written at out_block.  n0..n3: upload statistics.
 * text_len: the first bytes of the arena are a UPID or new notes. */
#define MSG_CHK_FILE(F)      \
	F(u8, op, 0)         \
	F(u32, out_block, 0) \
	F(u8, state, 0)      \
	F(u64, n0, 0)        \
	F(u64, n1, 0)        \
	F(u64, n2, 0)        \
	F(u64, n3, 0)        \
	F(u32, text_len, 0)

/* A stored chunk, by descriptor: read, CRC, and digest where unencrypted.
 * size 0: any plain size; the verdict says which (0 if encrypted). */
#define MSG_CHK_STORED(F) \
	F(u32, size, 0)   \
	F(b32, digest, 0)

/* Stored chunks that were read into the first arena, one behind the other from
 * block on.  Of each: 32 bytes digest, u32 length (0: it was not read). */
#define CHK_MANY 256
#define CHK_MANY_CHUNK_LEN 36
#define MSG_CHK_STORED_MANY(F) \
	F(u32, block, 0)       \
	F(bytes, chunks, CHK_MANY *CHK_MANY_CHUNK_LEN)

/* A stored .blob file, by descriptor: length and checksum of the file as the
 * manifest has them, CRC, and whether an unencrypted one decodes. */
#define MSG_CHK_STORED_BLOB(F) \
	F(u64, size, 0)        \
	F(b32, csum, 0)

/* ---- VC, checker to validator ---- */

/* Of CHK_CHUNK, CHK_BLOB and CHK_STORED*.  code ERR_OK: the judged copy is
 * out_len bytes at the same block.  verified: the digest was recomputed.
 * kind: enum blob_kind.  A read error is ERR_IO, damage ERR_CORRUPT. */
#define MSG_CHK_VERDICT(F) \
	F(u16, code, 0)    \
	F(u8, kind, 0)     \
	F(u8, verified, 0) \
	F(u32, out_len, 0) \
	F(u32, size, 0)    \
	F(str, text, IPC_TEXT_MAX)

/* Of CHK_STORED_MANY, for each: u8 good, u8 kind, u32 encoded length, u32
 * size. */
#define CHK_VERDICT_LEN 10
#define MSG_CHK_VERDICTS(F) F(bytes, verdicts, CHK_MANY *CHK_VERDICT_LEN)

/* Of CHK_MANIFEST and CHK_FILE. verify_state: enum verify_state. */
#define MSG_CHK_MANIFESTED(F)      \
	F(u16, code, 0)            \
	F(u32, out_len, 0)         \
	F(u8, verify_state, 0)     \
	F(str, upid, IPC_UPID_MAX) \
	F(str, text, IPC_TEXT_MAX)

/* ---- MW ---- */

/* certificate: the client must show one, where there are authorities for it.
 * refusal: what every request is answered; "": they are served. */
#define MSG_CONN(F)                \
	F(str, peer, IPC_PEER_MAX) \
	F(u8, certificate, 0)      \
	F(str, refusal, 127)
#define MSG_DRAIN(F)
#define MSG_WRK_READY(F)
/* state: enum worker_state. */
#define MSG_WRK_STATE(F) \
	F(u8, state, 0)  \
	F(str, auth_id, IPC_AUTHID_MAX)

/* ---- CTL ---- */

/* args: "key=value" strings, each ended by NUL. */
#define MSG_CTL_REQUEST(F)  \
	F(str, command, 64) \
	F(bytes, args, 32768)

#define MSG_CTL_FAIL(F) \
	F(u16, code, 0) \
	F(str, text, IPC_TEXT_MAX)

/* size bytes of JSON in the sealed memory file. */
#define MSG_CTL_REPLY(F) F(u64, size, 0)

/* ---- AH, auth to hasher ---- */

#define IPC_HASH_MAX 384 /* CRYPT_OUTPUT_SIZE of libxcrypt */

/* Does the password fit the hash? */
#define MSG_HASH_CHECK(F)                    \
	F(bytes, password, IPC_PASSWORD_MAX) \
	F(str, hash, IPC_HASH_MAX)

/* A new hash with a new salt. */
#define MSG_HASH_MAKE(F) F(bytes, password, IPC_PASSWORD_MAX)

/* ---- AH, hasher to auth ---- */

/* match: of HASH_CHECK.  hash: of HASH_MAKE, "" if libcrypt failed. */
#define MSG_HASHED(F)   \
	F(u8, match, 0) \
	F(str, hash, IPC_HASH_MAX)

/* ---- VJ, validator to job ---- */

/* kind: a name of validator/jobs/job_kinds.def.  args: "key=value" strings,
 * each ended by NUL. */
#define MSG_JOB_START(F)             \
	F(str, kind, 32)             \
	F(str, store, IPC_STORE_MAX) \
	F(str, upid, IPC_UPID_MAX)   \
	F(bytes, args, 32768)

/* Of any request that has no answer of its own.  code: enum err_code; the
 * numbers are as the request says. */
#define MSG_JOB_REPLY(F) \
	F(u16, code, 0)  \
	F(u64, n0, 0)    \
	F(u64, n1, 0)    \
	F(u64, n2, 0)    \
	F(u64, n3, 0)    \
	F(u64, n4, 0)    \
	F(u64, n5, 0)    \
	F(u64, n6, 0)    \
	F(u64, n7, 0)    \
	F(str, text, IPC_TEXT_MAX)

/* ---- VJ, job to validator ---- */

/* A line for the task log; warning 1: counts as one. */
#define MSG_JOB_LOG(F)    \
	F(u8, warning, 0) \
	F(str, text, IPC_TEXT_MAX)

/* what: "marking"; total 0: not known. */
#define MSG_JOB_PROGRESS(F) \
	F(str, what, 32)    \
	F(u64, done, 0)     \
	F(u64, total, 0)

/* The last message.  code ERR_OK: all is well. */
#define MSG_JOB_END(F)  \
	F(u16, code, 0) \
	F(str, text, IPC_TEXT_MAX)

/* A step of garbage collection begins (enum gc_step).  JOB_REPLY: n0, n1
 * removals of snapshots that began, and that ended, since the start. */
#define MSG_JOB_GC_STEP(F) F(u8, step, 0)

/* Names of files in .chunks, each ended by NUL, to be removed if they are
 * old.  JOB_REPLY: n0 chunks, n1 damaged ones and n2 temporary files removed,
 * n3 bytes in all; n4 chunks of n5 bytes are too young, and n6 of n7 bytes are
 * younger than the oldest session. */
#define MSG_JOB_GC_REMOVE(F) F(bytes, names, IPC_BULK_MAX)

/* The figures of .gc-status (datastore-format 6.5); JOB_REPLY once that is
 * written. */
#define MSG_JOB_GC_RESULT(F)        \
	F(u64, index_file_count, 0) \
	F(u64, index_data_bytes, 0) \
	F(u64, disk_bytes, 0)       \
	F(u64, disk_chunks, 0)      \
	F(u64, removed_bytes, 0)    \
	F(u64, removed_chunks, 0)   \
	F(u64, pending_bytes, 0)    \
	F(u64, pending_chunks, 0)   \
	F(u64, removed_bad, 0)      \
	F(u64, still_bad, 0)

/* Which chunks were known to be damaged or missing when the collection began,
 * from this one on; the answer is JOB_GC_LOST_LIST.  A JOB_GC_REMOVE of one
 * that is not there says that nobody needs it, so it is forgotten. */
#define MSG_JOB_GC_LOST(F) F(u64, first, 0)
/* As many as fit; empty: there are no more. */
#define MSG_JOB_GC_LOST_LIST(F) F(bytes, digests, IPC_BULK_MAX)

/* ---- VJ, of a verification ---- */

/* The answer to JOB_CHECKER: a checker's socket (channel VC), its arena, from
 * whose first block on its results stand, and one that the job fills. */
#define MSG_JOB_CHECKER_READY(F)

/* Another checker; the one that the slot had before is ended. */
#define MSG_JOB_CHECKER(F) F(u8, slot, 0)

/* Takes a shared lock; one snapshot at a time.  ERR_PERM: not for whom the job
 * works. */
#define MSG_JOB_SNAP_LOCK(F)   \
	F(str, ns, IPC_NS_MAX) \
	F(u8, type, 0)         \
	F(str, id, IPC_ID_MAX) \
	F(i64, time, 0)

/* Frees that lock.  state: enum verify_state, to be written into the manifest;
 * NONE: nothing is. */
#define MSG_JOB_SNAP_DONE(F) F(u8, state, 0)

/* A chunk that is not there, cannot be read or is not what its name says: the
 * validator looks itself and decides.  The reply: n0 enum job_chunk; GOOD: n1
 * the plain size (0 if encrypted), n2 enum blob_kind; DAMAGED: n1 the N of its
 * new name, and why; UNKNOWN: why. */
#define MSG_JOB_CHUNK_DOUBT(F) F(b32, digest, 0)

#endif
