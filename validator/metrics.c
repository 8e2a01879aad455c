/*
 * Numbers for monitoring (metrics.h).  Runs in the validator's loop; the
 * operator's command asks for them and makes them what a monitoring system
 * reads.
 */
#include "config.h"

#include "validator/metrics.h"

#include <stddef.h>

#include "common/json.h"
#include "validator/checker.h"
#include "validator/peer.h"
#include "validator/session.h"
#include "validator/task.h"
#include "validator/validator.h"

static const double bounds[METRICS_SCAN_NBOUNDS] = METRICS_SCAN_BOUNDS;

void
metrics_scan(struct metrics_store *m, uint64_t chunks, uint64_t ms)
{
	size_t i = 0;

	while (i < METRICS_SCAN_NBOUNDS && (double)ms > bounds[i] * 1000)
		i++;
	m->scans[i]++;
	m->scan_ms += ms;
	m->reuse_checked += chunks;
}

static struct json *
ends_json(const uint64_t n[METRICS_END_COUNT])
{
	static const char *const names[] = {"finished", "aborted", "left"};
	struct json *o = json_new_object();
	size_t i;

	for (i = 0; i < METRICS_END_COUNT; i++)
		json_set_u64(o, names[i], n[i]);
	return o;
}

/* As a histogram wants it: how many took at most so long. */
static struct json *
scans_json(const struct metrics_store *m)
{
	struct json *o = json_new_object(), *list = json_new_array(), *row;
	uint64_t sum = 0;
	size_t i;

	for (i = 0; i < METRICS_SCAN_NBOUNDS; i++) {
		sum += m->scans[i];
		row = json_new_object();
		json_set(row, "le", json_new_double(bounds[i]));
		json_set_u64(row, "count", sum);
		json_append(list, row);
	}
	json_set(o, "buckets", list);
	json_set_u64(o, "count", sum + m->scans[METRICS_SCAN_NBOUNDS]);
	json_set_u64(o, "ms", m->scan_ms);
	return o;
}

static struct json *
store_json(const struct vstore *vs)
{
	const struct metrics_store *m = &vs->metrics;
	struct json *o = json_new_object();

	json_set_str(o, "name", vs->conf->title);
	json_set(o, "backup", ends_json(m->backups));
	json_set(o, "reader", ends_json(m->readers));
	json_set_u64(o, "uploads", m->uploads);
	json_set_u64(o, "upload-bytes", m->upload_bytes);
	json_set_u64(o, "stored-bytes", m->stored_bytes);
	json_set_u64(o, "duplicates", m->duplicates);
	json_set_u64(o, "reuse-checked", m->reuse_checked);
	json_set_u64(o, "reuse-missing", m->reuse_missing);
	json_set(o, "scans", scans_json(m));
	return o;
}

static void
task_json(void *list, const struct task_count *c)
{
	struct json *o = json_new_object();

	json_set_str(o, "type", c->type);
	json_set_u64(o, "ok", c->ok);
	json_set_u64(o, "warnings", c->warnings);
	json_set_u64(o, "failed", c->failed);
	json_append(list, o);
}

struct json *
metrics_json(const struct validator *v)
{
	struct json *o = json_new_object(), *stores = json_new_array();
	struct json *tasks = json_new_array();
	size_t i;

	json_set_i64(o, "started", v->started);
	json_set_u64(o, "workers", peers_count(v->peers));
	json_set_u64(o, "checkers-spare", checker_pool_spare(v->checkers));
	json_set_u64(o, "checkers-busy", checker_pool_busy(v->checkers));
	json_set_u64(o, "checkers-started", checker_pool_started(v->checkers));
	json_set_u64(o, "checkers-died", checker_pool_died(v->checkers));
	for (i = 0; i < v->nstores; i++)
		json_append(stores, store_json(v->stores[i]));
	json_set(o, "stores", stores);
	tasks_each_count(v->tasks, task_json, tasks);
	json_set(o, "tasks", tasks);
	return o;
}
