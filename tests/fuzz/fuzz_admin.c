/*
 * What holdfast-admin takes from a daemon, in whose answers stands text of
 * clients: whole commands, over a socket that is none.  The first byte of the
 * input chooses the command, the second how the output is printed; each
 * further line is one answer: JSON, or with a '!' in front an error.
 */
#include "config.h"

#include "tests/fuzz/fuzz.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "admin/admin.h"
#include "common/err.h"
#include "common/io.h"
#include "common/ipc.h"
#include "common/msg.h"

#define UPID                                                               \
	"UPID:pbs1:0000A1B2:00BC614E:0000001F:66671C80:garbage_collection" \
	"::u@pbs:"

static const struct {
	cli_run_fn *run;
	const char *args[3];
} commands[] = {
    {admin_status, {NULL}},
    {admin_metrics, {NULL}},
    {admin_datastore_list, {NULL}},
    {admin_gc_start, {"store"}},
    {admin_gc_status, {"store"}},
    {admin_session_list, {NULL}},
    {admin_session_stop, {"0123456789abcdef"}},
    {admin_lock_list, {NULL}},
    {admin_task_list, {NULL}},
    {admin_task_log, {UPID}},
    {admin_schedule_list, {NULL}},
    {admin_verify, {"store"}},
    {admin_user_list, {NULL}},
    {admin_user_remove, {"u@pbs"}},
    {admin_token_create, {"u@pbs", "token"}},
    {admin_token_list, {NULL}},
    {admin_acl_remove, {"/datastore"}},
    {admin_acl_list, {NULL}},
    {admin_role_list, {NULL}},
    {admin_permissions, {"u@pbs"}},
    {admin_cert_info, {NULL}},
    {admin_export, {NULL}},
};

/* ---- a socket that is none */

static const uint8_t *answers;
static size_t answers_len;
static uint8_t packet[MSG_MAX_CTL_FAIL + MSG_MAX_CTL_REPLY];

int
ipc_connect(const char *path, struct err *e)
{
	(void)path;
	(void)e;
	return 0;
}

struct ipc *
ipc_new(int fd, const struct ipc_cfg *cfg, struct err *e)
{
	(void)fd;
	(void)cfg;
	(void)e;
	return (struct ipc *)(void *)packet;
}

void
ipc_free(struct ipc **c)
{
	*c = NULL;
}

void
ipc_msg_close(struct ipc_msg *m)
{
	io_close(&m->fds[0]);
}

static int
answer(const uint8_t *line, size_t len, struct ipc_msg *m, struct err *e)
{
	struct msg_CTL_FAIL fail = {.code = ERR_NOT_FOUND};
	struct msg_CTL_REPLY reply = {.size = len};
	struct wire_w w;

	memset(m, 0, sizeof(*m));
	m->fds[0] = -1;
	wire_w_init(&w, packet, sizeof(packet));
	if (len > 0 && line[0] == '!') {
		m->type = MSG_ID_CTL_FAIL;
		if (len > sizeof(fail.text))
			len = sizeof(fail.text);
		memcpy(fail.text, line + 1, len - 1);
		FUZZ_REQUIRE(msg_put_CTL_FAIL(&w, &fail) == 0);
	} else {
		m->type = MSG_ID_CTL_REPLY;
		m->fds[0] = io_memfd_data("reply", line, len, e);
		if (m->fds[0] == -1)
			return -1;
		FUZZ_REQUIRE(msg_put_CTL_REPLY(&w, &reply) == 0);
	}
	wire_r_init(&m->body, packet, (size_t)wire_w_len(&w));
	return 0;
}

int
ipc_call(struct ipc *c, uint16_t type, uint64_t session, uint64_t seq,
    const void *body, size_t len, const int *fds, int nfds, int timeout_ms,
    struct ipc_msg *m, struct err *e)
{
	const uint8_t *line = answers, *end;
	struct msg_CTL_REQUEST asked;
	struct wire_r r;

	(void)c;
	(void)session;
	(void)seq;
	(void)fds;
	(void)nfds;
	(void)timeout_ms;
	wire_r_init(&r, body, len);
	FUZZ_REQUIRE(type == MSG_ID_CTL_REQUEST);
	FUZZ_REQUIRE(msg_get_CTL_REQUEST(&r, &asked) == 0);
	if (answers_len == 0)
		return err_set(e, ERR_UNAVAILABLE, "nobody there");
	end = memchr(line, '\n', answers_len);
	len = end == NULL ? answers_len : (size_t)(end - line);
	answers += len + (end != NULL);
	answers_len -= len + (end != NULL);
	return answer(line, len, m, e);
}

/* Following a log is to take no time. */
int
nanosleep(const struct timespec *want, struct timespec *rest)
{
	(void)want;
	(void)rest;
	return 0;
}

/* ---- a command */

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static FILE *nowhere;
	struct admin_opts o = {.auth_id = "u@pbs"};
	struct err e = {.code = ERR_OK};
	FILE *shown = stdout;
	char *args[3];
	size_t which;
	int n;

	if (len < 2)
		return 0;
	if (nowhere == NULL)
		nowhere = fopen("/dev/null", "w");
	which = data[0] % (sizeof(commands) / sizeof(commands[0]));
	o.output_format = data[1] % 3;
	answers = data + 2;
	answers_len = len - 2;
	for (n = 0; n < 3 && commands[which].args[n] != NULL; n++)
		args[n] = xstrdup(commands[which].args[n]);
	stdout = nowhere;
	if (commands[which].run(&o, n, args, &e) == -1)
		FUZZ_REQUIRE(e.code != ERR_OK);
	stdout = shown;
	while (n > 0)
		free(args[--n]);
	return 0;
}
