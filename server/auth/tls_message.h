#ifndef SERVER_AUTH_TLS_MESSAGE_H
#define SERVER_AUTH_TLS_MESSAGE_H

#include <stddef.h>
#include <stdint.h>

struct err;

/*
 * What a TLS server signs in its handshake (RFC 8446 4.4.3, RFC 8422 5.4).  The
 * key signs nothing else, so that a captured worker cannot have a certificate
 * request, a document or a client's handshake signed.
 */
enum tls_key_type {
	TLS_KEY_EC = 1,
	TLS_KEY_RSA,
	TLS_KEY_ED25519,
};

struct tls_scheme {
	uint16_t id; /* TLS SignatureScheme */
	enum tls_key_type key;
	const char *md; /* NULL: none */
	int pss;
	int tls13; /* allowed there */
};

/* The scheme, lent for good, or NULL with ERR_INVALID if it is unknown or the
 * message is not what a server signs with it. */
const struct tls_scheme *tls_message_check(uint16_t scheme,
    const uint8_t *message, size_t len, struct err *e);

#endif
