/*
 * One request to a daemon's control socket.  The daemons are trusted more
 * than this command; their JSON is parsed strictly all the same, since text
 * from clients is in it.
 */
#include "config.h"

#include "admin/ctl.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "common/io.h"
#include "common/ipc.h"
#include "common/json.h"
#include "common/mem.h"
#include "common/msg.h"
#include "common/sbuf.h"

#define CTL_TIMEOUT_MS (60 * 1000)
#define CTL_ARGS_MAX 32768
#define CTL_REPLY_MAX (256u << 20)

static const struct ipc_row ctl_rows[] = {
/* Only waited for with ipc_call(): no handlers. */
#define IPC_ROW_CTL(dir, NAME, handler, states, fds) \
	IPC_ROW(dir, NAME, NULL, states, fds)
#include "common/msg_rows.h"
};

static const struct ipc_proto ctl_proto = {
    .name = "daemon",
    .rows = ctl_rows,
    .nrows = sizeof(ctl_rows) / sizeof(ctl_rows[0]),
    .version = IPC_VERSION,
    .version_min = IPC_VERSION_MIN,
};

struct ctl_args {
	struct sbuf b; /* "key=value" strings, each with its NUL */
};

struct ctl_args *
ctl_args_new(void)
{
	struct ctl_args *a = xcalloc(1, sizeof(*a));

	sbuf_init(&a->b, CTL_ARGS_MAX);
	return a;
}

void
ctl_args_free(struct ctl_args *a)
{
	if (a != NULL)
		sbuf_fini(&a->b);
	free(a);
}

void
ctl_arg(struct ctl_args *a, const char *key, const char *value)
{
	if (value == NULL)
		return;
	sbuf_add_fmt(&a->b, "%s=%s", key, value);
	sbuf_add_char(&a->b, '\0');
}

void
ctl_arg_u64(struct ctl_args *a, const char *key, unsigned long long v)
{
	char text[24];

	snprintf(text, sizeof(text), "%llu", v);
	ctl_arg(a, key, text);
}

static int
put_request(const char *command, const struct ctl_args *args, uint8_t *buf,
    size_t size, size_t *len_out, struct err *e)
{
	struct msg_CTL_REQUEST m = {0};
	struct wire_w w;

	if (args != NULL && args->b.overflow)
		return err_set(e, ERR_LIMIT, "the arguments are too long");
	snprintf(m.command, sizeof(m.command), "%s", command);
	if (args != NULL) {
		m.args = (const uint8_t *)sbuf_str(&args->b);
		m.args_len = (uint32_t)args->b.len;
	}
	wire_w_init(&w, buf, size);
	if (msg_put_CTL_REQUEST(&w, &m) == -1)
		return err_set(e, ERR_LIMIT, "the arguments are too long");
	*len_out = (size_t)wire_w_len(&w);
	return 0;
}

static int
parse_reply(const char *text, size_t len, struct json **reply_out,
    struct err *e)
{
	*reply_out = json_parse(text, len, JSON_DEPTH_DEFAULT, e);
	if (*reply_out == NULL)
		return -1;
	if (json_type(*reply_out) == JSON_OBJECT)
		return 0;
	json_free(reply_out);
	return err_set(e, ERR_PROTO, "the daemon's answer is not an object");
}

static int
read_reply(struct ipc_msg *m, struct json **reply_out, struct err *e)
{
	struct msg_CTL_REPLY r;
	char *text = NULL;
	int rv = -1;

	if (msg_get_CTL_REPLY(&m->body, &r) == -1 ||
	    wire_r_end(&m->body) == -1 || r.size > CTL_REPLY_MAX)
		return err_set(e, ERR_PROTO,
		    "the daemon's answer is malformed");
	text = malloc(r.size + 1);
	if (text == NULL)
		return err_set(e, ERR_NOMEM, "the answer has %" PRIu64 " bytes",
		    r.size);
	if (io_pread_full(m->fds[0], text, r.size, 0, e) == 0)
		rv = parse_reply(text, r.size, reply_out, e);
	mem_wipe_free(text, r.size); /* new tokens' secrets are in there */
	return rv;
}

static int
read_fail(struct ipc_msg *m, struct err *e)
{
	struct msg_CTL_FAIL f;

	if (msg_get_CTL_FAIL(&m->body, &f) == -1 || wire_r_end(&m->body) == -1)
		return err_set(e, ERR_PROTO,
		    "the daemon's answer is malformed");
	return err_set(e, err_code_from_wire(f.code), "%s", f.text);
}

static int
call(struct ipc *c, const char *command, const struct ctl_args *args,
    struct json **reply_out, struct err *e)
{
	size_t len = 0, size = CTL_ARGS_MAX + 256;
	uint8_t *buf = xmalloc(size);
	struct ipc_msg m;
	int rv = -1;

	if (put_request(command, args, buf, size, &len, e) == -1)
		goto out;
	if (ipc_call(c, MSG_ID_CTL_REQUEST, 0, 1, buf, len, NULL, 0,
		CTL_TIMEOUT_MS, &m, e) == -1)
		goto out;
	if (m.type == MSG_ID_CTL_REPLY)
		rv = read_reply(&m, reply_out, e);
	else
		rv = read_fail(&m, e);
	ipc_msg_close(&m);
out:
	mem_wipe_free(buf, size);
	return rv;
}

static int
open_socket(const char *run_dir, const char *name, struct err *e)
{
	char *path = xasprintf("%s/admin/%s.sock", run_dir, name);
	int fd = ipc_connect(path, e);

	if (fd == -1 && e->sys == EACCES)
		err_set(e, ERR_PERM,
		    "not allowed to use %s: be root or a member of group "
		    "holdfast-admin",
		    path);
	else if (fd == -1)
		err_wrap(e, "cannot reach holdfast-%s (is it running?)", name);
	free(path);
	return fd;
}

int
ctl_call(const char *run_dir, enum ctl_daemon daemon, const char *command,
    const struct ctl_args *args, struct json **reply_out, struct err *e)
{
	struct ipc_cfg cfg = {
	    .proto = &ctl_proto,
	    .role = IPC_D_TO_CTL,
	    .state = IPC_S_READY,
	};
	struct ipc *c;
	int fd, rv;

	if (run_dir == NULL)
		run_dir = RUNSTATEDIR "/holdfast";
	fd = open_socket(run_dir, daemon == CTL_AUTH ? "auth" : "validator", e);
	if (fd == -1)
		return -1;
	c = ipc_new(fd, &cfg, e);
	if (c == NULL)
		return -1;
	rv = call(c, command, args, reply_out, e);
	ipc_free(&c);
	return rv;
}

bool
ctl_is_down(const struct err *e)
{
	return e->code == ERR_UNAVAILABLE &&
	    (e->sys == ENOENT || e->sys == ECONNREFUSED);
}
