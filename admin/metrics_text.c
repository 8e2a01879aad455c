/*
 * Prometheus' text format.  Runs in the operator's command; label values are
 * names of datastores and words of our own, escaped all the same.
 */
#include "config.h"

#include "admin/metrics.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/json.h"
#include "common/sbuf.h"

static void
put_head(struct sbuf *b, const char *name, const char *type, const char *help)
{
	sbuf_add_fmt(b, "# HELP holdfast_%s %s\n# TYPE holdfast_%s %s\n", name,
	    help, name, type);
}

static void
put_label(struct sbuf *b, const char *name, const char *value, char before)
{
	sbuf_add_fmt(b, "%c%s=\"", before, name);
	for (; *value != '\0'; value++) {
		if (*value == '"' || *value == '\\')
			sbuf_add_char(b, '\\');
		sbuf_add_char(b, *value == '\n' ? ' ' : *value);
	}
	sbuf_add_char(b, '"');
}

/* name{a="x",b="y"} value; a label without a name is left out. */
static void
put_value(struct sbuf *b, const char *name, const char *label_a, const char *a,
    const char *label_b, const char *bb, uint64_t value)
{
	sbuf_add_fmt(b, "holdfast_%s", name);
	if (label_a != NULL)
		put_label(b, label_a, a, '{');
	if (label_b != NULL)
		put_label(b, label_b, bb, ',');
	sbuf_add_fmt(b, "%s %" PRIu64 "\n", label_a != NULL ? "}" : "", value);
}

static uint64_t
number(const struct json *o, const char *key)
{
	uint64_t v = 0;

	if (json_get_u64(o, key, 0, UINT64_MAX, &v, NULL) == -1)
		return 0;
	return v;
}

static const char *
text(const struct json *o, const char *key)
{
	const char *s = json_get_str(o, key, NULL);

	return s != NULL ? s : "";
}

/* --- one number for each object of a list --- */

struct row {
	const char *key; /* in the object */
	const char *name;
	const char *type;
	const char *help;
};

/* "label" names the object by its member "by". */
static void
put_rows(struct sbuf *b, const struct json *list, const char *label,
    const char *by, const struct row *rows, size_t nrows)
{
	const struct json *o;
	size_t i, j;

	for (i = 0; i < nrows; i++) {
		put_head(b, rows[i].name, rows[i].type, rows[i].help);
		for (j = 0; j < json_len(list); j++) {
			o = json_at(list, j);
			if (json_get(o, rows[i].key) != NULL)
				put_value(b, rows[i].name, label, text(o, by),
				    NULL, NULL, number(o, rows[i].key));
		}
	}
}

static void
put_plain(struct sbuf *b, const struct json *o, const struct row *rows,
    size_t nrows)
{
	size_t i;

	for (i = 0; i < nrows; i++) {
		put_head(b, rows[i].name, rows[i].type, rows[i].help);
		put_value(b, rows[i].name, NULL, NULL, NULL, NULL,
		    number(o, rows[i].key));
	}
}

#define NROWS(rows) (sizeof(rows) / sizeof((rows)[0]))

/* --- datastores --- */

static const struct row space_rows[] = {
    {"total", "store_size_bytes", "gauge", "Size of the datastore's disk."},
    {"used", "store_used_bytes", "gauge", "Used on the datastore's disk."},
    {"avail", "store_available_bytes", "gauge",
	"Free on the datastore's disk."},
    {"estimated-full-date", "store_full_time_seconds", "gauge",
	"When the datastore will be full if it grows as it did in the last 30 "
	"days; not there if it does not."},
    {"damaged-chunks", "store_damaged_chunks", "gauge",
	"Chunks that were found damaged or missing and not uploaded since."},
};

static const struct row store_rows[] = {
    {"uploads", "uploaded_chunks_total", "counter",
	"Chunks that clients sent."},
    {"upload-bytes", "uploaded_bytes_total", "counter",
	"Size of these chunks, decoded."},
    {"stored-bytes", "stored_bytes_total", "counter",
	"Written for those that were new, as encoded."},
    {"duplicates", "duplicate_chunks_total", "counter",
	"Chunks that were sent although the datastore had them."},
    {"reuse-checked", "reuse_checked_chunks_total", "counter",
	"Chunks of previous snapshots that were found when a backup could "
	"reuse them."},
    {"reuse-missing", "reuse_missing_chunks_total", "counter",
	"Chunks of previous snapshots that were missing."},
};

static void
put_states(struct sbuf *b, const struct json *stores)
{
	const struct json *o;
	size_t i;

	put_head(b, "store_damage_unknown", "gauge",
	    "1 if more chunks were found damaged or missing than are "
	    "remembered.");
	for (i = 0; i < json_len(stores); i++) {
		o = json_at(stores, i);
		put_value(b, "store_damage_unknown", "store", text(o, "name"),
		    NULL, NULL, json_get(o, "damaged-unknown") != NULL);
	}

	put_head(b, "store_up", "gauge",
	    "1 if the datastore is open for everything.");
	for (i = 0; i < json_len(stores); i++) {
		o = json_at(stores, i);
		put_value(b, "store_up", "store", text(o, "name"), NULL, NULL,
		    strcmp(text(o, "state"), "open") == 0 &&
			json_get(o, "maintenance") == NULL);
	}
}

static void
put_ends(struct sbuf *b, const struct json *stores)
{
	static const char *const kinds[] = {"backup", "reader"};
	static const char *const ends[] = {"finished", "aborted", "left"};
	const struct json *o, *n;
	size_t i, k, j;

	put_head(b, "sessions_ended_total", "counter",
	    "Sessions that ended: finished, aborted by the server, or left by "
	    "their client.");
	for (i = 0; i < json_len(stores); i++) {
		o = json_at(stores, i);
		for (k = 0; k < NROWS(kinds); k++) {
			n = json_get_object(o, kinds[k], NULL);
			for (j = 0; n != NULL && j < NROWS(ends); j++) {
				sbuf_add_str(b,
				    "holdfast_sessions_ended_total");
				put_label(b, "store", text(o, "name"), '{');
				put_label(b, "kind", kinds[k], ',');
				put_label(b, "result", ends[j], ',');
				sbuf_add_fmt(b, "} %" PRIu64 "\n",
				    number(n, ends[j]));
			}
		}
	}
}

static void
put_scans(struct sbuf *b, const struct json *stores)
{
	const struct json *o, *scans, *buckets;
	const char *name;
	char le[32];
	uint64_t ms;
	size_t i, j;

	put_head(b, "reuse_scan_seconds", "histogram",
	    "How long the check of one index of a previous snapshot took.");
	for (i = 0; i < json_len(stores); i++) {
		o = json_at(stores, i);
		name = text(o, "name");
		scans = json_get_object(o, "scans", NULL);
		if (scans == NULL)
			continue;
		buckets = json_get_array(scans, "buckets", NULL);
		for (j = 0; buckets != NULL && j < json_len(buckets); j++) {
			snprintf(le, sizeof(le), "%g",
			    json_double(json_get(json_at(buckets, j), "le")));
			put_value(b, "reuse_scan_seconds_bucket", "store", name,
			    "le", le, number(json_at(buckets, j), "count"));
		}
		put_value(b, "reuse_scan_seconds_bucket", "store", name, "le",
		    "+Inf", number(scans, "count"));
		ms = number(scans, "ms");
		sbuf_add_str(b, "holdfast_reuse_scan_seconds_sum");
		put_label(b, "store", name, '{');
		sbuf_add_fmt(b, "} %" PRIu64 ".%03u\n", ms / 1000,
		    (unsigned int)(ms % 1000));
		put_value(b, "reuse_scan_seconds_count", "store", name, NULL,
		    NULL, number(scans, "count"));
	}
}

/* --- what is now --- */

/* Sessions of one kind and datastore; *left_out: chunks still to check. */
static uint64_t
count_sessions(const struct json *sessions, const char *store, const char *kind,
    uint64_t *left_out)
{
	const struct json *o, *check;
	uint64_t n = 0;
	size_t i;

	for (i = 0; i < json_len(sessions); i++) {
		o = json_at(sessions, i);
		if (strcmp(text(o, "store"), store) != 0 ||
		    strcmp(text(o, "kind"), kind) != 0)
			continue;
		n++;
		check = json_get_object(o, "check", NULL);
		if (check != NULL)
			*left_out += number(check, "left");
	}
	return n;
}

static void
put_sessions(struct sbuf *b, const struct json *stores,
    const struct json *sessions)
{
	const char *name;
	uint64_t left;
	size_t i;

	put_head(b, "sessions", "gauge", "Open sessions.");
	for (i = 0; i < json_len(stores); i++) {
		name = text(json_at(stores, i), "name");
		left = 0;
		put_value(b, "sessions", "store", name, "kind", "backup",
		    count_sessions(sessions, name, "backup", &left));
		put_value(b, "sessions", "store", name, "kind", "reader",
		    count_sessions(sessions, name, "reader", &left));
	}
	put_head(b, "reuse_left_chunks", "gauge",
	    "Chunks that open backups may reuse and that are not checked "
	    "yet.");
	for (i = 0; i < json_len(stores); i++) {
		name = text(json_at(stores, i), "name");
		left = 0;
		count_sessions(sessions, name, "backup", &left);
		put_value(b, "reuse_left_chunks", "store", name, NULL, NULL,
		    left);
	}
}

static void
put_locks(struct sbuf *b, const struct json *stores, const struct json *locks)
{
	static const char *const modes[] = {"shared", "exclusive"};
	const struct json *o;
	const char *name, *key;
	size_t i, j, k, len;
	uint64_t n;

	put_head(b, "locks", "gauge", "Locks that are held.");
	for (i = 0; i < json_len(stores); i++) {
		name = text(json_at(stores, i), "name");
		len = strlen(name);
		for (k = 0; k < NROWS(modes); k++) {
			for (n = j = 0; j < json_len(locks); j++) {
				o = json_at(locks, j);
				key = text(o, "key");
				n += strncmp(key, name, len) == 0 &&
				    key[len] == '/' &&
				    strcmp(text(o, "mode"), modes[k]) == 0;
			}
			put_value(b, "locks", "store", name, "mode", modes[k],
			    n);
		}
	}
}

static void
put_tasks(struct sbuf *b, const struct json *tasks)
{
	static const char *const results[] = {"ok", "warnings", "failed"};
	const struct json *o;
	size_t i, j;

	put_head(b, "tasks_total", "counter", "Tasks that ended, by result.");
	for (i = 0; i < json_len(tasks); i++) {
		o = json_at(tasks, i);
		for (j = 0; j < NROWS(results); j++)
			put_value(b, "tasks_total", "type", text(o, "type"),
			    "result", results[j], number(o, results[j]));
	}
}

static const struct row process_rows[] = {
    {"workers", "workers", "gauge", "Workers that know the validator."},
    {"checkers-spare", "checkers_spare", "gauge", "Checkers without work."},
    {"checkers-busy", "checkers_busy", "gauge", "Checkers at work."},
    {"checkers-started", "checkers_started_total", "counter",
	"Checkers that were started."},
    {"checkers-died", "checkers_died_total", "counter",
	"Checkers that ended without being told to."},
};

void
metrics_write(struct sbuf *b, const struct metrics *m)
{
	const struct json *stores;

	put_head(b, "up", "gauge", "1 if the daemon answers.");
	put_value(b, "up", "daemon", "auth", NULL, NULL, m->auth != NULL);
	put_value(b, "up", "daemon", "validator", NULL, NULL,
	    m->counters != NULL);
	put_head(b, "start_time_seconds", "gauge",
	    "When the daemon was started.");
	if (m->auth != NULL)
		put_value(b, "start_time_seconds", "daemon", "auth", NULL, NULL,
		    number(m->auth, "started"));
	if (m->counters == NULL)
		return;
	put_value(b, "start_time_seconds", "daemon", "validator", NULL, NULL,
	    number(m->counters, "started"));
	put_plain(b, m->counters, process_rows, NROWS(process_rows));
	put_states(b, m->stores);
	put_rows(b, m->stores, "store", "name", space_rows, NROWS(space_rows));
	put_sessions(b, m->stores, m->sessions);
	put_locks(b, m->stores, m->locks);
	stores = json_get_array(m->counters, "stores", NULL);
	if (stores != NULL) {
		put_ends(b, stores);
		put_rows(b, stores, "store", "name", store_rows,
		    NROWS(store_rows));
		put_scans(b, stores);
	}
	if (json_get_array(m->counters, "tasks", NULL) != NULL)
		put_tasks(b, json_get(m->counters, "tasks"));
}
