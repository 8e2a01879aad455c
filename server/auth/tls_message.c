/*
 * Recognises the signed part of a TLS server's handshake.  Runs in auth; the
 * bytes come from a worker, which may be captured.
 */
#include "config.h"

#include "server/auth/tls_message.h"

#include <string.h>

#include "common/err.h"

#define TLS13_BLANKS 64
#define TLS13_CONTEXT "TLS 1.3, server CertificateVerify" /* and its NUL */
#define TLS12_RANDOMS 64
#define TLS12_NAMED_CURVE 3

static const struct tls_scheme schemes[] = {
    {0x0403, TLS_KEY_EC, "SHA256", 0, 1},
    {0x0503, TLS_KEY_EC, "SHA384", 0, 1},
    {0x0603, TLS_KEY_EC, "SHA512", 0, 1},
    {0x0804, TLS_KEY_RSA, "SHA256", 1, 1},
    {0x0805, TLS_KEY_RSA, "SHA384", 1, 1},
    {0x0806, TLS_KEY_RSA, "SHA512", 1, 1},
    {0x0401, TLS_KEY_RSA, "SHA256", 0, 0},
    {0x0501, TLS_KEY_RSA, "SHA384", 0, 0},
    {0x0601, TLS_KEY_RSA, "SHA512", 0, 0},
    {0x0807, TLS_KEY_ED25519, NULL, 0, 1},
};

/* 64 blanks, the context with its NUL, the hash of the handshake so far. */
static int
is_tls13(const uint8_t *m, size_t len)
{
	size_t i, head = TLS13_BLANKS + sizeof(TLS13_CONTEXT);

	if (len != head + 32 && len != head + 48)
		return 0;
	for (i = 0; i < TLS13_BLANKS; i++) {
		if (m[i] != ' ')
			return 0;
	}
	return memcmp(m + TLS13_BLANKS, TLS13_CONTEXT, sizeof(TLS13_CONTEXT)) ==
	    0;
}

/* Both randoms, then ServerECDHParams: curve type, curve, point. */
static int
is_tls12(const uint8_t *m, size_t len)
{
	if (len < TLS12_RANDOMS + 4)
		return 0;
	return m[TLS12_RANDOMS] == TLS12_NAMED_CURVE &&
	    m[TLS12_RANDOMS + 3] > 0 &&
	    len == TLS12_RANDOMS + 4 + (size_t)m[TLS12_RANDOMS + 3];
}

const struct tls_scheme *
tls_message_check(uint16_t scheme, const uint8_t *message, size_t len,
    struct err *e)
{
	const struct tls_scheme *s = NULL;
	size_t i;

	for (i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
		if (schemes[i].id == scheme)
			s = &schemes[i];
	}
	if (s == NULL) {
		err_set(e, ERR_INVALID, "unknown signature scheme 0x%04x",
		    scheme);
		return NULL;
	}
	if (!(s->tls13 && is_tls13(message, len)) && !is_tls12(message, len)) {
		err_set(e, ERR_INVALID,
		    "not what a TLS server signs with scheme 0x%04x", scheme);
		return NULL;
	}
	return s;
}
