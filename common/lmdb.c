/*
 * LMDB behind a small interface, for auth and the validator.  Only this file
 * knows <lmdb.h>.  Handles that LMDB consumes even on failure are wrapped so
 * that the caller's pointer is gone too.
 */
#include "config.h"

#include "common/lmdb.h"

#include <errno.h>
#include <lmdb.h>
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
	int rdonly;
};

struct lmdb_txn {
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

int
lmdb_open(struct lmdb **out, const char *dir, size_t map_size,
    unsigned int max_dbs, unsigned int flags, mode_t mode, struct err *e)
{
	struct lmdb *l = xcalloc(1, sizeof(*l));
	unsigned int env_flags = 0;
	int rc, dead;

	*out = NULL;
	l->rdonly = (flags & LMDB_F_RDONLY) != 0;
	if (l->rdonly)
		env_flags |= MDB_RDONLY;
	if (flags & LMDB_F_NOSYNC)
		env_flags |= MDB_NOSYNC | MDB_NOMETASYNC;
	if ((flags & LMDB_F_CREATE) && lmdb_make(dir, map_size, mode, e) == -1)
		goto fail;
	rc = mdb_env_create(&l->env);
	if (rc == 0)
		rc = mdb_env_set_mapsize(l->env, map_size);
	if (rc == 0)
		rc = mdb_env_set_maxdbs(l->env, max_dbs);
	if (rc == 0)
		rc = mdb_env_open(l->env, dir, env_flags, mode);
	if (rc == 0)
		rc = mdb_reader_check(l->env, &dead);
	if (rc != 0) {
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
	if (l->env != NULL)
		mdb_env_close(l->env);
	free(l);
}

int
lmdb_db_open(struct lmdb *l, const char *name, unsigned int *db_out,
    struct err *e)
{
	MDB_txn *txn = NULL;
	MDB_dbi dbi = 0;
	int rc;

	rc = mdb_txn_begin(l->env, NULL, l->rdonly ? MDB_RDONLY : 0, &txn);
	if (rc != 0)
		return err_lmdb(e, rc, "begin");
	rc = mdb_dbi_open(txn, name, l->rdonly ? 0 : MDB_CREATE, &dbi);
	if (rc != 0)
		mdb_txn_abort(txn);
	else
		rc = mdb_txn_commit(txn);
	if (rc != 0) {
		err_lmdb(e, rc, "open");
		return err_wrap(e, "database \"%s\"", name);
	}
	*db_out = dbi;
	return 0;
}

int
lmdb_sync(struct lmdb *l, struct err *e)
{
	int rc = mdb_env_sync(l->env, 1);

	return rc == 0 ? 0 : err_lmdb(e, rc, "sync");
}

int
lmdb_begin(struct lmdb *l, int write, struct lmdb_txn **out, struct err *e)
{
	unsigned int flags = write ? 0 : MDB_RDONLY;
	MDB_txn *txn = NULL;
	int rc, dead;

	*out = NULL;
	rc = mdb_txn_begin(l->env, NULL, flags, &txn);
	if (rc == MDB_READERS_FULL && mdb_reader_check(l->env, &dead) == 0)
		rc = mdb_txn_begin(l->env, NULL, flags, &txn);
	if (rc != 0)
		return err_lmdb(e, rc, "begin");
	*out = xcalloc(1, sizeof(**out));
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
	free(t);
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
	free(t);
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
