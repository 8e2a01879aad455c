#ifndef SERVER_RENDER_H
#define SERVER_RENDER_H

#include <stddef.h>
#include <stdint.h>

struct err;
struct json;

/*
 * JSON of wire-protocol 3 and 7 from the validator's records
 * (common/records.h).  Manifests inside are a client's bytes and are parsed
 * here; one that does not parse makes its snapshot an unfinished one.  Each
 * returns a value that belongs to the caller, or NULL: ERR_PROTO for damaged
 * records.
 */
struct json *render_stores(const uint8_t *recs, size_t len, struct err *e);
/* Of a store's status: {"counts": ..., "gc-status": ...}. */
struct json *render_status(const uint8_t *recs, size_t len, struct err *e);
/* From the JSON that a collection left; len 0: none ran yet. */
struct json *render_gc_status(const char *text, size_t len, struct err *e);
struct json *render_namespaces(const uint8_t *recs, size_t len, struct err *e);
struct json *render_groups(const uint8_t *recs, size_t len, struct err *e);
struct json *render_snapshots(const uint8_t *recs, size_t len, struct err *e);
/* Of the one snapshot: ERR_NOT_FOUND "unable to load blob ..." if it is not
 * finished. */
struct json *render_files(const uint8_t *recs, size_t len, struct err *e);
struct json *render_notes(const uint8_t *recs, size_t len, struct err *e);
/* with_ns: the member "ns" where it is not the root. */
struct json *render_prune(const uint8_t *recs, size_t len, int with_ns,
    struct err *e);
struct json *render_tasks(const uint8_t *recs, size_t len, struct err *e);
struct json *render_task_status(const uint8_t *recs, size_t len, struct err *e);
struct json *render_lines(const uint8_t *recs, size_t len, struct err *e);
/* The same as one string. */
struct json *render_log_text(const uint8_t *recs, size_t len, struct err *e);

#endif
