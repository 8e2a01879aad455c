/*
 * The validator client's connection and session: connecting again and again,
 * resuming.  Runs in a worker under its uid, where the socket's path may be
 * all that is left of the file system.  It trusts the validator, which may
 * go and come back at any time.
 *
 *	DOWN -> GREETING (HELLO) -> [RESUMING (SESSION_RESUME)] -> UP -> DOWN
 */
#include "config.h"

#include "server/vclient_int.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "common/io.h"
#include "common/log.h"
#include "common/mem.h"

#define LOG_SUB "vclient"
#define HELLO_PROGRAM "holdfast-worker"

static bool
vclient_is_needed(const struct vclient *v)
{
	return !TAILQ_EMPTY(&v->reqs) || v->session == VCLIENT_SESSION_OPEN;
}

static void
vclient_set_state(struct vclient *v, enum vclient_state state)
{
	static const struct timeval now = {0, 0};

	v->state = state;
	if (state == VCLIENT_STATE_DOWN)
		event_add(v->timer, &now);
}

/* Ends the session on this side; the callback comes from the loop. */
static void
vclient_session_over(struct vclient *v, const struct err *why)
{
	if (v->session != VCLIENT_SESSION_OPEN)
		return;
	v->session = VCLIENT_SESSION_OVER;
	v->why = *why;
	v->away_end_ms = 0;
	v->tell_over = true;
	vclient_fail_session_reqs(v, why);
	event_active(v->kick, EV_TIMEOUT, 0);
}

/* ---- connection ---- */

static void
vclient_down(struct vclient *v)
{
	uint64_t now = io_monotonic_ms();

	ipc_free(&v->ipc);
	v->retry_ms = now + proc_backoff_next(&v->backoff);
	if (v->session == VCLIENT_SESSION_OPEN && v->away_end_ms == 0) {
		v->away_end_ms = now + VCLIENT_RESUME_WAIT_MS;
		log_info(LOG_SUB, "validator is away, session waits");
	}
	vclient_reqs_lost(v);
	vclient_set_state(v, VCLIENT_STATE_DOWN);
}

static void
on_closed(void *ctx, const struct err *why)
{
	if (why->code == ERR_PROTO)
		log_err_e(LOG_SUB, why, "BUG: validator");
	else
		log_debug_e(LOG_SUB, why, "connection to the validator");
	vclient_down(ctx);
}

static void
on_drained(void *ctx)
{
	vclient_pump(ctx);
}

int
vclient_send_hello(struct ipc *ipc, uint64_t seq, struct err *e)
{
	struct msg_HELLO m = {
	    .version_min = IPC_VERSION_MIN,
	    .version_max = IPC_VERSION,
	    .program = HELLO_PROGRAM,
	};
	uint8_t buf[MSG_MAX_HELLO];
	struct wire_w w;

	wire_w_init(&w, buf, sizeof(buf));
	msg_put_HELLO(&w, &m);
	return ipc_send(ipc, MSG_ID_HELLO, 0, seq, buf, (size_t)wire_w_len(&w),
	    e);
}

static void
vclient_connect(struct vclient *v)
{
	struct ipc_cfg cfg = {
	    .base = v->base,
	    .proto = &vclient_proto,
	    .role = IPC_D_TO_WRK,
	    .state = IPC_S_NEW,
	    .ctx = v,
	    .closed = on_closed,
	    .drained = on_drained,
	};
	struct err e;
	int fd;

	if ((fd = ipc_connect(v->path, &e)) == -1 ||
	    (v->ipc = ipc_new(fd, &cfg, &e)) == NULL ||
	    vclient_send_hello(v->ipc, ++v->last_seq, &e) == -1) {
		if (e.code != ERR_UNAVAILABLE)
			log_warn_e(LOG_SUB, &e, "cannot reach the validator");
		vclient_down(v);
		return;
	}
	vclient_set_state(v, VCLIENT_STATE_GREETING);
}

static int
vclient_resume(struct vclient *v, struct err *e)
{
	struct msg_SESSION_RESUME m;
	struct wire_w w;
	int own = -1, fd = v->arena_fd, rv;

	if (fd == -1 && (fd = own = io_memfd("no-arena", 0, 0, e)) == -1)
		return -1;
	memcpy(m.resume_key, v->resume_key, sizeof(m.resume_key));
	wire_w_init(&w, v->scratch, sizeof(v->scratch));
	msg_put_SESSION_RESUME(&w, &m);
	v->resume_seq = ++v->last_seq;
	vclient_set_state(v, VCLIENT_STATE_RESUMING);
	rv = ipc_send_fds(v->ipc, MSG_ID_SESSION_RESUME, v->session_id,
	    v->resume_seq, w.start, (size_t)wire_w_len(&w), &fd, 1, e);
	mem_wipe(&m, sizeof(m));
	mem_wipe(v->scratch, sizeof(m.resume_key));
	io_close(&own);
	return rv;
}

int
vclient_on_welcome(struct vclient *v, struct err *e)
{
	if (v->state != VCLIENT_STATE_GREETING)
		return err_set(e, ERR_PROTO, "WELCOME in the wrong state");
	ipc_set_state(v->ipc, IPC_S_READY);
	if (v->session == VCLIENT_SESSION_OPEN)
		return vclient_resume(v, e);
	proc_backoff_reset(&v->backoff);
	vclient_set_state(v, VCLIENT_STATE_UP);
	vclient_pump(v);
	vclient_arm(v);
	return 0;
}

int
vclient_on_resumed(struct vclient *v, uint32_t credit_slots, struct err *e)
{
	if (v->state != VCLIENT_STATE_RESUMING)
		return err_set(e, ERR_PROTO, "RESUMED in the wrong state");
	log_info(LOG_SUB, "session resumed");
	ipc_set_state(v->ipc, IPC_S_SESSION);
	proc_backoff_reset(&v->backoff);
	v->away_end_ms = 0;
	vclient_set_state(v, VCLIENT_STATE_UP);
	vclient_pump(v);
	if (v->cb.resumed != NULL)
		v->cb.resumed(v->cb.arg, credit_slots);
	vclient_arm(v);
	return 0;
}

int
vclient_on_refused(struct vclient *v, const struct err *why, struct err *e)
{
	/* Another version, or not yet: both may pass. */
	if (v->state == VCLIENT_STATE_GREETING || err_retryable(why->code))
		return err_set(e, ERR_UNAVAILABLE, "validator refused: %s",
		    why->msg);
	log_err_e(LOG_SUB, why, "session cannot be resumed");
	vclient_session_over(v, why);
	vclient_set_state(v, VCLIENT_STATE_UP);
	return 0;
}

/* ---- session ---- */

int
vclient_on_opened(struct vclient *v, uint64_t id, const struct vclient_reply *r,
    struct err *e)
{
	const uint8_t *key;

	if (v->session != VCLIENT_SESSION_NONE || id == 0)
		return err_set(e, ERR_PROTO, "a session that nobody wants");
	key = r->type == MSG_ID_BACKUP_READY ? r->backup_ready->resume_key
					     : r->session_ready->resume_key;
	if (r->fd != -1 &&
	    (v->arena_fd = fcntl(r->fd, F_DUPFD_CLOEXEC, 0)) == -1)
		return err_errno(e, errno, "arena");
	memcpy(v->resume_key, key, sizeof(v->resume_key));
	v->session_id = id;
	v->session = VCLIENT_SESSION_OPEN;
	ipc_set_state(v->ipc, IPC_S_SESSION);
	return 0;
}

void
vclient_on_aborted(struct vclient *v, const struct err *why)
{
	vclient_session_over(v, why);
}

void
vclient_session_attach(struct vclient *v, const struct vclient_session_cb *cb)
{
	v->cb = *cb;
}

uint64_t
vclient_session_id(const struct vclient *v)
{
	return v->session_id;
}

static void
on_close_answer(void *arg, struct vclient_reply *r, const struct err *e)
{
	struct vclient *v = arg;

	(void)r;
	(void)e; /* gone is gone, whatever the validator thinks of it */
	v->session = VCLIENT_SESSION_OVER;
	event_active(v->kick, EV_TIMEOUT, 0);
}

void
vclient_session_close(struct vclient *v, const struct msg_SESSION_CLOSE *m,
    void (*done)(void *arg), void *arg)
{
	struct wire_w w;
	struct err e;

	v->cb = (struct vclient_session_cb){0};
	v->closed = done;
	v->closed_arg = arg;
	err_set(&e, ERR_ABORTED, "the client is gone");
	vclient_fail_session_reqs(v, &e);
	wire_w_init(&w, v->scratch, sizeof(v->scratch));
	msg_put_SESSION_CLOSE(&w, m);
	/* Answered, because what is written to a validator that is just dying
	 * seems sent: its successor would wait for this worker in vain. */
	if (v->session == VCLIENT_SESSION_OPEN)
		vclient_request(v, MSG_ID_SESSION_CLOSE, VCLIENT_SCOPE_SESSION,
		    &w, -1, on_close_answer, v);
	v->close_end_ms = io_monotonic_ms() + VCLIENT_RESUME_WAIT_MS;
	event_active(v->kick, EV_TIMEOUT, 0);
}

/* The last message is answered, or there is nobody to answer it: a validator
 * that only hangs learns from the end of the connection. */
static void
vclient_check_closed(struct vclient *v)
{
	void (*closed)(void *arg) = v->closed;

	if (closed == NULL)
		return;
	if (v->session == VCLIENT_SESSION_OPEN &&
	    io_monotonic_ms() < v->close_end_ms)
		return;
	v->closed = NULL;
	v->session = VCLIENT_SESSION_OVER;
	closed(v->closed_arg);
}

/* ---- time ---- */

static uint64_t
earlier(uint64_t a, uint64_t b)
{
	if (a == 0 || b == 0)
		return a + b;
	return a < b ? a : b;
}

static void
vclient_run(struct vclient *v)
{
	uint64_t now = io_monotonic_ms();
	struct err e;

	vclient_reqs_expire(v, now);
	if (v->away_end_ms != 0 && v->away_end_ms <= now) {
		err_set(&e, ERR_UNAVAILABLE,
		    "the validator stayed away too long, session given up");
		log_err_e(LOG_SUB, &e, "no resume");
		vclient_session_over(v, &e);
	}
	if (v->state == VCLIENT_STATE_DOWN && vclient_is_needed(v) &&
	    v->retry_ms <= now)
		vclient_connect(v);
}

void
vclient_arm(struct vclient *v)
{
	uint64_t now = io_monotonic_ms(), next;
	struct timeval tv;

	next = earlier(vclient_reqs_expire(v, now), v->away_end_ms);
	if (v->state == VCLIENT_STATE_DOWN && vclient_is_needed(v))
		next = earlier(next, v->retry_ms + 1);
	if (v->closed != NULL)
		next = earlier(next, v->close_end_ms);
	if (next == 0) {
		event_del(v->timer);
		return;
	}
	next = next > now ? next - now : 0;
	tv.tv_sec = (time_t)(next / 1000);
	tv.tv_usec = (suseconds_t)(next % 1000 * 1000);
	event_add(v->timer, &tv);
}

static void
on_timer(int fd, short what, void *arg)
{
	struct vclient *v = arg;

	(void)fd;
	(void)what;
	vclient_run(v);
	vclient_arm(v);
	if (v->closed != NULL)
		vclient_check_closed(v);
}

static void
on_kick(int fd, short what, void *arg)
{
	struct vclient *v = arg;

	(void)fd;
	(void)what;
	vclient_reqs_tell(v);
	if (v->tell_over) {
		v->tell_over = false;
		if (v->cb.aborted != NULL)
			v->cb.aborted(v->cb.arg, &v->why);
	}
	vclient_arm(v);
	vclient_check_closed(v);
}

/* ---- life ---- */

struct vclient *
vclient_new(struct event_base *base, const char *path)
{
	struct vclient *v;

	v = xcalloc(1, sizeof(*v));
	v->base = base;
	v->path = xstrdup(path);
	v->timer = event_new(base, -1, 0, on_timer, v);
	v->kick = event_new(base, -1, 0, on_kick, v);
	if (v->timer == NULL || v->kick == NULL)
		fatal(LOG_SUB, "out of memory for events");
	v->backoff.min_ms = PROC_BACKOFF_MIN_MS;
	v->backoff.max_ms = PROC_RECONNECT_MAX_MS;
	v->arena_fd = -1;
	TAILQ_INIT(&v->reqs);
	TAILQ_INIT(&v->failed);
	err_set(&v->why, ERR_BAD_STATE, "no session");
	return v;
}

void
vclient_free(struct vclient *v)
{
	if (v == NULL)
		return;
	vclient_reqs_forget(v);
	ipc_free(&v->ipc);
	event_free(v->timer);
	event_free(v->kick);
	io_close(&v->arena_fd);
	mem_wipe(v->resume_key, sizeof(v->resume_key));
	free(v->path);
	free(v);
}
