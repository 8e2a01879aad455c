/*
 * Trust in the server's certificate, for holdfast: decided after the
 * handshake and before any secret is sent.
 */
#include "config.h"

#include "client/trust.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/places.h"
#include "client/tls.h"
#include "common/err.h"
#include "common/io.h"
#include "common/mem.h"
#include "common/prompt.h"
#include "common/sbuf.h"

#define KNOWN_FILE "fingerprints"
#define KNOWN_FILE_MAX (256u << 10)
#define KNOWN_MODE 0600

int
trust_parse_fingerprint(const char *text, char *out, struct err *e)
{
	size_t i;

	for (i = 0; text[i] != '\0' && i < TLS_FINGERPRINT_LEN; i++) {
		if (i % 3 == 2 ? text[i] != ':'
			       : !isxdigit((unsigned char)text[i]))
			break;
		out[i] = (char)tolower((unsigned char)text[i]);
	}
	if (i != TLS_FINGERPRINT_LEN || text[i] != '\0')
		return err_set(e, ERR_PARAM,
		    "a fingerprint is 32 pairs of hexadecimal digits with "
		    "colons between them");
	out[i] = '\0';
	return 0;
}

/* The line of a server in the text, or NULL; what follows its name. */
static const char *
find_line(const char *text, const char *server)
{
	size_t len = strlen(server);

	while (text != NULL && *text != '\0') {
		if (strncmp(text, server, len) == 0 && text[len] == ' ')
			return text + len + 1;
		text = strchr(text, '\n');
		if (text != NULL)
			text++;
	}
	return NULL;
}

/* "" if there is no such file. */
static char *
read_known(const char *path, struct err *e)
{
	char *text;
	size_t len;
	struct err why;

	if (io_read_file(AT_FDCWD, path, KNOWN_FILE_MAX, &text, &len, &why) ==
	    0)
		return text;
	if (why.code == ERR_NOT_FOUND)
		return xstrdup("");
	*e = why;
	return NULL;
}

int
trust_recall(const char *path, const char *server, char *out, struct err *e)
{
	char *text = read_known(path, e), line[TLS_FINGERPRINT_LEN + 1];
	const char *found;
	int rv = 0;

	if (text == NULL)
		return -1;
	found = find_line(text, server);
	if (found != NULL) {
		snprintf(line, sizeof(line), "%s", found);
		rv = trust_parse_fingerprint(line, out, e);
		rv = rv == 0 ? 1 : err_wrap(e, "%s is damaged", path);
	}
	free(text);
	return rv;
}

int
trust_remember(const char *path, const char *server, const char *fingerprint,
    struct err *e)
{
	char *text = read_known(path, e);
	const char *found, *rest;
	struct sbuf b;
	int rv;

	if (text == NULL)
		return -1;
	sbuf_init(&b, KNOWN_FILE_MAX);
	found = find_line(text, server);
	if (found != NULL) {
		sbuf_add(&b, text, (size_t)(found - text) - strlen(server) - 1);
		rest = strchr(found, '\n');
		sbuf_add_str(&b, rest != NULL ? rest + 1 : "");
	} else {
		sbuf_add_str(&b, text);
	}
	sbuf_add_fmt(&b, "%s %s\n", server, fingerprint);
	if (b.overflow)
		rv = err_set(e, ERR_LIMIT, "%s is too long", path);
	else
		rv = io_write_file_atomic(AT_FDCWD, path, b.data, b.len,
		    KNOWN_MODE, 0, e);
	sbuf_fini(&b);
	free(text);
	return rv;
}

static int
ask(const char *path, const char *server, const char *found, const char *why,
    struct err *e)
{
	char *question;
	int yes;

	if (!prompt_possible())
		return err_set(e, ERR_CRYPTO,
		    "the certificate of %s is not trusted (%s). If this is "
		    "right, set PBS_FINGERPRINT=%s",
		    server, why, found);
	question = xasprintf("The certificate of %s is not known (%s).\n"
			     "Its fingerprint is %s\n"
			     "Is that right?",
	    server, why, found);
	yes = prompt_yes(question);
	free(question);
	if (!yes)
		return err_set(e, ERR_CRYPTO, "the certificate was refused");
	return trust_remember(path, server, found, e);
}

static int
check_pinned(const char *server, const char *pinned, const char *found,
    struct err *e)
{
	char wanted[TLS_FINGERPRINT_LEN + 1];

	if (trust_parse_fingerprint(pinned, wanted, e) == -1)
		return -1;
	if (strcmp(wanted, found) != 0)
		return err_set(e, ERR_CRYPTO,
		    "the certificate of %s has the fingerprint %s, not the "
		    "one that was asked for",
		    server, found);
	return 0;
}

int
trust_check(const struct tls *t, const char *server, const char *fingerprint,
    struct err *e)
{
	char found[TLS_FINGERPRINT_LEN + 1], known[TLS_FINGERPRINT_LEN + 1];
	const char *why;
	char *path;
	int rv;

	tls_fingerprint(t, found);
	if (fingerprint != NULL)
		return check_pinned(server, fingerprint, found, e);
	if (tls_is_trusted(t, &why))
		return 0;
	path = places_config(KNOWN_FILE, e);
	if (path == NULL)
		return -1;
	rv = trust_recall(path, server, known, e);
	if (rv == 0)
		rv = ask(path, server, found, why, e);
	else if (rv == 1 && strcmp(known, found) != 0)
		rv = err_set(e, ERR_CRYPTO,
		    "the certificate of %s has changed: its fingerprint is "
		    "now %s. If that is right, remove the line of this server "
		    "from %s",
		    server, found, path);
	else if (rv == 1)
		rv = 0;
	free(path);
	return rv;
}
