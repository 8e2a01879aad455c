/*
 * Garbage collection, the job's part (gc.h): mark, sweep, report.  Runs in
 * holdfast-job, which can change nothing; what it finds it proposes.  Text
 * and figures of its log are those of datastore-format 6.5.
 */
#include "config.h"

#include "validator/jobs/gc.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/err.h"
#include "common/io.h"
#include "common/mem.h"
#include "common/str.h"
#include "validator/jobs/gc_filter.h"
#include "validator/jobs/gc_mark.h"
#include "validator/jobs/gc_missing.h"
#include "validator/jobs/gc_sweep.h"
#include "validator/jobs/job.h"
#include "validator/store/layout.h"

#define PASSES_MAX 100
#define PASS_WAIT_MS 10000 /* at most, between two passes */
#define SWEEP_THREADS 4
#define SWEEP_WINDOW 8 /* requests on their way */
/* With more chunks, sizes are taken of so many at least, which tells of all to
 * about a hundredth: a look at each costs a disk a seek. */
#define SIZES_MAX 200000
#define SIZES_SAMPLED 12500
#define SAMPLE_MAX 4096u /* folders for one */
#define MISSING_NAMED 20u

struct gc_run {
	struct job *j;
	struct err *e;
	bool dry_run;
	uint64_t cutoff;
	uint64_t oldest;
	struct gc_filter filter;
	struct gc_marks marks;
	struct gc_swept swept; /* of what was proposed and stays */
	unsigned int sample;   /* sizes come from one folder of so many */
	unsigned int on_their_way;
	unsigned int percent; /* said last */
	uint64_t phase_ms;    /* began then */
	uint64_t took_ms[2];  /* both phases */
	struct msg_JOB_GC_RESULT result;
	uint64_t removed_temp;
	unsigned int named; /* missing chunks */
};

/* Which folders tell of all is nobody's choice. */
static unsigned int
random_below(unsigned int power_of_2)
{
	unsigned int n;

	io_random(&n, sizeof(n));
	return n % power_of_2;
}

static bool
is_stopped(const void *arg)
{
	const struct gc_run *g = arg;

	return job_is_stopped(g->j);
}

/* "8.461 TiB": at most three decimals, no zeros at the end. */
static const char *
bytes_str(char dst[32], uint64_t n)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB",
	    "PiB", "EiB"};
	double v = (double)n;
	unsigned int u = 0;
	size_t len;

	while (u < 6 && n >> (10 * (u + 1)) > 0)
		u++;
	snprintf(dst, 32, "%.3f", v / (double)(UINT64_C(1) << (10 * u)));
	for (len = strlen(dst); dst[len - 1] == '0'; len--)
		continue;
	if (dst[len - 1] == '.')
		len--;
	snprintf(dst + len, 32 - len, " %s", units[u]);
	return dst;
}
#define BYTES(n) bytes_str((char[32]){0}, (n))

/* ", about 12 s left", once that can be told and is worth telling. */
static const char *
left_str(const struct gc_run *g, char dst[48], uint64_t done, uint64_t total)
{
	uint64_t ms = io_monotonic_ms() - g->phase_ms;
	uint64_t left = done > 0 ? ms * (total - done) / done / 1000 : 0;

	dst[0] = '\0';
	if (left > 2)
		snprintf(dst, 48, ", about %" PRIu64 " s left", left);
	return dst;
}

/* True once for each percent. */
static bool
percent_is_new(struct gc_run *g, uint64_t done, uint64_t total)
{
	unsigned int percent = (unsigned int)(done * 100 / total);

	if (percent <= g->percent)
		return false;
	g->percent = percent;
	return true;
}

static int
step(struct gc_run *g, enum gc_step what, struct msg_JOB_REPLY *out)
{
	const struct msg_JOB_GC_STEP m = {.step = (uint8_t)what};

	if (job_check_stop(g->j, g->e) == -1)
		return -1;
	return JOB_CALL(g->j, GC_STEP, &m, out, g->e);
}

/* --- phase 1 --- */

static int
mark_found(struct gc_run *g)
{
	struct gc_marks *m = &g->marks;
	char left[48];
	int rv;

	g->percent = 0;
	g->phase_ms = io_monotonic_ms();
	while ((rv = gc_marks_next(m, g->e)) == 1) {
		job_progress(g->j, "marking", m->next, m->nfound);
		if (percent_is_new(g, m->next, m->nfound))
			job_log(g->j, "marked %u%% (%zu of %zu index files%s)",
			    g->percent, m->next, m->nfound,
			    left_str(g, left, m->next, m->nfound));
	}
	return rv;
}

/*
 * 1 if every index that was there when the pass began has been marked, 0 if
 * one may have gone before.  Those that came since then need no mark: what
 * they refer to was in an index that was there, or is young.
 */
static int
mark_pass(struct gc_run *g)
{
	struct msg_JOB_REPLY before, after;

	if (step(g, GC_STEP_LIST, &before) == -1)
		return -1;
	job_progress(g->j, "listing", 0, 0);
	if (gc_marks_list(&g->marks, g->e) == -1 ||
	    step(g, GC_STEP_MARK, &after) == -1 || mark_found(g) == -1 ||
	    step(g, GC_STEP_MARKED, &after) == -1)
		return -1;
	return !g->marks.vanished && before.n0 == before.n1 &&
	    before.n0 == after.n0;
}

static void
pause_between(const struct gc_run *g, unsigned int pass)
{
	const struct timespec some = {0, 20 * 1000000L};
	uint64_t ms = pass < 8 ? UINT64_C(50) << pass : PASS_WAIT_MS;
	uint64_t end = io_monotonic_ms() + ms;

	while (io_monotonic_ms() < end && !job_is_stopped(g->j))
		nanosleep(&some, NULL);
}

static int
mark(struct gc_run *g)
{
	unsigned int pass;
	int rv;

	for (pass = 0; pass < PASSES_MAX; pass++) {
		if (pass > 0) {
			job_log(g->j,
			    "snapshots were removed meanwhile, "
			    "listing again");
			pause_between(g, pass - 1);
		}
		if ((rv = mark_pass(g)) != 0)
			return rv == 1 ? 0 : -1;
	}
	return err_set(g->e, ERR_LOCKED,
	    "snapshots were removed during each of %d listings", PASSES_MAX);
}

static int
phase1(struct gc_run *g)
{
	uint64_t n;
	double error;

	job_log(g->j, "Start GC phase1 (mark used chunks)");
	if (gc_estimate_chunks(job_chunks_fd(g->j),
		random_below(GC_ESTIMATE_STEP), &n, g->e) == -1 ||
	    gc_filter_init(&g->filter, n, g->e) == -1)
		return -1;
	gc_marks_init(&g->marks, job_root_fd(g->j), &g->filter);
	g->marks.is_stopped = is_stopped;
	g->marks.arg = g;
	if (mark(g) == -1)
		return -1;
	if (g->marks.unexpected > 0)
		job_log(g->j,
		    "found (and marked) %" PRIu64 " index files outside of "
		    "expected directory scheme",
		    g->marks.unexpected);
	error = gc_filter_error(&g->filter);
	job_log(g->j,
	    "marked %" PRIu64 " chunks in %s; of unused ones, %.3f%% stay "
	    "until the next collection",
	    g->filter.marked, BYTES(gc_filter_bytes(&g->filter)), error * 100);
	return 0;
}

/* --- phase 2 --- */

/* Takes the next answer to JOB_GC_REMOVE. */
static int
removed(struct gc_run *g, struct err *e)
{
	struct msg_JOB_REPLY r;
	struct ipc_msg m;

	g->on_their_way--;
	if (job_recv(g->j, &m, e) == -1) {
		g->on_their_way = 0; /* none comes any more */
		return -1;
	}
	if (m.type != MSG_ID_JOB_REPLY || msg_get_JOB_REPLY(&m.body, &r) == -1)
		return err_set(e, ERR_PROTO, "wrong answer of the validator");
	g->result.removed_chunks += r.n0;
	g->result.removed_bad += r.n1;
	g->removed_temp += r.n2;
	g->result.removed_bytes += r.n3;
	g->swept.pending_chunks += r.n4;
	g->swept.pending_bytes += r.n5;
	g->swept.disk_chunks += r.n6;
	g->swept.disk_bytes += r.n7;
	return job_reply_check(&r, e);
}

static int
propose(void *arg, const char *names, size_t len, size_t n, struct err *e)
{
	static uint8_t buf[MSG_MAX_JOB_GC_REMOVE];
	struct gc_run *g = arg;
	struct msg_JOB_GC_REMOVE m = {
	    .names = (const uint8_t *)names,
	    .names_len = (uint32_t)len,
	};
	struct wire_w w;

	(void)n;
	if (g->dry_run)
		return 0;
	if (g->on_their_way == SWEEP_WINDOW && removed(g, e) == -1)
		return -1;
	wire_w_init(&w, buf, sizeof(buf));
	msg_put_JOB_GC_REMOVE(&w, &m);
	if (job_send(g->j, MSG_ID_JOB_GC_REMOVE, buf, wire_w_len(&w), NULL,
		e) == -1)
		return -1;
	g->on_their_way++;
	return 0;
}

/* Takes the answers to all proposals: a socket that is closed with something
 * unread may lose what was sent last, which says how this ends. */
static int
all_removed(struct gc_run *g, int rv)
{
	struct err later;

	while (g->on_their_way > 0)
		if (removed(g, rv == 0 ? g->e : &later) == -1)
			rv = -1;
	return rv;
}

static int
progress(void *arg, unsigned int folders, uint64_t chunks, struct err *e)
{
	struct gc_run *g = arg;
	char left[48];

	(void)e;
	job_progress(g->j, "sweeping", folders, STORE_PREFIXES);
	if (folders > 0 && percent_is_new(g, folders, STORE_PREFIXES))
		job_log(g->j, "processed %u%% (%" PRIu64 " chunks%s)",
		    g->percent, chunks,
		    left_str(g, left, folders, STORE_PREFIXES));
	return 0;
}

static void
count(struct gc_run *g, const struct gc_swept *s)
{
	struct msg_JOB_GC_RESULT *r = &g->result;

	if (g->dry_run) {
		r->removed_chunks = s->old_chunks;
		r->removed_bad = s->old_bad;
		r->removed_bytes = s->old_bytes;
		g->removed_temp = s->old_temp;
	}
	r->index_file_count = g->marks.files;
	r->index_data_bytes = g->marks.bytes;
	r->disk_bytes = g->swept.disk_bytes + s->disk_bytes;
	r->disk_chunks = g->swept.disk_chunks + s->disk_chunks;
	r->pending_bytes = g->swept.pending_bytes + s->pending_bytes;
	r->pending_chunks = g->swept.pending_chunks + s->pending_chunks;
	r->still_bad = s->still_bad + s->old_bad - r->removed_bad;
}

static unsigned int
sample_of(uint64_t chunks)
{
	unsigned int n = 1;

	if (chunks > SIZES_MAX)
		while (n < SAMPLE_MAX && chunks / (2 * n) >= SIZES_SAMPLED)
			n *= 2;
	return n;
}

static int
phase2(struct gc_run *g)
{
	struct gc_sweep s = {
	    .chunks_fd = job_chunks_fd(g->j),
	    .filter = &g->filter,
	    .cutoff = (int64_t)g->cutoff,
	    .oldest = (int64_t)g->oldest,
	    .look = g->dry_run,
	    .threads = SWEEP_THREADS,
	    .is_stopped = is_stopped,
	    .propose = propose,
	    .progress = progress,
	    .arg = g,
	};
	struct msg_JOB_REPLY reply;
	struct gc_swept swept;
	int rv;

	job_log(g->j, "Start GC phase2 (sweep unused chunks)");
	if (step(g, GC_STEP_SWEEP, &reply) == -1)
		return -1;
	g->percent = 0;
	g->phase_ms = io_monotonic_ms();
	s.sample = g->sample = sample_of(g->filter.marked);
	s.sample_first = random_below(s.sample);
	rv = all_removed(g, gc_sweep(&s, &swept, g->e));
	if (rv == 0)
		count(g, &swept);
	return rv;
}

/* How many there are from this one on in out, 0 at the end; lent. */
static int
ask_lost(struct gc_run *g, uint64_t first, struct ipc_msg *m,
    struct msg_JOB_GC_LOST_LIST *out)
{
	const struct msg_JOB_GC_LOST ask = {.first = first};
	uint8_t buf[MSG_MAX_JOB_GC_LOST];
	struct wire_w w;

	wire_w_init(&w, buf, sizeof(buf));
	msg_put_JOB_GC_LOST(&w, &ask);
	if (job_send(g->j, MSG_ID_JOB_GC_LOST, buf, wire_w_len(&w), NULL,
		g->e) == -1 ||
	    job_recv(g->j, m, g->e) == -1)
		return -1;
	if (m->type != MSG_ID_JOB_GC_LOST_LIST ||
	    msg_get_JOB_GC_LOST_LIST(&m->body, out) == -1 ||
	    out->digests_len % DIGEST_LEN != 0)
		return err_set(g->e, ERR_PROTO,
		    "wrong answer of the validator");
	return 0;
}

static int
propose_unused(struct gc_run *g, const uint8_t *digests, size_t n)
{
	char names[GC_BATCH_NAMES][DIGEST_HEX_LEN + 1];
	struct digest d;
	size_t i, k = 0;

	for (i = 0; i < n; i++) {
		memcpy(d.b, digests + i * DIGEST_LEN, sizeof(d.b));
		if (!gc_filter_has(&g->filter, &d))
			digest_to_hex(&d, names[k++]);
		if (k == GC_BATCH_NAMES || (i + 1 == n && k > 0)) {
			if (propose(g, names[0], k * sizeof(names[0]), k,
				g->e) == -1)
				return -1;
			k = 0;
		}
	}
	return 0;
}

/* Chunks that are known to be damaged or missing, and that nothing refers to
 * any more: proposed like others, they turn out not to be there. */
static int
forget_lost(struct gc_run *g)
{
	struct msg_JOB_GC_LOST_LIST list;
	uint64_t first = 0;
	struct ipc_msg m;
	uint8_t *digests;
	size_t n;
	int rv;

	do {
		if (job_check_stop(g->j, g->e) == -1 ||
		    ask_lost(g, first, &m, &list) == -1)
			return -1;
		n = list.digests_len / DIGEST_LEN;
		/* Answers to proposals take its place. */
		digests = xmemdup(list.digests, list.digests_len);
		rv = all_removed(g, propose_unused(g, digests, n));
		free(digests);
		first += n;
	} while (rv == 0 && n > 0);
	return rv;
}

/* --- report --- */

static void
report_garbage(struct gc_run *g)
{
	const struct msg_JOB_GC_RESULT *r = &g->result;
	const char *removed = g->dry_run ? "Would remove" : "Removed";

	job_log(g->j, "%s garbage: %s", removed, BYTES(r->removed_bytes));
	job_log(g->j, "%s chunks: %" PRIu64, removed, r->removed_chunks);
	if (r->pending_bytes > 0)
		job_log(g->j, "Pending removals: %s (in %" PRIu64 " chunks)",
		    BYTES(r->pending_bytes), r->pending_chunks);
	if (r->removed_bad > 0)
		job_log(g->j, "%s bad chunks: %" PRIu64, removed,
		    r->removed_bad);
	if (r->still_bad > 0)
		job_log(g->j, "Leftover bad chunks: %" PRIu64, r->still_bad);
	if (g->removed_temp > 0)
		job_log(g->j, "%s temporary files: %" PRIu64, removed,
		    g->removed_temp);
}

static void
report_usage(struct gc_run *g)
{
	const struct msg_JOB_GC_RESULT *r = &g->result;
	double data = (double)r->index_data_bytes, disk = (double)r->disk_bytes;

	job_log(g->j, "Original data usage: %s", BYTES(r->index_data_bytes));
	job_log(g->j, "On-Disk usage: %s (%.2f%%)", BYTES(r->disk_bytes),
	    data > 0 ? disk * 100 / data : 0);
	job_log(g->j, "On-Disk chunks: %" PRIu64, r->disk_chunks);
	job_log(g->j, "Deduplication factor: %.2f", disk > 0 ? data / disk : 1);
	if (r->disk_chunks > 0)
		job_log(g->j, "Average chunk size: %s",
		    BYTES(r->disk_bytes / r->disk_chunks));
	job_log(g->j, "marking took %.3f s, sweeping %.3f s",
	    (double)g->took_ms[0] / 1000, (double)g->took_ms[1] / 1000);
	if (g->sample > 1)
		job_log(g->j,
		    "The usage on disk is an estimate: sizes were taken from "
		    "one folder in %u",
		    g->sample);
}

static void
name_missing(void *arg, const char *path, const char *hex)
{
	struct gc_run *g = arg;

	if (g->named++ < MISSING_NAMED)
		job_warn(g->j, "chunk %s is missing, required by %s", hex,
		    STR_VIS(path));
}

/* Nothing of the collection depends on it. */
static int
report_missing(struct gc_run *g)
{
	struct gc_missing m = {
	    .root_fd = job_root_fd(g->j),
	    .chunks_fd = job_chunks_fd(g->j),
	    .filter = &g->filter,
	    .is_stopped = is_stopped,
	    .found = name_missing,
	    .arg = g,
	};
	struct err why;

	if (gc_filter_all_seen(&g->filter))
		return 0;
	job_progress(g->j, "looking for missing chunks", 0, 0);
	if (gc_find_missing(&m, &why) == -1) {
		if (job_check_stop(g->j, g->e) == -1)
			return -1;
		job_warn(g->j, "cannot look for missing chunks: %s",
		    STR_VIS(why.msg));
	}
	if (m.chunks > 0)
		job_warn(g->j,
		    "%" PRIu64 " chunks are missing that %" PRIu64
		    " index files refer to: verify says which snapshots are "
		    "bad, and an upload heals them",
		    m.chunks, m.indexes);
	return 0;
}

static int
collect(struct gc_run *g)
{
	struct msg_JOB_REPLY reply;
	uint64_t start = io_monotonic_ms();

	job_log(g->j, "starting garbage collection on store %s%s",
	    job_store(g->j),
	    g->dry_run ? " (dry run, nothing is removed)" : "");
	if (phase1(g) == -1)
		return -1;
	g->took_ms[0] = io_monotonic_ms() - start;
	if (phase2(g) == -1 || (!g->dry_run && forget_lost(g) == -1))
		return -1;
	g->took_ms[1] = io_monotonic_ms() - start - g->took_ms[0];
	report_garbage(g);
	report_usage(g);
	if (!g->dry_run &&
	    JOB_CALL(g->j, GC_RESULT, &g->result, &reply, g->e) == -1)
		return -1;
	return report_missing(g);
}

int
job_run_gc(struct job *j, struct err *e)
{
	struct gc_run g = {.j = j, .e = e};
	uint64_t dry;
	int rv = -1;

	if (job_arg_u64(j, "cutoff", 0, &g.cutoff, e) == -1 ||
	    job_arg_u64(j, "oldest", 0, &g.oldest, e) == -1 ||
	    job_arg_u64(j, "dry-run", 0, &dry, e) == -1)
		return -1;
	g.dry_run = dry != 0;
	rv = collect(&g);
	if (g.marks.hash != NULL)
		gc_marks_fini(&g.marks);
	gc_filter_fini(&g.filter);
	return rv;
}
