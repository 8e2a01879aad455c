/*
 * Who is the client?  Passwords, tickets and API tokens (wire-protocol 2).
 * Runs in auth; user names and secrets are the client's, through a worker.
 * Every failure of one kind has one text and costs one password hash, so that
 * nobody learns which users exist.
 */
#include "config.h"

#include <string.h>

#include "common/audit.h"
#include "common/format/auth_id.h"
#include "common/io.h"
#include "common/ipc.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/msg.h"
#include "common/str.h"
#include "server/auth/accounts.h"
#include "server/auth/auth.h"
#include "server/auth/guess_delay.h"
#include "server/auth/hasher.h"
#include "server/auth/secrets.h"
#include "server/auth/ticket.h"
#include "server/auth/token_secret.h"
#include "server/auth/worker_peer.h"

#define SUB "login"
#define TEXT_LOGIN "permission check failed."
#define TEXT_BLOCKED "too many failed logins from this address"
#define TEXT_CREDENTIALS "authentication failed - invalid credentials"
#define TEXT_TICKET "authentication failed - invalid ticket"
#define TEXT_CSRF "authentication failed - invalid CSRF token"

/* 1 or 0; an unreadable database is no permission. */
static int
is_active(struct auth *a, const char *auth_id)
{
	struct lmdb_txn *t = NULL;
	struct err e;
	int active;

	if (accounts_begin(a->accounts, 0, &t, &e) == -1) {
		log_err_e(SUB, &e, "cannot read accounts");
		return 0;
	}
	active = accounts_active(a->accounts, t, auth_id, io_realtime_s(), &e);
	if (active == -1)
		log_err_e(SUB, &e, "cannot read accounts");
	accounts_abort(&t);
	return active == 1;
}

/* --- LOGIN --------------------------------------------------------------- */

static int
send_logged_in(struct worker_peer *p, uint64_t seq, const char *userid)
{
	const struct secrets *s = p->auth->secrets;
	uint8_t buf[MSG_MAX_LOGGED_IN];
	struct msg_LOGGED_IN reply = {0};
	int64_t now = io_realtime_s();
	struct wire_w w;
	struct err e;
	int rv;

	if (ticket_make(s, userid, now, reply.ticket, &e) == -1 ||
	    csrf_make(s, userid, now, reply.csrf, &e) == -1)
		return worker_fail(p, seq, e.code, "%s", e.msg);
	strncat(reply.auth_id, userid, IPC_AUTHID_MAX);
	wire_w_init(&w, buf, sizeof(buf));
	msg_put_LOGGED_IN(&w, &reply);
	rv = worker_send(p, MSG_ID_LOGGED_IN, seq, buf, (size_t)wire_w_len(&w));
	mem_wipe(buf, sizeof(buf));
	mem_wipe(&reply, sizeof(reply));
	return rv;
}

static void
login_passed(struct worker_peer *p, const char *user, const char *peer,
    const char *by)
{
	audit_add(p->auth->audit, "login", "outcome", "ok", "auth-id", user,
	    "peer", peer, "by", by, NULL);
}

static void
login_hashed(void *arg, int match, const char *hash, const struct err *why)
{
	struct worker_peer *p = arg;

	(void)hash;
	p->job = NULL;
	if (why != NULL) {
		log_warn_e(SUB, why, "cannot check a password");
		worker_fail(p, p->job_seq, why->code, "%s", why->msg);
	} else if (!match) {
		guess_delay_address_failed(p->auth->guesses, p->job_peer,
		    io_monotonic_ms());
		worker_fail_auth(p, p->job_seq, p->job_user, p->job_peer,
		    TEXT_LOGIN, "wrong password or unknown user");
	} else if (!is_active(p->auth, p->job_user)) {
		worker_fail_auth(p, p->job_seq, p->job_user, p->job_peer,
		    TEXT_LOGIN, "user is disabled or expired");
	} else {
		guess_delay_passed(p->auth->guesses, p->job_user, p->job_peer);
		login_passed(p, p->job_user, p->job_peer, "password");
		send_logged_in(p, p->job_seq, p->job_user);
	}
}

/* An unknown user, or one without a password, costs a new hash instead of a
 * comparison, which is the same work; its result is not looked at. */
static void
login_hashed_for_nobody(void *arg, int match, const char *hash,
    const struct err *why)
{
	(void)match;
	login_hashed(arg, 0, hash, why);
}

static int
login_by_password(struct worker_peer *p, const struct msg_LOGIN *req,
    struct err *e)
{
	struct auth *a = p->auth;
	struct account_user u = {0};
	struct lmdb_txn *t = NULL;
	int there;

	if (accounts_begin(a->accounts, 0, &t, e) == -1)
		return -1;
	there = accounts_user_get(a->accounts, t, req->user, &u, e);
	accounts_abort(&t);
	if (there == -1)
		return -1;
	if (there == 1 && u.hash[0] != '\0')
		p->job = hasher_check(a->hashers, req->peer, req->password,
		    req->password_len, u.hash, login_hashed, p, e);
	else
		p->job = hasher_make(a->hashers, req->peer, req->password,
		    req->password_len, login_hashed_for_nobody, p, e);
	mem_wipe(&u, sizeof(u));
	return p->job == NULL ? -1 : 0;
}

/* Clients renew a ticket by giving it as the password. */
static int
login_by_ticket(struct worker_peer *p, const struct msg_LOGIN *req)
{
	char userid[IPC_AUTHID_MAX + 1];
	struct err ignored;

	return ticket_check(p->auth->secrets, req->password, req->password_len,
		   io_realtime_s(), userid, &ignored) == 0 &&
	    strcmp(userid, req->user) == 0 && is_active(p->auth, userid);
}

int
auth_on_login(void *ctx, struct ipc_msg *m)
{
	struct worker_peer *p = ctx;
	struct msg_LOGIN req;
	struct auth_id id;
	struct err e;
	int rv;

	if (msg_get_LOGIN(&m->body, &req) == -1)
		return err_set(&m->err, ERR_PROTO, "malformed LOGIN");
	if (user_id_parse(&id, req.user, &e) == -1) {
		rv = worker_fail(p, m->seq, ERR_PARAM,
		    "parameter verification failed - 'username': %s", e.msg);
	} else if (p->job != NULL) {
		rv = worker_fail(p, m->seq, ERR_UNAVAILABLE,
		    "one login at a time");
	} else if (login_by_ticket(p, &req)) {
		login_passed(p, req.user, req.peer, "ticket");
		rv = send_logged_in(p, m->seq, req.user);
	} else if (guess_delay_address_blocked(p->auth->guesses, req.peer,
		       io_monotonic_ms())) {
		rv = worker_fail_auth(p, m->seq, req.user, req.peer,
		    TEXT_BLOCKED, "too many failures from this address");
	} else {
		p->job_seq = m->seq;
		memcpy(p->job_user, req.user, sizeof(p->job_user));
		memcpy(p->job_peer, req.peer, sizeof(p->job_peer));
		rv = login_by_password(p, &req, &e);
		if (rv == -1)
			rv = worker_fail(p, m->seq, e.code, "%s", e.msg);
	}
	worker_wipe(req.password, req.password_len);
	return rv;
}

/* --- VERIFY -------------------------------------------------------------- */

static int
verify_ticket(struct worker_peer *p, const struct msg_VERIFY *req,
    const char **text_out, struct err *e)
{
	const struct secrets *s = p->auth->secrets;
	char userid[IPC_AUTHID_MAX + 1];
	int64_t now = io_realtime_s();

	*text_out = TEXT_TICKET;
	if (ticket_check(s, req->secret, req->secret_len, now, userid, e) == -1)
		return -1;
	if (!is_active(p->auth, userid))
		return err_set(e, ERR_AUTH,
		    "user is gone, disabled or expired");
	*text_out = TEXT_CSRF;
	if (req->need_csrf &&
	    csrf_check(s, userid, req->csrf, req->csrf_len, now, e) == -1)
		return -1;
	memcpy(p->auth_id, userid, sizeof(p->auth_id));
	return 0;
}

static int
verify_token(struct worker_peer *p, const struct msg_VERIFY *req,
    const char **text_out, struct err *e)
{
	struct account_token k = {0};
	struct lmdb_txn *t = NULL;
	struct auth_id id;
	int there, fits;

	*text_out = TEXT_CREDENTIALS;
	if (auth_id_parse(&id, req->auth_id, e) == -1)
		return -1;
	if (!auth_id_is_token(&id))
		return err_set(e, ERR_AUTH, "not an API token");
	if (accounts_begin(p->auth->accounts, 0, &t, e) == -1)
		return -1;
	there = accounts_token_get(p->auth->accounts, t, req->auth_id, &k, e);
	accounts_abort(&t);
	if (there == -1)
		return -1;
	/* Of a token that is not there, the same work in vain. */
	fits = token_secret_fits(&k, req->secret, req->secret_len);
	if (there == 0 || !fits) {
		guess_delay_address_failed(p->auth->guesses, req->peer,
		    io_monotonic_ms());
		return err_set(e, ERR_AUTH, "wrong secret or unknown token");
	}
	if (!is_active(p->auth, req->auth_id))
		return err_set(e, ERR_AUTH,
		    "token or its user is disabled or expired");
	auth_id_to_str(&id, p->auth_id);
	return 0;
}

int
auth_on_verify(void *ctx, struct ipc_msg *m)
{
	struct worker_peer *p = ctx;
	uint8_t buf[MSG_MAX_VERIFIED];
	struct msg_VERIFIED reply = {0};
	struct msg_VERIFY req;
	const char *text;
	struct wire_w w;
	struct err e;
	int rv;

	if (msg_get_VERIFY(&m->body, &req) == -1)
		return err_set(&m->err, ERR_PROTO, "malformed VERIFY");
	p->auth_id[0] = '\0';
	if (req.kind == CREDENTIAL_TICKET)
		rv = verify_ticket(p, &req, &text, &e);
	else if (req.kind == CREDENTIAL_TOKEN)
		rv = verify_token(p, &req, &text, &e);
	else
		return err_set(&m->err, ERR_PROTO, "VERIFY of no known kind");
	worker_wipe(req.secret, req.secret_len);
	if (rv == -1)
		return worker_fail_auth(p, m->seq, req.auth_id, req.peer, text,
		    e.msg);
	if (worker_count_of_user(p) > p->auth->conf.max_per_user) {
		log_warn(SUB, "too many connections user=%s peer=%s",
		    STR_VIS(p->auth_id), STR_VIS(req.peer));
		p->auth_id[0] = '\0';
		return worker_fail(p, m->seq, ERR_UNAVAILABLE,
		    "too many connections of this user");
	}
	memcpy(reply.auth_id, p->auth_id, sizeof(reply.auth_id));
	wire_w_init(&w, buf, sizeof(buf));
	msg_put_VERIFIED(&w, &reply);
	return worker_send(p, MSG_ID_VERIFIED, m->seq, buf,
	    (size_t)wire_w_len(&w));
}
