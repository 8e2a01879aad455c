/*
 * The simple calls of holdfast's sessions; the ones that run many at a time
 * are in upload.c and download.c.
 */
#include "config.h"

#include "client/session.h"

#include <stdlib.h>

#include "client/h2.h"
#include "client/http.h"
#include "client/remote.h"
#include "common/err.h"
#include "common/format/digest.h"
#include "common/json.h"
#include "common/sbuf.h"

#define TARGET_MAX 4096
#define BACKUP_PROTOCOL "proxmox-backup-protocol-v1"
/* An index of the largest image that a server can hold in memory as well. */
#define FILE_MAX (UINT32_C(1) << 31)

static struct h2 *
open_session(struct remote *r, const char *path, const char *protocol,
    const char *ns, const struct backup_snapshot *s, const char *flag,
    struct err *e)
{
	const struct repository *repo = remote_repository(r);
	struct sbuf target;
	struct h2 *h;

	sbuf_init(&target, TARGET_MAX);
	sbuf_add_str(&target, path);
	http_add_query(&target, "store", repo->store);
	if (ns != NULL && ns[0] != '\0')
		http_add_query(&target, "ns", ns);
	http_add_query(&target, "backup-type", backup_type_str(s->group.type));
	http_add_query(&target, "backup-id", s->group.id);
	http_add_query_u64(&target, "backup-time", (uint64_t)s->time);
	http_add_query(&target, flag, "true");
	h = remote_upgrade(r, sbuf_str(&target), protocol, e);
	sbuf_fini(&target);
	return h;
}

struct h2 *
session_backup(struct remote *r, const char *ns,
    const struct backup_snapshot *snapshot, struct err *e)
{
	return open_session(r, "/api2/json/backup", BACKUP_PROTOCOL, ns,
	    snapshot, "debug", e);
}

struct h2 *
session_benchmark(struct remote *r, const char *ns, int64_t time, struct err *e)
{
	struct backup_snapshot s;

	if (snapshot_set(&s, "host", "benchmark", time, e) == -1)
		return NULL;
	return open_session(r, "/api2/json/backup", BACKUP_PROTOCOL, ns, &s,
	    "benchmark", e);
}

struct h2 *
session_reader(struct remote *r, const char *ns,
    const struct backup_snapshot *snapshot, struct err *e)
{
	return open_session(r, "/api2/json/reader",
	    "proxmox-backup-reader-protocol-v1", ns, snapshot, "debug", e);
}

int
session_previous_time(struct h2 *h, int64_t *out, struct err *e)
{
	struct json *data;
	int rv = 0;

	*out = 0;
	if (h2_call_json(h, "GET", "/previous_backup_time", &data, e) == -1)
		return -1;
	if (json_type(data) != JSON_NULL && json_i64(data, out) == -1)
		rv = err_set(e, ERR_CORRUPT,
		    "the server's answer is not a time");
	json_free(&data);
	return rv;
}

static int
get_file(struct h2 *h, const char *call, const char *key, const char *name,
    uint8_t **data_out, size_t *len_out, struct err *e)
{
	struct h2_request q = {.method = "GET", .reply_max = FILE_MAX};
	struct sbuf target;
	int rv;

	sbuf_init(&target, TARGET_MAX);
	sbuf_add_str(&target, call);
	http_add_query(&target, key, name);
	q.target = sbuf_str(&target);
	rv = h2_call(h, &q, data_out, len_out, e);
	sbuf_fini(&target);
	return rv;
}

int
session_previous(struct h2 *h, const char *name, uint8_t **data_out,
    size_t *len_out, struct err *e)
{
	return get_file(h, "/previous", "archive-name", name, data_out, len_out,
	    e);
}

int
session_download(struct h2 *h, const char *name, uint8_t **data_out,
    size_t *len_out, struct err *e)
{
	if (get_file(h, "/download", "file-name", name, data_out, len_out, e) ==
	    -1)
		return err_wrap(e, "cannot read '%s'", name);
	return 0;
}

/* Sends the request to that target and frees it. */
static int
post(struct h2 *h, struct sbuf *target, struct json **out, struct err *e)
{
	int rv = h2_call_json(h, "POST", sbuf_str(target), out, e);

	sbuf_fini(target);
	return rv;
}

int
session_blob(struct h2 *h, const char *name, const void *data, size_t len,
    struct err *e)
{
	struct h2_request q = {.method = "POST",
	    .body = data,
	    .body_len = len,
	    .content_type = "application/octet-stream",
	    .reply_max = H2_REPLY_MAX};
	struct sbuf target;
	uint8_t *body = NULL;
	size_t body_len;
	int rv;

	sbuf_init(&target, TARGET_MAX);
	sbuf_add_str(&target, "/blob");
	http_add_query(&target, "file-name", name);
	http_add_query_u64(&target, "encoded-size", len);
	q.target = sbuf_str(&target);
	rv = h2_call(h, &q, &body, &body_len, e);
	free(body);
	sbuf_fini(&target);
	return rv;
}

int
session_fixed_create(struct h2 *h, const char *name, uint64_t size,
    uint64_t *wid_out, struct err *e)
{
	struct sbuf target;
	struct json *data;
	int rv;

	sbuf_init(&target, TARGET_MAX);
	sbuf_add_str(&target, "/fixed_index");
	http_add_query(&target, "archive-name", name);
	http_add_query_u64(&target, "size", size);
	if (post(h, &target, &data, e) == -1)
		return -1;
	rv = json_u64(data, wid_out);
	json_free(&data);
	if (rv == -1)
		return err_set(e, ERR_CORRUPT,
		    "the server's answer is not a number");
	return 0;
}

int
session_fixed_close(struct h2 *h, uint64_t wid, uint64_t count, uint64_t size,
    const struct digest *csum, struct err *e)
{
	char hex[DIGEST_HEX_LEN + 1];
	struct sbuf target;

	digest_to_hex(csum, hex);
	sbuf_init(&target, TARGET_MAX);
	sbuf_add_str(&target, "/fixed_close");
	http_add_query_u64(&target, "wid", wid);
	http_add_query_u64(&target, "chunk-count", count);
	http_add_query_u64(&target, "size", size);
	http_add_query(&target, "csum", hex);
	return post(h, &target, NULL, e);
}

int
session_finish(struct h2 *h, struct err *e)
{
	return h2_call_json(h, "POST", "/finish", NULL, e);
}
