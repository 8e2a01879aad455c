/*
 * What holdfast takes from a server: whole commands, over a TLS layer that is
 * none.  The first byte of the input chooses the command, the second how the
 * output is printed and how the rest, which is all that the server ever says,
 * is cut into pieces.
 */
#include "config.h"

#include "tests/fuzz/folder.h"
#include "tests/fuzz/fuzz.h"

#include <sys/stat.h>
#include <sys/timerfd.h>

#include <poll.h>
#include <time.h>

#include "client/client.h"
#include "client/tls.h"
#include "common/err.h"

#define LINGER_NS 2000000
#define TOKEN "u@pbs!tok@host:8007:store"
#define SNAPSHOT "host/h1/2024-06-10T15:34:08Z"
#define UPID                                                               \
	"UPID:pbs1:0000A1B2:00BC614E:0000001F:66671C80:garbage_collection" \
	"::u@pbs:"

static char spec[512]; /* what is backed up */

static const struct {
	cli_run_fn *run;
	const char *repository;
	const char *args[3];
} commands[] = {
    {client_list, TOKEN, {NULL}},
    {client_snapshot_list, TOKEN, {NULL}},
    {client_snapshot_files, TOKEN, {SNAPSHOT}},
    {client_snapshot_notes_show, TOKEN, {SNAPSHOT}},
    {client_snapshot_protected_show, TOKEN, {SNAPSHOT}},
    {client_prune, TOKEN, {"host/h1"}},
    {client_namespace_list, TOKEN, {NULL}},
    {client_task_list, TOKEN, {NULL}},
    {client_task_log, TOKEN, {UPID}},
    {client_garbage_collect, TOKEN, {NULL}},
    {client_status, TOKEN, {NULL}},
    {client_version, TOKEN, {NULL}},
    {client_login, "u@pbs@host:store", {NULL}},
    {client_restore, TOKEN, {"host/h1", "d.img", "/dev/null"}},
    {client_restore, TOKEN, {SNAPSHOT, "d.img", "/dev/null"}},
    {client_restore, TOKEN, {SNAPSHOT, "f.conf", "/dev/null"}},
    {client_backup, TOKEN, {spec}},
};

/* ---- a TLS layer that is none */

struct tls {
	const uint8_t *data;
	size_t len;
	size_t step;
	size_t left; /* of the piece that arrives now */
	int is_h2;
	int timer; /* runs from the end of the data; -1: not yet */
};

static struct tls conn;

struct tls *
tls_connect(const char *host, uint16_t port, int timeout_ms, struct err *e)
{
	(void)host;
	(void)port;
	(void)timeout_ms;
	(void)e;
	return &conn;
}

void
tls_free(struct tls *t)
{
	(void)t;
}

int
tls_is_trusted(const struct tls *t, const char **why_out)
{
	(void)t;
	(void)why_out;
	return 1;
}

void
tls_fingerprint(const struct tls *t, char out[TLS_FINGERPRINT_LEN + 1])
{
	(void)t;
	out[0] = '\0';
}

/*
 * A server answers what it was asked: each HTTP/2 frame arrives by itself, so
 * that the next request is out before its answer comes.
 */
static size_t
next_piece(struct tls *t)
{
	static const char upgrade[] = "HTTP/1.1 101";
	const uint8_t *p;

	if (t->is_h2)
		return t->len < 9 ? t->len
				  : 9 +
			((size_t)t->data[0] << 16 | t->data[1] << 8 |
			    t->data[2]);
	p = memmem(t->data, t->len, upgrade, sizeof(upgrade) - 1);
	if (p != t->data)
		return p == NULL ? t->len : (size_t)(p - t->data);
	t->is_h2 = 1;
	p = memmem(t->data, t->len, "\r\n\r\n", 4);
	return p == NULL ? t->len : (size_t)(p + 4 - t->data);
}

/* The server hangs up only after a while, so that threads which have all they
 * need can end first. */
static int
linger_is_over(struct tls *t)
{
	static const struct itimerspec when = {
	    .it_value = {.tv_nsec = LINGER_NS}};
	struct pollfd p;

	if (t->timer == -1) {
		t->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
		timerfd_settime(t->timer, 0, &when, NULL);
	}
	p = (struct pollfd){.fd = t->timer, .events = POLLIN};
	return poll(&p, 1, 0) == 1;
}

ssize_t
tls_read(struct tls *t, void *buf, size_t len, struct err *e)
{
	(void)e;
	FUZZ_REQUIRE(len > 0);
	if (t->len == 0 && t->is_h2 && !linger_is_over(t))
		return TLS_AGAIN;
	if (t->left == 0)
		t->left = next_piece(t);
	if (len > t->step)
		len = t->step;
	if (len > t->left)
		len = t->left;
	if (len > t->len)
		len = t->len;
	if (len > 0)
		memcpy(buf, t->data, len);
	t->data += len;
	t->len -= len;
	t->left -= len;
	return (ssize_t)len;
}

ssize_t
tls_write(struct tls *t, const void *buf, size_t len, struct err *e)
{
	(void)t;
	(void)e;
	FUZZ_REQUIRE(buf != NULL && len > 0);
	return (ssize_t)len;
}

/* Always ready, but at the end. */
int
tls_fd(const struct tls *t)
{
	static int fd = -1;

	if (t->timer != -1)
		return t->timer;
	if (fd == -1)
		fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	return fd;
}

short
tls_events(const struct tls *t)
{
	(void)t;
	return POLLIN;
}

int
tls_wait(struct tls *t, int timeout_ms, struct err *e)
{
	(void)t;
	(void)timeout_ms;
	(void)e;
	return 0;
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

static void
prepare(void)
{
	fuzz_folder();
	setenv("PBS_PASSWORD", "secret", 1);
	setenv("XDG_RUNTIME_DIR", fuzz_folder_path, 1);
	setenv("XDG_CONFIG_HOME", fuzz_folder_path, 1);
	fuzz_folder_put("source", "what is backed up", 17);
	snprintf(spec, sizeof(spec), "d.img:%s/source", fuzz_folder_path);
}

static void
run(size_t which, int format)
{
	struct client_opts o = {.repository = commands[which].repository,
	    .backup_type = "host",
	    .backup_id = "h1",
	    .no_progress = 1,
	    .overwrite = 1,
	    .output_format = format};
	struct err e = {.code = ERR_OK};
	char *args[3];
	int n;

	for (n = 0; n < 3 && commands[which].args[n] != NULL; n++)
		args[n] = xstrdup(commands[which].args[n]);
	if (commands[which].run(&o, n, args, &e) == -1)
		FUZZ_REQUIRE(e.code != ERR_OK && e.msg[0] != '\0');
	while (n > 0)
		free(args[--n]);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static FILE *nowhere;
	FILE *shown = stdout;

	if (len < 2)
		return 0;
	if (nowhere == NULL) {
		nowhere = fopen("/dev/null", "w");
		prepare();
	}
	conn = (struct tls){
	    .data = data + 2,
	    .len = len - 2,
	    .step = (size_t)1 << data[1] / 3 % 20,
	    .timer = -1,
	};
	stdout = nowhere;
	run(data[0] % (sizeof(commands) / sizeof(commands[0])), data[1] % 3);
	stdout = shown;
	io_close(&conn.timer);
	return 0;
}
