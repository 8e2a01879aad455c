#ifndef SERVER_AUTH_TLS_IDENTITY_H
#define SERVER_AUTH_TLS_IDENTITY_H

#include <stddef.h>
#include <stdint.h>

struct err;
struct json;
struct tls_identity;

/*
 * The server's certificates and private key.  Counted, since a worker that was
 * greeted with old certificates needs their key after a reload.
 */
#define TLS_SIGNATURE_MAX 1024
#define TLS_CHAIN_MAX 24576
#define TLS_YEARS 20 /* of a certificate that we make ourselves */

struct tls_files {
	const char *certificate; /* PEM, the leaf first */
	const char *key;
	const char *client_ca; /* "" for none */
};

/* Makes both files if neither is there: EC P-256, self-signed, for this host
 * and the loopback. */
int tls_identity_make_files(const char *certificate, const char *key,
    struct err *e);

/* Reads and checks the files; one reference, the caller's. */
struct tls_identity *tls_identity_load(const struct tls_files *f,
    struct err *e);
struct tls_identity *tls_identity_ref(struct tls_identity *id);
void tls_identity_unref(struct tls_identity **id);

const char *tls_identity_chain(const struct tls_identity *id, size_t *len_out);
const char *tls_identity_client_ca(const struct tls_identity *id,
    size_t *len_out);

/* Signs what a TLS server signs and nothing else; ERR_INVALID if it is not, or
 * the scheme does not fit the key. */
int tls_identity_sign(const struct tls_identity *id, uint16_t scheme,
    const uint8_t *message, size_t len, uint8_t sig[TLS_SIGNATURE_MAX],
    size_t *len_out, struct err *e);

/* {"fingerprint", "subject", "issuer", "not-before", "not-after", "key"}; the
 * caller's. */
struct json *tls_identity_describe(const struct tls_identity *id);

#endif
