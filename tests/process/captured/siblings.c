/*
 * The attacks on auth and the validator that a captured worker can begin, by
 * the messages of our own protocol.  Runs sealed, in the captured builds only.
 */
#include "config.h"

#include "tests/process/captured/captured.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/ipc.h"
#include "common/msg.h"
#include "common/wire.h"

#define MANY 64
#define ECDSA_SHA256 0x0403

static int
connect_to(const char *name)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);

	strcpy(sun.sun_path, name);
	if (fd == -1 || connect(fd, (struct sockaddr *)&sun, sizeof(sun)) == -1)
		return -1;
	return fd;
}

static void
begin(struct wire_w *w, uint8_t *buf, size_t size, uint16_t type, size_t len)
{
	wire_w_init(w, buf, size);
	wire_w_u32(w, IPC_MAGIC);
	wire_w_u16(w, IPC_VERSION);
	wire_w_u16(w, type);
	wire_w_u32(w, (uint32_t)len);
	wire_w_u32(w, 0);
	wire_w_u64(w, 0);
	wire_w_u64(w, 1);
}

/* Whether the other side says this; 0 if it closes. */
static int
hears(int fd, uint16_t wanted)
{
	static uint8_t buf[IPC_HDR_LEN + IPC_BODY_MAX];
	uint16_t type;

	if (recv(fd, buf, sizeof(buf), 0) < IPC_HDR_LEN)
		return 0;
	memcpy(&type, buf + 6, sizeof(type));
	return type == wanted;
}

/* Auth greets by itself; the validator, who it hears from. */
static int
is_welcome(int fd)
{
	static const struct msg_HELLO hello = {
	    .version_min = IPC_VERSION_MIN,
	    .version_max = IPC_VERSION,
	    .program = "captured",
	};
	uint8_t buf[128];
	struct wire_w w;

	begin(&w, buf, sizeof(buf), MSG_ID_HELLO,
	    2 * sizeof(uint16_t) + sizeof(uint16_t) + strlen(hello.program));
	msg_put_HELLO(&w, &hello);
	send(fd, buf, (size_t)wire_w_len(&w), MSG_NOSIGNAL);
	return hears(fd, MSG_ID_WELCOME);
}

/* The last of many connections is served like the first. */
static int
hoard(const char *name, int (*served)(int fd))
{
	int i, fd = -1;

	for (i = 0; i < MANY; i++) {
		if ((fd = connect_to(name)) == -1)
			return -1;
	}
	return served(fd) ? 0 : -1;
}

static int
is_greeted(int fd)
{
	return hears(fd, MSG_ID_AUTH_WELCOME);
}

int
hoard_validator(void)
{
	return hoard("validator.sock", is_welcome);
}

int
hoard_auth(void)
{
	return hoard("auth.sock", is_greeted);
}

static int
is_signed(int fd)
{
	static const char text[] = "TLS 1.3, server CertificateVerify";
	uint8_t tbs[64 + sizeof(text) + 32] = {0}, buf[512];
	struct msg_SIGN m = {
	    .scheme = ECDSA_SHA256,
	    .tbs = tbs,
	    .tbs_len = sizeof(tbs),
	};
	struct wire_w w;

	if (!hears(fd, MSG_ID_AUTH_WELCOME))
		return 0;
	memset(tbs, ' ', 64);
	memcpy(tbs + 64, text, sizeof(text));
	begin(&w, buf, sizeof(buf), MSG_ID_SIGN,
	    sizeof(uint16_t) + sizeof(uint32_t) + sizeof(tbs));
	msg_put_SIGN(&w, &m);
	send(fd, buf, (size_t)wire_w_len(&w), MSG_NOSIGNAL);
	return hears(fd, MSG_ID_SIGNED);
}

/* On a connection of its own; the first one is what each worker may have. */
int
second_signature(void)
{
	int fd = connect_to("auth.sock");

	if (fd == -1)
		return -1;
	if (!is_signed(fd))
		abort();
	close(fd);
	return (fd = connect_to("auth.sock")) != -1 && is_signed(fd) ? 0 : -1;
}
