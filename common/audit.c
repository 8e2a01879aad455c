/*
 * Writes and checks audit logs (audit.h).  Runs in auth and in the validator,
 * each with a file of its own that no other process of ours can reach, and in
 * the operator's command.  Values come from anywhere, so they are JSON
 * strings; a file that is read is not trusted to be what we wrote.
 */
#include "config.h"

#include "common/audit.h"

#include <sys/stat.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "common/err.h"
#include "common/io.h"
#include "common/json.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/str.h"

#define SUB "audit"
#define LINE_MAX_LEN 16384
#define TELL_EVERY 1000
/* ,"hash":"...64..."} */
#define TAIL_BEGIN ",\"hash\":\""
#define TAIL_END "\"}"
#define TAIL_LEN \
	(sizeof(TAIL_BEGIN) - 1 + AUDIT_HASH_HEX_LEN + sizeof(TAIL_END) - 1)

struct chain {
	uint64_t n; /* of the last line */
	uint8_t hash[AUDIT_HASH_LEN];
};

struct audit {
	int dir_fd;
	int fd;
	uint64_t size;
	struct chain chain;
};

/* --- the chain ----------------------------------------------------------- */

static int
chain_next(uint8_t out[AUDIT_HASH_LEN], const uint8_t prev[AUDIT_HASH_LEN],
    const char *text, size_t len)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	int ok = ctx != NULL && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) &&
	    EVP_DigestUpdate(ctx, prev, AUDIT_HASH_LEN) &&
	    EVP_DigestUpdate(ctx, text, len) &&
	    EVP_DigestFinal_ex(ctx, out, NULL);

	EVP_MD_CTX_free(ctx);
	return ok ? 0 : -1;
}

/* Takes a line (without its newline) apart: the length of what is hashed, its
 * hash and its number.  -1 if it is none of ours. */
static int
line_parse(const char *line, size_t len, size_t *text_len_out,
    struct chain *out, struct json **obj_out)
{
	const char *tail = line + len - TAIL_LEN;
	struct json *obj;

	if (len <= TAIL_LEN ||
	    memcmp(tail, TAIL_BEGIN, sizeof(TAIL_BEGIN) - 1) != 0 ||
	    str_unhex(out->hash, AUDIT_HASH_LEN, tail + sizeof(TAIL_BEGIN) - 1,
		AUDIT_HASH_HEX_LEN) == -1 ||
	    (obj = json_parse(line, len, JSON_DEPTH_DEFAULT, NULL)) == NULL)
		return -1;
	if (json_get_u64(obj, "n", 1, INT64_MAX, &out->n, NULL) == -1) {
		json_free(&obj);
		return -1;
	}
	*text_len_out = len - TAIL_LEN;
	*obj_out = obj;
	return 0;
}

/* --- writing ------------------------------------------------------------- */

static void
tell_head(const struct audit *a)
{
	log_info(SUB, "line n=%" PRIu64 " hash=%s", a->chain.n,
	    STR_HEX(a->chain.hash, AUDIT_HASH_LEN));
}

/* Takes obj. */
static int
line_write(struct audit *a, struct json *obj, struct err *e)
{
	struct chain next = {.n = a->chain.n + 1};
	char *text, *line = NULL;
	size_t len;
	int rv = -1;

	json_set_u64(obj, "n", next.n);
	text = json_compact(obj, &len);
	json_free(&obj);
	len--; /* the closing brace comes behind the hash */
	if (len > LINE_MAX_LEN - TAIL_LEN - 1) {
		err_set(e, ERR_LIMIT, "line is too long");
		goto out;
	}
	if (chain_next(next.hash, a->chain.hash, text, len) == -1) {
		err_set(e, ERR_INTERNAL, "cannot hash a line");
		goto out;
	}
	line = xasprintf("%.*s" TAIL_BEGIN "%s" TAIL_END "\n", (int)len, text,
	    STR_HEX(next.hash, AUDIT_HASH_LEN));
	len = strlen(line);
	if (io_write_full(a->fd, line, len, e) == -1) {
		/* Of a full disk: half a line would break the chain. */
		if (ftruncate(a->fd, (off_t)a->size) == -1)
			log_err_sys(SUB, "cannot cut off half a line");
		goto out;
	}
	a->size += len;
	a->chain = next;
	rv = 0;
out:
	free(line);
	free(text);
	return rv;
}

static struct json *
event_new(const char *event)
{
	struct json *obj = json_new_object();
	time_t now = (time_t)io_realtime_s();
	char text[32];
	struct tm tm;

	gmtime_r(&now, &tm);
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
	json_set_str(obj, "event", event);
	json_set_str(obj, "time", text);
	return obj;
}

static int
file_begin(struct audit *a, struct err *e)
{
	struct json *obj = event_new("begin");
	uint8_t id[16];

	/* No two logs are alike, not even at their first line. */
	io_random(id, sizeof(id));
	json_set_str(obj, "id", STR_HEX(id, sizeof(id)));
	json_set_str(obj, "prev", STR_HEX(a->chain.hash, AUDIT_HASH_LEN));
	return line_write(a, obj, e);
}

static int
file_open(struct audit *a, struct err *e)
{
	struct stat st;

	a->fd = io_openat(a->dir_fd, AUDIT_FILE, O_RDWR | O_APPEND | O_CREAT,
	    0600, e);
	if (a->fd == -1)
		return -1;
	if (fstat(a->fd, &st) == -1)
		return err_errno(e, errno, AUDIT_FILE);
	a->size = (uint64_t)st.st_size;
	return 0;
}

static int
file_rotate(struct audit *a, struct err *e)
{
	char name[64];

	snprintf(name, sizeof(name), AUDIT_FILE ".%020" PRIu64, a->chain.n);
	if (renameat(a->dir_fd, AUDIT_FILE, a->dir_fd, name) == -1)
		return err_errno(e, errno, "cannot rename " AUDIT_FILE);
	io_close(&a->fd);
	if (file_open(a, e) == -1)
		return -1;
	return file_begin(a, e);
}

void
audit_add(struct audit *a, const char *event, ...)
{
	struct json *obj;
	const char *key, *value;
	struct err e;
	va_list ap;

	if (a == NULL)
		return;
	obj = event_new(event);
	va_start(ap, event);
	while ((key = va_arg(ap, const char *)) != NULL) {
		value = va_arg(ap, const char *);
		if (value != NULL)
			json_set_str(obj, key, value);
	}
	va_end(ap);
	if (line_write(a, obj, &e) == -1 ||
	    (a->size >= AUDIT_FILE_MAX && file_rotate(a, &e) == -1))
		log_err_e(SUB, &e, "cannot write the audit log event=%s",
		    event);
	else if (a->chain.n % TELL_EVERY == 0)
		tell_head(a);
}

/* --- going on ------------------------------------------------------------ */

/* Where the last line begins in the file's last bytes, and its length; what is
 * behind its newline was not written whole. */
static const char *
last_line(const char *buf, size_t len, size_t *len_out, size_t *torn_out)
{
	const char *end = memrchr(buf, '\n', len), *begin;

	*torn_out = end == NULL ? len : len - (size_t)(end + 1 - buf);
	*len_out = 0;
	if (end == NULL)
		return NULL;
	begin = memrchr(buf, '\n', (size_t)(end - buf));
	begin = begin == NULL ? buf : begin + 1;
	*len_out = (size_t)(end - begin);
	return begin;
}

/* It ends in something that is none of ours: a check will say so.  We begin
 * anew, since to work without any log would be worse. */
static int
file_set_aside(struct audit *a, struct err *e)
{
	char name[64];

	snprintf(name, sizeof(name), AUDIT_FILE ".damaged.%" PRId64,
	    io_realtime_s());
	log_err(SUB, "damaged, begins anew; the old one is %s", name);
	if (renameat(a->dir_fd, AUDIT_FILE, a->dir_fd, name) == -1)
		return err_errno(e, errno, "cannot rename " AUDIT_FILE);
	io_close(&a->fd);
	memset(&a->chain, 0, sizeof(a->chain));
	return file_open(a, e);
}

static int
file_resume(struct audit *a, size_t *torn_out, struct err *e)
{
	size_t len = a->size < 2 * LINE_MAX_LEN ? a->size : 2 * LINE_MAX_LEN;
	char *buf = xmalloc(len + 1);
	size_t line_len, text_len;
	struct json *obj = NULL;
	const char *line;
	int rv = -1;

	if (io_pread_full(a->fd, buf, len, (off_t)(a->size - len), e) == -1)
		goto out;
	line = last_line(buf, len, &line_len, torn_out);
	if (line != NULL &&
	    line_parse(line, line_len, &text_len, &a->chain, &obj) == -1) {
		rv = file_set_aside(a, e);
		goto out;
	}
	a->size -= *torn_out;
	if (*torn_out > 0 && ftruncate(a->fd, (off_t)a->size) == -1) {
		err_errno(e, errno, "cannot cut " AUDIT_FILE);
		goto out;
	}
	rv = 0;
out:
	json_free(&obj);
	free(buf);
	return rv;
}

int
audit_open(struct audit **out, const char *dir, struct err *e)
{
	struct audit *a = xcalloc(1, sizeof(*a));
	size_t torn = 0;
	char text[32];

	a->fd = -1;
	a->dir_fd = io_openat(AT_FDCWD, dir, O_RDONLY | O_DIRECTORY, 0, e);
	if (a->dir_fd == -1 || file_open(a, e) == -1 ||
	    (a->size > 0 && file_resume(a, &torn, e) == -1) ||
	    (a->size == 0 && file_begin(a, e) == -1)) {
		audit_close(&a);
		return -1;
	}
	tell_head(a);
	if (torn > 0) {
		snprintf(text, sizeof(text), "%zu", torn);
		audit_add(a, "torn", "bytes", text, NULL);
	}
	*out = a;
	return 0;
}

void
audit_close(struct audit **ap)
{
	struct audit *a = *ap;

	*ap = NULL;
	if (a == NULL)
		return;
	io_close(&a->fd);
	io_close(&a->dir_fd);
	free(a);
}

/* --- checking ------------------------------------------------------------ */

/* The first line of a file says which chain it goes on with.  The oldest file
 * that is left is believed. */
static int
begin_check(const struct json *obj, struct chain *c, int first_of_all,
    struct err *e)
{
	const char *event = json_get_str(obj, "event", NULL);
	const char *prev = json_get_str(obj, "prev", NULL);
	uint8_t hash[AUDIT_HASH_LEN];

	if (event == NULL || strcmp(event, "begin") != 0 || prev == NULL ||
	    str_unhex(hash, sizeof(hash), prev, strlen(prev)) == -1)
		return err_set(e, ERR_CORRUPT, "does not begin a file");
	if (first_of_all)
		memcpy(c->hash, hash, sizeof(hash));
	else if (memcmp(hash, c->hash, sizeof(hash)) != 0)
		return err_set(e, ERR_CORRUPT,
		    "does not go on with the file before it");
	return 0;
}

static int
line_check(const char *line, size_t len, int first, struct chain *c,
    struct audit_report *out, struct err *e)
{
	uint8_t want[AUDIT_HASH_LEN];
	struct json *obj = NULL;
	struct chain have;
	size_t text_len;
	int rv = -1;

	if (line_parse(line, len, &text_len, &have, &obj) == -1)
		return err_set(e, ERR_CORRUPT, "is no line of an audit log");
	if (first && begin_check(obj, c, out->lines == 0, e) == -1)
		goto out;
	if (out->lines > 0 && have.n != c->n + 1) {
		err_set(e, ERR_CORRUPT, "has number %" PRIu64 " after %" PRIu64,
		    have.n, c->n);
		goto out;
	}
	if (chain_next(want, c->hash, line, text_len) == -1 ||
	    memcmp(want, have.hash, sizeof(want)) != 0) {
		err_set(e, ERR_CORRUPT, "was changed: its hash is wrong");
		goto out;
	}
	*c = have;
	out->lines++;
	out->last = have.n;
	str_hex(out->hash, have.hash, AUDIT_HASH_LEN);
	rv = 0;
out:
	json_free(&obj);
	return rv;
}

static int
file_check(int dir_fd, const char *name, struct chain *c,
    struct audit_report *out, struct err *e)
{
	int fd = io_openat(dir_fd, name, O_RDONLY, 0, e), rv = -1;
	FILE *f = fd == -1 ? NULL : fdopen(fd, "r");
	char *line = NULL;
	size_t cap = 0, number = 0;
	ssize_t len;

	if (f == NULL) {
		io_close(&fd);
		return -1;
	}
	while ((len = getline(&line, &cap, f)) > 0) {
		number++;
		if (line[len - 1] != '\n') {
			err_set(e, ERR_CORRUPT, "is incomplete");
			break;
		}
		if (line_check(line, (size_t)len - 1, number == 1, c, out, e) ==
		    -1)
			break;
	}
	if (len > 0)
		err_wrap(e, "%s line %zu", name, number);
	else if (ferror(f))
		err_errno(e, errno, "%s", name);
	else
		rv = 0;
	free(line);
	fclose(f);
	out->files++;
	return rv;
}

/* "audit.log.00000000000000000042" before "audit.log". */
static int
is_older(const struct dirent *d)
{
	return strncmp(d->d_name, AUDIT_FILE ".", sizeof(AUDIT_FILE)) == 0;
}

int
audit_verify(const char *dir, struct audit_report *out, struct err *e)
{
	struct dirent **older = NULL;
	struct chain c = {0};
	int n, i, fd, rv = -1;

	memset(out, 0, sizeof(*out));
	fd = io_openat(AT_FDCWD, dir, O_RDONLY | O_DIRECTORY, 0, e);
	if (fd == -1)
		return -1;
	if ((n = scandirat(fd, ".", &older, is_older, alphasort)) == -1) {
		err_errno(e, errno, "%s", dir);
		goto out;
	}
	for (i = 0; i < n; i++)
		if (file_check(fd, older[i]->d_name, &c, out, e) == -1)
			goto out;
	rv = file_check(fd, AUDIT_FILE, &c, out, e);
out:
	for (i = 0; older != NULL && i < n; i++)
		free(older[i]);
	free(older);
	io_close(&fd);
	return rv;
}
