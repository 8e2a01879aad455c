/*
 * Checks audit logs (audit.h), and knows what a line of one is.  Runs in the
 * operator's command, which does not trust the files to be what we wrote; in
 * auth and the validator only for the last line, with which they go on.
 */
#include "config.h"

#include "common/audit_int.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "common/err.h"
#include "common/io.h"
#include "common/json.h"
#include "common/str.h"

/* --- the chain ----------------------------------------------------------- */

int
audit_chain_next(uint8_t out[AUDIT_HASH_LEN],
    const uint8_t prev[AUDIT_HASH_LEN], const char *text, size_t len)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	int ok = ctx != NULL && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) &&
	    EVP_DigestUpdate(ctx, prev, AUDIT_HASH_LEN) &&
	    EVP_DigestUpdate(ctx, text, len) &&
	    EVP_DigestFinal_ex(ctx, out, NULL);

	EVP_MD_CTX_free(ctx);
	return ok ? 0 : -1;
}

int
audit_line_parse(const char *line, size_t len, size_t *text_len_out,
    struct audit_chain *out, struct json **obj_out)
{
	const char *tail = line + len - AUDIT_TAIL_LEN;
	struct json *obj;

	if (len <= AUDIT_TAIL_LEN ||
	    memcmp(tail, AUDIT_TAIL_BEGIN, sizeof(AUDIT_TAIL_BEGIN) - 1) != 0 ||
	    str_unhex(out->hash, AUDIT_HASH_LEN,
		tail + sizeof(AUDIT_TAIL_BEGIN) - 1,
		AUDIT_HASH_HEX_LEN) == -1 ||
	    (obj = json_parse(line, len, JSON_DEPTH_DEFAULT, NULL)) == NULL)
		return -1;
	if (json_get_u64(obj, "n", 1, INT64_MAX, &out->n, NULL) == -1) {
		json_free(&obj);
		return -1;
	}
	*text_len_out = len - AUDIT_TAIL_LEN;
	*obj_out = obj;
	return 0;
}

/* --- checking ------------------------------------------------------------ */

/* The first line of a file says which chain it goes on with.  The oldest file
 * that is left is believed. */
static int
begin_check(const struct json *obj, struct audit_chain *c, int first_of_all,
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
line_check(const char *line, size_t len, int first, struct audit_chain *c,
    struct audit_report *out, struct err *e)
{
	uint8_t want[AUDIT_HASH_LEN];
	struct json *obj = NULL;
	struct audit_chain have;
	size_t text_len;
	int rv = -1;

	if (audit_line_parse(line, len, &text_len, &have, &obj) == -1)
		return err_set(e, ERR_CORRUPT, "is no line of an audit log");
	if (first && begin_check(obj, c, out->lines == 0, e) == -1)
		goto out;
	if (out->lines > 0 && have.n != c->n + 1) {
		err_set(e, ERR_CORRUPT, "has number %" PRIu64 " after %" PRIu64,
		    have.n, c->n);
		goto out;
	}
	if (audit_chain_next(want, c->hash, line, text_len) == -1 ||
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
file_check(int dir_fd, const char *name, struct audit_chain *c,
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
audit_full_files(int dir_fd, struct dirent ***out)
{
	return scandirat(dir_fd, ".", out, is_older, alphasort);
}

int
audit_verify(const char *dir, struct audit_report *out, struct err *e)
{
	struct dirent **older = NULL;
	struct audit_chain c = {0};
	int n, i, fd, rv = -1;

	memset(out, 0, sizeof(*out));
	fd = io_openat(AT_FDCWD, dir, O_RDONLY | O_DIRECTORY, 0, e);
	if (fd == -1)
		return -1;
	if ((n = audit_full_files(fd, &older)) == -1) {
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
