#ifndef SERVER_SIGNER_H
#define SERVER_SIGNER_H

#include <stddef.h>
#include <stdint.h>

struct err;
struct evp_pkey_st; /* EVP_PKEY */
struct signer;

/*
 * The private key that is somewhere else: an OpenSSL provider whose keys hold
 * a public half only and ask a function for each signature.  It is asked for
 * what TLS signs (scheme and message, not a digest), so that whoever holds
 * the key can see what it signs.
 */
#define SIGNER_PROVIDER "holdfast-signer"
#define SIGNER_SIGNATURE_MAX 1024

/* scheme: TLS SignatureScheme.  0, or -1 with e; may block with a time limit
 * of its own. */
typedef int signer_fn(void *arg, uint16_t scheme, const uint8_t *tbs,
    size_t tbs_len, uint8_t sig[SIGNER_SIGNATURE_MAX], size_t *len_out,
    struct err *e);

/* One per process, since OpenSSL's providers are. */
struct signer *signer_new(signer_fn *fn, void *arg, struct err *e);
void signer_free(struct signer *s);

/* The key that stands for this public key (RSA, EC, Ed25519); belongs to the
 * caller, EVP_PKEY_free(). */
struct evp_pkey_st *signer_key(struct signer *s, struct evp_pkey_st *pub,
    struct err *e);
/* Why the last signature failed, since OpenSSL's errors cannot carry it;
 * lent. */
const struct err *signer_last_error(const struct signer *s);

#endif
