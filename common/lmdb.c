/*
 * LMDB behind a small interface, for auth and the validator.  Only this file
 * knows <lmdb.h>.  Handles that LMDB consumes even on failure are wrapped so
 * that the caller's pointer is gone too.
 */
#include "config.h"

#include "common/lmdb.h"

#include <errno.h>
#include <lmdb.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/err.h"
#include "common/io.h"
#include "common/mem.h"
#include "common/path.h"

struct lmdb {
	MDB_env *env;
	char *dir;
	size_t map_size;
	unsigned int max_dbs;
	unsigned int flags; /* LMDB's own */
	mode_t mode;
	char **names; /* of the databases, in the order of their handles */
	unsigned int nnames;

	pthread_mutex_t lock;
	unsigned int ntxns;
};

struct lmdb_txn {
	struct lmdb *l;
	MDB_txn *txn;
	int write;
	int bad; /* a write failed: only an abort is possible */
	struct err why;
};

static int
err_lmdb(struct err *e, int rc, const char *what)
{
	enum err_code code;

	switch (rc) {
	case MDB_MAP_FULL:
	case ENOSPC:
		code = ERR_NOSPACE;
		break;
	case MDB_CORRUPTED:
	case MDB_PAGE_NOTFOUND:
	case MDB_INVALID:
	case MDB_VERSION_MISMATCH:
		code = ERR_CORRUPT;
		break;
	case EIO:
		code = ERR_IO;
		break;
	default:
		code = ERR_DB;
		break;
	}
	return err_set(e, code, "%s: %s", what, mdb_strerror(rc));
}

static int
make_file(const char *path, size_t map_size, mode_t mode, struct err *e)
{
	MDB_env *env = NULL;
	int rc;

	if ((rc = mdb_env_create(&env)) == 0 &&
	    (rc = mdb_env_set_mapsize(env, map_size)) == 0)
		rc = mdb_env_open(env, path, MDB_NOSUBDIR | MDB_NOLOCK, mode);
	if (rc == 0)
		rc = mdb_env_sync(env, 1);
	if (env != NULL)
		mdb_env_close(env);
	return rc == 0 ? 0 : err_lmdb(e, rc, path);
}

/* LMDB begins a file in place, and takes one that a power cut left without its
 * first pages for damaged: it gets its name when it is whole. */
static int
lmdb_make(const char *dir, size_t map_size, mode_t mode, struct err *e)
{
	char *name = xasprintf("%s/data.mdb", dir);
	char *temp = xasprintf("%s/new.mdb", dir);
	int rv = 0;

	if (path_make_folder(dir, 0700, geteuid(), getegid(), e) == -1)
		rv = -1;
	else if (access(name, F_OK) == -1 && errno == ENOENT) {
		unlink(temp);
		rv = make_file(temp, map_size, mode, e);
		if (rv == 0 && rename(temp, name) == -1)
			rv = err_errno(e, errno, "rename to \"%s\"", name);
		if (rv == 0)
			rv = io_fsync_parent(name, e);
	}
	free(temp);
	free(name);
	return rv;
}

static int
env_open(struct lmdb *l)
{
	int rc, dead;

	rc = mdb_env_create(&l->env);
	if (rc == 0)
		rc = mdb_env_set_mapsize(l->env, l->map_size);
	if (rc == 0)
		rc = mdb_env_set_maxdbs(l->env, l->max_dbs);
	if (rc == 0)
		rc = mdb_env_open(l->env, l->dir, l->flags, l->mode);
	if (rc == 0)
		rc = mdb_reader_check(l->env, &dead);
	return rc;
}

static void
env_close(struct lmdb *l)
{
	if (l->env != NULL)
		mdb_env_close(l->env);
	l->env = NULL;
}

int
lmdb_open(struct lmdb **out, const char *dir, size_t map_size,
    unsigned int max_dbs, unsigned int flags, mode_t mode, struct err *e)
{
	struct lmdb *l = xcalloc(1, sizeof(*l));
	int rc;

	*out = NULL;
	pthread_mutex_init(&l->lock, NULL);
	l->dir = xstrdup(dir);
	l->map_size = map_size;
	l->max_dbs = max_dbs;
	l->mode = mode;
	l->names = xcalloc(max_dbs, sizeof(*l->names));
	if (flags & LMDB_F_RDONLY)
		l->flags |= MDB_RDONLY;
	if (flags & LMDB_F_NOSYNC)
		l->flags |= MDB_NOSYNC | MDB_NOMETASYNC;
	if ((flags & LMDB_F_CREATE) && lmdb_make(dir, map_size, mode, e) == -1)
		goto fail;
	if ((rc = env_open(l)) != 0) {
		err_lmdb(e, rc, "open database");
		err_wrap(e, "\"%s\"", dir);
		goto fail;
	}
	*out = l;
	return 0;
fail:
	lmdb_close(&l);
	return -1;
}

void
lmdb_close(struct lmdb **lp)
{
	struct lmdb *l = *lp;

	if (l == NULL)
		return;
	*lp = NULL;
	env_close(l);
	while (l->nnames > 0)
		free(l->names[--l->nnames]);
	free(l->names);
	free(l->dir);
	pthread_mutex_destroy(&l->lock);
	free(l);
}

static int
db_open(struct lmdb *l, const char *name, MDB_dbi *dbi_out)
{
	int rdonly = (l->flags & MDB_RDONLY) != 0, rc;
	MDB_txn *txn = NULL;

	rc = mdb_txn_begin(l->env, NULL, rdonly ? MDB_RDONLY : 0, &txn);
	if (rc != 0)
		return rc;
	rc = mdb_dbi_open(txn, name, rdonly ? 0 : MDB_CREATE, dbi_out);
	if (rc != 0)
		mdb_txn_abort(txn);
	else
		rc = mdb_txn_commit(txn);
	return rc;
}

int
lmdb_db_open(struct lmdb *l, const char *name, unsigned int *db_out,
    struct err *e)
{
	MDB_dbi dbi = 0;
	unsigned int i;
	int rc;

	if ((rc = db_open(l, name, &dbi)) != 0) {
		err_lmdb(e, rc, "open");
		return err_wrap(e, "database \"%s\"", name);
	}
	for (i = 0; i < l->nnames && strcmp(l->names[i], name) != 0; i++)
		;
	if (i == l->nnames)
		l->names[l->nnames++] = xstrdup(name);
	*db_out = dbi;
	return 0;
}

/* --- transactions -------------------------------------------------------- */

/* Handles are given out in order, so all that were are the same again. */
static int
env_open_again(struct lmdb *l)
{
	unsigned int i;
	MDB_dbi dbi;
	int rc;

	env_close(l);
	rc = env_open(l);
	for (i = 0; rc == 0 && i < l->nnames; i++)
		rc = db_open(l, l->names[i], &dbi);
	return rc;
}

/* LMDB refuses everything once the write of a meta page has failed, however
 * well the disk is again, until it is opened anew: which is done when nobody
 * else is in a transaction. */
static int
txn_begin(struct lmdb *l, unsigned int flags, MDB_txn **txn)
{
	int rc = MDB_PANIC, dead;

	pthread_mutex_lock(&l->lock);
	l->ntxns++;
	pthread_mutex_unlock(&l->lock);
	if (l->env != NULL)
		rc = mdb_txn_begin(l->env, NULL, flags, txn);
	if (rc == MDB_READERS_FULL && mdb_reader_check(l->env, &dead) == 0)
		rc = mdb_txn_begin(l->env, NULL, flags, txn);
	pthread_mutex_lock(&l->lock);
	if (rc == MDB_PANIC && l->ntxns == 1) {
		rc = env_open_again(l);
		if (rc == 0)
			rc = mdb_txn_begin(l->env, NULL, flags, txn);
		else
			env_close(l);
	}
	if (rc != 0)
		l->ntxns--;
	pthread_mutex_unlock(&l->lock);
	return rc;
}

static void
txn_end(struct lmdb_txn *t)
{
	pthread_mutex_lock(&t->l->lock);
	t->l->ntxns--;
	pthread_mutex_unlock(&t->l->lock);
	free(t);
}

int
lmdb_begin(struct lmdb *l, int write, struct lmdb_txn **out, struct err *e)
{
	MDB_txn *txn = NULL;
	int rc;

	*out = NULL;
	if ((rc = txn_begin(l, write ? 0 : MDB_RDONLY, &txn)) != 0)
		return err_lmdb(e, rc, "begin");
	*out = xcalloc(1, sizeof(**out));
	(*out)->l = l;
	(*out)->txn = txn;
	(*out)->write = write;
	return 0;
}

int
lmdb_commit(struct lmdb_txn **tp, struct err *e)
{
	struct lmdb_txn *t = *tp;
	int rc, rv = 0;

	*tp = NULL;
	if (t->bad) {
		mdb_txn_abort(t->txn);
		if (e != NULL)
			*e = t->why;
		rv = -1;
	} else {
		rc = mdb_txn_commit(t->txn);
		if (rc != 0)
			rv = err_lmdb(e, rc, "commit");
	}
	txn_end(t);
	return rv;
}

void
lmdb_abort(struct lmdb_txn **tp)
{
	struct lmdb_txn *t = *tp;

	if (t == NULL)
		return;
	*tp = NULL;
	mdb_txn_abort(t->txn);
	txn_end(t);
}

/* The first failure of a write spoils the transaction. */
static int
spoil(struct lmdb_txn *t, int rc, const char *what, struct err *e)
{
	err_lmdb(&t->why, rc, what);
	t->bad = t->write;
	if (e != NULL)
		*e = t->why;
	return -1;
}

static int
refuse_if_bad(const struct lmdb_txn *t, struct err *e)
{
	if (!t->bad)
		return 0;
	if (e != NULL)
		*e = t->why;
	return -1;
}

static MDB_val
val_of(const void *p, size_t len)
{
	return (MDB_val){.mv_size = len, .mv_data = (void *)(uintptr_t)p};
}

int
lmdb_get(struct lmdb_txn *t, unsigned int db, const void *key, size_t key_len,
    const void **val_out, size_t *len_out, struct err *e)
{
	MDB_val k = val_of(key, key_len), v;
	int rc;

	*val_out = NULL;
	*len_out = 0;
	if (refuse_if_bad(t, e) == -1)
		return -1;
	rc = mdb_get(t->txn, db, &k, &v);
	if (rc == MDB_NOTFOUND)
		return 0;
	if (rc != 0)
		return spoil(t, rc, "get", e);
	*val_out = v.mv_data;
	*len_out = v.mv_size;
	return 1;
}

static int
put(struct lmdb_txn *t, unsigned int db, const void *key, size_t key_len,
    const void *val, size_t len, unsigned int flags, struct err *e)
{
	MDB_val k = val_of(key, key_len), v = val_of(val, len);
	int rc;

	if (refuse_if_bad(t, e) == -1)
		return -1;
	if (key_len == 0 || key_len > LMDB_KEY_MAX)
		return spoil(t, MDB_BAD_VALSIZE, "put", e);
	rc = mdb_put(t->txn, db, &k, &v, flags);
	if (rc == MDB_KEYEXIST)
		return err_set(e, ERR_EXISTS, "key exists");
	return rc == 0 ? 0 : spoil(t, rc, "put", e);
}

int
lmdb_put(struct lmdb_txn *t, unsigned int db, const void *key, size_t key_len,
    const void *val, size_t len, struct err *e)
{
	return put(t, db, key, key_len, val, len, 0, e);
}

int
lmdb_insert(struct lmdb_txn *t, unsigned int db, const void *key,
    size_t key_len, const void *val, size_t len, struct err *e)
{
	return put(t, db, key, key_len, val, len, MDB_NOOVERWRITE, e);
}

int
lmdb_del(struct lmdb_txn *t, unsigned int db, const void *key, size_t key_len,
    struct err *e)
{
	MDB_val k = val_of(key, key_len);
	int rc;

	if (refuse_if_bad(t, e) == -1)
		return -1;
	rc = mdb_del(t->txn, db, &k, NULL);
	if (rc == MDB_NOTFOUND)
		return 0;
	return rc == 0 ? 1 : spoil(t, rc, "delete", e);
}

int
lmdb_db_empty(struct lmdb_txn *t, unsigned int db, struct err *e)
{
	int rc;

	if (refuse_if_bad(t, e) == -1)
		return -1;
	rc = mdb_drop(t->txn, db, 0);
	return rc == 0 ? 0 : spoil(t, rc, "empty", e);
}

int
lmdb_db_size(struct lmdb_txn *t, unsigned int db, size_t *size_out,
    struct err *e)
{
	MDB_stat st;
	int rc;

	if (refuse_if_bad(t, e) == -1)
		return -1;
	rc = mdb_stat(t->txn, db, &st);
	if (rc != 0)
		return spoil(t, rc, "stat", e);
	*size_out =
	    (st.ms_branch_pages + st.ms_leaf_pages + st.ms_overflow_pages) *
	    st.ms_psize;
	return 0;
}

static int
has_prefix(const MDB_val *k, const void *prefix, size_t len)
{
	return k->mv_size >= len &&
	    (len == 0 || memcmp(k->mv_data, prefix, len) == 0);
}

/* Positions on the first key with the prefix. */
static int
cursor_first(MDB_cursor *c, const void *prefix, size_t len, MDB_val *k,
    MDB_val *v)
{
	*k = val_of(prefix, len);
	return mdb_cursor_get(c, k, v, len > 0 ? MDB_SET_RANGE : MDB_FIRST);
}

int
lmdb_each(struct lmdb_txn *t, unsigned int db, const void *prefix, size_t len,
    int (*fn)(void *ctx, const void *key, size_t key_len, const void *val,
	size_t val_len),
    void *ctx, struct err *e)
{
	MDB_cursor *c;
	MDB_val k, v;
	int rc, rv = 0;

	if (refuse_if_bad(t, e) == -1)
		return -1;
	rc = mdb_cursor_open(t->txn, db, &c);
	if (rc != 0)
		return spoil(t, rc, "cursor", e);
	for (rc = cursor_first(c, prefix, len, &k, &v);
	     rc == 0 && has_prefix(&k, prefix, len);
	     rc = mdb_cursor_get(c, &k, &v, MDB_NEXT)) {
		rv = fn(ctx, k.mv_data, k.mv_size, v.mv_data, v.mv_size);
		if (rv != 0)
			break;
	}
	mdb_cursor_close(c);
	if (rv < 0)
		return -1;
	if (rc != 0 && rc != MDB_NOTFOUND)
		return spoil(t, rc, "iterate", e);
	return 0;
}

ssize_t
lmdb_del_prefix(struct lmdb_txn *t, unsigned int db, const void *prefix,
    size_t len, struct err *e)
{
	MDB_cursor *c;
	MDB_val k, v;
	ssize_t n = 0;
	int rc;

	if (refuse_if_bad(t, e) == -1)
		return -1;
	rc = mdb_cursor_open(t->txn, db, &c);
	if (rc != 0)
		return spoil(t, rc, "cursor", e);
	/* A deleted entry's successor is under the cursor; ask afresh. */
	while ((rc = cursor_first(c, prefix, len, &k, &v)) == 0 &&
	    has_prefix(&k, prefix, len)) {
		rc = mdb_cursor_del(c, 0);
		if (rc != 0)
			break;
		n++;
	}
	mdb_cursor_close(c);
	if (rc != 0 && rc != MDB_NOTFOUND)
		return spoil(t, rc, "delete", e);
	return n;
}
