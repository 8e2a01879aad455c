/*
 * Client key files.  Runs in the client only; the file may come from
 * anywhere, so the cost of its key derivation is limited before it is paid.
 */
#include "config.h"

#include "common/format/keyfile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/evp.h>

#include "common/err.h"
#include "common/io.h"
#include "common/json.h"
#include "common/mem.h"
#include "common/str.h"

#define IV_LEN 16
#define TAG_LEN 16
#define LOCKED_LEN (IV_LEN + TAG_LEN + CRYPT_KEY_LEN)
#define SCRYPT_MEMORY_MAX (UINT64_C(1025) << 20)
#define SCRYPT_N 65536
#define SCRYPT_R 8
#define SCRYPT_P 1
#define PBKDF2_ITERATIONS 65535
#define SALT_LEN 32
#define COST_MAX (UINT64_C(1) << 30)

/* Text of a member that may be null or absent; false if it does not fit. */
static bool
copy_optional(const struct json *doc, const char *key, char *out, size_t size)
{
	const struct json *v = json_get(doc, key);
	const char *s;

	out[0] = '\0';
	if (v == NULL || json_type(v) == JSON_NULL)
		return true;
	if ((s = json_str(v)) == NULL || strlen(s) >= size)
		return false;
	strcpy(out, s);
	return true;
}

static int
decode_base64(const struct json *obj, const char *key, uint8_t *out,
    size_t size, size_t *len_out, struct err *e)
{
	const char *s = json_get_str(obj, key, e);

	if (s == NULL)
		return -1;
	if (str_base64_decode(s, strlen(s), 0, out, size, len_out) < 0)
		return err_set(e, ERR_CORRUPT, "'%s' is not base64 or too long",
		    key);
	return 0;
}

static int
parse_kdf(const struct json *doc, struct keyfile *out, struct err *e)
{
	const struct json *kdf = json_get(doc, "kdf"), *p;

	out->kdf = KEYFILE_KDF_NONE;
	if (kdf == NULL || json_type(kdf) == JSON_NULL)
		return 0;
	if (json_type(kdf) != JSON_OBJECT || json_len(kdf) != 1)
		return err_set(e, ERR_CORRUPT, "unknown key derivation");
	if (json_get(kdf, "Scrypt") != NULL) {
		out->kdf = KEYFILE_KDF_SCRYPT;
		if ((p = json_get_object(kdf, "Scrypt", e)) == NULL ||
		    json_get_u64(p, "n", 2, COST_MAX, &out->n, e) < 0 ||
		    json_get_u64(p, "r", 1, 1024, &out->r, e) < 0 ||
		    json_get_u64(p, "p", 1, 1024, &out->p, e) < 0)
			return -1;
	} else {
		out->kdf = KEYFILE_KDF_PBKDF2;
		if ((p = json_get_object(kdf, "PBKDF2", e)) == NULL ||
		    json_get_u64(p, "iter", 1, COST_MAX, &out->iter, e) < 0)
			return -1;
	}
	return decode_base64(p, "salt", out->salt, sizeof(out->salt),
	    &out->salt_len, e);
}

static int
parse_fields(const struct json *doc, struct keyfile *out, struct err *e)
{
	char fp[CRYPT_FINGERPRINT_LEN + 1];

	if (json_type(doc) != JSON_OBJECT)
		return err_set(e, ERR_CORRUPT, "not an object");
	if (parse_kdf(doc, out, e) < 0 ||
	    decode_base64(doc, "data", out->data, sizeof(out->data),
		&out->data_len, e) < 0)
		return -1;
	if (out->data_len !=
	    (out->kdf == KEYFILE_KDF_NONE ? CRYPT_KEY_LEN : LOCKED_LEN))
		return err_set(e, ERR_CORRUPT, "key data of %zu bytes",
		    out->data_len);
	if (!copy_optional(doc, "created", out->created,
		sizeof(out->created)) ||
	    !copy_optional(doc, "modified", out->modified,
		sizeof(out->modified)) ||
	    !copy_optional(doc, "hint", out->hint, sizeof(out->hint)) ||
	    !copy_optional(doc, "fingerprint", fp, sizeof(fp)))
		return err_set(e, ERR_CORRUPT, "a text is too long");
	out->has_fingerprint = fp[0] != '\0';
	if (out->has_fingerprint)
		return fingerprint_from_str(&out->fingerprint, fp, e);
	return 0;
}

int
keyfile_parse(const char *json, size_t len, struct keyfile *out, struct err *e)
{
	struct json *doc;
	int rv;

	memset(out, 0, sizeof(*out));
	if (len > KEYFILE_JSON_MAX)
		return err_set(e, ERR_LIMIT, "key file too large");
	if ((doc = json_parse(json, len, JSON_DEPTH_DEFAULT, e)) == NULL)
		return err_wrap(e, "key file");
	rv = parse_fields(doc, out, e);
	json_free(&doc);
	if (rv < 0) {
		keyfile_wipe(out);
		if (e != NULL)
			e->code = ERR_CORRUPT;
		return err_wrap(e, "key file");
	}
	return 0;
}

static int
derive(const struct keyfile *k, const char *passphrase,
    uint8_t out[CRYPT_KEY_LEN], struct err *e)
{
	size_t len = passphrase != NULL ? strlen(passphrase) : 0;
	int ok;

	if (len < KEYFILE_PASSPHRASE_MIN)
		return err_set(e, ERR_PARAM,
		    "passphrase is shorter than %d bytes",
		    KEYFILE_PASSPHRASE_MIN);
	if (k->kdf == KEYFILE_KDF_SCRYPT)
		ok = EVP_PBE_scrypt(passphrase, len, k->salt, k->salt_len, k->n,
		    k->r, k->p, SCRYPT_MEMORY_MAX, out, CRYPT_KEY_LEN);
	else
		ok = PKCS5_PBKDF2_HMAC(passphrase, (int)len, k->salt,
		    (int)k->salt_len, (int)k->iter, EVP_sha256(), CRYPT_KEY_LEN,
		    out);
	if (ok != 1)
		return err_set(e, ERR_CRYPTO, "key derivation failed");
	return 0;
}

/* AES-256-GCM with a 16-byte IV over one key; data = IV, tag, ciphertext. */
static int
seal(const uint8_t kek[CRYPT_KEY_LEN], bool encrypt, uint8_t *data,
    const uint8_t *in, uint8_t *out)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	int n, ok;

	ok = ctx != NULL &&
	    EVP_CipherInit_ex(ctx, EVP_aes_256_gcm(), NULL, NULL, NULL,
		encrypt) == 1 &&
	    EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_SET_IVLEN, IV_LEN, NULL) ==
		1 &&
	    EVP_CipherInit_ex(ctx, NULL, NULL, kek, data, encrypt) == 1 &&
	    EVP_CipherUpdate(ctx, out, &n, in, CRYPT_KEY_LEN) == 1 &&
	    (encrypt ||
		EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_SET_TAG, TAG_LEN,
		    data + IV_LEN) == 1) &&
	    EVP_CipherFinal_ex(ctx, out + n, &n) == 1 &&
	    (!encrypt ||
		EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_GET_TAG, TAG_LEN,
		    data + IV_LEN) == 1);
	EVP_CIPHER_CTX_free(ctx);
	return ok ? 0 : -1;
}

static void
fingerprint_of(const uint8_t key[CRYPT_KEY_LEN], struct digest *out)
{
	struct crypt *c = crypt_new(key);

	crypt_fingerprint(c, out);
	crypt_free(c);
}

static int
unlock(const struct keyfile *k, const char *passphrase,
    uint8_t key_out[CRYPT_KEY_LEN], struct err *e)
{
	uint8_t kek[CRYPT_KEY_LEN], head[IV_LEN + TAG_LEN];
	int rv;

	if (k->kdf == KEYFILE_KDF_NONE) {
		memcpy(key_out, k->data, CRYPT_KEY_LEN);
		return 0;
	}
	if (derive(k, passphrase, kek, e) < 0)
		return -1;
	memcpy(head, k->data, sizeof(head));
	rv = seal(kek, false, head, k->data + sizeof(head), key_out);
	mem_wipe(kek, sizeof(kek));
	if (rv < 0)
		return err_set(e, ERR_CRYPTO,
		    "cannot open the key: wrong passphrase");
	return 0;
}

int
keyfile_unlock(const struct keyfile *k, const char *passphrase,
    uint8_t key_out[CRYPT_KEY_LEN], struct err *e)
{
	struct digest fp;

	if (unlock(k, passphrase, key_out, e) < 0) {
		mem_wipe(key_out, CRYPT_KEY_LEN);
		return -1;
	}
	fingerprint_of(key_out, &fp);
	if (k->has_fingerprint && !digest_equal(&fp, &k->fingerprint)) {
		mem_wipe(key_out, CRYPT_KEY_LEN);
		return err_set(e, ERR_CRYPTO,
		    "key does not have the fingerprint of its file");
	}
	return 0;
}

static void
now_rfc3339(char out[KEYFILE_TIME_MAX + 1])
{
	time_t t = time(NULL);
	struct tm tm;
	size_t n = 0;

	if (localtime_r(&t, &tm) != NULL)
		n = strftime(out, KEYFILE_TIME_MAX, "%Y-%m-%dT%H:%M:%S%z", &tm);
	out[n] = '\0';
	/* strftime() writes +0100, RFC 3339 wants +01:00. */
	if (n > 2) {
		memmove(out + n - 1, out + n - 2, 3);
		out[n - 2] = ':';
	}
}

int
keyfile_lock(struct keyfile *out, const uint8_t key[CRYPT_KEY_LEN],
    enum keyfile_kdf kdf, const char *passphrase, const char *hint,
    struct err *e)
{
	uint8_t kek[CRYPT_KEY_LEN];
	int rv;

	if (hint != NULL && strlen(hint) > KEYFILE_HINT_MAX)
		return err_set(e, ERR_PARAM, "password hint too long");
	now_rfc3339(out->modified);
	if (out->created[0] == '\0')
		strcpy(out->created, out->modified);
	strcpy(out->hint, hint != NULL ? hint : "");
	out->kdf = kdf;
	out->n = SCRYPT_N;
	out->r = SCRYPT_R;
	out->p = SCRYPT_P;
	out->iter = PBKDF2_ITERATIONS;
	out->has_fingerprint = true;
	fingerprint_of(key, &out->fingerprint);
	if (kdf == KEYFILE_KDF_NONE) {
		memcpy(out->data, key, CRYPT_KEY_LEN);
		out->data_len = CRYPT_KEY_LEN;
		return 0;
	}
	out->salt_len = SALT_LEN;
	io_random(out->salt, SALT_LEN);
	io_random(out->data, IV_LEN);
	if (derive(out, passphrase, kek, e) < 0)
		return -1;
	rv = seal(kek, true, out->data, key, out->data + IV_LEN + TAG_LEN);
	mem_wipe(kek, sizeof(kek));
	if (rv < 0)
		return err_set(e, ERR_CRYPTO, "encryption of the key failed");
	out->data_len = LOCKED_LEN;
	return 0;
}

static void
set_base64(struct json *obj, const char *key, const uint8_t *data, size_t len)
{
	char *text = str_base64_encode(data, len, 0);

	json_set_str(obj, key, text);
	mem_wipe_free(text, strlen(text));
}

static struct json *
kdf_to_json(const struct keyfile *k)
{
	struct json *kdf, *p;

	if (k->kdf == KEYFILE_KDF_NONE)
		return json_new_null();
	kdf = json_new_object();
	p = json_new_object();
	if (k->kdf == KEYFILE_KDF_SCRYPT) {
		json_set_u64(p, "n", k->n);
		json_set_u64(p, "r", k->r);
		json_set_u64(p, "p", k->p);
	} else {
		json_set_u64(p, "iter", k->iter);
	}
	set_base64(p, "salt", k->salt, k->salt_len);
	json_set(kdf, k->kdf == KEYFILE_KDF_SCRYPT ? "Scrypt" : "PBKDF2", p);
	return kdf;
}

int
keyfile_to_json(const struct keyfile *k, char **out, size_t *len_out,
    struct err *e)
{
	char fp[CRYPT_FINGERPRINT_LEN + 1];
	struct json *doc;

	if (!str_is_utf8(k->hint, strlen(k->hint)))
		return err_set(e, ERR_PARAM, "password hint is not UTF-8");
	doc = json_new_object();
	json_set(doc, "kdf", kdf_to_json(k));
	json_set_str(doc, "created", k->created);
	json_set_str(doc, "modified", k->modified);
	set_base64(doc, "data", k->data, k->data_len);
	if (k->has_fingerprint) {
		fingerprint_to_str(&k->fingerprint, fp);
		json_set_str(doc, "fingerprint", fp);
	}
	if (k->hint[0] != '\0')
		json_set_str(doc, "hint", k->hint);
	*out = json_compact(doc, len_out);
	json_free(&doc);
	return 0;
}

void
keyfile_wipe(struct keyfile *k)
{
	mem_wipe(k, sizeof(*k));
}
