/*
 * The provider behind server/signer.h.  Runs in a worker, which has the
 * server's certificate but not its key.  What it distrusts: nothing here
 * comes from the network except through libssl, which calls digest_sign with
 * the bytes of the handshake.  Everything about the public key is answered by
 * OpenSSL's default provider.
 */
#include "config.h"

#include "server/signer.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/provider.h>
#include <openssl/rsa.h>

#include "common/err.h"
#include "common/mem.h"
#include "server/err_ssl.h"

#define SIGNER_PROP "provider=" SIGNER_PROVIDER
/* Optional, so that a fetch from this provider still finds it, while every
 * other fetch prefers the default provider. */
#define SIGNER_AVOID "?provider!=" SIGNER_PROVIDER

struct signer {
	signer_fn *fn;
	void *arg;
	OSSL_PROVIDER *deflt;
	OSSL_PROVIDER *own;
	struct err last;
};

struct signer_pkey {
	const char *type; /* "RSA", "EC", "ED25519" */
	EVP_PKEY *pub;    /* in the default provider; NULL until import */
};

/* One signature operation. */
struct signer_op {
	struct signer *signer;
	struct signer_pkey *key; /* libcrypto's, which outlives the operation */
	char md[16];
	int pss;
};

/* OSSL_PROVIDER_add_builtin() takes no argument for the init function. */
static struct signer *signer_instance;

/* --- keys ---------------------------------------------------------------- */

static struct signer_pkey *
pkey_new(const char *type)
{
	struct signer_pkey *k = xcalloc(1, sizeof(*k));

	k->type = type;
	return k;
}

static void *
pkey_new_rsa(void *provctx)
{
	(void)provctx;
	return pkey_new("RSA");
}

static void *
pkey_new_ec(void *provctx)
{
	(void)provctx;
	return pkey_new("EC");
}

static void *
pkey_new_ed25519(void *provctx)
{
	(void)provctx;
	return pkey_new("ED25519");
}

static void
pkey_free(void *keydata)
{
	struct signer_pkey *k = keydata;

	if (k == NULL)
		return;
	EVP_PKEY_free(k->pub);
	free(k);
}

/* It claims a private half: that is what it stands for. */
static int
pkey_has(const void *keydata, int selection)
{
	const struct signer_pkey *k = keydata;

	(void)selection;
	return k->pub != NULL;
}

static int
pkey_match(const void *a, const void *b, int selection)
{
	const struct signer_pkey *ka = a, *kb = b;

	(void)selection;
	return EVP_PKEY_eq(ka->pub, kb->pub) == 1;
}

static int
pkey_import(void *keydata, int selection, const OSSL_PARAM params[])
{
	struct signer_pkey *k = keydata;
	EVP_PKEY_CTX *ctx;
	int ok;

	if ((selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY) != 0 ||
	    k->pub != NULL)
		return 0;
	ctx = EVP_PKEY_CTX_new_from_name(NULL, k->type, "provider=default");
	/* The prototype lacks a const; nothing is changed. */
	ok = ctx != NULL && EVP_PKEY_fromdata_init(ctx) == 1 &&
	    EVP_PKEY_fromdata(ctx, &k->pub, EVP_PKEY_PUBLIC_KEY,
		(OSSL_PARAM *)params) == 1;
	EVP_PKEY_CTX_free(ctx);
	return ok;
}

/*
 * A request for the private half must fail: libcrypto would otherwise move
 * the key to the default provider and try to sign there.
 */
static int
pkey_export(void *keydata, int selection, OSSL_CALLBACK *cb, void *cbarg)
{
	struct signer_pkey *k = keydata;
	OSSL_PARAM *params = NULL;
	int ok;

	if ((selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY) != 0)
		return 0;
	if (EVP_PKEY_todata(k->pub, EVP_PKEY_PUBLIC_KEY, &params) != 1)
		return 0;
	ok = cb(params, cbarg);
	OSSL_PARAM_free(params);
	return ok;
}

static const OSSL_PARAM *
pkey_types(int selection)
{
	static const OSSL_PARAM types[] = {
	    OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, NULL, 0),
	    OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_PUB_KEY, NULL, 0),
	    OSSL_PARAM_BN(OSSL_PKEY_PARAM_RSA_N, NULL, 0),
	    OSSL_PARAM_BN(OSSL_PKEY_PARAM_RSA_E, NULL, 0),
	    OSSL_PARAM_END,
	};

	return (selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY) != 0 ? NULL
								  : types;
}

static int
pkey_get_params(void *keydata, OSSL_PARAM params[])
{
	struct signer_pkey *k = keydata;

	return EVP_PKEY_get_params(k->pub, params);
}

static const OSSL_PARAM *
pkey_gettable(void *provctx)
{
	static const OSSL_PARAM gettable[] = {
	    OSSL_PARAM_int(OSSL_PKEY_PARAM_BITS, NULL),
	    OSSL_PARAM_int(OSSL_PKEY_PARAM_SECURITY_BITS, NULL),
	    OSSL_PARAM_int(OSSL_PKEY_PARAM_MAX_SIZE, NULL),
	    OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, NULL, 0),
	    OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_DEFAULT_DIGEST, NULL, 0),
	    OSSL_PARAM_END,
	};

	(void)provctx;
	return gettable;
}

static const char *
pkey_operation_ec(int operation)
{
	return operation == OSSL_OP_SIGNATURE ? "ECDSA" : NULL;
}

/* --- signatures ---------------------------------------------------------- */

static void *
op_new(void *provctx, const char *propq)
{
	struct signer_op *op = xcalloc(1, sizeof(*op));

	(void)propq;
	op->signer = provctx;
	return op;
}

static void
op_free(void *ctx)
{
	free(ctx);
}

static int
op_set_params(void *ctx, const OSSL_PARAM params[])
{
	struct signer_op *op = ctx;
	const OSSL_PARAM *p;
	const char *text;
	int mode;

	if (params == NULL)
		return 1;
	p = OSSL_PARAM_locate_const(params, OSSL_SIGNATURE_PARAM_PAD_MODE);
	if (p == NULL)
		return 1; /* the salt is as long as the digest, as TLS says */
	if (p->data_type == OSSL_PARAM_UTF8_STRING) {
		if (!OSSL_PARAM_get_utf8_string_ptr(p, &text))
			return 0;
		op->pss = strcmp(text, OSSL_PKEY_RSA_PAD_MODE_PSS) == 0;
		return 1;
	}
	if (!OSSL_PARAM_get_int(p, &mode))
		return 0;
	op->pss = mode == RSA_PKCS1_PSS_PADDING;
	return 1;
}

static const OSSL_PARAM *
op_settable(void *ctx, void *provctx)
{
	static const OSSL_PARAM settable[] = {
	    OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PAD_MODE, NULL, 0),
	    OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PSS_SALTLEN, NULL, 0),
	    OSSL_PARAM_END,
	};

	(void)ctx;
	(void)provctx;
	return settable;
}

static int
op_init(void *ctx, const char *md, void *key, const OSSL_PARAM params[])
{
	struct signer_op *op = ctx;

	if (key != NULL)
		op->key = key;
	if (op->key == NULL)
		return 0;
	if (md == NULL)
		md = "";
	if (strlen(md) >= sizeof(op->md))
		return 0;
	strcpy(op->md, md);
	return op_set_params(op, params);
}

/* The TLS SignatureScheme of key, digest and padding; 0 if there is none. */
static uint16_t
op_scheme(const struct signer_op *op)
{
	static const struct {
		const char *type, *md;
		int pss;
		uint16_t scheme;
	} schemes[] = {
	    {"EC", "SHA2-256", 0, 0x0403},
	    {"EC", "SHA2-384", 0, 0x0503},
	    {"EC", "SHA2-512", 0, 0x0603},
	    {"RSA", "SHA2-256", 0, 0x0401},
	    {"RSA", "SHA2-384", 0, 0x0501},
	    {"RSA", "SHA2-512", 0, 0x0601},
	    {"RSA", "SHA2-256", 1, 0x0804},
	    {"RSA", "SHA2-384", 1, 0x0805},
	    {"RSA", "SHA2-512", 1, 0x0806},
	    {"ED25519", NULL, 0, 0x0807},
	};
	EVP_MD *md = NULL;
	uint16_t scheme = 0;
	size_t i;

	if (op->md[0] != '\0' &&
	    (md = EVP_MD_fetch(NULL, op->md, NULL)) == NULL)
		return 0;
	for (i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
		if (strcmp(schemes[i].type, op->key->type) == 0 &&
		    schemes[i].pss == op->pss &&
		    (schemes[i].md == NULL
			    ? md == NULL
			    : md != NULL && EVP_MD_is_a(md, schemes[i].md)))
			scheme = schemes[i].scheme;
	}
	EVP_MD_free(md);
	return scheme;
}

static int
op_sign(void *ctx, unsigned char *sig, size_t *len_out, size_t max,
    const unsigned char *tbs, size_t tbs_len)
{
	struct signer_op *op = ctx;
	struct signer *s = op->signer;
	uint8_t buf[SIGNER_SIGNATURE_MAX];
	size_t len;
	uint16_t scheme;

	if (sig == NULL) {
		*len_out = (size_t)EVP_PKEY_get_size(op->key->pub);
		return 1;
	}
	scheme = op_scheme(op);
	if (scheme == 0) {
		err_set(&s->last, ERR_UNSUPPORTED,
		    "no TLS signature scheme for %s with %s", op->key->type,
		    op->md);
		return 0;
	}
	if (s->fn(s->arg, scheme, tbs, tbs_len, buf, &len, &s->last) == -1)
		return 0;
	if (len > max) {
		err_set(&s->last, ERR_CRYPTO,
		    "signature has %zu bytes, at most %zu expected", len, max);
		return 0;
	}
	memcpy(sig, buf, len);
	*len_out = len;
	return 1;
}

/* --- the provider -------------------------------------------------------- */

typedef void (*dispatch_fn)(void);
#define ROW(id, fn)                   \
	{                             \
		id, (dispatch_fn)(fn) \
	}
#define KEYMGMT_ROWS(new_fn)                                    \
	ROW(OSSL_FUNC_KEYMGMT_NEW, new_fn),                     \
	    ROW(OSSL_FUNC_KEYMGMT_FREE, pkey_free),             \
	    ROW(OSSL_FUNC_KEYMGMT_HAS, pkey_has),               \
	    ROW(OSSL_FUNC_KEYMGMT_MATCH, pkey_match),           \
	    ROW(OSSL_FUNC_KEYMGMT_IMPORT, pkey_import),         \
	    ROW(OSSL_FUNC_KEYMGMT_IMPORT_TYPES, pkey_types),    \
	    ROW(OSSL_FUNC_KEYMGMT_EXPORT, pkey_export),         \
	    ROW(OSSL_FUNC_KEYMGMT_EXPORT_TYPES, pkey_types),    \
	    ROW(OSSL_FUNC_KEYMGMT_GET_PARAMS, pkey_get_params), \
	    ROW(OSSL_FUNC_KEYMGMT_GETTABLE_PARAMS, pkey_gettable)

static const OSSL_DISPATCH keymgmt_rsa[] = {KEYMGMT_ROWS(pkey_new_rsa),
    {0, NULL}};
static const OSSL_DISPATCH keymgmt_ec[] = {KEYMGMT_ROWS(pkey_new_ec),
    ROW(OSSL_FUNC_KEYMGMT_QUERY_OPERATION_NAME, pkey_operation_ec), {0, NULL}};
static const OSSL_DISPATCH keymgmt_ed25519[] = {KEYMGMT_ROWS(pkey_new_ed25519),
    {0, NULL}};

static const OSSL_DISPATCH signature[] = {
    ROW(OSSL_FUNC_SIGNATURE_NEWCTX, op_new),
    ROW(OSSL_FUNC_SIGNATURE_FREECTX, op_free),
    ROW(OSSL_FUNC_SIGNATURE_DIGEST_SIGN_INIT, op_init),
    ROW(OSSL_FUNC_SIGNATURE_DIGEST_SIGN, op_sign),
    ROW(OSSL_FUNC_SIGNATURE_SET_CTX_PARAMS, op_set_params),
    ROW(OSSL_FUNC_SIGNATURE_SETTABLE_CTX_PARAMS, op_settable),
    {0, NULL},
};

static const OSSL_ALGORITHM *
provider_query(void *provctx, int operation, int *no_cache)
{
	static const OSSL_ALGORITHM keymgmts[] = {
	    {"RSA", SIGNER_PROP, keymgmt_rsa, NULL},
	    {"EC", SIGNER_PROP, keymgmt_ec, NULL},
	    {"ED25519", SIGNER_PROP, keymgmt_ed25519, NULL},
	    {NULL, NULL, NULL, NULL},
	};
	static const OSSL_ALGORITHM signatures[] = {
	    {"RSA", SIGNER_PROP, signature, NULL},
	    {"ECDSA", SIGNER_PROP, signature, NULL},
	    {"ED25519", SIGNER_PROP, signature, NULL},
	    {NULL, NULL, NULL, NULL},
	};

	(void)provctx;
	*no_cache = 0;
	if (operation == OSSL_OP_KEYMGMT)
		return keymgmts;
	return operation == OSSL_OP_SIGNATURE ? signatures : NULL;
}

static int
provider_init(const OSSL_CORE_HANDLE *handle, const OSSL_DISPATCH *in,
    const OSSL_DISPATCH **out, void **provctx)
{
	static const OSSL_DISPATCH provider[] = {
	    ROW(OSSL_FUNC_PROVIDER_QUERY_OPERATION, provider_query),
	    {0, NULL},
	};

	(void)handle;
	(void)in;
	*out = provider;
	*provctx = signer_instance;
	return 1;
}

struct signer *
signer_new(signer_fn *fn, void *arg, struct err *e)
{
	struct signer *s;

	if (signer_instance != NULL) {
		err_set(e, ERR_INTERNAL, "a process has one signer");
		return NULL;
	}
	s = xcalloc(1, sizeof(*s));
	s->fn = fn;
	s->arg = arg;
	signer_instance = s;
	s->deflt = OSSL_PROVIDER_load(NULL, "default");
	if (s->deflt == NULL ||
	    EVP_set_default_properties(NULL, SIGNER_AVOID) != 1 ||
	    OSSL_PROVIDER_add_builtin(NULL, SIGNER_PROVIDER, provider_init) !=
		1 ||
	    (s->own = OSSL_PROVIDER_load(NULL, SIGNER_PROVIDER)) == NULL) {
		err_ssl(e, "cannot load the signature provider");
		signer_free(s);
		return NULL;
	}
	return s;
}

void
signer_free(struct signer *s)
{
	if (s == NULL)
		return;
	if (s->own != NULL)
		OSSL_PROVIDER_unload(s->own);
	if (s->deflt != NULL)
		OSSL_PROVIDER_unload(s->deflt);
	signer_instance = NULL;
	free(s);
}

EVP_PKEY *
signer_key(struct signer *s, EVP_PKEY *pub, struct err *e)
{
	const char *type = EVP_PKEY_get0_type_name(pub);
	EVP_PKEY_CTX *ctx = NULL;
	OSSL_PARAM *params = NULL;
	EVP_PKEY *key = NULL;

	(void)s;
	if (type == NULL ||
	    EVP_PKEY_todata(pub, EVP_PKEY_PUBLIC_KEY, &params) != 1 ||
	    (ctx = EVP_PKEY_CTX_new_from_name(NULL, type, SIGNER_PROP)) ==
		NULL ||
	    EVP_PKEY_fromdata_init(ctx) != 1 ||
	    EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params) != 1) {
		err_ssl(e, "cannot use a certificate's key of type %s",
		    type == NULL ? "?" : type);
		key = NULL;
	}
	OSSL_PARAM_free(params);
	EVP_PKEY_CTX_free(ctx);
	return key;
}

const struct err *
signer_last_error(const struct signer *s)
{
	return &s->last;
}
