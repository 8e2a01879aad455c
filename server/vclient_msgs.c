/*
 * The validator client's messages: which ones a worker takes, how they are
 * decoded, which answer fits which request.  Runs in a worker, which trusts
 * the validator; the checks here keep a fault of one from becoming a fault of
 * the other.
 */
#include "config.h"

#include "common/err.h"
#include "common/ipc.h"
#include "server/vclient_int.h"

static int
malformed(struct ipc_msg *m)
{
	return err_set(&m->err, ERR_PROTO, "malformed %s", msg_name(m->type));
}

static void
reason_set(struct err *why, unsigned int code, const char *text)
{
	enum err_code c = err_code_from_wire(code);

	err_set(why, c != ERR_OK ? c : ERR_INTERNAL, "%s", text);
}

static int
wrk_on_welcome(void *ctx, struct ipc_msg *m)
{
	struct msg_WELCOME b;

	if (msg_get_WELCOME(&m->body, &b) == -1)
		return malformed(m);
	return vclient_on_welcome(ctx, &m->err);
}

static int
wrk_on_resumed(void *ctx, struct ipc_msg *m)
{
	struct msg_RESUMED b;

	if (msg_get_RESUMED(&m->body, &b) == -1)
		return malformed(m);
	return vclient_on_resumed(ctx, b.credit_slots, &m->err);
}

static int
wrk_on_fail(void *ctx, struct ipc_msg *m)
{
	struct msg_FAIL b;
	struct err why;

	if (msg_get_FAIL(&m->body, &b) == -1)
		return malformed(m);
	reason_set(&why, b.code, b.text);
	return vclient_on_fail(ctx, m->seq, &why, &m->err);
}

static int
wrk_on_aborted(void *ctx, struct ipc_msg *m)
{
	struct msg_ABORTED b;
	struct err why;

	if (msg_get_ABORTED(&m->body, &b) == -1)
		return malformed(m);
	reason_set(&why, b.code, b.text);
	vclient_on_aborted(ctx, &why);
	return 0;
}

/* Handlers of the typed answers: decode, then hand on with the descriptor. */
#define ANSWER_BODY(NAME, member)                                             \
	{                                                                     \
		struct msg_##NAME b;                                          \
		struct vclient_reply r = {.type = MSG_ID_##NAME, .fd = -1};   \
		int rv;                                                       \
		if (msg_get_##NAME(&m->body, &b) == -1)                       \
			return malformed(m);                                  \
		member;                                                       \
		r.fd = m->nfds > 0 ? m->fds[0] : -1;                          \
		rv = vclient_on_answer(ctx, m->seq, m->session, &r, &m->err); \
		if (m->nfds > 0)                                              \
			m->fds[0] = r.fd;                                     \
		return rv;                                                    \
	}
#define ANSWER(NAME, name)                                     \
	static int wrk_on_##name(void *ctx, struct ipc_msg *m) \
	    ANSWER_BODY(NAME, r.name = &b)
#define ANSWER_PLAIN(NAME, name)                               \
	static int wrk_on_##name(void *ctx, struct ipc_msg *m) \
	    ANSWER_BODY(NAME, (void)b)

ANSWER(SESSION_READY, session_ready)
ANSWER(BACKUP_READY, backup_ready)
ANSWER(FILE_READY, file_ready)
ANSWER(APPENDED, appended)
ANSWER(DEPOSITED, deposited)
ANSWER(CHUNK_READY, chunk_ready)
ANSWER(FINISH_WAIT, finish_wait)
ANSWER(CALL_REPLY, call_reply)
ANSWER(CALL_RECORDS, call_records)
ANSWER_PLAIN(DONE, done)
ANSWER_PLAIN(FINISHED, finished)

#define HANDLER_TO_VAL(handler) NULL
#define HANDLER_TO_WRK(handler) wrk_on_##handler
#define IPC_ROW_WV(dir, NAME, handler, states, fds) \
	IPC_ROW(dir, NAME, HANDLER_##dir(handler), states, fds)
static const struct ipc_row rows[] = {
#include "common/msg_rows.h"
};

const struct ipc_proto vclient_proto = {
    .name = "validator",
    .rows = rows,
    .nrows = sizeof(rows) / sizeof(rows[0]),
    .version = IPC_VERSION,
    .version_min = IPC_VERSION_MIN,
};

/* FAIL fits every request. */
static const struct answer_row {
	uint16_t request;
	uint16_t answers[2];
} answer_rows[] = {
    {MSG_ID_SESSION_OPEN, {MSG_ID_BACKUP_READY, MSG_ID_SESSION_READY}},
    {MSG_ID_FILE_OPEN, {MSG_ID_FILE_READY, 0}},
    {MSG_ID_INDEX_CREATE, {MSG_ID_DONE, 0}},
    {MSG_ID_APPEND, {MSG_ID_APPENDED, 0}},
    {MSG_ID_INDEX_CLOSE, {MSG_ID_DONE, 0}},
    {MSG_ID_DEPOSIT, {MSG_ID_DEPOSITED, 0}},
    {MSG_ID_BLOB_PUT, {MSG_ID_DONE, 0}},
    {MSG_ID_CHUNK_OPEN, {MSG_ID_CHUNK_READY, 0}},
    {MSG_ID_FINISH, {MSG_ID_FINISH_WAIT, MSG_ID_FINISHED}},
    {MSG_ID_SESSION_CLOSE, {MSG_ID_DONE, 0}},
    {MSG_ID_CALL, {MSG_ID_CALL_REPLY, MSG_ID_CALL_RECORDS}},
    {MSG_ID_CALL_DATA, {MSG_ID_CALL_REPLY, MSG_ID_CALL_RECORDS}},
};

bool
vclient_is_answer(unsigned int request, unsigned int answer)
{
	size_t i;

	for (i = 0; i < sizeof(answer_rows) / sizeof(answer_rows[0]); i++) {
		if (answer_rows[i].request != request)
			continue;
		return answer != 0 &&
		    (answer_rows[i].answers[0] == answer ||
			answer_rows[i].answers[1] == answer);
	}
	return false;
}

/* What cannot be encoded (a name too long, say) is the writer's sticky error;
 * vclient_request() looks at it. */
#define X(NAME, name)                                                     \
	struct vclient_req *vclient_##name(struct vclient *v,             \
	    const struct msg_##NAME *m, vclient_done_fn *done, void *arg) \
	{                                                                 \
		struct wire_w w;                                          \
		wire_w_init(&w, v->scratch, sizeof(v->scratch));          \
		msg_put_##NAME(&w, m);                                    \
		return vclient_request(v, MSG_ID_##NAME,                  \
		    VCLIENT_SCOPE_SESSION, &w, -1, done, arg);            \
	}
VCLIENT_SESSION_REQUESTS(X)
#undef X

struct vclient_req *
vclient_session_open(struct vclient *v, const struct msg_SESSION_OPEN *m,
    vclient_done_fn *done, void *arg)
{
	struct wire_w w;

	wire_w_init(&w, v->scratch, sizeof(v->scratch));
	msg_put_SESSION_OPEN(&w, m);
	return vclient_request(v, MSG_ID_SESSION_OPEN, VCLIENT_SCOPE_OPEN, &w,
	    -1, done, arg);
}

struct vclient_req *
vclient_call(struct vclient *v, const struct msg_CALL *m, int data_fd,
    vclient_done_fn *done, void *arg)
{
	struct wire_w w;

	/* CALL and CALL_DATA have the same fields. */
	wire_w_init(&w, v->scratch, sizeof(v->scratch));
	msg_put_CALL(&w, m);
	return vclient_request(v,
	    data_fd == -1 ? MSG_ID_CALL : MSG_ID_CALL_DATA, VCLIENT_SCOPE_CALL,
	    &w, data_fd, done, arg);
}
