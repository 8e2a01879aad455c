/*
 * Looking for garbage (gc_sweep.h).  Runs in holdfast-job; its threads list
 * folders, whose names may be anything.  Folders that cannot be listed end the
 * sweep, those that are not there do not.
 */
#include "config.h"

#include "validator/jobs/gc_sweep.h"

#include <sys/queue.h>
#include <sys/stat.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/err.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/str.h"
#include "validator/jobs/gc_filter.h"
#include "validator/store/chunk_name.h"
#include "validator/store/layout.h"

#define BATCH_BYTES ((size_t)GC_BATCH_NAMES * (CHUNK_NAME_LEN_MAX + 1))
#define QUEUE_MAX 64 /* batches that wait for the main thread */
#define TICK_MS 200
#define SEEN_MAX 32 /* names whose places in the filter are fetched at once */
#define FOLDERS_AT_ONCE 16u /* for a thread: STORE_PREFIXES is a multiple */

struct batch {
	STAILQ_ENTRY(batch) entry;
	size_t n;
	size_t len;
	char names[BATCH_BYTES];
};

struct sweeper {
	const struct gc_sweep *s;
	bool there[STORE_PREFIXES]; /* folders */
	pthread_mutex_t lock;       /* of all that follows */
	pthread_cond_t changed;
	STAILQ_HEAD(, batch) queue;
	unsigned int queued;
	unsigned int next;    /* folder */
	unsigned int folders; /* done */
	unsigned int running; /* threads */
	uint64_t chunks;      /* seen */
	bool ends;            /* an error, or stopped */
	struct err err;
	struct gc_swept total;
};

/* A name that was read; lent by the folder's entries. */
struct seen {
	const char *name;
	enum chunk_name kind;
	struct digest digest;
};

/* A thread at a folder. */
struct folder {
	struct sweeper *w;
	int fd;
	char prefix[5];
	bool sizes;
	struct gc_swept sum;
	struct batch *batch; /* being filled */
	struct seen seen[SEEN_MAX];
	unsigned int nseen;
	_Alignas(struct dirent64) char entries[32768];
};

/* --- in threads --- */

static void
batch_pass_on(struct folder *f)
{
	struct sweeper *w = f->w;

	pthread_mutex_lock(&w->lock);
	while (w->queued >= QUEUE_MAX && !w->ends)
		pthread_cond_wait(&w->changed, &w->lock);
	if (w->ends) {
		free(f->batch);
	} else {
		STAILQ_INSERT_TAIL(&w->queue, f->batch, entry);
		w->queued++;
		pthread_cond_broadcast(&w->changed);
	}
	pthread_mutex_unlock(&w->lock);
	f->batch = NULL;
}

static void
propose(struct folder *f, const char *name)
{
	size_t len = strlen(name) + 1;

	if (f->batch == NULL) {
		f->batch = xmalloc(sizeof(*f->batch));
		f->batch->n = f->batch->len = 0;
	}
	memcpy(f->batch->names + f->batch->len, name, len);
	f->batch->len += len;
	if (++f->batch->n == GC_BATCH_NAMES)
		batch_pass_on(f);
}

/* What cannot be looked at, or is no file, is passed over. */
static bool
look(const struct folder *f, const char *name, struct stat *st)
{
	return fstatat(f->fd, name, st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    S_ISREG(st->st_mode);
}

static int64_t
age_of(const struct stat *st)
{
	return st->st_atim.tv_sec > st->st_mtim.tv_sec ? st->st_atim.tv_sec
						       : st->st_mtim.tv_sec;
}

static void
see_chunk(struct folder *f, const char *name, const struct digest *d)
{
	const struct gc_sweep *s = f->w->s;
	struct stat st;
	uint64_t size;

	if (gc_filter_see(s->filter, d)) {
		if (!f->sizes) {
			f->sum.disk_chunks++;
		} else if (look(f, name, &st)) {
			f->sum.disk_chunks++;
			f->sum.disk_bytes += (uint64_t)st.st_size * s->sample;
		}
		return;
	}
	if (!s->look) {
		f->sum.old_chunks++;
		propose(f, name);
		return;
	}
	if (!look(f, name, &st))
		return;
	size = (uint64_t)st.st_size;
	if (age_of(&st) < s->cutoff) {
		f->sum.old_chunks++;
		f->sum.old_bytes += size;
		propose(f, name);
	} else if (age_of(&st) < s->oldest) {
		f->sum.pending_chunks++;
		f->sum.pending_bytes += size;
	} else {
		f->sum.disk_chunks++;
		f->sum.disk_bytes += size;
	}
}

/* Kept as long as an index refers to the chunk and nobody has uploaded it
 * again. */
static void
see_bad(struct folder *f, const char *name, const struct digest *d)
{
	const struct gc_sweep *s = f->w->s;
	char good[DIGEST_HEX_LEN + 1];
	struct stat st;
	bool wanted;

	if (!look(f, name, &st))
		return;
	digest_to_hex(d, good);
	wanted = gc_filter_has(s->filter, d) &&
	    faccessat(f->fd, good, F_OK, AT_SYMLINK_NOFOLLOW) == -1;
	if (!wanted && age_of(&st) < s->cutoff) {
		f->sum.old_bad++;
		f->sum.old_bytes += (uint64_t)st.st_size;
		propose(f, name);
	} else {
		f->sum.still_bad++;
		f->sum.disk_bytes += (uint64_t)st.st_size;
	}
}

static void
see_temp(struct folder *f, const char *name)
{
	struct stat st;

	if (!look(f, name, &st) || age_of(&st) >= f->w->s->cutoff)
		return;
	f->sum.old_temp++;
	propose(f, name);
}

static void
see_all(struct folder *f)
{
	const struct seen *s;

	for (s = f->seen; s < f->seen + f->nseen; s++)
		switch (s->kind) {
		case CHUNK_NAME_CHUNK:
			see_chunk(f, s->name, &s->digest);
			break;
		case CHUNK_NAME_BAD:
			see_bad(f, s->name, &s->digest);
			break;
		case CHUNK_NAME_TEMP:
			see_temp(f, s->name);
			break;
		case CHUNK_NAME_OTHER:
			break;
		}
	f->nseen = 0;
}

static void
read_name(struct folder *f, const char *name)
{
	struct seen *s = &f->seen[f->nseen];

	/* One in a wrong folder is nobody's. */
	if (memcmp(name, f->prefix, 4) != 0)
		return;
	s->name = name;
	s->kind = chunk_name_parse(name, &s->digest);
	if (s->kind == CHUNK_NAME_OTHER)
		return;
	gc_filter_prefetch(f->w->s->filter, &s->digest);
	if (++f->nseen == SEEN_MAX)
		see_all(f);
}

/* -1 without error if it is not there. */
static int
folder_fd(int chunks_fd, const char *prefix, struct err *e)
{
	int fd = openat(chunks_fd, prefix,
	    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	err_clear(e);
	if (fd == -1 && errno != ENOENT)
		err_errno(e, errno, "cannot list chunk folder %s", prefix);
	return fd;
}

/* The same as a stream, or NULL. */
static DIR *
folder_open(int chunks_fd, const char *prefix, struct err *e)
{
	int fd = folder_fd(chunks_fd, prefix, e);
	DIR *dir;

	if (fd == -1 || (dir = fdopendir(fd)) != NULL)
		return fd == -1 ? NULL : dir;
	err_errno(e, errno, "cannot list chunk folder %s", prefix);
	close(fd);
	return NULL;
}

/* Without a stream, which costs a small folder more than its names. */
static int
folder_sweep(struct folder *f, struct err *e)
{
	const struct dirent64 *d;
	ssize_t n, i;
	int rv = 0;

	f->fd = folder_fd(f->w->s->chunks_fd, f->prefix, e);
	if (f->fd == -1)
		return e->code == ERR_OK ? 0 : -1;
	while ((n = getdents64(f->fd, f->entries, sizeof(f->entries))) > 0) {
		for (i = 0; i < n; i += d->d_reclen) {
			d = (const struct dirent64 *)(f->entries + i);
			read_name(f, d->d_name);
		}
		see_all(f);
	}
	if (n == -1)
		rv = err_errno(e, errno, "cannot list chunk folder %s",
		    f->prefix);
	close(f->fd);
	return rv;
}

static void
add_up(struct gc_swept *t, const struct gc_swept *f)
{
	t->disk_chunks += f->disk_chunks;
	t->disk_bytes += f->disk_bytes;
	t->pending_chunks += f->pending_chunks;
	t->pending_bytes += f->pending_bytes;
	t->still_bad += f->still_bad;
	t->old_chunks += f->old_chunks;
	t->old_bad += f->old_bad;
	t->old_temp += f->old_temp;
	t->old_bytes += f->old_bytes;
}

static void
end_with(struct sweeper *w, const struct err *why)
{
	if (!w->ends)
		w->err = *why;
	w->ends = true;
	pthread_cond_broadcast(&w->changed);
}

/* With the lock: the first of the next folders to sweep, or STORE_PREFIXES. */
static unsigned int
folder_take(struct sweeper *w)
{
	struct err why;

	if (!w->ends && w->s->is_stopped(w->s->arg)) {
		err_set(&why, ERR_ABORTED, "task aborted");
		end_with(w, &why);
	}
	if (w->ends || w->next == STORE_PREFIXES)
		return STORE_PREFIXES;
	w->next += FOLDERS_AT_ONCE;
	return w->next - FOLDERS_AT_ONCE;
}

static int
folders_sweep(struct folder *f, unsigned int first, struct err *e)
{
	const struct gc_sweep *s = f->w->s;
	unsigned int i;

	memset(&f->sum, 0, sizeof(f->sum));
	for (i = first; i < first + FOLDERS_AT_ONCE; i++) {
		snprintf(f->prefix, sizeof(f->prefix), "%04x", i & 0xffff);
		f->sizes = i % s->sample == s->sample_first;
		if (f->w->there[i] && folder_sweep(f, e) == -1)
			return -1;
	}
	return 0;
}

static void *
thread_main(void *arg)
{
	struct folder f = {.w = arg};
	struct sweeper *w = arg;
	unsigned int i;
	struct err e;
	int rv;

	pthread_mutex_lock(&w->lock);
	while ((i = folder_take(w)) < STORE_PREFIXES) {
		pthread_mutex_unlock(&w->lock);
		rv = folders_sweep(&f, i, &e);
		pthread_mutex_lock(&w->lock);
		if (rv == -1)
			end_with(w, &e);
		add_up(&w->total, &f.sum);
		w->folders += FOLDERS_AT_ONCE;
		w->chunks +=
		    f.sum.disk_chunks + f.sum.pending_chunks + f.sum.old_chunks;
	}
	pthread_mutex_unlock(&w->lock);
	if (f.batch != NULL)
		batch_pass_on(&f);
	pthread_mutex_lock(&w->lock);
	w->running--;
	pthread_cond_broadcast(&w->changed);
	pthread_mutex_unlock(&w->lock);
	return NULL;
}

/* --- in the main thread --- */

static void
tick_end(struct timespec *ts)
{
	clock_gettime(CLOCK_MONOTONIC, ts);
	ts->tv_nsec += TICK_MS * 1000000L;
	if (ts->tv_nsec >= 1000000000L) {
		ts->tv_nsec -= 1000000000L;
		ts->tv_sec++;
	}
}

/* With the lock: a batch, or NULL after a tick, or if there is none left. */
static struct batch *
batch_take(struct sweeper *w)
{
	struct timespec until;
	struct batch *b;

	tick_end(&until);
	while (
	    (b = STAILQ_FIRST(&w->queue)) == NULL && w->running > 0 && !w->ends)
		if (pthread_cond_timedwait(&w->changed, &w->lock, &until) ==
		    ETIMEDOUT)
			break;
	if (b != NULL) {
		STAILQ_REMOVE_HEAD(&w->queue, entry);
		w->queued--;
		pthread_cond_broadcast(&w->changed);
	}
	return b;
}

/* With the lock, which it lets go for the callbacks. */
static void
serve(struct sweeper *w)
{
	unsigned int folders;
	struct batch *b;
	uint64_t chunks;
	struct err e;
	int rv = 0;

	while (!w->ends && (w->running > 0 || !STAILQ_EMPTY(&w->queue))) {
		b = batch_take(w);
		chunks = w->chunks;
		folders = w->folders;
		pthread_mutex_unlock(&w->lock);
		if (b != NULL)
			rv = w->s->propose(w->s->arg, b->names, b->len, b->n,
			    &e);
		if (rv == 0)
			rv = w->s->progress(w->s->arg, folders, chunks, &e);
		free(b);
		pthread_mutex_lock(&w->lock);
		if (rv == -1)
			end_with(w, &e);
	}
	while (w->running > 0)
		pthread_cond_wait(&w->changed, &w->lock);
}

/* Asking for each of them would take longer, where most are missing. */
static int
find_folders(struct sweeper *w, struct err *e)
{
	struct dirent *d;
	uint8_t b[2];
	DIR *dir;
	int rv = 0;

	if ((dir = folder_open(w->s->chunks_fd, ".", e)) == NULL)
		return err_set(e, ERR_IO, "cannot list the chunk folders");
	while (errno = 0, (d = readdir(dir)) != NULL)
		if (str_unhex(b, 2, d->d_name, strlen(d->d_name)) == 0)
			w->there[b[0] << 8 | b[1]] = true;
	if (errno != 0)
		rv = err_errno(e, errno, "cannot list the chunk folders");
	closedir(dir);
	return rv;
}

static void
sweeper_init(struct sweeper *w, const struct gc_sweep *s)
{
	pthread_condattr_t attr;

	memset(w, 0, sizeof(*w));
	w->s = s;
	STAILQ_INIT(&w->queue);
	pthread_mutex_init(&w->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&w->changed, &attr);
	pthread_condattr_destroy(&attr);
}

static void
sweeper_fini(struct sweeper *w)
{
	struct batch *b;

	while ((b = STAILQ_FIRST(&w->queue)) != NULL) {
		STAILQ_REMOVE_HEAD(&w->queue, entry);
		free(b);
	}
	pthread_cond_destroy(&w->changed);
	pthread_mutex_destroy(&w->lock);
}

int
gc_sweep(const struct gc_sweep *s, struct gc_swept *out, struct err *e)
{
	pthread_t *threads = xcalloc(s->threads, sizeof(*threads));
	struct sweeper w;
	unsigned int i;
	int rv = -1;

	sweeper_init(&w, s);
	if (find_folders(&w, e) == -1)
		goto out;
	pthread_mutex_lock(&w.lock);
	for (i = 0; i < s->threads; i++) {
		if (pthread_create(&threads[i], NULL, thread_main, &w) != 0)
			fatal("gc", "cannot start a thread");
		w.running++;
	}
	serve(&w);
	rv = w.ends ? -1 : 0;
	if (rv == -1)
		*e = w.err;
	else
		*out = w.total;
	pthread_mutex_unlock(&w.lock);
	for (i = 0; i < s->threads; i++)
		pthread_join(threads[i], NULL);
out:
	free(threads);
	sweeper_fini(&w);
	return rv;
}

/* Digests are spread evenly, so some folders tell of all; some are added,
 * since a filter that is too large does no harm. */
int
gc_estimate_chunks(int chunks_fd, unsigned int first, uint64_t *n_out,
    struct err *e)
{
	struct dirent *d;
	uint64_t n = 0;
	char prefix[5];
	unsigned int i;
	DIR *dir;

	for (i = first; i < STORE_PREFIXES; i += GC_ESTIMATE_STEP) {
		snprintf(prefix, sizeof(prefix), "%04x", i & 0xffff);
		if ((dir = folder_open(chunks_fd, prefix, e)) == NULL) {
			if (e->code != ERR_OK)
				return -1;
			continue;
		}
		while ((d = readdir(dir)) != NULL)
			n += d->d_name[0] != '.';
		closedir(dir);
	}
	*n_out = (n + n / 4 + 32) * GC_ESTIMATE_STEP;
	return 0;
}
