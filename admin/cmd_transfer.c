/*
 * holdfast-admin export and import: all accounts as JSON.  A file to import is
 * the operator's; auth checks every entry.
 */
#include "config.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "admin/admin.h"
#include "admin/show.h"
#include "common/err.h"
#include "common/json.h"
#include "common/mem.h"
#include "common/sbuf.h"

#define IMPORT_MAX ((size_t)64 << 20)
#define BATCH_LEN 24000 /* of one request, well below its limit */

int
admin_export(void *values, int nargs, char **args, struct err *e)
{
	const struct admin_opts *o = values;
	struct json *reply = NULL;
	char *text;
	size_t len;
	int rv = 0;

	(void)nargs;
	(void)args;
	if (ctl_call(o->run_dir, CTL_AUTH, "export", NULL, &reply, e) == -1)
		return -1;
	text = json_pretty(reply, &len);
	if (fwrite(text, 1, len, stdout) != len || putchar('\n') == EOF ||
	    fflush(stdout) == EOF)
		rv = err_set(e, ERR_IO, "cannot write the export");
	mem_wipe_free(text, len);
	json_free(&reply);
	return rv;
}

static int
read_all(const char *path, struct sbuf *out, struct err *e)
{
	int fd = strcmp(path, "-") == 0 ? dup(STDIN_FILENO)
					: open(path, O_RDONLY | O_CLOEXEC);
	char buf[65536];
	ssize_t n;

	if (fd == -1)
		return err_set(e, ERR_NOT_FOUND, "cannot open %s", path);
	while ((n = read(fd, buf, sizeof(buf))) > 0)
		sbuf_add(out, buf, (size_t)n);
	mem_wipe(buf, sizeof(buf));
	close(fd);
	if (n == -1)
		return err_set(e, ERR_IO, "cannot read %s", path);
	if (out->overflow)
		return err_set(e, ERR_LIMIT, "%s is too large", path);
	return 0;
}

/* Entries of one list on their way to auth. */
struct batch {
	const struct admin_opts *o;
	const char *list;
	struct sbuf text; /* entries with commas between */
	size_t done;
};

static int
batch_send(struct batch *b, struct err *e)
{
	struct ctl_args *a;
	struct json *reply = NULL;
	char *data;
	int rv;

	if (b->text.len == 0)
		return 0;
	a = ctl_args_new();
	data = xasprintf("{\"%s\":[%s]}", b->list, sbuf_str(&b->text));
	ctl_arg(a, "data", data);
	rv = ctl_call(b->o->run_dir, CTL_AUTH, "import", a, &reply, e);
	mem_wipe_free(data, strlen(data));
	ctl_args_free(a);
	json_free(&reply);
	sbuf_fini(&b->text);
	sbuf_init(&b->text, IMPORT_MAX);
	return rv;
}

static int
batch_add(struct batch *b, const struct json *entry, struct err *e)
{
	size_t len;
	char *text = json_compact(entry, &len);
	int rv = 0;

	if (b->text.len > 0 && b->text.len + len > BATCH_LEN)
		rv = batch_send(b, e);
	if (rv == 0) {
		if (b->text.len > 0)
			sbuf_add_char(&b->text, ',');
		sbuf_add(&b->text, text, len);
		b->done++;
	}
	mem_wipe_free(text, len);
	return rv;
}

/* All of one list, in requests that auth takes whole or not at all. */
static int
import_list(const struct admin_opts *o, const struct json *all,
    const char *name, struct err *e)
{
	struct batch b = {.o = o, .list = name};
	const struct json *list;
	size_t i;
	int rv = 0;

	if (json_get(all, name) == NULL)
		return 0;
	list = json_get_array(all, name, e);
	if (list == NULL)
		return -1;
	sbuf_init(&b.text, IMPORT_MAX);
	for (i = 0; rv == 0 && i < json_len(list); i++)
		rv = batch_add(&b, json_at(list, i), e);
	if (rv == 0)
		rv = batch_send(&b, e);
	sbuf_fini(&b.text);
	if (rv == 0)
		printf("%s: %zu\n", name, b.done);
	return rv;
}

int
admin_import(void *values, int nargs, char **args, struct err *e)
{
	const struct admin_opts *o = values;
	struct json *all = NULL;
	struct sbuf text;
	int rv;

	(void)nargs;
	sbuf_init(&text, IMPORT_MAX);
	rv = read_all(args[0], &text, e);
	if (rv == 0) {
		all = json_parse(sbuf_str(&text), text.len, JSON_DEPTH_DEFAULT,
		    e);
		rv = all == NULL ? -1 : 0;
	}
	sbuf_fini(&text);
	/* Tokens need their users, permissions both. */
	if (rv == 0)
		rv = import_list(o, all, "users", e);
	if (rv == 0)
		rv = import_list(o, all, "tokens", e);
	if (rv == 0)
		rv = import_list(o, all, "acl", e);
	json_free(&all);
	return rv;
}
