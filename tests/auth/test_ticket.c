/* Tickets and CSRF tokens: form, life, and every way to tamper with one. */
#include "config.h"

#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "server/auth/secrets.h"
#include "server/auth/ticket.h"

#define NOW 1795337624 /* 6B02AD98 */

static struct secrets s = {.ticket = {1, 2, 3}, .csrf = {4, 5, 6}};
static char text[TICKET_MAX + 1];
static char user[IPC_AUTHID_MAX + 1];
static struct err e;

static int
check(const char *ticket, int64_t now)
{
	return ticket_check(&s, ticket, strlen(ticket), now, user, &e);
}

Test(ticket, has_the_form_that_clients_expect)
{
	cr_assert_eq(ticket_make(&s, "bob@pbs", NOW, text, &e), 0);
	cr_expect_eq(strncmp(text, "PBS:bob@pbs:6B02AD98::", 22), 0, "%s",
	    text);
	cr_expect_null(strpbrk(text + 22, ":!=% \n"), "%s", text);
	cr_expect_null(strchr(text, '!'));
}

Test(ticket, passes)
{
	ticket_make(&s, "bob@pbs", NOW, text, &e);
	cr_assert_eq(check(text, NOW), 0, "%s", e.msg);
	cr_expect_str_eq(user, "bob@pbs");
}

Test(ticket, encodes_ids_that_would_break_it)
{
	static const char *const ids[] = {"a!b@pbs", "50%@pbs", "\xc3\xa4@pbs",
	    "x%21y@pbs"};
	size_t i;

	for (i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
		cr_assert_eq(ticket_make(&s, ids[i], NOW, text, &e), 0);
		cr_expect_null(strchr(text, '!'), "%s", text);
		cr_assert_eq(check(text, NOW), 0, "%s: %s", text, e.msg);
		cr_expect_str_eq(user, ids[i]);
	}
}

Test(ticket, longest_id_fits)
{
	char id[IPC_AUTHID_MAX + 1];

	memset(id, '!', sizeof(id));
	memcpy(id + IPC_AUTHID_MAX - 4, "@pbs", 5);
	cr_assert_eq(ticket_make(&s, id, NOW, text, &e), 0);
	cr_assert_eq(check(text, NOW), 0, "%s", e.msg);
	cr_expect_str_eq(user, id);
}

Test(ticket, lives_two_hours_and_tolerates_clocks)
{
	ticket_make(&s, "bob@pbs", NOW, text, &e);
	cr_expect_eq(check(text, NOW + TICKET_LIFETIME_S - 1), 0);
	cr_expect_eq(check(text, NOW + TICKET_LIFETIME_S), -1);
	cr_expect_str_eq(e.msg, "expired ticket");
	cr_expect_eq(check(text, NOW - TICKET_FUTURE_S), 0);
	cr_expect_eq(check(text, NOW - TICKET_FUTURE_S - 1), -1);
	cr_expect_str_eq(e.msg, "ticket from the future");
}

/* No single character may be changed, removed or added. */
Test(ticket, every_changed_byte_is_noticed)
{
	char bad[TICKET_MAX + 2];
	size_t i, len;

	ticket_make(&s, "bob@pbs", NOW, text, &e);
	len = strlen(text);
	for (i = 0; i < len; i++) {
		strcpy(bad, text);
		bad[i] = bad[i] == 'A' ? 'B' : 'A';
		cr_expect_eq(check(bad, NOW), -1, "changed %zu: %s", i, bad);
		cr_expect_eq(e.code, ERR_AUTH);
		cr_expect_str_eq(user, "");
		memmove(bad + i, text + i + 1, len - i);
		cr_expect_eq(check(bad, NOW), -1, "removed %zu", i);
	}
	for (i = 0; i <= len; i++) {
		snprintf(bad, sizeof(bad), "%.*sA%s", (int)i, text, text + i);
		cr_expect_eq(check(bad, NOW), -1, "added %zu", i);
	}
}

Test(ticket, garbage_is_refused)
{
	static const char *const bad[] = {"", "PBS",
	    "PBS:", "PBS::", "PBS:::", "PBS:bob@pbs:6B02AD98",
	    "PBS:bob@pbs:6B02AD98::", "PBS:bob@pbs:6B02AD98:",
	    "PBS:!tfa!x:6B02AD98::AAAA", "PVE:bob@pbs:6B02AD98::AAAA",
	    "PBS:bob@pbs:6b02ad98::AAAA"};
	char *huge = calloc(1, 5000);
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_expect_eq(check(bad[i], NOW), -1, "%s", bad[i]);
	memset(huge, 'A', 4999);
	memcpy(huge, "PBS:", 4);
	cr_expect_eq(check(huge, NOW), -1);
	ticket_make(&s, "bob@pbs", NOW, text, &e);
	cr_expect_eq(ticket_check(&s, text, strlen(text) + 1, NOW, user, &e),
	    -1, "a NUL at the end");
	free(huge);
}

Test(ticket, another_key_does_not_fit)
{
	ticket_make(&s, "bob@pbs", NOW, text, &e);
	s.ticket[0] ^= 1;
	cr_expect_eq(check(text, NOW), -1);
	cr_expect_str_eq(e.msg, "ticket is forged or altered");
}

/* The signature binds the parts: "a:b" cannot become "a" and "b". */
Test(ticket, a_csrf_token_is_no_ticket)
{
	char csrf[CSRF_MAX + 1], forged[TICKET_MAX + 1];

	cr_assert_eq(csrf_make(&s, "bob@pbs", NOW, csrf, &e), 0);
	snprintf(forged, sizeof(forged), "PBS:bob@pbs:6B02AD98::%s", csrf + 9);
	cr_expect_eq(check(forged, NOW), -1);
}

static int
csrf(const char *id, const char *token, int64_t now)
{
	return csrf_check(&s, id, token, strlen(token), now, &e);
}

Test(csrf, passes_for_its_user_and_time)
{
	char token[CSRF_MAX + 1];

	cr_assert_eq(csrf_make(&s, "bob@pbs", NOW, token, &e), 0);
	cr_expect_eq(strncmp(token, "6B02AD98:", 9), 0);
	cr_expect_eq(csrf("bob@pbs", token, NOW), 0, "%s", e.msg);
	cr_expect_eq(csrf("eve@pbs", token, NOW), -1);
	cr_expect_eq(csrf("bob@pbs", token, NOW + TICKET_LIFETIME_S), -1);
	cr_expect_eq(csrf("bob@pbs", token, NOW - TICKET_FUTURE_S - 1), -1);
}

Test(csrf, every_changed_byte_is_noticed)
{
	char token[CSRF_MAX + 1];
	size_t i;

	csrf_make(&s, "bob@pbs", NOW, token, &e);
	for (i = 0; token[i] != '\0'; i++) {
		char was = token[i];

		token[i] = was == 'A' ? 'B' : 'A';
		cr_expect_eq(csrf("bob@pbs", token, NOW), -1, "%zu", i);
		token[i] = was;
	}
	cr_expect_eq(csrf("bob@pbs", "", NOW), -1);
	cr_expect_str_eq(e.msg, "missing CSRF token");
	cr_expect_eq(csrf("bob@pbs", "12345678:abc", NOW), -1);
	cr_expect_eq(csrf("bob@pbs", "6B02AD98:", NOW), -1);
}
