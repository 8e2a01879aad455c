/*
 * Chunks that are lost while backups are committed (lost.h).  Told by any
 * thread of the validator, looked for in store threads.  The indexes were
 * made for a client: they are checked entry by entry as they are read, and
 * what it can make large may fail for want of memory.
 */
#include "config.h"

#include "validator/store/lost.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "common/io.h"
#include "common/mem.h"
#include "common/format/index.h"
#include "common/format/names.h"
#include "validator/store/chunk_store.h"
#include "validator/store/layout.h"
#include "validator/store/snapshot.h"

#define BATCH 512            /* entries read at a time */
#define SLICE_LOOKS BATCH    /* chunks that the disk is asked for */
#define SLICE_ENTRIES 131072 /* that are only compared: some 50 ms */

/* Once through all indexes. */
struct pass {
	bool begun;
	bool all;           /* asks the disk for each chunk */
	struct digest *v;   /* sought, sorted, each once */
	unsigned char *hit; /* of each, whether an index refers to it */
	size_t n;
	struct snap_file *files;
	size_t nfiles, at;
	int fd; /* of the file at; -1: not opened yet */
	struct index_view view;
	uint64_t first; /* entry of it that comes next */
};

struct lost_watch {
	LIST_ENTRY(lost_watch) link;
	struct store *store;
	bool all;

	/* Under the store's lost_lock. */
	struct digest *news;
	size_t nnews, cap;
	bool too_many;

	/* Of the thread that looks. */
	struct pass pass;
	struct digest *refs; /* that an index refers to */
	size_t nrefs;
};

/* --- telling ------------------------------------------------------------ */

static void
add_news(struct lost_watch *w, const struct digest *d)
{
	size_t cap = w->cap == 0 ? 64 : 2 * w->cap;

	if (w->nnews == w->cap) {
		if (w->nnews >= LOST_NEWS_MAX ||
		    mem_grow(&w->news, cap, sizeof(*w->news), NULL) == -1) {
			w->too_many = true;
			return;
		}
		w->cap = cap;
	}
	w->news[w->nnews++] = *d;
}

void
lost_tell(struct store *s, const struct digest *d)
{
	struct lost_watch *w;

	pthread_mutex_lock(&s->lost_lock);
	LIST_FOREACH(w, &s->lost_watches, link)
		add_news(w, d);
	pthread_mutex_unlock(&s->lost_lock);
}

struct lost_watch *
lost_watch_begin(struct store *s, const struct digest *suspects, size_t n,
    bool all)
{
	struct lost_watch *w = xcalloc(1, sizeof(*w));
	size_t i;

	w->store = s;
	w->all = all;
	w->pass.fd = -1;
	pthread_mutex_lock(&s->lost_lock);
	for (i = 0; i < n; i++)
		add_news(w, &suspects[i]);
	LIST_INSERT_HEAD(&s->lost_watches, w, link);
	pthread_mutex_unlock(&s->lost_lock);
	return w;
}

static void
pass_fini(struct pass *p)
{
	io_close(&p->fd);
	free(p->v);
	free(p->hit);
	free(p->files);
	*p = (struct pass){.fd = -1};
}

void
lost_watch_end(struct lost_watch **wp)
{
	struct lost_watch *w = *wp;

	if (w == NULL)
		return;
	*wp = NULL;
	pthread_mutex_lock(&w->store->lost_lock);
	LIST_REMOVE(w, link);
	pthread_mutex_unlock(&w->store->lost_lock);
	pass_fini(&w->pass);
	free(w->news);
	free(w->refs);
	free(w);
}

/* --- a pass through the indexes ----------------------------------------- */

static int
cmp(const void *a, const void *b)
{
	return digest_cmp(a, b);
}

static int
take_news(struct lost_watch *w, struct pass *p, struct err *e)
{
	bool too_many;
	size_t i, n = 0;

	pthread_mutex_lock(&w->store->lost_lock);
	p->v = w->news;
	p->n = w->nnews;
	w->news = NULL;
	w->nnews = w->cap = 0;
	too_many = w->too_many;
	pthread_mutex_unlock(&w->store->lost_lock);
	if (too_many)
		return err_set(e, ERR_IO,
		    "too many chunks of datastore \"%s\" are lost meanwhile",
		    w->store->name);
	if (p->n == 0)
		return 0;
	qsort(p->v, p->n, sizeof(*p->v), cmp);
	for (i = 0; i < p->n; i++)
		if (n == 0 || !digest_equal(&p->v[n - 1], &p->v[i]))
			p->v[n++] = p->v[i];
	p->n = n;
	return mem_grow(&p->hit, n, 1, e);
}

static int
pass_begin(struct lost_watch *w, int dirfd, struct err *e)
{
	struct pass *p = &w->pass;

	p->begun = true;
	p->all = w->all;
	w->all = false;
	if (take_news(w, p, e) == -1)
		return -1;
	if (p->n > 0)
		memset(p->hit, 0, p->n);
	if (p->n == 0 && !p->all)
		return 0;
	return snap_files_list(dirfd, &p->files, &p->nfiles, e);
}

static bool
is_index(const char *name)
{
	enum archive_kind kind;

	return archive_name_parse(name, &kind, NULL) == 0 &&
	    kind != ARCHIVE_BLOB;
}

static int
look_at_chunk(struct lost_watch *w, const struct digest *d,
    struct digest *hit_out, struct err *e)
{
	enum chunk_state state = chunk_check(w->store, 0, d, e);

	if (state == CHUNK_ERROR)
		return -1;
	*hit_out = *d;
	return state == CHUNK_MISSING;
}

static int
look_at_entry(struct lost_watch *w, const struct digest *d,
    struct digest *hit_out, struct err *e)
{
	struct pass *p = &w->pass;
	const struct digest *found =
	    p->n == 0 ? NULL : bsearch(d, p->v, p->n, sizeof(*p->v), cmp);

	if (found != NULL)
		p->hit[found - p->v] = 1;
	return p->all ? look_at_chunk(w, d, hit_out, e) : 0;
}

/* The next file, or the next entries of one; *n_out of them. */
static int
pass_step(struct lost_watch *w, int dirfd, size_t *n_out,
    struct digest *hit_out, struct err *e)
{
	struct index_entry entries[BATCH];
	struct pass *p = &w->pass;
	size_t i, n = BATCH;
	uint64_t size;
	int rv = 0;

	*n_out = 0;
	if (p->fd == -1) {
		if (!is_index(p->files[p->at].name)) {
			p->at++;
			return 0;
		}
		p->first = 0;
		p->fd = snap_file_open(dirfd, p->files[p->at].name, &size, e);
		return p->fd == -1 ? -1 : index_open_fd(&p->view, p->fd, e);
	}
	if (p->view.count - p->first < n)
		n = (size_t)(p->view.count - p->first);
	if (index_get_entries(&p->view, p->first, n, entries, e) == -1)
		return -1;
	for (i = 0; i < n && rv == 0; i++)
		rv = look_at_entry(w, &entries[i].digest, hit_out, e);
	p->first += n;
	*n_out = n;
	if (p->first == p->view.count) {
		io_close(&p->fd);
		p->at++;
	}
	return rv;
}

static int
pass_end(struct lost_watch *w, struct err *e)
{
	struct pass *p = &w->pass;
	size_t i, n = 0;

	for (i = 0; i < p->n; i++)
		if (p->hit[i])
			p->v[n++] = p->v[i];
	if (n > 0 &&
	    mem_grow(&w->refs, w->nrefs + n, sizeof(*w->refs), e) == -1)
		return -1;
	if (n > 0)
		memcpy(w->refs + w->nrefs, p->v, n * sizeof(*w->refs));
	w->nrefs += n;
	pass_fini(p);
	return 0;
}

int
lost_watch_look(struct lost_watch *w, int dirfd, const atomic_bool *stop,
    bool *more, struct digest *hit_out, struct err *e)
{
	struct pass *p = &w->pass;
	size_t i, n, done = 0;
	int rv = 0;

	if (more != NULL)
		*more = false;
	if (!p->begun && pass_begin(w, dirfd, e) == -1)
		return -1;
	while (p->at < p->nfiles && rv == 0) {
		if (atomic_load(stop))
			return err_set(e, ERR_ABORTED, "task aborted");
		if (more != NULL &&
		    done >= (p->all ? SLICE_LOOKS : SLICE_ENTRIES)) {
			*more = true;
			return 0;
		}
		rv = pass_step(w, dirfd, &n, hit_out, e);
		done += n;
	}
	if (rv != 0 || pass_end(w, e) == -1)
		return rv == 1 ? 1 : -1;
	for (i = 0; i < w->nrefs && rv == 0; i++)
		rv = look_at_chunk(w, &w->refs[i], hit_out, e);
	return rv;
}

bool
lost_watch_refers(const struct lost_watch *w)
{
	return w->nrefs > 0;
}
