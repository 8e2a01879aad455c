/*
 * Lines to systemd's journal (log_journal.h).  Runs in every process; the
 * text is what log.c made, which has no control characters.
 */
#include "config.h"

#include "common/log_journal.h"

#include <sys/socket.h>

#include <stdio.h>
#include <string.h>

#define FORMAT_MAX 512

/* What stands behind "key=" in a line, and the field's name. */
static const struct {
	const char *key;
	const char *field;
} known[] = {
    {"id", "HOLDFAST_SESSION"},
    {"user", "HOLDFAST_TENANT"},
    {"store", "HOLDFAST_STORE"},
    {"snapshot", "HOLDFAST_SNAPSHOT"},
    {"upid", "HOLDFAST_UPID"},
    {"peer", "HOLDFAST_PEER"},
};
#define NKNOWN (sizeof(known) / sizeof(known[0]))

static struct {
	const char *name;
	char value[LOG_JOURNAL_VALUE];
} fields[LOG_JOURNAL_FIELDS];

void
log_journal_field(const char *name, const char *value)
{
	size_t i;

	for (i = 0; i < LOG_JOURNAL_FIELDS && fields[i].name != NULL; i++)
		if (strcmp(fields[i].name, name) == 0)
			break;
	if (i == LOG_JOURNAL_FIELDS)
		return;
	fields[i].name = name;
	snprintf(fields[i].value, sizeof(fields[i].value), "%s", value);
}

/* A datagram being filled; what does not fit is left out. */
struct datagram {
	char data[8192];
	size_t len;
};

static void
put_field(struct datagram *d, const char *name, const char *value, size_t len)
{
	size_t n = strlen(name);

	if (len == 0 || n + len + 2 > sizeof(d->data) - d->len)
		return;
	memcpy(d->data + d->len, name, n);
	d->data[d->len + n] = '=';
	memcpy(d->data + d->len + n + 1, value, len);
	d->data[d->len + n + 1 + len] = '\n';
	d->len += n + len + 2;
}

/* How long the text of the first n bytes of fmt is. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
static size_t
text_len(const char *fmt, size_t n, va_list ap)
{
	char part[FORMAT_MAX];
	va_list copy;
	int len;

	memcpy(part, fmt, n);
	part[n] = '\0';
	va_copy(copy, ap);
	len = vsnprintf(NULL, 0, part, copy);
	va_end(copy);
	return len > 0 ? (size_t)len : 0;
}
#pragma GCC diagnostic pop

/* The value of one key, if fmt has it. */
static void
put_known(struct datagram *d, size_t i, const char *text, const char *fmt,
    va_list ap)
{
	char look[32];
	const char *at;
	size_t begin, end, from, to;

	snprintf(look, sizeof(look), " %s=%%", known[i].key);
	at = strstr(fmt, look);
	if (at == NULL)
		return;
	begin = (size_t)(at - fmt) + strlen(look) - 1;
	end = begin + strcspn(fmt + begin, " ");
	if (end >= FORMAT_MAX)
		return;
	from = text_len(fmt, begin, ap);
	to = text_len(fmt, end, ap);
	if (from < to && to <= strlen(text))
		put_field(d, known[i].field, text + from, to - from);
}

int
log_journal_send(int fd, const char *program, int priority, const char *text,
    size_t start, const char *fmt, va_list ap)
{
	struct datagram d = {.len = 0};
	const char level = (char)('0' + priority);
	size_t i;

	put_field(&d, "PRIORITY", &level, 1);
	put_field(&d, "SYSLOG_IDENTIFIER", program, strlen(program));
	put_field(&d, "MESSAGE", text, strlen(text));
	for (i = 0; i < LOG_JOURNAL_FIELDS && fields[i].name != NULL; i++)
		put_field(&d, fields[i].name, fields[i].value,
		    strlen(fields[i].value));
	for (i = 0; i < NKNOWN && start <= strlen(text); i++)
		put_known(&d, i, text + start, fmt, ap);
	return send(fd, d.data, d.len, MSG_NOSIGNAL | MSG_DONTWAIT) == -1 ? -1
									  : 0;
}
