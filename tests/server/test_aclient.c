/*
 * The client of auth against one that answers, refuses, and dies.  The fake
 * auth runs in a thread with a loop of its own, since a signature blocks.
 */
#include "config.h"

#include <criterion/criterion.h>
#include <event2/event.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/err.h"
#include "common/io.h"
#include "common/ipc.h"
#include "common/mem.h"
#include "server/aclient.h"
#include "server/signer.h"

/* --- the fake ------------------------------------------------------------ */

static char folder[] = "/tmp/holdfast-aclient-XXXXXX";
static char path[64];
static atomic_int welcomes, verifies, grants, deaths; /* deaths: to come */
static atomic_int stop, mute;
static const char *chain = "chain one";

struct fake_peer {
	struct ipc *ipc;
	int verified;
};
static struct event_base *fake_base;

#define SEND(peer, NAME, message, to)                               \
	do {                                                        \
		uint8_t buf_[MSG_MAX_##NAME];                       \
		struct wire_w w_;                                   \
		wire_w_init(&w_, buf_, sizeof(buf_));               \
		cr_assert_eq(msg_put_##NAME(&w_, (message)), 0);    \
		ipc_send((peer)->ipc, MSG_ID_##NAME, 0, (to), buf_, \
		    (size_t)wire_w_len(&w_), NULL);                 \
	} while (0)

static void
fake_refuse(struct fake_peer *p, uint64_t seq)
{
	struct msg_AUTH_FAIL f = {.code = ERR_AUTH};

	strcpy(f.text, "no");
	SEND(p, AUTH_FAIL, &f, seq);
}

static int
fake_on_sign(void *ctx, struct ipc_msg *m)
{
	struct fake_peer *p = ctx;
	struct msg_SIGN s;
	struct msg_SIGNED r = {0};
	uint8_t sig[4];

	msg_get_SIGN(&m->body, &s);
	sig[0] = (uint8_t)s.scheme;
	sig[1] = (uint8_t)s.tbs_len;
	sig[2] = s.tbs[0];
	r.signature = sig;
	r.signature_len = 3;
	SEND(p, SIGNED, &r, m->seq);
	return 0;
}

static int
fake_on_login(void *ctx, struct ipc_msg *m)
{
	struct msg_LOGIN l;
	struct msg_LOGGED_IN r = {0};

	msg_get_LOGIN(&m->body, &l);
	if (l.password_len != 2) {
		fake_refuse(ctx, m->seq);
		return 0;
	}
	strcpy(r.auth_id, l.user);
	strcpy(r.ticket, "ticket");
	SEND((struct fake_peer *)ctx, LOGGED_IN, &r, m->seq);
	return 0;
}

static int
fake_on_verify(void *ctx, struct ipc_msg *m)
{
	struct fake_peer *p = ctx;
	struct msg_VERIFY v;
	struct msg_VERIFIED r = {0};

	verifies++;
	msg_get_VERIFY(&m->body, &v);
	if (v.secret_len != 4) {
		fake_refuse(p, m->seq);
		return 0;
	}
	p->verified = 1;
	strcpy(r.auth_id, "u@pbs");
	SEND(p, VERIFIED, &r, m->seq);
	return 0;
}

static int
fake_on_grant_get(void *ctx, struct ipc_msg *m)
{
	struct fake_peer *p = ctx;
	struct msg_GRANT_GET g;
	struct msg_GRANT r = {0};

	grants++;
	msg_get_GRANT_GET(&m->body, &g);
	if (mute)
		return 0;
	if (deaths > 0) {
		deaths--;
		return err_set(&m->err, ERR_ABORTED, "dies");
	}
	if (!p->verified) {
		fake_refuse(p, m->seq);
		return 0;
	}
	r.grant = (const uint8_t *)"grant";
	r.grant_len = 5;
	SEND(p, GRANT, &r, m->seq);
	return 0;
}

static int
fake_on_access_call(void *ctx, struct ipc_msg *m)
{
	struct msg_ACCESS_CALL c;

	msg_get_ACCESS_CALL(&m->body, &c);
	fake_refuse(ctx, m->seq);
	return 0;
}

#define FAKE_TO_WRK(handler) NULL
#define FAKE_TO_AUTH(handler) fake_on_##handler
#define IPC_ROW_WA(dir, NAME, handler, states, fds) \
	IPC_ROW(dir, NAME, FAKE_##dir(handler), states, fds)
static const struct ipc_row rows[] = {
#include "common/msg_rows.h"
};
static const struct ipc_proto proto = {.name = "worker",
    .rows = rows,
    .nrows = sizeof(rows) / sizeof(rows[0]),
    .version = 1,
    .version_min = 1};

static void
fake_on_closed(void *ctx, const struct err *why)
{
	struct fake_peer *p = ctx;

	(void)why;
	ipc_free(&p->ipc);
	free(p);
}

static void
fake_on_accept(void *ctx, int fd)
{
	struct fake_peer *p = xcalloc(1, sizeof(*p));
	const struct ipc_cfg cfg = {.base = fake_base,
	    .proto = &proto,
	    .role = IPC_D_TO_AUTH,
	    .state = IPC_S_READY,
	    .ctx = p,
	    .closed = fake_on_closed};
	struct msg_AUTH_WELCOME w = {0};

	(void)ctx;
	p->ipc = ipc_new(fd, &cfg, NULL);
	welcomes++;
	w.chain = (const uint8_t *)chain;
	w.chain_len = (uint32_t)strlen(chain);
	SEND(p, AUTH_WELCOME, &w, 0);
}

static void *
fake_run(void *arg)
{
	struct timeval tv = {0, 1000};
	struct ipc_listener *l;
	int fd;

	(void)arg;
	fake_base = event_base_new();
	fd = ipc_listen(path, 0600, NULL);
	l = ipc_listener_new(fake_base, fd, fake_on_accept, NULL, NULL);
	while (!stop) {
		event_base_loopexit(fake_base, &tv);
		event_base_loop(fake_base, EVLOOP_ONCE);
	}
	ipc_listener_free(&l);
	unlink(path);
	return NULL;
}

static pthread_t thread;

static void
fake_start(void)
{
	stop = 0;
	pthread_create(&thread, NULL, fake_run, NULL);
}

/* Its connections stay open, as those of a hung process would. */
static void
fake_stop(void)
{
	stop = 1;
	pthread_join(thread, NULL);
}

/* --- the client ---------------------------------------------------------- */

static struct event_base *base;
static struct aclient *a;
static int done, changes;
static unsigned int type;
static struct err error;

static void
on_changed(void *arg)
{
	(void)arg;
	changes++;
}

static void
on_done(void *arg, const struct aclient_reply *r, const struct err *e)
{
	(void)arg;
	done++;
	type = r != NULL ? r->type : 0;
	if (e != NULL)
		error = *e;
}

static void
wait_for(const int *flag, int value)
{
	uint64_t end = io_monotonic_ms() + 30000;
	struct timeval tv = {0, 1000};

	while (*flag < value && io_monotonic_ms() < end) {
		event_base_loopexit(base, &tv);
		event_base_loop(base, EVLOOP_ONCE);
	}
	cr_assert_geq(*flag, value);
}

static void
setup(void)
{
	struct err e = {0};

	signal(SIGPIPE, SIG_IGN);
	cr_assert_not_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/auth.sock", folder);
	base = event_base_new();
	a = aclient_new(base, path, on_changed, NULL);
	fake_start();
	cr_assert_eq(aclient_start(a, 30000, &e), 0, "%s", e.msg);
}

static void
teardown(void)
{
	aclient_free(a);
	event_base_free(base);
	if (!stop)
		fake_stop();
	rmdir(folder);
}

TestSuite(aclient, .init = setup, .fini = teardown, .timeout = 90);

static void
verify(const char *secret)
{
	struct msg_VERIFY v = {.kind = CREDENTIAL_TOKEN};

	v.secret = (const uint8_t *)secret;
	v.secret_len = (uint32_t)strlen(secret);
	aclient_verify(a, &v, on_done, NULL);
	wait_for(&done, 1);
	done = 0;
}

static struct aclient_req *
grant(void)
{
	struct msg_GRANT_GET g = {.purpose = 1};

	return aclient_grant_get(a, &g, on_done, NULL);
}

Test(aclient, certificates_come_with_the_greeting)
{
	size_t len;

	cr_expect_eq(memcmp(aclient_chain(a, &len), "chain one", 9), 0);
	cr_expect_eq(len, 9);
	aclient_client_ca(a, &len);
	cr_expect_eq(len, 0);
}

Test(aclient, sign)
{
	uint8_t sig[SIGNER_SIGNATURE_MAX];
	size_t len;
	struct err e = {0};

	cr_assert_eq(aclient_sign(a, 0x0403, (const uint8_t *)"xyz", 3, sig,
			 &len, &e),
	    0, "%s", e.msg);
	cr_expect_eq(len, 3);
	cr_expect_eq(memcmp(sig, "\x03\x03x", 3), 0);
}

Test(aclient, login)
{
	struct msg_LOGIN l = {.user = "u@pbs"};

	l.password = (const uint8_t *)"pw";
	l.password_len = 2;
	aclient_login(a, &l, on_done, NULL);
	wait_for(&done, 1);
	cr_expect_eq(type, MSG_ID_LOGGED_IN);
	l.password_len = 1;
	aclient_login(a, &l, on_done, NULL);
	wait_for(&done, 2);
	cr_expect_eq(type, 0);
	cr_expect_eq(error.code, ERR_AUTH);
	cr_expect_str_eq(error.msg, "no");
}

Test(aclient, a_grant_needs_an_identity)
{
	grant();
	wait_for(&done, 1);
	cr_expect_eq(type, 0);
	done = 0;
	verify("good");
	grant();
	wait_for(&done, 1);
	cr_expect_eq(type, MSG_ID_GRANT);
}

Test(aclient, a_lost_connection_is_not_noticed_by_requests)
{
	verify("good");
	deaths = 2;
	grant();
	wait_for(&done, 1);
	cr_expect_eq(type, MSG_ID_GRANT, "%s", error.msg);
	cr_expect_eq(grants, 3);
	cr_expect_eq(welcomes, 3);
	cr_expect_eq(verifies, 3, "auth was told again who it is");
	cr_expect_eq(changes, 0);
}

Test(aclient, an_identity_that_failed_does_not_replace_the_last)
{
	verify("good");
	verify("wrong!");
	cr_expect_eq(error.code, ERR_AUTH);
	deaths = 1;
	grant();
	wait_for(&done, 1);
	cr_expect_eq(type, MSG_ID_GRANT);
}

Test(aclient, other_certificates_are_told)
{
	verify("good");
	chain = "chain two";
	deaths = 1;
	grant();
	wait_for(&changes, 1);
	wait_for(&done, 1);
	cr_expect_eq(type, MSG_ID_GRANT);
}

Test(aclient, a_cancelled_request_is_silent)
{
	struct aclient_req *req;

	verify("good");
	req = grant();
	aclient_cancel(req);
	grant();
	wait_for(&done, 1);
	cr_expect_eq(type, MSG_ID_GRANT);
	cr_expect_eq(done, 1);
}

Test(aclient, auth_that_stays_away_is_unavailable)
{
	verify("good");
	fake_stop();
	deaths = 0;
	aclient_free(a);
	a = aclient_new(base, path, on_changed, NULL);
	grant();
	wait_for(&done, 1);
	cr_expect_eq(type, 0);
	cr_expect_eq(error.code, ERR_UNAVAILABLE);
	cr_expect_eq(err_http_status(error.code), 503);
}
